"""What a call does not take is refused by name: a misspelt name neither shows nor does more."""

import json
import os
import re
import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from botgpt.accounts.models import APIKey
from conversations.openai.callers import Nowhere
from documents.models import Document
from documents.operations import StrictView, operations
from tests.api.test_tenancy import FOR_SERVICE_KEYS, OPERATIONS, Call, Somebody
from tests.factories import assert_problem, call, get, make_conversation, make_user
from tests.launch.test_launch import ROOT

pytestmark = pytest.mark.django_db

# The checks of health are for programs that may add what they like to an address.
CALLS = [
    pytest.param(*one, id=one[2]["operationId"])
    for one in OPERATIONS
    if not one[1].startswith("/health")
]


@pytest.fixture
def service() -> dict[str, str]:
    """The headers of a service key."""
    _, secret = APIKey.objects.issue("platform")
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture(autouse=True)
def _closed(settings):
    settings.OPEN_ACCESS = False


def taken(operation: dict[str, Any]) -> list[str]:
    """The query parameters that the schema tells."""
    return [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]


def address(path: str) -> str:
    """The path with ids of nobody's."""
    return re.sub(r"{[^}]*}", str(uuid4()), path.replace("{number}", "1"))


def refusals(response: Any) -> dict[str, str]:
    """By name why something was refused, in either shape of errors."""
    body = response.json()
    if "error" in body:
        error = body["error"]
        return {error["param"]: error["message"].removeprefix(f"{error['param']}: ")}
    return {name: texts[0] for name, texts in body["errors"].items()}


@pytest.mark.parametrize(("method", "path", "operation"), CALLS)
def test_every_call_refuses_parameters_that_it_has_not(api, service, method, path, operation):
    response = api.generic(method.upper(), f"{address(path)}?userId=x", headers=service)

    known = ", ".join(taken(operation))
    told = f"Known ones: {known}." if known else "This call takes none."
    assert response.status_code == 400
    assert refusals(response) == {"userId": f"Unknown parameter. {told}"}


@pytest.mark.parametrize(("method", "path", "operation"), CALLS)
def test_every_call_takes_the_parameters_that_it_has(api, service, method, path, operation):
    for name in taken(operation):
        response = api.generic(method.upper(), f"{address(path)}?{name}=x", headers=service)
        assert "Unknown parameter" not in response.content.decode(), name


@pytest.mark.parametrize(("method", "path", "operation"), CALLS)
def test_every_parameter_is_given_once_and_with_a_value(api, service, method, path, operation):
    for name in taken(operation):
        for query, why in (
            (f"{name}=", "Give a value, or leave this out."),
            (f"{name}=1&{name}=1", "Give this once."),
        ):
            response = api.generic(method.upper(), f"{address(path)}?{query}", headers=service)
            assert response.status_code == 400, query
            assert refusals(response) == {name: why}


@pytest.mark.parametrize(("method", "path", "operation"), CALLS)
def test_no_call_without_a_body_takes_one(api, service, method, path, operation):
    if "requestBody" in operation:
        return
    body = '{"user_id": "x", "quotes": "erase"}'

    response = api.generic(method.upper(), address(path), body, "application/json", headers=service)

    assert response.status_code in (400, 415)
    if response.status_code == 400:
        assert "This call takes no body" in response.content.decode()


def test_every_route_of_the_api_is_looked_up_in_the_schema():
    found = 0
    for prefix in get_resolver().url_patterns:
        if str(prefix.pattern) not in ("api/v1/", "openai/v1/"):
            continue
        for route in prefix.url_patterns:
            if route.callback.cls is Nowhere:  # where everything is refused
                continue
            found += 1
            assert issubclass(route.callback.cls, StrictView)
            place = re.sub("<[^>]*>", "{}", f"/{prefix.pattern}{route.pattern}")
            for method in {*route.callback.cls().allowed_methods} - {"OPTIONS"}:
                assert (place, method) in operations()
    assert found > 30


FIRST_CALLS = """
import sys, django
from concurrent.futures import ThreadPoolExecutor
django.setup()
from documents.operations import operations
sys.setswitchinterval(1e-6)
with ThreadPoolExecutor(8) as threads:
    found = list(threads.map(lambda _: operations(), range(8)))
assert all(one == found[0] for one in found)
"""


def test_the_first_calls_of_a_process_may_come_at_once():
    variables = {**os.environ, "DJANGO_SETTINGS_MODULE": "botgpt.settings"}
    command = [sys.executable, "-c", FIRST_CALLS]

    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_what_was_refused_did_nothing_and_may_be_sent_again_with_its_key():
    owner, key = Somebody("Quokkadale"), {"Idempotency-Key": "the-same"}
    for method, path, operation in OPERATIONS:
        if method == "get" or operation["operationId"] in FOR_SERVICE_KEYS:
            continue
        with transaction.atomic():
            sent = Call(method, path, operation)
            ids = sent.ids(owner)
            before = owner.rows()
            sent.filled["query", "userId"] = str(uuid4())
            assert sent.send(owner, lambda place, ids=ids: ids, key).status_code == 400, sent.name
            assert owner.rows() == before, sent.name
            del sent.filled["query", "userId"]
            assert sent.send(owner, lambda place, ids=ids: ids, key).status_code < 300, sent.name
            transaction.set_rollback(True)


@pytest.mark.parametrize("misspelt", ["userId", "User_ID", "user_id%20", "user", "format"])
def test_a_misspelt_user_is_not_everybody(api, service, misspelt):
    user = make_user()
    make_conversation(make_user())
    make_conversation(user)
    right = get(api, f"/conversations?user_id={user.pk}", **service).json()

    wrong = get(api, f"/conversations?{misspelt}={user.pk}", **service)

    assert right["count"] == 1
    problem = assert_problem(wrong, 400, "invalid")
    name = misspelt.replace("%20", " ")
    assert problem["detail"] == (
        f"{name}: Unknown parameter. Known ones: archived, limit, page, user_id."
    )


def test_a_user_in_a_body_that_is_not_read_is_not_everybody(api, service):
    make_conversation(make_user())
    body = json.dumps({"user_id": str(make_user().pk)})

    problem = assert_problem(call(api, "GET", "/conversations", body, **service), 400)

    assert problem["detail"] == "This call takes no body: leave it out."


def test_a_deletion_is_not_done_otherwise_than_asked(api, service, document):
    path = f"/documents/{document.pk}"

    for wrong in (f"{path}?quote=erase", f"{path}?quotes=", f"{path}?quotes=ERASE"):
        assert_problem(call(api, "DELETE", wrong, **service), 400)
    assert_problem(call(api, "DELETE", path, '{"quotes": "erase"}', **service), 400)

    assert Document.objects.filter(pk=document.pk).exists()
    assert call(api, "DELETE", path, "{}", **service).status_code == 204


def test_who_may_not_call_hears_that_first(api):
    assert_problem(get(api, "/conversations?userId=x"), 401)
    _, secret = APIKey.objects.issue("reader", scopes=["documents:read"])
    headers = {"Authorization": f"Bearer {secret}"}
    assert_problem(get(api, "/conversations?userId=x", **headers), 403, "missing_scope")


def test_a_method_that_there_is_not_is_told_as_such(api, service):
    assert_problem(call(api, "PUT", "/conversations?userId=x", **service), 405)


def test_head_takes_what_get_takes(api, service):
    address = "/api/v1/conversations?limit=5"
    assert api.head(address, headers=service).status_code == 200
    assert api.head(f"{address}&userId=x", headers=service).status_code == 400


def test_a_refusal_is_short_however_much_is_unknown(api, service):
    long, many = "x" * 5_000, "&".join(f"p{number}=1" for number in range(900))

    [name] = refusals(get(api, f"/documents?{long}=1", **service))
    names = refusals(get(api, f"/documents?{many}", **service))
    fields = {f"f{number}": 1 for number in range(20_000)} | {"query": "x"}
    response = call(api, "POST", "/search", json.dumps(fields), **service)

    assert long.startswith(name)
    assert len(name) <= 100
    assert len(names) <= 10
    assert response.status_code == 400
    assert len(refusals(response)) <= 10


def test_no_request_asks_the_database_for_it(api, service):
    make_conversation(make_user())
    with CaptureQueriesContext(connection) as plain:
        get(api, "/conversations", **service)
    with CaptureQueriesContext(connection) as refused:
        get(api, "/conversations?userId=x", **service)

    assert len(refused) < len(plain)


@pytest.mark.parametrize("query", ["archived=perhaps", "branches=some"])
def test_a_malformed_value_is_refused_by_name(api, service, query):
    name, path = query.partition("=")[0], "/conversations"
    if name == "branches":
        path += f"/{make_conversation(make_user()).pk}/messages"

    assert list(refusals(get(api, f"{path}?{query}", **service))) == [name]

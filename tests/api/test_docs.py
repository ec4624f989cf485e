"""The documentation pages, the schema they show, and the health checks."""

import re
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from documents.models import Document
from tests.factories import assert_problem, call, make_pending, make_user

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def schema(client):
    return client.get("/openapi.json").json()


@pytest.fixture(autouse=True)
def _keys_asked(settings):
    settings.OPEN_ACCESS = False


def operations(schema):
    for path, methods in schema["paths"].items():
        for method in METHODS & methods.keys():
            yield f"{method} {path}", methods[method]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_docs_need_no_key(client, path):
    assert client.get(path).status_code == 200


def test_browsers_find_an_icon_for_pages_that_name_none(client, settings):
    settings.SERVESTATIC_USE_FINDERS = True
    response = client.get("/favicon.ico", follow=True)

    assert (response.status_code, response["Content-Type"]) == (200, "image/svg+xml")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
@pytest.mark.parametrize("method", ["OPTIONS", "POST", "DELETE"])
def test_docs_can_only_be_read(api, path, method):
    response = api.generic(method, path)

    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_docs_hold_no_script_or_style_of_their_own(client, path):
    html = client.get(path).content.decode()

    assert re.findall(r"<script(?! src=)|<style| style=", html) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/api/v1/models", "/nowhere", "/admin/"]
)
def test_every_answer_says_that_nothing_of_others_may_run(client, path):
    policy = client.get(path).headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "frame-ancestors 'none'" in policy


def test_the_policy_is_told_by_an_async_server_too(api, settings):
    settings.OPEN_ACCESS = True

    response = call(api, "GET", "/models")

    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_docs_load_nothing_from_outside(client, path):
    html = client.get(path).content.decode()

    loaded = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']*)""", html)
    assert len(loaded) >= 2
    assert all(re.match(r"/[^/]", address) for address in loaded), loaded
    assert not re.search(r"@import|https?://", html)


def test_redoc_is_kept_from_loading_its_logo(client):
    response = client.get("/redoc")

    assert "img-src 'self' data:;" in response.headers["Content-Security-Policy"]
    assert "redoc.standalone.js" in response.content.decode()


def test_every_operation_has_an_example(schema):
    problem = schema["components"]["schemas"]["Problem"]
    assert problem["example"]["code"]
    without = []
    for name, operation in operations(schema):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        kinds = [kind for body in bodies for kind in body.get("content", {}).values()]
        shown = [kind.get("examples") or "$ref" in kind["schema"] for kind in kinds]
        if not any(shown):
            without.append(name)
    assert without == []


def test_every_json_body_to_send_has_an_example(schema):
    for name, operation in operations(schema):
        sent = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert sent is None or sent["examples"], name


@pytest.mark.django_db
def test_the_first_example_of_a_conversation_works_as_it_stands(client, schema, settings):
    settings.OPEN_ACCESS = True
    operation = schema["paths"]["/api/v1/conversations"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    body = next(iter(examples.values()))["value"]

    response = client.post("/api/v1/conversations", body, "application/json")

    assert response.status_code == 201


def test_examples_tried_out_one_after_the_other_are_of_one_user(schema):
    upload = schema["components"]["schemas"]["UploadRequest"]["properties"]["user_id"]
    operation = schema["paths"]["/api/v1/conversations"]["post"]
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        assert example["value"]["user_id"] == upload["example"]


def test_a_call_tried_out_asks_for_json(schema):
    operation = schema["paths"]["/api/v1/conversations"]["post"]
    # The page asks for the first of these; a browser puts numbers before all else.
    first = min(int(code) for code in operation["responses"] if code.isdigit())
    assert list(operation["responses"][str(first)]["content"]) == ["application/json"]


def test_lists_are_json_alone(schema):
    for path in ("/api/v1/conversations", "/api/v1/conversations/{id}/messages"):
        operation = schema["paths"][path]["get"]
        assert list(operation["responses"]["200"]["content"]) == ["application/json"]
        assert "format" not in {parameter["name"] for parameter in operation["parameters"]}


def test_examples_name_no_outside_host(client):
    assert "example.org" not in client.get("/openapi.json").content.decode()


def test_live_asks_nothing_of_the_database(client):
    response = client.get("/health/live")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_ready_tells_that_the_database_answers(client):
    response = client.get("/health/ready")

    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert response.json()["checks"] == {"database": "ok", "storage": "ok"}


@pytest.mark.django_db
def test_ready_tells_how_long_documents_have_been_waiting(client):
    assert client.get("/health/ready").json()["documents"] == {"unfinished": 0, "oldest_seconds": 0}
    document = make_pending(make_user())
    Document.objects.filter(pk=document.pk).update(
        created_at=timezone.now() - timedelta(seconds=90)
    )

    queue = client.get("/health/ready").json()["documents"]

    assert queue["unfinished"] == 1
    assert 90 <= queue["oldest_seconds"] < 120


@pytest.mark.django_db
def test_ready_is_503_while_the_database_is_away(client, monkeypatch):
    def refuse(*args, **kwargs):
        raise OperationalError

    monkeypatch.setattr(connection, "cursor", refuse)

    response = client.get("/health/ready")

    assert response.status_code == 503
    assert response.json()["checks"] == {
        "database": "unreachable",
        "storage": "its folder is not there",
    }

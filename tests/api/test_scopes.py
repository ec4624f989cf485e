"""What an API key may be used for: every call needs a scope of it."""

import re
from uuid import uuid4

import pytest
from drf_spectacular.generators import SchemaGenerator

from botgpt.accounts.models import APIKey
from botgpt.accounts.scopes import Scope, every_scope
from tests.factories import assert_problem, get, make_conversation, make_document, make_user, post

pytestmark = pytest.mark.django_db

METHODS = {"get", "post", "put", "patch", "delete"}
OPERATIONS = [
    pytest.param(method, path, operation, id=operation["operationId"])
    for path, methods in SchemaGenerator().get_schema(public=True)["paths"].items()
    for method, operation in methods.items()
    # Health is told to anybody.
    if method in METHODS and not path.startswith("/health")
]
WRITES = {
    "create_conversation": "conversations:write",
    "rate_answer": "conversations:write",
    "delete_conversation": "conversations:write",
    "openai_chat_completion": "conversations:write",
    "upload_document": "documents:write",
    "openai_upload_file": "documents:write",
    "openai_delete_file": "documents:write",
}
READS = {
    "export_conversation": "conversations:read",
    "replay_search": "conversations:read",
    "preview_prompt": "conversations:read",
    "search": "documents:read",
    "download_document": "documents:read",
    "openai_download_file": "documents:read",
    "list_usage": "usage:read",
    "list_budgets": "usage:read",
}


@pytest.fixture(autouse=True)
def _closed(settings):
    settings.OPEN_ACCESS = False


def key(*scopes):
    _, secret = APIKey.objects.issue("test", make_user(), scopes=list(scopes))
    return {"Authorization": f"Bearer {secret}"}


def needs(operation):
    """The scope that the schema tells."""
    [security] = operation["security"]
    [scope] = security["apiKey"]
    return scope


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_every_call_of_the_schema_needs_its_scope(api, method, path, operation):
    scope = needs(operation)
    others = [one for one in every_scope() if one != scope]
    address = re.sub(r"{[^}]*}", str(uuid4()), path.replace("{number}", "1"))

    refused = api.generic(method.upper(), address, headers=key(*others))
    alone = api.generic(method.upper(), address, headers=key(scope))

    assert refused.status_code == 403
    assert scope in refused.content.decode()
    assert alone.status_code not in (401, 403)


def test_reading_and_changing_are_different_scopes():
    told = {param.id: needs(param.values[2]) for param in OPERATIONS}

    assert {name: told[name] for name in WRITES | READS} == WRITES | READS
    assert set(told.values()) == set(Scope.values)


def test_a_refusal_names_the_scope_that_is_missing(api):
    headers = key("documents:read")

    problem = assert_problem(get(api, "/usage", **headers), 403, "missing_scope")
    told = api.get("/openai/v1/models", headers=headers)

    assert problem["scope"] == "usage:read"
    assert "usage:read" in problem["detail"]
    assert told.status_code == 403
    assert told.json()["error"]["code"] == "missing_scope"
    assert "conversations:read" in told.json()["error"]["message"]


def test_a_key_that_reads_changes_nothing(api):
    user = make_user()
    conversation, document = make_conversation(user), make_document(user)
    _, secret = APIKey.objects.issue("auditor", user, scopes=["conversations:read"])
    headers = {"Authorization": f"Bearer {secret}"}

    assert get(api, f"/conversations/{conversation.pk}", **headers).status_code == 200
    assert_problem(post(api, "/conversations", {"first_message": "Hi"}, **headers), 403)
    assert_problem(api.delete(f"/api/v1/conversations/{conversation.pk}", headers=headers), 403)
    assert_problem(get(api, f"/documents/{document.pk}/file", **headers), 403)
    assert user.conversations.count() == 1


def test_open_access_and_staff_need_no_scope(api, admin_client, settings):
    assert admin_client.get("/api/v1/budgets").status_code == 200
    settings.OPEN_ACCESS = True
    assert get(api, "/budgets").status_code == 200


@pytest.mark.parametrize("method", ["TRACE", "POST", "PATCH"])
def test_what_no_call_is_for_needs_no_scope(api, method):
    refused = api.generic(method, "/api/v1/usage", headers=key("usage:read"))

    assert_problem(refused, 405)

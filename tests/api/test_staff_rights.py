"""A staff session may do through the API what its permissions let it do in the admin.

The walk takes the calls of the schema, and every route of the API has to be in the schema: a new
one is walked by itself, or its test fails.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.urls import URLResolver, get_resolver
from procrastinate.contrib.django.models import ProcrastinateJob

from botgpt.accounts.models import APIKey, User
from conversations.models import AuditEntry
from conversations.openai.callers import Nowhere
from tests.api.test_scopes import needs
from tests.api.test_tenancy import METHODS, OPERATIONS, SCHEMA, Call, Somebody
from tests.factories import (
    assert_problem,
    empty_queue,
    get,
    make_conversation,
    make_document,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db
APIS = ("api/v1/", "openai/v1/")
CALLS = [Call(*one) for one in OPERATIONS if one[1].startswith(tuple(f"/{api}" for api in APIS))]
# What a call shows or changes beside the rows that its address is about.
ASKING = {"conversations.add_message", "conversations.view_conversation", "documents.view_document"}
NEEDS = {
    "create_conversation": {"conversations.add_conversation", "documents.view_document"},
    "create_message": ASKING,
    "regenerate_answer": ASKING,
    "edit_question": ASKING,
    "retry_answer": ASKING,
    "cancel_answer": {"conversations.change_message", "conversations.view_conversation"},
    "activate_branch": {"conversations.change_conversation"},
    "change_conversation": {"conversations.change_conversation"},
    "delete_conversation": {"conversations.delete_conversation"},
    "delete_message": {"conversations.delete_message"},
    "rate_answer": {"conversations.add_feedback", "conversations.change_feedback"},
    "withdraw_rating": {"conversations.delete_feedback"},
    "openai_chat_completion": {
        "conversations.add_conversation",
        "conversations.add_message",
        "documents.view_document",
    },
    "search_conversations": {"conversations.view_conversation"},
    "get_citation": {"conversations.view_conversation", "documents.view_document"},
    "replay_search": {"conversations.view_conversation", "documents.view_document"},
    "preview_prompt": {
        "conversations.view_conversation",
        "conversations.view_prompt",
        "documents.view_document",
    },
    "upload_document": {"documents.add_document"},
    "openai_upload_file": {"documents.add_document"},
    "reprocess_document": {"documents.change_document"},
    "delete_document": {"documents.delete_document"},
    "openai_delete_file": {"documents.delete_document"},
    "search": {"documents.view_document"},
    "list_chunks": {"documents.view_document", "documents.view_chunk"},
    "list_usage": {"conversations.view_usageentry"},
    "list_budgets": {"conversations.view_usageentry", "accounts.view_user"},
    "export_user": {
        "accounts.view_user",
        "accounts.view_apikey",
        "conversations.view_conversation",
        "conversations.view_usageentry",
        "documents.view_document",
    },
    "forget_user": {
        "accounts.delete_user",
        "accounts.delete_apikey",
        "conversations.delete_conversation",
        "documents.delete_document",
    },
}


def all_permissions() -> set[str]:
    rows = Permission.objects.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows}


@dataclass
class Staff:
    """A member of staff who is signed in, with these permissions and no other."""

    permissions: set[str]
    user: User = field(default_factory=make_user)

    def __post_init__(self) -> None:
        User.objects.filter(pk=self.user.pk).update(is_staff=True, username=f"staff {uuid4()}")
        self.user.refresh_from_db()
        for one in self.permissions:
            app, codename = one.split(".")
            self.user.user_permissions.add(
                Permission.objects.get(content_type__app_label=app, codename=codename)
            )
        self.http = Client(raise_request_exception=False)
        self.http.force_login(self.user)
        self.headers: dict[str, str] = {}
        self.cookies = {name: one.value for name, one in self.http.cookies.items()}

    def sends(self, call: Call, owner: Somebody) -> Any:
        """A call about what is the owner's."""
        theirs = call.ids(owner)
        return call.send(self, lambda place: theirs)


def lacking(response: Any) -> set[str]:
    """The permissions that a refusal names, in its text too."""
    assert response.status_code == 403, response.told
    body = response.json()
    if "error" in body:
        assert body["error"]["code"] == "missing_permission"
        return set(re.findall(r"\w+\.\w+_\w+", body["error"]["message"]))
    assert body["code"] == "missing_permission"
    assert all(one in body["detail"] for one in body["permissions"])
    return set(body["permissions"])


def everything(owner: Somebody) -> Any:
    """All that a call can change."""
    users = User.objects.order_by("pk").values("pk", "password", "is_active", "is_staff")
    keys = APIKey.objects.order_by("pk").values("pk", "revoked_at")
    counts = [model.objects.count() for model in (AuditEntry, ProcrastinateJob)]
    return owner.rows(), list(users), list(keys), counts


def walked(permissions: set[str], check: Any) -> None:
    """Each call made by such a member of staff and checked, and then undone."""
    owner, staff = Somebody("Quokkadale"), Staff(permissions)
    wrong = []
    for call in CALLS:
        with transaction.atomic():
            try:
                theirs, before = call.ids(owner), everything(owner)
                response = call.send(staff, lambda place, theirs=theirs: theirs)
                check(call, response, everything(owner) == before)
            except AssertionError as error:
                wrong.append(f"{call.method} {call.path}: {error}")
            transaction.set_rollback(True)
    assert not wrong, f"{len(wrong)} of {len(CALLS)} calls:\n" + "\n".join(wrong)


def assert_refused(response: Any, unchanged: bool) -> None:
    assert response.status_code == 403, response.status_code
    assert lacking(response)
    assert unchanged


@pytest.mark.parametrize("open_access", [False, True])
def test_staff_without_permissions_are_refused_everything(settings, open_access):
    settings.OPEN_ACCESS = open_access
    walked(set(), lambda call, response, unchanged: assert_refused(response, unchanged))


def test_staff_who_may_view_read_everything_and_change_nothing():
    def check(call: Call, response: Any, unchanged: bool) -> None:
        if needs(call.operation).endswith(":read"):
            assert response.status_code == 200, response.told
        else:
            assert_refused(response, unchanged)

    views = {one for one in all_permissions() if ".view_" in one}
    walked(views, check)


def test_staff_with_every_permission_may_make_every_call():
    def check(call: Call, response: Any, unchanged: bool) -> None:
        assert 200 <= response.status_code < 300, response.told

    walked(all_permissions(), check)


def test_a_call_needs_just_what_its_refusal_names_and_all_of_it():
    owner, nobody = Somebody("Quokkadale"), Staff(set())
    needed = {call.name: lacking(nobody.sends(call, owner)) for call in CALLS}
    # What a user has besides tells what else their deletion takes along.
    needed["forget_user"] = NEEDS["forget_user"]
    assert needed == needed | NEEDS

    for call in CALLS:
        with transaction.atomic():
            exact = Staff(needed[call.name]).sends(call, owner)
            assert 200 <= exact.status_code < 300, f"{call.name}: {exact.told}"
            transaction.set_rollback(True)
        for one in needed[call.name]:
            assert lacking(Staff(needed[call.name] - {one}).sends(call, owner)) == {one}


def test_every_route_of_the_api_is_in_the_schema():
    """So that the walk above finds it."""
    for route, view in routes(get_resolver()):
        address = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route).replace("{pk}", "{id}")
        methods = {one for one in METHODS if one in view.http_method_names and hasattr(view, one)}
        assert methods <= SCHEMA["paths"].get(address, {}).keys(), address
    assert len(list(routes(get_resolver()))) > 30


def routes(resolver: URLResolver, before: str = "") -> Any:
    for pattern in resolver.url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, route)
        elif route.startswith(APIS) and pattern.callback.view_class is not Nowhere:
            yield route, pattern.callback.view_class


def test_who_may_change_may_view_as_in_the_admin(user):
    document = make_document(user)
    staff = Staff({"documents.change_document"})

    assert get(staff.http, f"/documents/{document.pk}").status_code == 200
    refused = staff.http.delete(f"/api/v1/documents/{document.pk}")
    assert_problem(refused, 403, "missing_permission")


def test_a_superuser_needs_no_permission(admin_client, user):
    document = make_document(user)

    assert get(admin_client, f"/documents/{document.pk}").status_code == 200
    assert admin_client.delete(f"/api/v1/documents/{document.pk}").status_code == 204


def test_permissions_of_groups_count(user, django_assert_num_queries):
    """And all that are needed are found in two queries."""
    group_member = Staff(set())
    group = group_member.user.groups.create(name="readers")
    group.permissions.add(Permission.objects.get(codename="view_document"))
    with django_assert_num_queries(5):  # session, user, permissions of both kinds, count of none
        assert get(group_member.http, f"/documents?user_id={user.pk}").status_code == 200


def test_a_new_user_is_made_only_by_who_may_add_users(user):
    asking = {"conversations.add_conversation", "documents.view_document"}
    fresh = {"user_id": str(uuid4()), "first_message": "Hello"}

    refused = assert_problem(post(Staff(asking).http, "/conversations", fresh), 403)
    assert refused["permissions"] == ["accounts.add_user"]
    assert not User.objects.filter(pk=fresh["user_id"]).exists()

    known = {**fresh, "user_id": str(user.pk)}
    assert post(Staff(asking).http, "/conversations", known).status_code != 403
    both = Staff(asking | {"accounts.add_user"})
    assert post(both.http, "/conversations", fresh).status_code != 403


def test_staff_need_a_csrf_token_as_before(user):
    document = make_document(user)
    staff = Staff({"documents.delete_document"})
    http = Client(enforce_csrf_checks=True)
    http.force_login(staff.user)

    assert_problem(http.delete(f"/api/v1/documents/{document.pk}"), 403, "permission_denied")
    assert user.documents.count() == 1


# --- Deleting users -------------------------------------------------------------------------------


def forget(http: Client, user: User, **headers: str) -> Any:
    return http.delete(f"/api/v1/users/{user.pk}", headers=headers)


@pytest.mark.parametrize("kind", ["is_staff", "is_superuser"])
def test_only_a_superuser_deletes_an_account_of_staff(api, admin_client, settings, kind):
    account = make_user()
    User.objects.filter(pk=account.pk).update(**{kind: True})
    owner = User.objects.create_superuser("root")
    keys = [APIKey.objects.issue("service")[1], APIKey.objects.issue("own", owner)[1]]
    everybody = Staff(all_permissions())

    assert_problem(forget(everybody.http, account), 403, "staff_account")
    assert_problem(forget(everybody.http, everybody.user), 403, "staff_account")
    assert_problem(forget(api, account), 403, "staff_account")  # access is open
    settings.OPEN_ACCESS = False
    service, own = ({"Authorization": f"Bearer {secret}"} for secret in keys)
    assert_problem(forget(api, account, **service), 403, "staff_account")
    assert_problem(forget(api, owner, **own), 403)
    assert User.objects.filter(is_active=False).count() == 0
    assert not AuditEntry.objects.exists()

    assert forget(admin_client, account).status_code == 202
    assert not User.objects.get(pk=account.pk).is_active


def test_deleting_a_user_takes_the_right_to_delete_what_they_have(user):
    make_document(user)
    make_conversation(user)
    APIKey.objects.issue("own", user)
    staff = Staff({"accounts.delete_user"})

    refused = assert_problem(forget(staff.http, user), 403, "missing_permission")
    assert set(refused["permissions"]) == NEEDS["forget_user"] - {"accounts.delete_user"}
    assert User.objects.get(pk=user.pk).is_active
    assert forget(staff.http, make_user()).status_code == 202


@pytest.mark.parametrize("caller", ["staff", "key", "open"])
def test_who_deletes_a_user_is_in_the_audit_trail(api, settings, caller, user):
    empty_queue()
    staff = Staff({"accounts.delete_user"})
    key, secret = APIKey.objects.issue("service")
    settings.OPEN_ACCESS = caller == "open"
    http, headers = {
        "staff": (staff.http, {}),
        "key": (api, {"Authorization": f"Bearer {secret}"}),
        "open": (api, {}),
    }[caller]

    for _ in range(2):  # the second changes nothing any more
        assert forget(http, user, **headers, **{"X-Request-ID": "gdpr-17"}).status_code == 202

    entry = AuditEntry.objects.get()
    actor = {"staff": staff.user.pk, "key": key.pk, "open": None}[caller]
    assert (entry.action, entry.actor_kind, entry.actor_id) == ("user_deleted", caller, actor)
    assert (entry.user_id, entry.conversation_id) == (user.pk, None)
    assert entry.request_id == "gdpr-17"

"""In the admin nobody reaches beyond their rights: pages, accounts of staff, and service keys."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from botgpt.accounts.models import APIKey, User
from botgpt.accounts.scopes import every_scope
from conversations.models import AuditEntry
from documents.tasks import defer_ingestion
from tests.api.test_staff_rights import Staff, all_permissions
from tests.api.test_tenancy import Somebody
from tests.factories import empty_queue, make_conversation, make_document, make_user

pytestmark = pytest.mark.django_db
USERS, KEYS = "/admin/accounts/user/", "/admin/accounts/apikey/"
ON_USERS = {f"accounts.{verb}_user" for verb in ("view", "add", "change", "delete")}
ON_KEYS = {f"accounts.{verb}_apikey" for verb in ("view", "add", "change", "delete")}
# What is for every member of staff, and shows nothing of anybody. The nameless one leads from an
# address of earlier versions of Django to that of the same row today.
FOR_ALL_STAFF = {"index", "login", "password_change", "password_change_done", "jsi18n", "nameless"}
# These answer 404 where there is nothing that this member of staff may see.
NOT_FOUND = {"app_list", "view_on_site", None}


@pytest.fixture
def staff_account():
    account = make_user()
    User.objects.filter(pk=account.pk).update(is_staff=True, username="grace")
    account.refresh_from_db()
    return account


# --- Every page -----------------------------------------------------------------------------------


def test_every_page_and_button_asks_for_a_permission():
    owner, nobody = Somebody("Quokkadale"), Staff(set())
    open_to_all = {}
    for name, address in addresses(owner):
        if name == "logout":
            continue
        for method in ("get", "post"):
            response = getattr(nobody.http, method)(address)
            wanted = {404} if name in NOT_FOUND else {403, 405}
            if name not in FOR_ALL_STAFF and response.status_code not in wanted:
                open_to_all[method, address] = response.status_code
            assert "Quokkadale" not in response.content.decode()
            if owner.ids["conversation"] not in address:
                assert owner.ids["conversation"] not in response.headers.get("Location", "")

    assert not open_to_all
    assert nobody.http.get("/admin/dashboard/").status_code == 403


def addresses(owner: Somebody) -> Any:
    """Every address of the admin, with what is the owner's in it."""
    rows = rows_of(owner)
    for pattern in admin.site.get_urls():
        if not hasattr(pattern, "url_patterns"):
            yield pattern.name, "/admin/" + filled(str(pattern.pattern), {})
            continue
        for inner in pattern.url_patterns:
            model = str(pattern.pattern)
            route = filled(str(inner.pattern), {"any": rows[model], **owner.ids})
            yield inner.name or "nameless", f"/admin/{model}{route}"


def rows_of(owner: Somebody) -> dict[str, str]:
    """A row of each model that is registered, by the beginning of its addresses."""
    empty_queue()
    document = owner.user.documents.get()
    defer_ingestion(document)
    kind = ContentType.objects.get_for_model(document)
    LogEntry.objects.create(
        user=owner.user, content_type=kind, object_id=document.pk, action_flag=CHANGE
    )
    rows = {}
    for model in admin.site._registry:
        row = model._default_manager.first()
        assert row is not None, f"make a {model.__name__}"
        rows[f"{model._meta.app_label}/{model._meta.model_name}/"] = str(row.pk)
    return rows


def filled(route: str, ids: dict[str, str]) -> str:
    """With an id for each of its places."""
    values = {
        "<path:object_id>": ids.get("any", str(uuid4())),
        "<id>": ids.get("any"),
        "<uuid:pk>": ids.get("any"),
        "<uuid:document_id>": ids.get("document"),
        "<int:number>": "1",
        "<str:kind>": "json",
        "<path:content_type_id>": "1",
    }
    if route.startswith("^(?P<app_label>"):
        return "accounts/"
    if route == "(?P<url>.*)$":
        return "nowhere"
    for place in sorted(values, key=len, reverse=True):
        if place in route:
            assert values[place], f"tell what to put in {place} of {route}"
            route = route.replace(place, str(values[place]))
    assert not re.search(r"[<(]", route), f"tell what to put in {route}"
    return route


def test_no_action_is_offered_without_its_permission():
    request: Any = Staff(set()).http.get("/admin/").wsgi_request

    for model, model_admin in admin.site._registry.items():
        assert model_admin.get_actions(request) == {}, model


# --- Accounts of staff ----------------------------------------------------------------------------


def profile(user: User, **fields: Any) -> dict[str, Any]:
    return {"username": user.username, "email": "", "first_name": "", "last_name": "", **fields}


def change(http: Client, user: User, **fields: Any) -> Any:
    return http.post(f"{USERS}{user.pk}/change/", profile(user, **fields))


def test_who_may_change_users_raises_nobodys_rights(user):
    staff = Staff(ON_USERS)
    everything = [one.pk for one in staff.user.user_permissions.all()]
    raised = {"is_active": "on", "is_staff": "on", "is_superuser": "on", "groups": []}

    response = change(staff.http, user, **raised, user_permissions=everything, first_name="Ada")

    assert response.status_code == 302
    user.refresh_from_db()
    assert (user.first_name, user.is_staff, user.is_superuser) == ("Ada", False, False)
    assert not user.user_permissions.exists()
    form = staff.http.get(f"{USERS}{user.pk}/change/").content.decode()
    assert not re.search(r'name="(is_staff|is_superuser|user_permissions|groups)"', form)


def test_nobody_raises_their_own_rights():
    staff = Staff(ON_USERS)

    assert change(staff.http, staff.user, is_active="on", is_superuser="on").status_code == 403
    staff.user.refresh_from_db()
    assert not staff.user.is_superuser


def test_superusers_give_rights(admin_client, user):
    staff = Staff({"accounts.view_user"})
    rights = {"is_active": "on", "is_staff": "on", "user_permissions": staff.user.user_permissions}
    rights["user_permissions"] = [one.pk for one in staff.user.user_permissions.all()]

    assert change(admin_client, user, **rights).status_code == 302

    user.refresh_from_db()
    assert user.is_staff
    assert user.has_perm("accounts.view_user")


def test_an_account_of_staff_is_read_only_to_others(staff_account):
    staff, before = (
        Staff(all_permissions()),
        User.objects.filter(pk=staff_account.pk).values().get(),
    )
    new = {"password1": "tr0ub4dor&3", "password2": "tr0ub4dor&3", "usable_password": "true"}

    assert staff.http.get(f"{USERS}{staff_account.pk}/change/").status_code == 200
    assert change(staff.http, staff_account, email="me@example.org").status_code == 403
    for page in ("password", "delete"):
        address = f"{USERS}{staff_account.pk}/{page}/"
        assert staff.http.get(address).status_code == 403
        assert staff.http.post(address, {**new, "post": "yes"}).status_code == 403

    assert User.objects.filter(pk=staff_account.pk).values().get() == before


def test_users_can_be_added_though_plain_ones_alone():
    staff = Staff(ON_USERS)
    new = {"password1": "tr0ub4dor&3", "password2": "tr0ub4dor&3", "usable_password": "true"}
    rights = {"is_staff": "on", "is_superuser": "on"}

    assert staff.http.post(f"{USERS}add/", {"username": "ada", **new, **rights}).status_code == 302

    added = User.objects.get(username="ada")
    assert (added.is_staff, added.is_superuser) == (False, False)


# --- Deleting users -------------------------------------------------------------------------------


def delete_selected(http: Client, *users: User) -> Any:
    chosen = {"action": "delete_selected", "_selected_action": [str(one.pk) for one in users]}
    return http.post(USERS, {**chosen, "post": "yes"})


def test_a_selection_with_an_account_of_staff_is_not_deleted(admin_client, user, staff_account):
    staff = Staff(all_permissions())

    page = delete_selected(staff.http, user, staff_account)

    assert page.status_code == 200
    assert "only a superuser, signed in to the admin, deletes it" in page.content.decode()
    assert "grace" in page.content.decode()
    assert User.objects.filter(is_active=False).count() == 0
    assert not AuditEntry.objects.filter(action="user_deleted").exists()

    delete_selected(admin_client, user, staff_account)
    assert set(User.objects.filter(is_active=False)) == {user, staff_account}


def test_deleting_a_user_takes_the_right_to_delete_what_they_have(user):
    make_document(user)
    make_conversation(user)
    APIKey.objects.issue("own", user)
    staff = Staff(ON_USERS)
    address = f"{USERS}{user.pk}/delete/"

    page = staff.http.get(address).content.decode()
    for one in ("accounts.delete_apikey", "conversations.delete_conversation"):
        assert one in page
    assert staff.http.post(address, {"post": "yes"}).status_code == 403
    assert delete_selected(staff.http, user).status_code == 403
    assert User.objects.get(pk=user.pk).is_active

    other = make_user()
    assert staff.http.post(f"{USERS}{other.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not User.objects.get(pk=other.pk).is_active


def test_who_deletes_users_is_in_the_audit_trail(admin_client, admin_user, user):
    others = [make_user(), make_user()]

    admin_client.post(f"{USERS}{user.pk}/delete/", {"post": "yes"})
    delete_selected(admin_client, *others)

    entries = AuditEntry.objects.values_list("action", "actor_kind", "actor_id", "user_id")
    assert sorted(entries) == sorted(
        ("user_deleted", "staff", admin_user.pk, one.pk) for one in [user, *others]
    )
    for query in ("", f"?q={user.pk}", "?action=user_deleted"):
        shown = admin_client.get(f"/admin/conversations/auditentry/{query}").content.decode()
        row = shown.split('id="result_list"')[1]
        assert str(user.pk) in row
        assert "user deleted" in row
        assert f"{USERS}{admin_user.pk}/change/" in row
        assert "/conversation/None/" not in shown
    entry = AuditEntry.objects.get(user_id=user.pk)
    page = admin_client.get(f"/admin/conversations/auditentry/{entry.pk}/change/")
    assert str(user.pk) in page.content.decode()


# --- Keys -----------------------------------------------------------------------------------------


def new_key(http: Client, owner: str) -> str:
    form = {"name": "backend", "owner": owner, "scopes": every_scope()}
    return str(http.post(f"{KEYS}add/", form, follow=True).content.decode())


def edit_key(http: Client, key: APIKey, owner: Any, **fields: Any) -> Any:
    form = {"name": key.name, "owner": str(owner or ""), "scopes": key.scopes, **fields}
    return http.post(f"{KEYS}{key.pk}/change/", form)


def test_a_service_key_takes_a_right_of_its_own(user):
    staff = Staff(ON_KEYS)

    assert "accounts.issue_service_key" in new_key(staff.http, "")
    assert not APIKey.objects.exists()
    new_key(staff.http, str(user.pk))
    key = APIKey.objects.get()
    assert key.owner == user
    turned = edit_key(staff.http, key, None)
    assert "accounts.issue_service_key" in turned.content.decode()
    key.refresh_from_db()
    assert key.owner == user

    with_the_right = Staff(ON_KEYS | {"accounts.issue_service_key"})
    new_key(with_the_right.http, "")
    assert APIKey.objects.filter(owner=None).count() == 1


def test_what_a_service_key_may_do_is_not_changed_without_that_right(user):
    key, secret = APIKey.objects.issue("platform", scopes=["usage:read"])
    staff = Staff(ON_KEYS)

    assert staff.http.get(f"{KEYS}{key.pk}/change/").status_code == 200
    assert edit_key(staff.http, key, None, scopes=every_scope()).status_code == 403
    assert edit_key(staff.http, key, user.pk).status_code == 403
    key.refresh_from_db()
    assert (key.owner, key.scopes) == (None, ["usage:read"])
    able = Staff(ON_KEYS | {"accounts.issue_service_key"})
    assert edit_key(able.http, key, None, scopes=["users:read"]).status_code == 302

    staff.http.post(KEYS, {"action": "revoke", "_selected_action": [str(key.pk)]})
    assert APIKey.objects.usable(secret) is None


def test_a_key_of_a_staff_account_is_made_by_itself_or_a_superuser(admin_client, staff_account):
    staff = Staff(ON_KEYS | {"accounts.issue_service_key"})

    assert "This is a staff account" in new_key(staff.http, "grace")
    assert not APIKey.objects.exists()
    new_key(staff.http, str(staff.user.pk))
    new_key(admin_client, "grace")
    assert set(APIKey.objects.values_list("owner", flat=True)) == {
        staff.user.pk,
        staff_account.pk,
    }
    key = APIKey.objects.get(owner=staff_account)
    assert edit_key(staff.http, key, staff_account.pk, name="mine").status_code == 403

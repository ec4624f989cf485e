"""The audit trail: who created, read, exported or deleted which conversation, or a user."""

import io
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import Error, connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from botgpt.accounts.models import APIKey, User
from botgpt.accounts.tasks import forget_user
from conversations.models import Actor, ActorKind, AuditEntry, Conversation
from tests.factories import (
    call,
    empty_queue,
    get,
    make_conversation,
    make_document,
    make_user,
    patch,
    post,
)

pytestmark = pytest.mark.django_db
SECRET_WORDS = "Quokkas hum quietly"


@pytest.fixture
def key(user):
    return APIKey.objects.issue("shop", user)


@pytest.fixture
def headers(key, settings):
    settings.OPEN_ACCESS = False
    return {"Authorization": f"Bearer {key[1]}"}


@pytest.fixture
def conversation(user, headers):
    """One whose own making is told already."""
    document = make_document(user)
    return make_conversation(user, mode="grounded_rag", documents=[document])


def told(*actions):
    """The newest entry, where it is of that action."""
    entry = AuditEntry.objects.first()
    assert entry is not None
    assert entry.action in actions
    return entry


def in_admin(row, verb):
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/{verb}/"


def test_who_opens_a_conversation_is_told(api, key, headers, user):
    body = post(
        api,
        "/conversations",
        {"first_message": SECRET_WORDS},
        **headers,
        **{"X-Request-ID": "shop-17"},
    ).json()

    entry = told("created")
    assert (entry.actor_kind, entry.actor_id) == ("key", key[0].pk)
    assert (str(entry.conversation_id), entry.user_id) == (body["id"], user.pk)
    assert entry.request_id == "shop-17"
    assert AuditEntry.objects.count() == 1


def test_a_conversation_opened_as_openai_does_is_told(api, key, headers):
    question = {"role": "user", "content": SECRET_WORDS}
    chat = {"model": "openai/gpt-oss-20b", "messages": [question]}
    api.post("/openai/v1/chat/completions", chat, "application/json", headers=headers)

    assert told("created").actor_id == key[0].pk


def test_a_new_conversation_and_its_entry_are_one_statement(user, django_assert_num_queries):
    with django_assert_num_queries(1):
        make = {"user": user, "content": "Hello", "documents": [], "model": "m"}
        conversation, _, _ = Conversation.objects.open(**make)

    assert told("created").conversation_id == conversation.pk


@pytest.mark.parametrize(
    "path",
    [
        "/conversations/{id}",
        "/conversations/{id}/messages",
        "/conversations/{id}/messages/{answer}",
        "/conversations/{id}/messages/{answer}/trace",
        "/conversations/{id}/messages/{answer}/stream",
        "/citations/{citation}",
        "/conversations/search?query=ticket",
    ],
)
def test_who_reads_a_conversation_is_told(api, headers, user, key, path):
    make_document(user)
    asked = {"first_message": "What does a ticket cost?", "mode": "grounded_rag"}
    body = post(api, "/conversations", asked, **headers).json()
    ids = {"id": body["id"], "answer": body["answer"]["id"]}
    ids["citation"] = body["answer"]["citations"][0]["id"]

    assert call(api, "GET", path.format(**ids), **headers).status_code == 200

    entry = told("viewed")
    assert (entry.actor_id, str(entry.conversation_id)) == (key[0].pk, body["id"])
    assert entry.user_id == user.pk
    assert len(entry.request_id) == 32
    assert AuditEntry.objects.count() == 2


def test_reading_takes_one_more_statement(api, headers, conversation):
    get(api, "/models", **headers)
    statements = Statements()
    with connection.execute_wrapper(statements):
        get(api, f"/conversations/{conversation.pk}", **headers)

    assert len([one for one in statements.seen if "auditentry" in one]) == 1


class Statements:
    """Notes what is executed."""

    def __init__(self):
        self.seen = []

    def __call__(self, execute, sql, params, many, context):
        self.seen.append(str(sql))
        return execute(sql, params, many, context)


def test_who_exports_or_deletes_a_conversation_is_told(api, headers, key, conversation):
    call(api, "GET", f"/conversations/{conversation.pk}/export", **headers)
    assert told("exported").actor_id == key[0].pk

    api.delete(f"/api/v1/conversations/{conversation.pk}", headers=headers)

    entry = told("deleted")
    assert (entry.actor_id, entry.conversation_id) == (key[0].pk, conversation.pk)


def test_a_refused_call_and_a_change_leave_no_entry(api, headers, user, settings):
    other = make_conversation(make_user())
    before = AuditEntry.objects.count()

    get(api, f"/conversations/{other.pk}", **headers)
    api.delete(f"/api/v1/conversations/{other.pk}", headers=headers)
    get(api, "/conversations", **headers)
    settings.OPEN_ACCESS = True
    patch(api, f"/conversations/{other.pk}", {"archived": True})

    assert AuditEntry.objects.count() == before


def test_callers_without_a_key_are_told_apart(api, admin_client, admin_user, user):
    conversation = make_conversation(user)
    get(api, f"/conversations/{conversation.pk}")
    assert (told("viewed").actor_kind, told("viewed").actor_id) == ("open", None)

    admin_client.get(f"/api/v1/conversations/{conversation.pk}")

    assert (told("viewed").actor_kind, told("viewed").actor_id) == ("staff", admin_user.pk)


def test_staff_are_told_who_read_or_delete_in_the_admin(admin_client, admin_user, user):
    conversation = make_conversation(user)
    assert admin_client.get(in_admin(conversation, "change")).status_code == 200
    seen = told("viewed")
    assert (seen.actor_kind, seen.actor_id) == ("staff", admin_user.pk)
    assert (seen.conversation_id, len(seen.request_id)) == (conversation.pk, 32)

    admin_client.post(in_admin(conversation, "delete"), {"post": "yes"})

    assert told("deleted").conversation_id == conversation.pk
    others = [make_conversation(user), make_conversation(user)]
    chosen = {"action": "delete_selected", "_selected_action": [one.pk for one in others]}
    admin_client.post("/admin/conversations/conversation/", {**chosen, "post": "yes"})
    deleted = AuditEntry.objects.filter(action="deleted", actor_id=admin_user.pk)
    assert {one.conversation_id for one in deleted[:2]} == {one.pk for one in others}


def test_deleting_a_user_is_told_and_takes_their_ids_out(admin_client, admin_user, user, key):
    Conversation.objects.all().delete()
    by_key = Actor(ActorKind.KEY, key[0].pk)
    conversation = make_conversation(user)
    conversation.note(AuditEntry.Action.VIEWED, by_key)
    conversation.note(AuditEntry.Action.VIEWED, Actor(ActorKind.STAFF, admin_user.pk))

    empty_queue()
    admin_client.post(in_admin(user, "delete"), {"post": "yes"})
    forget_user(**ProcrastinateJob.objects.get().args)

    assert not User.objects.filter(pk=user.pk).exists()
    entries = AuditEntry.objects.values_list("action", "actor_kind", "actor_id", "user_id")
    assert set(entries) == {
        ("created", "system", None, None),
        ("viewed", "key", None, None),
        ("viewed", "staff", admin_user.pk, None),
        ("deleted", "staff", admin_user.pk, None),
        ("user_deleted", "staff", admin_user.pk, user.pk),
    }
    assert AuditEntry.objects.filter(action="user_deleted").count() == 1


def test_a_user_who_comes_again_is_deleted_again(user):
    for _ in range(2):
        call_command("forget", str(user.pk), "--yes", "--json", stdout=io.StringIO())
        make_user(user.pk)

    entries = AuditEntry.objects.values_list("action", "actor_kind", "user_id", "conversation_id")
    assert list(entries) == [("user_deleted", "system", user.pk, None)] * 2


def test_the_terminal_chat_is_told(user, monkeypatch):
    monkeypatch.setattr("sys.stdin", Lines(["Hello\n"]))
    with suppress(CommandError):  # there is no model to answer
        call_command("chat", user=user.pk)

    entry = told("created")
    assert (entry.actor_kind, entry.actor_id, entry.user_id) == ("user", user.pk, user.pk)


class Lines(list):
    """A pipe."""

    def isatty(self):
        return False


@pytest.mark.parametrize("reason", ["", "erasure", "retention"])
def test_entries_cannot_be_changed(user, reason):
    make_conversation(user)
    changes = [{"actor_id": uuid4()}, {"user_id": uuid4()}, {"action": "viewed"}]
    changes += [{"conversation_id": uuid4()}, {"created_at": timezone.now()}]

    for change in changes:
        with pytest.raises(Error, match="append-only"), claimed(reason):
            AuditEntry.objects.update(**change)


@pytest.mark.parametrize("reason", ["", "erasure"])
def test_entries_cannot_be_deleted(user, reason):
    make_conversation(user)

    with pytest.raises(Error, match="append-only"), claimed(reason):
        AuditEntry.objects.all().delete()


def test_no_reason_outlasts_what_it_was_given_for(user):
    make_conversation(user)
    AuditEntry.objects.erase([user.pk])
    AuditEntry.objects.forget_old()

    with pytest.raises(Error, match="append-only"), transaction.atomic():
        AuditEntry.objects.all().delete()


def test_what_staff_did_is_never_erased(user):
    conversation = make_conversation(user)
    conversation.note(AuditEntry.Action.VIEWED, Actor(ActorKind.STAFF, user.pk))

    with pytest.raises(Error, match="append-only"), claimed("erasure"):
        AuditEntry.objects.filter(actor_kind="staff").update(actor_id=None)
    AuditEntry.objects.erase([user.pk])

    assert told("viewed").actor_id == user.pk
    assert told("viewed").user_id is None


@contextmanager
def claimed(reason):
    """A transaction that says why it may change the trail."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('botgpt.audit', %s, true)", [reason])
        yield


def test_entries_are_kept_for_as_long_as_is_set(user, settings):
    settings.AUDIT_DAYS = 30
    conversation = make_conversation(user)
    conversation.note(AuditEntry.Action.VIEWED, Actor())
    old = AuditEntry.of(Actor(), AuditEntry.Action.VIEWED, user.pk, conversation.pk)
    old.created_at = timezone.now() - timedelta(days=31)
    old.save_base(raw=True, force_insert=True)

    assert AuditEntry.objects.forget_old() == 1

    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"created", "viewed"}
    assert not AuditEntry.objects.filter(pk=old.pk).exists()


def test_entries_hold_ids_alone(api, headers, user):
    post(api, "/conversations", {"first_message": SECRET_WORDS, "title": SECRET_WORDS}, **headers)

    kinds = {field.get_internal_type() for field in AuditEntry._meta.concrete_fields}
    assert kinds == {"UUIDField", "CharField", "DateTimeField"}
    assert all(word not in str(list(AuditEntry.objects.values())) for word in SECRET_WORDS.split())


def test_the_trail_is_read_in_the_admin(admin_client, user, key):
    conversation = make_conversation(user)
    conversation.note(AuditEntry.Action.EXPORTED, Actor(ActorKind.KEY, key[0].pk, "shop-17"))
    entry = told("exported")

    for query in ("", f"?q={conversation.pk}", f"?q={key[0].pk}", "?action__exact=exported"):
        html = admin_client.get(f"/admin/conversations/auditentry/{query}").content.decode()
        assert f"/admin/conversations/conversation/{conversation.pk}/change/" in html
        assert f"/admin/accounts/apikey/{key[0].pk}/change/" in html
        assert "shop-17" in html
    for query in (f"?q={uuid4()}", "?q=hello", "?action__exact=deleted"):
        html = admin_client.get(f"/admin/conversations/auditentry/{query}").content.decode()
        assert str(conversation.pk) not in html.replace(query, "")
    assert admin_client.get("/admin/conversations/auditentry/add/").status_code == 403
    assert admin_client.get(in_admin(entry, "delete")).status_code == 403
    assert b"_save" not in admin_client.get(in_admin(entry, "change")).content


def test_the_trail_counts_no_more_than_it_shows(admin_client, user):
    make_conversation(user)
    statements = Statements()
    with connection.execute_wrapper(statements):
        admin_client.get("/admin/conversations/auditentry/")

    counts = [one for one in statements.seen if "COUNT" in one and "auditentry" in one]
    assert counts
    assert all("LIMIT 10001" in one for one in counts)

"""manage.py forget: nothing of a user is left in any table or file."""

import io
import json
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from botgpt.accounts import forgetting
from botgpt.accounts.models import APIKey, User
from conversations.models import (
    AuditEntry,
    Conversation,
    Message,
    Spending,
    StreamedText,
    UsageEntry,
)
from documents.ingestion import ingest
from documents.models import Chunk, Document, Rate
from tests.everywhere import IMPERSONAL, PSEUDONYMOUS, found_in_files, found_in_tables, tables
from tests.factories import (
    empty_queue,
    make_conversation,
    make_document,
    make_usage,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db(transaction=True)

# Words that stand nowhere else.
NAME = "Quagga"
TEXT = "The okapi of the museum costs 14.50 euros.\n"


def forget(*args, **options):
    out = io.StringIO()
    call_command("forget", *args, stdout=out, stderr=io.StringIO(), verbosity=0, **options)
    return out.getvalue()


def everything_of(user):
    """What stands for the user or for anything of theirs, as it is before they are forgotten."""
    messages = Message.objects.filter(conversation__user=user)
    chunks = Chunk.objects.filter(document__user=user)
    rows = [user.documents, user.conversations, user.api_keys, messages, chunks]
    ids = [pk for some in rows for pk in some.values_list("pk", flat=True)]
    hexes = [pk.hex for pk in user.documents.values_list("pk", flat=True)]
    prefixes = user.api_keys.values_list("prefix", flat=True)
    return {NAME, "okapi", "zebra", user.pk, *ids, *hexes, *prefixes}


def a_full_life(api, user):
    """Fills every table that has to do with users."""
    empty_queue()
    staff = User.objects.create_superuser(f"staff {uuid4()}", password="x")
    User.objects.filter(pk=user.pk).update(
        username=NAME, first_name=NAME, is_staff=True, daily_tokens=10**6, daily_usd=5
    )
    user.refresh_from_db()
    user.groups.add(Group.objects.get_or_create(name="readers")[0])
    user.user_permissions.add(Permission.objects.first())
    Client().force_login(user)
    key, _ = APIKey.objects.issue(f"{NAME}'s phone", user, daily_tokens=10**6)

    form = {"user_id": str(user.pk), "file": SimpleUploadedFile(f"{NAME}.txt", TEXT.encode())}
    response = api.post("/api/v1/documents", form, headers={"Idempotency-Key": "upload"})
    document = Document.objects.get(pk=response.json()["id"])
    ingest(document)
    search = {"user_id": str(user.pk), "query": "zebra or okapi"}
    post(api, "/search", search, **{"Idempotency-Key": "search"})
    post(api, f"/documents/{document.pk}/reprocess", **{"Idempotency-Key": str(user.pk)})
    ingest(document)
    opened = {
        "user_id": str(user.pk),
        "mode": "grounded_rag",
        "document_ids": [str(document.pk)],
        "first_message": "What does the okapi cost?",
    }
    answered = post(api, "/conversations", opened, **{"Idempotency-Key": "first"}).json()
    conversation = Conversation.objects.get(pk=answered["id"])
    answer = answered["answer"]["id"]
    place = f"/api/v1/conversations/{conversation.pk}/messages/{answer}/feedback"
    rated = {"rating": "down", "comment": "zebra", "document_id": str(document.pk), "page": 1}
    assert api.put(place, json.dumps(rated), "application/json").status_code == 200
    make_usage(user, key_id=key.pk, conversation_id=conversation.pk, message_id=answer)
    for holder in (user.pk, key.pk):
        Spending.objects.create(holder=holder, period="day", starts="2026-01-01")
        Rate.objects.create(holder=holder, what="requests", starts="2026-01-01T00:00Z", used=1)
    _, pending = conversation.ask("zebra?")
    StreamedText.objects.create(message=pending, start=0, text="The zebra")

    for row, by in [
        (user, staff),
        (key, staff),
        (document, staff),
        (conversation, staff),
        (staff, user),
    ]:
        LogEntry.objects.create(
            user=by,
            content_type=ContentType.objects.get_for_model(row),
            object_id=str(row.pk),
            object_repr=str(row),
            action_flag=CHANGE,
        )


def test_nothing_is_left_in_any_table_or_file(api, user, groq, monkeypatch):
    monkeypatch.setattr(forgetting, "STOPPED_WITHIN_SECONDS", 0.1)
    a_full_life(api, user)
    other = make_user()
    kept = make_document(other, "Another text."), make_conversation(other)
    marks = everything_of(user)
    before = found_in_tables(marks)
    assert sorted(before) == sorted(set(tables()) - IMPERSONAL.keys())  # else fill or name it
    assert found_in_files(marks) == {"okapi", *(m for m in found_in_files(marks) if len(m) == 32)}

    told = json.loads(forget(NAME, "--yes", "--json"))

    left = found_in_tables(marks)
    assert left.keys() <= PSEUDONYMOUS.keys(), left
    # Of the user themselves one entry keeps the id: the proof that they were deleted.
    of_user = AuditEntry.objects.filter(user_id=user.pk).values_list("action", "conversation_id")
    assert list(of_user) == [("user_deleted", None)]
    conversations = {str(pk) for pk in AuditEntry.objects.values_list("conversation_id", flat=True)}
    assert left["conversations_auditentry"] - conversations == {str(user.pk)}
    assert not found_in_files(marks)
    assert told["forgotten"] is True
    assert (told["conversations"], told["messages"], told["documents"]) == (1, 4, 1)
    assert [one.user_id for one in kept] == [other.pk] * 2
    assert Path(kept[0].file.path).exists()
    assert Conversation.objects.get().user == other


def test_sums_of_usage_stay_and_are_nobodys(user):
    own, _ = APIKey.objects.issue("own", user)
    service, _ = APIKey.objects.issue("service")
    for key in (None, own.pk, service.pk):
        make_usage(user, key_id=key, conversation_id=uuid4(), message_id=uuid4())
    before = UsageEntry.objects.all().summed()

    forget(str(user.pk), "--yes")

    assert UsageEntry.objects.all().summed() == before
    rows = UsageEntry.objects.order_by("pk").values_list(
        "user", "conversation_id", "message_id", "key_id"
    )
    assert list(rows) == [(None,) * 4, (None,) * 4, (None, None, None, service.pk)]


def test_a_dry_run_only_counts(user, document):
    make_conversation(user)

    told = json.loads(forget(str(user.pk), "--dry-run", "--json"))

    assert told["forgotten"] is False
    assert (told["conversations"], told["messages"], told["documents"]) == (1, 2, 1)
    assert told["document_bytes"] == document.size
    assert User.objects.get(pk=user.pk).is_active
    assert Path(document.file.path).exists()


@pytest.mark.parametrize("answer", ["n", "", None])
def test_it_asks_first(user, monkeypatch, answer):
    said = "" if answer is None else f"{answer}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(said))

    with pytest.raises(CommandError):
        forget(str(user.pk))

    assert User.objects.get(pk=user.pk).is_active


def test_yes_is_an_answer(user, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    forget(str(user.pk))

    assert not User.objects.filter(pk=user.pk).exists()


@pytest.mark.parametrize("name", ["nobody", "8f2399c9-9d62-481f-8a64-16d3822b9b3b"])
def test_a_user_who_is_not_there_is_said_so(name):
    with pytest.raises(CommandError, match=f"no user {name}"):
        forget(name, "--yes")


def test_what_was_killed_half_way_goes_on(user, monkeypatch):
    monkeypatch.setattr(forgetting, "MESSAGES_AT_ONCE", 2)
    monkeypatch.setattr(forgetting, "DOCUMENTS_AT_ONCE", 1)
    for number in range(3):
        make_conversation(user)
        make_document(user, f"Text {number}.")

    def killed_after_the_first_document(_):
        if Document.objects.count() == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forgetting.forget(user, killed_after_the_first_document)
    assert Conversation.objects.count() == 0
    assert Document.objects.count() == 2

    forget(str(user.pk), "--yes")

    assert (User.objects.filter(pk=user.pk).count(), Document.objects.count()) == (0, 0)


def test_batches_take_the_same_queries_however_much_is_in_them(user, django_assert_max_num_queries):
    for number in range(12):
        make_conversation(user)
        make_document(user, f"Text {number}.")

    with django_assert_max_num_queries(95):
        forgetting.forget(user)


def test_a_long_conversation_goes_whole_and_short_ones_together(user):
    for questions in (2, 0, 0):
        conversation = make_conversation(user)
        for _ in range(questions):
            _, answer = conversation.ask("More?")
            answer.status = Message.Status.COMPLETED
            answer.settle("More.")
    rows = user.conversations.order_by("pk")

    assert list(rows.first_with(4).values()) == [6]
    assert list(rows.first_with(8).values()) == [6, 2]
    assert list(rows.first_with(100).values()) == [6, 2, 2]


def test_what_is_saved_while_the_user_goes_is_refused_or_goes_too(user, monkeypatch):
    begun = []
    ending = forgetting._end_sessions

    def meanwhile(of):
        begun.append(make_conversation(of))
        begun.append(make_document(of))
        ending(of)

    User.objects.filter(pk=user.pk).update(last_login="2026-01-01T00:00Z")
    user.refresh_from_db()
    monkeypatch.setattr(forgetting, "_end_sessions", meanwhile)

    forgetting.forget(user)

    assert len(begun) == 2
    assert (Conversation.objects.count(), Document.objects.count()) == (0, 0)
    assert not Path(begun[1].file.path).exists()


def test_who_is_forgotten_twice_at_once_is_forgotten(user):
    make_conversation(user)
    for_the_first, for_the_second = User.objects.get(pk=user.pk), User.objects.get(pk=user.pk)

    forgetting.forget(for_the_first)
    forgetting.forget(for_the_second)

    assert not User.objects.filter(pk=user.pk).exists()

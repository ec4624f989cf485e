"""manage.py retention, and the job that does the same every hour."""

import io
import json
import logging
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from conversations import retention, tasks
from conversations.models import Conversation, Message, Retrieval
from documents.ingestion import ingest
from documents.models import Document, sha256_of
from tests.factories import make_conversation, make_user

pytestmark = pytest.mark.django_db


def run(*args):
    out = io.StringIO()
    call_command("retention", "--json", *args, stdout=out)
    return json.loads(out.getvalue())


def deleted(**counts):
    return {"conversations": 0, "documents": 0, "traces": 0, **counts}


def days_ago(days):
    return timezone.now() - timedelta(days=days)


def aged_conversation(user, days, **fields):
    conversation = make_conversation(user, **fields)
    Conversation.objects.filter(pk=conversation.pk).update(updated_at=days_ago(days))
    return conversation


def aged_document(user, days, text="Some text."):
    """One with the id that it would have got so long ago."""
    past = days_ago(days)
    pk = UUID(int=int(past.timestamp() * 1000) << 80 | uuid4().int & (1 << 80) - 1)
    content = ContentFile(text.encode())
    document = Document(pk=pk, user=user, name="old.txt", kind="txt", size=content.size)
    document.sha256 = sha256_of(content)
    document.file.save("old.txt", content, save=False)
    document.save(force_insert=True)
    ingest(document)
    Document.objects.filter(pk=pk).update(processed_at=past)
    return document


def make_trace(conversation):
    answer = conversation.messages.get(role="assistant")
    return Retrieval.objects.create(
        message=answer, searches=[], candidates=[], limit=1, duration_ms=1
    )


def test_nothing_is_deleted_unless_told(user):
    aged_conversation(user, 10_000)
    aged_document(user, 10_000)

    assert run() == deleted()
    assert (Conversation.objects.count(), Document.objects.count()) == (1, 1)


def test_conversations_go_by_their_last_activity(user, settings):
    settings.RETENTION_DAYS = 30
    aged_conversation(user, 31)
    kept = aged_conversation(user, 29)
    revived = aged_conversation(user, 31)
    revived.ask("Are you still there?")

    assert run("--dry-run") == deleted(conversations=1)
    assert Conversation.objects.count() == 3
    assert run() == deleted(conversations=1)
    assert set(Conversation.objects.all()) == {kept, revived}
    assert Message.objects.count() == 2 + 4


def test_documents_go_that_no_conversation_can_answer_from(user, settings):
    settings.DOCUMENT_RETENTION_DAYS = 30
    unused, young = aged_document(user, 31), aged_document(user, 29, "Young.")
    chosen = aged_document(user, 31, "Chosen.")
    make_conversation(user, mode="grounded_rag", documents=[chosen])
    reader = make_user()
    searched = aged_document(reader, 31)
    make_conversation(reader, mode="grounded_rag")
    talker = make_user()
    aged_document(talker, 31)
    make_conversation(talker)

    assert run("--dry-run") == deleted(documents=2)
    assert run() == deleted(documents=2)
    assert set(Document.objects.all()) == {young, chosen, searched}
    assert not unused.chunks.exists()


def test_a_document_that_was_read_again_lately_stays(user, settings):
    settings.DOCUMENT_RETENTION_DAYS = 30
    document = aged_document(user, 31)
    Document.objects.filter(pk=document.pk).update(processed_at=days_ago(1))

    assert run() == deleted()


def test_a_document_goes_with_the_last_conversation_that_used_it(user, settings):
    settings.RETENTION_DAYS = settings.DOCUMENT_RETENTION_DAYS = 30
    document = aged_document(user, 31)
    aged_conversation(user, 31, mode="grounded_rag", documents=[document])

    assert run() == deleted(conversations=1, documents=1)


def test_traces_go_and_answers_stay(user, settings, monkeypatch):
    settings.TRACE_RETENTION_DAYS = 30
    make_trace(make_conversation(user))

    assert run() == deleted()
    later = days_ago(-31)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert run() == deleted(traces=1)
    assert (Retrieval.objects.count(), Message.objects.count()) == (0, 2)


def test_more_than_one_batch_is_deleted(user, settings, monkeypatch):
    settings.RETENTION_DAYS = settings.DOCUMENT_RETENTION_DAYS = 30
    monkeypatch.setattr(retention, "MESSAGES_AT_ONCE", 4)
    monkeypatch.setattr(retention, "DOCUMENTS_AT_ONCE", 2)
    monkeypatch.setattr(retention, "LOOKED_AT", 3)
    for number in range(5):
        aged_conversation(user, 40)
        aged_document(user, 40 + number, f"Text {number}.")

    assert run() == deleted(conversations=5, documents=5)


def test_an_age_beyond_all_time_deletes_nothing(user, settings):
    settings.RETENTION_DAYS = settings.DOCUMENT_RETENTION_DAYS = 10**12
    settings.TRACE_RETENTION_DAYS = 10**12
    make_trace(aged_conversation(user, 10_000))

    assert run() == deleted()


def test_the_worker_does_it_and_logs_counts_alone(user, settings, caplog):
    settings.RETENTION_DAYS = 30
    aged_conversation(user, 31, title="Secret plans")

    with caplog.at_level(logging.INFO, logger="conversations.tasks"):
        tasks.delete_what_is_due(0)
        tasks.delete_what_is_due(0)

    [record] = caplog.records
    assert (record.conversations, record.documents, record.traces) == (1, 0, 0)
    assert "Secret" not in str(vars(record))


def test_what_is_due_is_found_by_an_index():
    queries = [
        retention._conversations(days_ago(30)).values("pk")[:100],
        retention._documents(days_ago(30)).values("pk")[:100],
        retention._traces(days_ago(30)).values("pk")[:100],
    ]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        plans = [query.explain() for query in queries]

    assert "conversation_newest" in plans[0]
    assert "documents_document_pkey" in plans[1]
    assert "conversations_retrieval_pkey" in plans[2]
    assert not any("Sort" in plan.split("SubPlan")[0] for plan in (plans[0], plans[2]))

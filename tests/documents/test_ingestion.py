"""From an upload to a searchable document, through the worker; wholly or not at all."""

import threading
import time
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connection, transaction
from procrastinate.contrib.django.models import ProcrastinateJob

from documents import ingestion
from documents.ingestion import ingest
from documents.models import Chunk, Document, Posting
from documents.search import find_passages
from documents.tasks import defer_ingestion
from tests.factories import TEXT, make_document, make_pending, make_user, upload


def run_worker():
    call_command("procrastinate", "worker", "--one-shot", "--no-listen-notify")


@pytest.mark.django_db(transaction=True)
def test_the_worker_reads_what_was_uploaded(api, user_id):
    uploaded = upload(api, TEXT.encode(), user_id=user_id).json()

    run_worker()

    document = Document.objects.get(pk=uploaded["id"])
    assert document.status == "ready"
    assert find_passages("ticket", [document.pk], 1)


@pytest.mark.django_db(transaction=True)
def test_a_file_that_cannot_be_read_is_failed_and_the_worker_lives_on(api, user_id):
    bad = upload(api, b"%PDF-1.7 nothing else", user_id=user_id).json()
    good = upload(api, TEXT.encode(), user_id=user_id).json()

    run_worker()

    assert Document.objects.get(pk=bad["id"]).error_code == "damaged"
    assert Document.objects.get(pk=good["id"]).status == "ready"


@pytest.mark.django_db(transaction=True)
def test_what_breaks_halfway_is_told_and_nothing_is_half_saved(user_id):
    user = make_user(user_id)
    document, _ = Document.objects.keep(
        user, "a.txt", "txt", ContentFile(TEXT.encode()), defer_ingestion
    )

    # The table that is written last is out of reach for a while.
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE documents_posting RENAME TO elsewhere")
    try:
        run_worker()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO documents_posting")
    assert Chunk.objects.count() == 0
    document.refresh_from_db()
    assert (document.status, document.error_code) == ("failed", "internal_error")


@pytest.mark.django_db(transaction=True)
def test_what_may_pass_is_tried_again(user_id):
    document, _ = Document.objects.keep(
        make_user(user_id), "a.txt", "txt", ContentFile(TEXT.encode()), defer_ingestion
    )
    path = Path(document.file.path)
    hidden = path.rename(path.with_suffix(".away"))  # as a disk that is not mounted yet
    run_worker()
    job = ProcrastinateJob.objects.get(args__document_id=str(document.pk))
    assert (job.status, job.attempts) == ("todo", 1)

    hidden.rename(path)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE id = %s", [job.pk])
    run_worker()

    document.refresh_from_db()
    assert document.status == "ready"


@pytest.mark.django_db
def test_reading_again_replaces_everything(user_id):
    document = make_document(make_user(user_id))
    before = (document.chunk_count, Posting.objects.count())

    ingest(document)

    document.refresh_from_db()
    assert (document.chunk_count, Posting.objects.count()) == before


@pytest.mark.django_db
def test_a_document_deleted_while_it_is_read_stays_deleted(user_id):
    document = make_pending(make_user(user_id))
    Document.objects.filter(pk=document.pk).delete()

    ingest(document)

    assert (Document.objects.count(), Chunk.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_chunks_know_their_pages(user_id):
    pages = "\f".join(
        f"Page {n} speaks of topic{n}. " + "Filler words here. " * 40 for n in (1, 2, 3)
    )
    document = make_document(make_user(user_id), pages)

    assert document.page_count == 3
    [passage] = find_passages("topic2", [document.pk], 1)
    page, offset = passage.page_at(passage.text.index("topic2"))
    assert page == 2
    assert offset == len("Page 2 speaks of ")


@pytest.mark.django_db
def test_a_filing_is_found_by_what_it_says(user_id, sample):
    path = sample("COSTCO_2023Q3_EARNINGS.pdf")
    document, _ = Document.objects.keep(
        make_user(user_id), path.name, "pdf", ContentFile(path.read_bytes()), ingest
    )

    assert (document.status, document.page_count) == ("ready", 4)
    [best, *_] = find_passages("net sales for the third quarter", [document.pk], 3)
    assert best.page_start == 1


@pytest.mark.django_db(transaction=True)
def test_a_document_deleted_while_its_chunks_are_written_is_gone(user_id):
    document = make_pending(make_user(user_id))
    deleting = threading.Thread(target=delete_in_own_connection, args=[document.pk])

    with transaction.atomic():
        ingest(document)  # its row is locked until this transaction ends
        deleting.start()
        deleting.join(0.5)
        assert deleting.is_alive()
    deleting.join(10)

    assert (Document.objects.count(), Chunk.objects.count()) == (0, 0)


def delete_in_own_connection(pk):
    Document.objects.get(pk=pk).remove()
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_progress_can_be_seen_while_a_document_is_read(api, admin_client, user_id):
    document = make_pending(make_user(user_id), "\f".join(f"Page {n}." for n in range(1, 4)))
    told, shown = [], []

    def look(done, total):
        body = api.get(f"/api/v1/documents/{document.pk}").json()
        told.append((body["status"], body["pages_done"], body["page_count"]))
        shown.append(admin_client.get("/admin/documents/document/").content.decode())

    ingest(document, look)

    assert told[0] == ("processing", 1, 3)
    assert told[-1] == ("processing", 3, 3)
    assert "1 of 3" in shown[0]
    assert "3 of 3" in shown[-1]


@pytest.mark.django_db
def test_reading_stops_where_the_document_is_deleted(user_id, monkeypatch):
    document = make_pending(make_user(user_id), "page\f" * 2_000)
    monkeypatch.setattr(ingestion, "SECONDS_BETWEEN_UPDATES", 0)
    seen = []

    def delete(done, total):
        seen.append(done)
        Document.objects.filter(pk=document.pk).delete()

    ingest(document, delete)

    assert seen == [1]
    assert (Document.objects.count(), Chunk.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_a_text_of_one_endless_word_is_read_in_seconds(user_id):
    document = make_pending(make_user(user_id), "a" * 200_000)

    started = time.monotonic()
    ingest(document)

    assert time.monotonic() - started < 10
    assert document.status == "ready"


@pytest.mark.django_db
def test_odd_characters_reach_neither_text_nor_name(user_id):
    content = ContentFile(
        "A \x07ticket\0 costs \ufb01fty euros\x1b[0m. " * 9 + "\u202eend", name="x"
    )
    document, _ = Document.objects.keep(
        make_user(user_id),
        "a\0b\n\u202efdp.txt",
        "txt",
        ContentFile(content.read().encode()),
        ingest,
    )

    assert document.status == "ready"
    assert document.name == "ab fdp.txt"
    [chunk] = document.chunks.all()
    assert chunk.text.startswith("A ticket costs fifty euros")
    assert chunk.text.endswith("end")
    [passage] = find_passages("fifty", [document.pk], 1)
    page = document.pages.get().text
    assert page[passage.char_start :].startswith(passage.text)

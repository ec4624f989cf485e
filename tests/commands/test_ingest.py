"""`manage.py ingest`"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from procrastinate.contrib.django.models import ProcrastinateJob

from documents import ingestion
from documents.management.commands import ingest
from documents.models import Document
from tests.factories import TEXT, upload

# Files are read in threads, each with a connection of its own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "reports"
    (folder / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("hidden")
    (folder / "a.txt").write_text(TEXT)
    (folder / "deep" / "b.txt").write_text("Another text.")
    return folder


def test_files_and_folders_become_ready_documents(folder, tmp_path, user_id, capsys):
    (tmp_path / "c.md").write_text("# Third")

    call_command("ingest", folder, tmp_path / "c.md", user=user_id)

    documents = Document.objects.filter(user_id=user_id)
    assert sorted(document.name for document in documents) == ["a.txt", "b.txt", "c.md"]
    assert {document.status for document in documents} == {"ready"}
    assert "3 added, 0 skipped, 0 failed" in capsys.readouterr().out


def test_what_is_already_there_is_skipped(folder, user_id, capsys):
    call_command("ingest", folder, user=user_id)
    (folder / "renamed.txt").write_text(TEXT)

    call_command("ingest", folder, user=user_id)

    assert "0 added, 3 skipped, 0 failed" in capsys.readouterr().out
    assert Document.objects.count() == 2


def test_it_goes_on_past_bad_files_and_fails_at_the_end(folder, user_id, capsys):
    (folder / "0.pdf").write_bytes(b"%PDF-1.7 broken")
    (folder / "1.zip").write_bytes(b"PK\x03\x04\x00\x00\x01\x02")

    with pytest.raises(CommandError, match="3 files"):
        call_command("ingest", folder, folder / "missing.txt", user=user_id)

    said = capsys.readouterr()
    assert "2 added, 0 skipped, 3 failed" in said.out
    assert "damaged" in said.err
    assert "1.zip: neither a PDF nor plain text" in said.err
    assert Document.objects.get(name="0.pdf").status == "failed"


def test_progress_is_shown_on_a_terminal(folder, user_id, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    call_command("ingest", folder, user=user_id)

    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert "chunks/s" in shown


def test_files_are_read_side_by_side(folder, user_id, monkeypatch, capsys):
    together = threading.Barrier(2, timeout=30)

    def read_when_both_are_there(document, on_page):
        together.wait()
        ingestion.ingest(document, on_page)

    monkeypatch.setattr(ingest, "ingest", read_when_both_are_there)

    call_command("ingest", folder, user=user_id)

    assert "2 added, 0 skipped, 0 failed" in capsys.readouterr().out


def test_what_fails_on_our_side_is_left_to_the_worker(folder, user_id, monkeypatch, capsys):
    def fail(document, on_page):
        document.mark_processing()
        raise RuntimeError("no room on the disk")

    monkeypatch.setattr(ingest, "ingest", fail)
    with pytest.raises(CommandError, match="2 files"):
        call_command("ingest", folder, user=user_id)
    assert "a.txt: no room on the disk" in capsys.readouterr().err
    assert {document.status for document in Document.objects.all()} == {"pending"}

    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = now()")
    call_command("procrastinate", "worker", "--one-shot", "--no-listen-notify")

    assert {document.status for document in Document.objects.all()} == {"ready"}


def test_a_document_can_be_seen_and_sent_while_it_is_read(folder, api, user_id, monkeypatch):
    answers = []

    def send_the_same_meanwhile(document, on_page):
        content = document.file.open("rb").read()
        with ThreadPoolExecutor() as elsewhere:
            sent = elsewhere.submit(upload_and_close, api, content, user_id)
            answers.append((str(document.pk), sent.result(timeout=30)))
        ingestion.ingest(document, on_page)

    monkeypatch.setattr(ingest, "ingest", send_the_same_meanwhile)
    call_command("ingest", folder, user=user_id)

    assert len(answers) == 2
    for pk, (status, body) in answers:
        assert (status, body["id"], body["status"]) == (200, pk, "pending")


def upload_and_close(api, content, user_id):
    try:
        response = upload(api, content, user_id=user_id)
        return response.status_code, response.json()
    finally:
        connection.close()


def test_nothing_is_left_in_the_queue(folder, user_id):
    (folder / "0.pdf").write_bytes(b"%PDF-1.7 broken")

    with pytest.raises(CommandError):
        call_command("ingest", folder, user=user_id)

    read = [str(pk) for pk in Document.objects.values_list("pk", flat=True)]
    assert len(read) == 3
    assert not ProcrastinateJob.objects.filter(args__document_id__in=read).exists()

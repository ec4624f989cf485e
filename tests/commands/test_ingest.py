"""`manage.py ingest`"""

import sys

import pytest
from django.core.management import CommandError, call_command

from documents.models import Document
from tests.factories import TEXT

pytestmark = pytest.mark.django_db


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

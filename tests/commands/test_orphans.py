"""manage.py orphans: files that no document has, and documents whose file is lost."""

import io
import json
import os
import time
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command

from documents import orphans
from documents.models import Document
from tests.factories import make_document

pytestmark = pytest.mark.django_db
HOUR = 3600


@pytest.fixture
def left(settings):
    """A file that nobody has, two hours old."""
    return stray(settings, f"documents/aa/{uuid4().hex}.pdf")


def stray(settings, name, age=2 * HOUR):
    path = Path(settings.MEDIA_ROOT) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"left behind")
    os.utime(path, (time.time() - age,) * 2)
    return path


def run(*args):
    out = io.StringIO()
    call_command("orphans", *args, stdout=out)
    return out.getvalue()


def rows(*args):
    return [json.loads(line) for line in run("--json", *args).splitlines()]


def test_without_files_there_are_none(settings):
    assert rows() == []


def test_it_lists_what_nobody_has_and_deletes_nothing(document, left, settings):
    name = str(left.relative_to(settings.MEDIA_ROOT))

    assert rows() == [{"state": "orphan", "file": name, "bytes": 11}]
    assert left.exists()
    assert "1 files without a document (11 bytes), 0 deleted; 0 documents" in run()


def test_it_deletes_what_is_old_enough(document, left, settings):
    arriving = stray(settings, f"documents/ab/{uuid4().hex}.txt", age=HOUR / 2)
    odd = stray(settings, "documents/notes.txt")

    states = sorted(row["state"] for row in rows("--delete"))

    assert states == ["arriving", "deleted", "deleted"]
    assert (left.exists(), odd.exists(), arriving.exists()) == (False, False, True)
    assert Path(document.file.path).exists()


def test_a_document_that_came_meanwhile_keeps_its_file(document):
    name = document.file.name
    kept = orphans.Orphan(name, 1, arriving=False)

    assert orphans.delete(kept) is False
    assert Path(document.file.path).exists()


def test_a_document_without_its_file_is_told(document):
    Path(document.file.path).unlink()

    lost = {"state": "lost", "file": document.file.name, "document_id": str(document.pk)}
    assert rows("--delete") == [lost]
    assert Document.objects.filter(pk=document.pk).exists()


def test_many_are_looked_up_in_batches(user, settings, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(orphans, "AT_ONCE", 4)
    for number in range(6):
        make_document(user, f"Text {number}.")
        stray(settings, f"documents/{number}/{uuid4().hex}.txt")

    with django_assert_num_queries(3 + 3):
        assert len(rows()) == 6

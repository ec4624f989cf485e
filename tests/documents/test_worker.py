"""Workers that die, stop, or meet a document that kills them: no document waits for ever."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import OperationalError, connection
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued
from psycopg.conninfo import make_conninfo

from documents import ingestion, listening, tasks
from documents.models import Document
from documents.tasks import defer_ingestion, requeue_stalled
from tests.factories import TEXT, empty_queue, make_document, make_pending, make_user
from tests.launch.test_launch import ROOT, free_port
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

# A worker that reads page after page of a document that never ends.
ENDLESS = """
import time, django
django.setup()
from django.core.management import call_command
from documents import ingestion
def read(path, kind, *, on_page, **limits):
    while True:
        on_page(1, 9)
        time.sleep(0.02)
ingestion.extract = read
call_command("procrastinate", "worker", "--shutdown-graceful-timeout", "0.1")
"""

# A worker whose clock is put back by an hour after a while.
CLOCK_PUT_BACK = """
import time, django
django.setup()
from django.core.management import call_command
tell = time.time
put_back_at = time.monotonic() + 3
time.time = lambda: tell() - 3600 * (time.monotonic() > put_back_at)
call_command("procrastinate", "worker")
"""


def run_worker():
    call_command("procrastinate", "worker", "--one-shot", "--no-listen-notify")


def deferred(user, text=TEXT):
    content = ContentFile(text.encode())
    document, _ = Document.objects.keep(user, "a.txt", "txt", content, defer_ingestion)
    return document


def deferred_for_later(user):
    content = ContentFile(b"A third text.")
    return Document.objects.keep(user, "b.txt", "txt", content, tasks.defer_in_reserve)[0]


@pytest.fixture
def endless_worker(tmp_path):
    """A worker that never comes to a document's end."""
    with worker_process(tmp_path, ENDLESS) as process:
        yield process


@contextmanager
def worker_process(tmp_path, script):
    """A worker process on the database and files of the test."""
    database = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    address = make_conninfo(**{name: database[name] for name in names if database.get(name)})
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "botgpt.settings",
            "DATABASE_URL": address,
            "SECRET_KEY": "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz",
            "BOTGPT_DATA_DIR": str(tmp_path),
        },
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def status_of(document):
    document.refresh_from_db()
    return document.status


def test_a_document_whose_worker_is_killed_is_read_by_the_next(
    user_id, endless_worker, monkeypatch
):
    document = deferred(make_user(user_id))
    wait_for(lambda: status_of(document) == "processing", 60)

    endless_worker.kill()
    endless_worker.wait()
    monkeypatch.setattr(tasks, "DEAD_AFTER_SECONDS", 0)
    with suppress(AlreadyEnqueued):  # the killed one may just have deferred it
        requeue_stalled.defer(timestamp=0)
    run_worker()  # takes the job back
    run_worker()  # and does it, if there was no time for it before

    assert status_of(document) == "ready"


def test_a_worker_that_is_told_to_stop_gives_its_document_back(user_id, endless_worker):
    document = deferred(make_user(user_id))
    wait_for(lambda: status_of(document) == "processing", 60)

    endless_worker.send_signal(signal.SIGTERM)
    endless_worker.wait(30)

    assert status_of(document) == "pending"
    assert ProcrastinateJob.objects.get(args__document_id=str(document.pk)).status == "todo"


def test_a_document_that_kills_its_workers_is_failed(user_id):
    document = deferred(make_user(user_id))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET attempts = %s", [tasks.ATTEMPTS])

    run_worker()

    assert status_of(document) == "failed"
    assert document.error_code == "interrupted"
    assert "5 times" in document.error


def test_what_does_not_pass_ends_as_failed_after_the_last_attempt(user_id, monkeypatch):
    def fail(document, on_page):
        raise OSError("the disk is gone")

    document = deferred(make_user(user_id))
    monkeypatch.setattr(tasks, "ingest", fail)
    for attempt in range(tasks.ATTEMPTS):
        assert status_of(document) == "pending", attempt
        run_worker()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = now()")

    assert status_of(document) == "failed"
    assert document.error_code == "internal_error"
    assert ProcrastinateJob.objects.get(args__document_id=str(document.pk)).status == "failed"


def test_a_slow_document_does_not_hold_up_the_next(user_id, monkeypatch):
    user = make_user(user_id)
    slow, quick = deferred(user), deferred(user, "A short text.")
    quick_is_done = threading.Event()

    def read(document, on_page):
        if document == slow:
            assert quick_is_done.wait(30)
        ingestion.ingest(document, on_page)
        if document == quick:
            quick_is_done.set()

    monkeypatch.setattr(tasks, "ingest", read)
    run_worker()

    assert (status_of(slow), status_of(quick)) == ("ready", "ready")


def test_a_document_that_lost_its_job_is_failed(user_id):
    user = make_user(user_id)
    lost, ready = make_pending(user), make_document(user, "Another text.")
    waiting = deferred_for_later(user)

    requeue_stalled.defer(timestamp=0)
    run_worker()

    assert status_of(lost) == "failed"
    assert (status_of(waiting), status_of(ready)) == ("pending", "ready")


def test_a_worker_whose_clock_is_put_back_begins_anew(tmp_path):
    empty_queue()
    with worker_process(tmp_path, CLOCK_PUT_BACK) as process:
        # Else its periodic jobs would wait for an hour; whoever runs it starts it again.
        assert process.wait(60) == 0


def test_a_worker_that_no_database_answers_says_so(settings, monkeypatch):
    settings.DATABASE_DIRECT_URL = f"postgresql://127.0.0.1:{free_port()}/nobody"
    monkeypatch.setattr(listening, "WAIT_SECONDS", 0)

    with pytest.raises(OperationalError, match="refused"):
        run_worker()


def test_the_watch_over_dead_workers_does_not_wait_behind_documents():
    assert requeue_stalled.priority > tasks.ingest_document.priority

"""Health checks: each part apart, each within its time."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from procrastinate.contrib.django.models import ProcrastinateWorker

from botgpt import health
from documents import queue
from documents.tasks import ingest_document
from tests import fake_groq
from tests.factories import empty_queue, make_conversation, make_document, make_user, post

pytestmark = pytest.mark.django_db


def with_worker(seen=0):
    """A worker that told of itself so many seconds ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - %s)",
            [timedelta(seconds=seen)],
        )


@pytest.fixture(autouse=True)
def _alone():
    """Without what workers of other tests left."""
    empty_queue()
    ProcrastinateWorker.objects.all().delete()


def test_all_is_well(client):
    with_worker()

    response = client.get("/health")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "checks": {
            "database": {"status": "ok"},
            "queue": {"status": "ok", "workers": 1, "waiting": 0, "oldest_seconds": 0},
            "storage": {"status": "ok"},
            "model": {"status": "ok", "configured": False},
        },
    }


def test_the_queue_tells_its_workers_and_its_oldest_job(client):
    with_worker(seen=3600)
    job_id = ingest_document.defer(document_id="none")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_events SET at = now() - interval '90 s' WHERE job_id = %s",
            [job_id],
        )
    ingest_document.configure(schedule_in={"hours": 1}).defer(document_id="later")

    response = client.get("/health")

    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    told = response.json()["checks"]["queue"]
    assert (told["status"], told["workers"], told["waiting"]) == ("no worker lives", 0, 1)
    assert 90 <= told["oldest_seconds"] < 120


def test_a_model_out_of_service_is_told(api, client, user, groq, settings):
    with_worker()
    settings.GROQ_FAILURES = 1
    groq.script(fake_groq.error(503))
    conversation = make_conversation(user)
    post(api, f"/conversations/{conversation.pk}/messages", {"content": "And now?"})

    body = client.get("/health").json()

    assert body["status"] == "degraded"
    assert body["checks"]["model"]["status"] == "out of service"
    assert list(body["checks"]["model"]["out_of_service"]) == [conversation.model]


def test_a_storage_whose_folder_is_gone_is_told(client, user, settings):
    with_worker()
    assert client.get("/health/ready").status_code == 200, "nothing has been uploaded yet"
    make_document(user)
    folder = Path(settings.MEDIA_ROOT)
    folder.rename(folder.with_name("elsewhere"))

    for path in ("/health", "/health/ready"):
        response = client.get(path)
        assert (response.status_code, response.json()["status"]) == (503, "unavailable")
    assert response.json()["checks"] == {"database": "ok", "storage": health.GONE}

    folder.write_text("a file where the folder was")
    assert client.get("/health/ready").status_code == 503


def test_a_storage_that_hangs_is_given_up(client, monkeypatch):
    with_worker()
    monkeypatch.setattr(health, "SECONDS", 0.2)
    monkeypatch.setattr(health, "_stored", lambda: time.sleep(0.6))

    started = time.monotonic()
    responses = [client.get("/health/ready") for _ in range(2)]

    assert time.monotonic() - started < 3
    assert {one.status_code for one in responses} == {503}
    assert responses[0].json()["checks"] == {"database": "ok", "storage": health.NO_ANSWER}


def test_a_database_that_is_away_is_told_beside_a_storage_that_is_not(
    client, monkeypatch, settings
):
    def refuse(*args, **kwargs):
        raise OperationalError

    monkeypatch.setattr(connection, "cursor", refuse)
    Path(settings.MEDIA_ROOT).mkdir()

    body = client.get("/health").json()

    assert body["status"] == "unavailable"
    assert body["checks"]["database"] == {"status": "unreachable"}
    assert body["checks"]["queue"] == {"status": "unknown"}
    assert body["checks"]["storage"] == {"status": "ok"}


def test_a_statement_that_takes_long_is_ended_by_the_database(user, monkeypatch):
    monkeypatch.setattr("documents.queue.QUEUES", "SELECT 'a', 0, 0, 0.0 FROM pg_sleep(5)")
    started = time.monotonic()

    with pytest.raises(OperationalError):
        queue.standing(0.1)

    assert time.monotonic() - started < 4


def test_missing_migrations_are_told_until_they_are_there(client):
    health._require_migrated.cache_clear()
    missing = pytest.MonkeyPatch()
    missing.setattr(MigrationExecutor, "migration_plan", lambda self, targets: ["0002"])
    with_missing = client.get("/health/ready")
    missing.undo()

    assert with_missing.status_code == 503
    assert "run manage.py migrate" in with_missing.json()["checks"]["database"]
    assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize(("path", "most"), [("/health/live", 0), ("/health/ready", 7)])
def test_few_queries(client, django_assert_max_num_queries, path, most):
    client.get("/health/ready")  # looks at the migrations, once
    make_user()

    with django_assert_max_num_queries(most):
        assert client.get(path).status_code == 200


def test_probes_by_plain_http_are_not_sent_elsewhere(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    for path in ("/health", "/health/live", "/health/ready", "/metrics"):
        assert client.get(path).status_code != 301


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/metrics"])
def test_they_are_only_read(client, path):
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


def test_the_schema_tells_them(client):
    paths = client.get("/openapi.json").json()["paths"]

    assert {"/health", "/health/live", "/health/ready"} <= paths.keys()

"""Files in S3: all that is done with them, against a server that speaks it, and one away."""

import json
from io import StringIO
from uuid import uuid4

import boto3
import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from moto.server import ThreadedMotoServer

from botgpt import storage
from documents import orphans
from documents.ingestion import ingest
from documents.models import Document
from documents.s3 import S3Files
from tests.factories import TEXT, assert_problem, get, post, upload

pytestmark = pytest.mark.django_db(transaction=True)
BUCKET, FOLDER = "files-of-ours", "bot/gpt"


@pytest.fixture(scope="module")
def server():
    """The address of a server of S3's calls."""
    running = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(autouse=True)
def bucket(server, settings, monkeypatch):
    """A bucket in which the product keeps its files."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    client = boto3.resource("s3", endpoint_url=server, region_name="us-east-1")
    bucket = client.create_bucket(Bucket=BUCKET)
    keep_in(settings, server)
    yield bucket
    bucket.objects.delete()
    bucket.delete()


def keep_in(settings, endpoint, bucket=BUCKET):
    url = f"s3://{bucket}/{FOLDER}?endpoint_url={endpoint}&region_name=us-east-1"
    settings.STORAGES = {**settings.STORAGES, "default": storage.backend(url)}


@pytest.fixture
def away(settings, monkeypatch):
    """Takes the server out of reach: nobody listens on that port."""
    monkeypatch.setattr("documents.s3.ATTEMPTS", 1)
    return lambda: keep_in(settings, "http://127.0.0.1:9")


@pytest.fixture
def stored(api, user_id, bucket):
    """A document that came by the API and was read as a worker reads it."""
    assert upload(api, TEXT.encode(), user_id=user_id).status_code == 201
    document = Document.objects.get()
    ingest(document)
    return Document.objects.get()


def keys(bucket):
    return [one.key for one in bucket.objects.all()]


def test_a_document_is_kept_read_answered_from_downloaded_and_deleted(api, user_id, bucket, stored):
    assert isinstance(default_storage, S3Files)
    assert keys(bucket) == [f"{FOLDER}/{stored.file.name}"]
    assert (stored.status, stored.chunk_count) == ("ready", 1)

    asked = {"user_id": str(user_id), "mode": "grounded_rag"}
    answered = post(api, "/conversations", asked | {"first_message": "What does a ticket cost?"})
    assert "14.50 euros" in answered.json()["answer"]["citations"][0]["quote"]

    file = get(api, f"/documents/{stored.pk}/file?user_id={user_id}")
    assert file.getvalue() == TEXT.encode()
    assert file.headers["Content-Length"] == str(len(TEXT.encode()))
    assert file.headers["Content-Disposition"] == 'attachment; filename="museum.txt"'
    assert file.headers["Content-Type"] == "text/plain"
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert get(api, f"/documents/{stored.pk}/file?user_id={uuid4()}").status_code == 404

    assert api.delete(f"/api/v1/documents/{stored.pk}?user_id={user_id}").status_code == 204
    assert keys(bucket) == []


def test_a_large_file_comes_in_one_request_and_back_as_it_was(api, user_id, bucket):
    content = ("Zebras and okapis. " * 500_000).encode()  # beyond boto's parts, and ours in memory

    assert upload(api, content, name="a.txt", user_id=user_id).status_code == 201

    document = Document.objects.get()
    [key] = keys(bucket)
    assert "-" not in bucket.Object(key).e_tag, "parts of a killed upload would show nowhere"
    assert document.file.open("rb").read() == content


def test_an_upload_that_is_refused_leaves_nothing(api, user_id, bucket, settings):
    settings.USER_STORED_BYTES = 10

    assert_problem(upload(api, b"x" * 11, user_id=user_id), 413, "user_storage_full")

    assert keys(bucket) == []


def test_orphans_are_found_and_deleted(user_id, bucket, stored, monkeypatch):
    bucket.put_object(Key=f"{FOLDER}/documents/aa/{uuid4().hex}.pdf", Body=b"left behind")
    bucket.put_object(Key=f"elsewhere/documents/aa/{uuid4().hex}.pdf", Body=b"another's")

    assert [row["state"] for row in listed("--delete")] == ["arriving"]
    monkeypatch.setattr(orphans, "MAY_BE_ARRIVING", -orphans.MAY_BE_ARRIVING)
    [deleted] = listed("--delete")

    assert (deleted["state"], deleted["bytes"]) == ("deleted", 11)
    assert len(keys(bucket)) == 2, "the document's and the one that is not in our folder"


def test_a_lost_file_is_told(api, user_id, bucket, stored):
    bucket.objects.delete()

    lost = get(api, f"/documents/{stored.pk}/file?user_id={user_id}")

    assert_problem(lost, 404, "file_lost")
    assert [row["state"] for row in listed()] == ["lost"]


def test_a_server_that_is_away_is_a_503_and_nothing_is_lost(api, user_id, bucket, stored, away):
    away()

    refused = upload(api, b"A new text.", user_id=user_id)
    file = get(api, f"/documents/{stored.pk}/file?user_id={user_id}")

    for problem in (refused, file):
        assert_problem(problem, 503, "storage_unavailable")
        assert problem.headers["Retry-After"] == "5"
    assert Document.objects.get() == stored
    with pytest.raises(CommandError, match="S3 does not answer"):
        listed()
    with pytest.raises(OSError, match="S3 does not answer"):  # which a worker tries again
        ingest(stored)
    stored.refresh_from_db()
    assert (stored.status, stored.chunk_count) == ("processing", 1)


def test_what_is_deleted_while_it_is_away_becomes_an_orphan(
    api, user_id, bucket, server, settings, stored, away, monkeypatch
):
    away()
    assert api.delete(f"/api/v1/documents/{stored.pk}?user_id={user_id}").status_code == 204
    keep_in(settings, server)

    monkeypatch.setattr(orphans, "MAY_BE_ARRIVING", -orphans.MAY_BE_ARRIVING)
    assert [row["file"] for row in listed()] == [stored.file.name]


def test_a_bucket_that_is_not_there_is_no_lost_file(api, user_id, bucket, server, settings, stored):
    keep_in(settings, server, bucket="another-bucket")

    file = get(api, f"/documents/{stored.pk}/file?user_id={user_id}")

    assert_problem(file, 503, "storage_unavailable")


def listed(*args):
    out = StringIO()
    call_command("orphans", "--json", *args, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]

"""Uploads a day and bytes kept, of each user: refusals, and parallel uploads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone

from documents.models import Document, Rate
from tests.factories import assert_problem, get, make_user, upload

pytestmark = pytest.mark.django_db


def send(api, user, content=b"Some text."):
    return upload(api, content, user_id=str(user.pk))


def files_kept(settings):
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


def test_a_user_uploads_so_many_documents_a_day(api, user, settings):
    settings.USER_UPLOADS_A_DAY = 2
    assert [send(api, user, b"one").status_code, send(api, user, b"two").status_code] == [201, 201]

    response = send(api, user, b"three")

    problem = assert_problem(response, 429, "upload_limit_exceeded")
    assert "This user may upload 2 documents a day" in problem["detail"]
    resets_at = datetime.fromisoformat(problem["resets_at"])
    assert resets_at.date() == timezone.now().date() + timedelta(days=1)
    assert resets_at.time() == datetime.min.time()
    assert 0 < int(response.headers["Retry-After"]) <= 24 * 3600
    assert Document.objects.count() == len(files_kept(settings)) == 2
    assert send(api, make_user(), b"three").status_code == 201


def test_the_next_day_begins_anew(api, user, settings):
    settings.USER_UPLOADS_A_DAY = 1
    send(api, user, b"one")
    Rate.objects.update(starts=timezone.now() - timedelta(days=1))

    assert send(api, user, b"two").status_code == 201


def test_deleting_gives_no_upload_back_and_the_same_bytes_are_none(api, user, settings):
    settings.USER_UPLOADS_A_DAY = 2
    pk = send(api, user, b"one").json()["id"]
    assert send(api, user, b"one").status_code == 200
    api.delete(f"/api/v1/documents/{pk}?user_id={user.pk}")

    assert send(api, user, b"two").status_code == 201
    assert send(api, user, b"two").status_code == 200
    assert send(api, user, b"three").status_code == 429


def test_a_users_files_take_so_many_bytes(api, user, settings):
    settings.USER_STORED_BYTES = 100
    pk = send(api, user, b"x" * 60).json()["id"]

    problem = assert_problem(send(api, user, b"y" * 41), 413, "user_storage_full")

    assert "may take 100 bytes" in problem["detail"]
    assert "with this file of 41 they would take 101" in problem["detail"]
    assert Document.objects.count() == len(files_kept(settings)) == 1
    assert send(api, user, b"y" * 40).status_code == 201
    assert send(api, make_user(), b"y" * 41).status_code == 201

    api.delete(f"/api/v1/documents/{pk}?user_id={user.pk}")
    assert send(api, user, b"z" * 60).status_code == 201


def test_a_refused_upload_is_not_counted(api, user, settings):
    settings.USER_STORED_BYTES, settings.USER_UPLOADS_A_DAY = 10, 1
    send(api, user, b"x" * 11)

    assert send(api, user, b"x" * 10).status_code == 201


def test_without_limits_nothing_is_counted(api, user):
    send(api, user)

    assert not Rate.objects.exists()


def test_files_of_openais_api_have_the_same_limits(api, user, settings):
    settings.USER_UPLOADS_A_DAY = 1
    send(api, user, b"one")
    file = {"file": SimpleUploadedFile("a.txt", b"two"), "purpose": "assistants"}

    response = api.post("/openai/v1/files", file, headers={"X-User-ID": str(user.pk)})

    assert response.status_code == 429
    assert response.json()["error"]["code"] == "upload_limit_exceeded"
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("limit", "amount", "refusal"),
    [("USER_UPLOADS_A_DAY", 3, 429), ("USER_STORED_BYTES", 35, 413)],
)
def test_in_parallel_just_as_many_pass_as_the_limit(user, settings, limit, amount, refusal):
    setattr(settings, limit, amount)
    barrier = threading.Barrier(8)

    def send_one(number):
        barrier.wait()
        try:
            return send(Client(), user, b"%010d" % number).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(send_one, range(8)))

    assert statuses == [201] * 3 + [refusal] * 5
    assert Document.objects.count() == len(files_kept(settings)) == 3
    assert get(Client(), f"/documents?user_id={user.pk}").json()["count"] == 3

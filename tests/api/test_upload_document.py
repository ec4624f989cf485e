"""POST /documents"""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from procrastinate.contrib.django.models import ProcrastinateJob

from documents.models import Document
from tests.factories import TEXT, assert_problem, make_user, upload

pytestmark = pytest.mark.django_db


def test_an_upload_is_kept_and_its_reading_deferred(api, user_id):
    response = upload(api, TEXT.encode(), user_id=user_id)

    assert response.status_code == 201
    body = response.json()
    assert body["status"] == "pending"
    assert body["user_id"] == str(user_id)
    assert (body["name"], body["kind"], body["size"]) == ("museum.txt", "txt", len(TEXT))
    assert response.headers["Location"] == f"/api/v1/documents/{body['id']}"
    assert ProcrastinateJob.objects.filter(
        task_name="documents.tasks.ingest_document", args__document_id=body["id"]
    ).exists()


def test_the_same_bytes_again_are_the_same_document(api, user_id):
    first = upload(api, TEXT.encode(), user_id=user_id)
    second = upload(api, TEXT.encode(), user_id=user_id, name="copy.txt")

    assert second.status_code == 200
    assert second.json()["id"] == first.json()["id"]
    assert Document.objects.count() == 1


def test_another_user_has_a_document_of_their_own(api, user_id):
    upload(api, TEXT.encode(), user_id=make_user().pk)

    assert upload(api, TEXT.encode(), user_id=user_id).status_code == 201


def test_the_kind_comes_from_the_content_and_not_the_name(api, user_id):
    pdf = b"%PDF-1.4\n%\xe2\xe3\n1 0 obj\n<<>>\nendobj\n"
    assert upload(api, pdf, user_id=user_id, name="a.txt").json()["kind"] == "pdf"
    zipped = b"PK\x03\x04\x00\x00\x01\x02\x03\x00\x00"
    assert_problem(upload(api, zipped, user_id=user_id, name="a.pdf"), 415, "unsupported_file")
    assert Document.objects.count() == 1


def test_a_file_over_the_limit_is_refused(api, user_id, settings):
    settings.MAX_UPLOAD_BYTES = 1024 * 1024

    response = upload(api, b"a" * (1024 * 1024 + 1), user_id=user_id)

    assert "1 MB" in assert_problem(response, 413, "file_too_large")["detail"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, "user_id"),
        ({"user_id": "me"}, "user_id"),
        ({"user_id": "5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11", "colour": "red"}, "colour"),
    ],
)
def test_wrong_fields_are_refused_by_name(api, fields, wrong):
    assert wrong in assert_problem(upload(api, b"text", **fields), 400)["errors"]


def test_a_missing_or_empty_file_is_refused(api, user_id):
    missing = api.post("/api/v1/documents", {"user_id": str(user_id)})
    assert "file" in assert_problem(missing, 400)["errors"]
    assert "file" in assert_problem(upload(api, b"", user_id=user_id), 400)["errors"]


def test_a_name_never_becomes_a_path(api, user_id, settings):
    file = SimpleUploadedFile("x.txt", b"text")
    file._name = "../../etc/pass\x00wd.txt"
    response = api.post("/api/v1/documents", {"file": file, "user_id": str(user_id)})

    assert response.status_code == 201
    assert "/" not in response.json()["name"]
    stored = Document.objects.get().file.path
    assert stored.startswith(str(settings.MEDIA_ROOT))
    assert "passwd" not in stored

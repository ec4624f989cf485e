"""GET /documents, and one document: its chunks, its file, its end."""

import re
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile

from documents.models import Chunk, Document, Posting
from tests.factories import TEXT, assert_problem, get, make_conversation, make_document, make_user

pytestmark = pytest.mark.django_db


def test_a_list_holds_the_users_documents_newest_first(api, user_id):
    user = make_user(user_id)
    first, second = make_document(user), make_document(user, "other text", "b.txt")
    make_document(make_user(), "not theirs")

    body = get(api, f"/documents?user_id={user_id}").json()

    assert body["count"] == 2
    assert [row["id"] for row in body["results"]] == [str(second.pk), str(first.pk)]


def test_a_list_costs_the_same_few_queries_however_long(api, user_id, django_assert_num_queries):
    user = make_user(user_id)
    for number in range(5):
        make_document(user, f"text {number}")

    with django_assert_num_queries(2):
        get(api, f"/documents?user_id={user_id}&limit=100")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=" + "9" * 400]
)
def test_an_absurd_limit_is_refused(api, query):
    assert "1 to 100" in assert_problem(get(api, f"/documents?{query}"), 400)["detail"]


@pytest.mark.parametrize("page", ["0", "-1", "x", "2", "1" + "0" * 400, "1" + "0" * 5000])
def test_an_absurd_page_is_not_found(api, page):
    assert_problem(get(api, f"/documents?page={page}"), 404)


def test_a_ready_document_tells_what_was_read(api, user_id):
    document = make_document(make_user(user_id))

    body = get(api, f"/documents/{document.pk}").json()

    assert body["status"] == "ready"
    assert body["error"] is None
    assert (body["page_count"], body["pages_done"]) == (1, 1)
    assert body["chunk_count"] == 1
    assert body["token_count"] > 20
    assert body["language"] == "english"


def test_a_failed_document_says_why(api, user_id):
    document = make_document(make_user(user_id), "   \n ")

    body = get(api, f"/documents/{document.pk}").json()

    assert body["status"] == "failed"
    assert body["error"]["code"] == "empty"
    assert body["error"]["detail"]


def test_chunks_come_in_reading_order(api, user_id):
    words = " ".join(f"Sentence number {n} is here." for n in range(200))
    document = make_document(make_user(user_id), words)

    body = get(api, f"/documents/{document.pk}/chunks?limit=100").json()

    assert body["count"] == document.chunk_count > 2
    assert [row["ordinal"] for row in body["results"]] == list(range(body["count"]))


def test_the_file_comes_back_as_a_download(api, user_id):
    document = make_document(make_user(user_id))

    response = get(api, f"/documents/{document.pk}/file")

    assert b"".join(response.streaming_content) == TEXT.encode()
    assert response.headers["Content-Disposition"] == 'attachment; filename="museum.txt"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize("path", ["/api/v1/documents/{}/file", "/openai/v1/files/{}/content"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.html", 'attachment; filename="a.html"'),
        ('a";x=".html', 'attachment; filename="a\\";x=\\".html"'),
        ("a\r\nSet-Cookie: x=1.svg", 'attachment; filename="a Set-Cookie: x=1.svg"'),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ("..\\..\\boot.ini", 'attachment; filename="boot.ini"'),
        ("hours\u202efdp.exe", 'attachment; filename="hoursfdp.exe"'),
        ("Öffnung.txt", "attachment; filename*=utf-8''%C3%96ffnung.txt"),
    ],
)
def test_a_file_is_never_more_than_a_download(api, user_id, path, name, told):
    page = b"<!doctype html><script>alert(1)</script>"
    file = ContentFile(page)
    kept, _ = Document.objects.keep(make_user(user_id), name, "txt", file, lambda _: None)

    response = api.get(path.format(kept.pk), headers={"X-User-ID": str(user_id)})

    assert b"".join(response.streaming_content) == page
    assert response.headers["Content-Disposition"] == told
    assert response.headers["Content-Type"] == "text/plain"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert re.fullmatch(r"documents/[0-9a-f]{2}/[0-9a-f]{32}\.txt", kept.file.name)


def test_deleting_leaves_nothing_behind(api, user_id, django_capture_on_commit_callbacks):
    document = make_document(make_user(user_id))
    path = Path(document.file.path)
    make_conversation(document.user, mode="grounded_rag", documents=[document])

    with django_capture_on_commit_callbacks(execute=True):
        response = api.delete(f"/api/v1/documents/{document.pk}")

    assert response.status_code == 204
    assert not path.exists()
    assert (Document.objects.count(), Chunk.objects.count(), Posting.objects.count()) == (0, 0, 0)


@pytest.mark.parametrize("part", ["", "/chunks", "/file"])
def test_what_is_not_there_or_anothers_is_not_found(api, user_id, part):
    document = make_document(make_user())

    assert_problem(get(api, f"/documents/{uuid4()}{part}"), 404)
    assert_problem(get(api, f"/documents/{document.pk}{part}?user_id={user_id}"), 404)


def test_anothers_document_cannot_be_deleted(api, user_id):
    document = make_document(make_user())

    assert_problem(api.delete(f"/api/v1/documents/{document.pk}?user_id={user_id}"), 404)
    assert Document.objects.count() == 1

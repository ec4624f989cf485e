"""What the admin tells of documents while they are read, and of those that failed."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from documents import admin_progress
from documents.models import Document
from tests.factories import make_document, make_pending, make_user

pytestmark = pytest.mark.django_db
PATH = "/admin/documents/document/progress/"


@pytest.fixture
def user():
    return make_user()


def reading(user):
    document = make_pending(user, f"{uuid4()}")
    Document.objects.filter(pk=document.pk).update(status="processing", pages_done=3, page_count=10)
    return document


def told(client, *ids):
    response = client.get(PATH, {"id": [str(one) for one in ids]})
    assert response.status_code == 200
    return response.json()["documents"]


def test_it_tells_how_far_the_reading_is(admin_client, user):
    document, ready = reading(user), make_document(user)

    found = told(admin_client, document.pk, ready.pk)

    assert found[str(document.pk)] == {
        "status": "processing",
        "label": "Processing",
        "reason": "",
        "finished": False,
        "done": 3,
        "total": 10,
        "pages": "3 of 10 pages",
    }
    assert found[str(ready.pk)] == {
        "status": "ready",
        "label": "Ready",
        "reason": "",
        "finished": True,
        "done": 1,
        "total": 1,
        "pages": "1 page, 1 chunk",
    }


def test_a_failure_comes_with_its_reason(admin_client, user):
    document = make_pending(user)
    document.mark_failed("encrypted", "The PDF opens only with a password.")

    seen = told(admin_client, document.pk)[str(document.pk)]

    assert seen["label"] == "Failed: encrypted"
    assert seen["reason"] == "The PDF opens only with a password."
    assert seen["finished"]
    listed = admin_client.get("/admin/documents/document/").content.decode()
    assert "Failed: encrypted" in listed
    assert "The PDF opens only with a password." in listed


def test_a_document_that_serves_still_tells_that_its_last_reading_failed(admin_client, user):
    document = make_document(user)
    document.mark_failed("internal_error", "It failed on our side.")

    seen = told(admin_client, document.pk)[str(document.pk)]

    assert seen["label"] == "Ready, but not read anew: internal_error"


def test_what_is_no_document_is_left_out(admin_client, user):
    assert told(admin_client, uuid4(), "nonsense", "%00") == {}
    assert told(admin_client) == {}


def test_however_many_are_asked_for_it_is_one_query(admin_client, user, monkeypatch):
    monkeypatch.setattr(admin_progress, "ASKED_AT_ONCE", 3)
    ids = [reading(user).pk for _ in range(5)]
    with CaptureQueriesContext(connection) as queries:
        found = told(admin_client, *ids)

    assert len(found) == 3
    assert len([one for one in queries if "documents_document" in one["sql"]]) == 1


def test_it_is_for_staff_who_may_view_documents(client, user):
    staff = make_user()
    staff.is_staff = True
    staff.save()

    assert client.get(PATH).status_code == 302
    client.force_login(staff)
    assert client.get(PATH).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_document"))
    assert client.get(PATH).status_code == 200


def test_rows_that_are_not_finished_are_watched(admin_client, user):
    document, ready = reading(user), make_document(user)

    listed = admin_client.get("/admin/documents/document/").content.decode()
    shown = admin_client.get(reverse("admin:documents_document_change", args=[document.pk]))

    assert listed.count("data-reading=") == 1
    assert f'data-reading="{document.pk}" data-address="{PATH}"' in listed
    assert str(ready.pk) not in "".join(listed.split("data-reading")[1:2])
    assert f'data-reading="{document.pk}"' in shown.content.decode()
    assert '<script src="/static/documents/progress.js" type="module"></script>' in listed


def test_the_list_can_be_searched_by_what_support_is_told(admin_client, user):
    document = make_document(user)
    make_document(make_user(), "Another.", "other.txt")

    def found(term):
        text = admin_client.get("/admin/documents/document/", {"q": term}).content.decode()
        return "museum.txt" in text, "other.txt" in text

    for term in (str(document.pk), document.sha256, str(user.pk), "museum", "MUSEUM.txt"):
        assert found(term) == (True, False), term
    assert found("nowhere") == (False, False)

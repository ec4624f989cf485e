"""Documents are read again, by an action on many or a button on one."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from procrastinate.contrib.django.models import ProcrastinateJob

from documents.models import Document
from tests.factories import empty_queue, make_document, make_pending, make_user

pytestmark = pytest.mark.django_db


def act(client, *documents):
    form = {"action": "reprocess", "_selected_action": [document.pk for document in documents]}
    return client.post("/admin/documents/document/", form, follow=True).content.decode()


def test_chosen_documents_are_read_again_but_those_under_way(admin_client):
    user = make_user()
    ready, pending = make_document(user), make_pending(user, "Another text.")
    empty_queue()

    said = act(admin_client, ready, pending)

    assert "1 document will be read again; 1 being read already." in said
    ready.refresh_from_db()
    assert ready.status == "pending"
    [job] = ProcrastinateJob.objects.all()
    assert job.args == {"document_id": str(ready.pk), "origin": job.args["origin"]}


def test_staff_who_may_only_look_may_not_reprocess(client, django_user_model):
    document = make_document(make_user())
    staff = django_user_model.objects.create_user("reader", password="x", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_document"))
    client.force_login(staff)
    empty_queue()

    act(client, document)

    document.refresh_from_db()
    assert document.status == "ready"
    assert not ProcrastinateJob.objects.exists()


def press(client, document):
    path = f"/admin/documents/document/{document.pk}/reprocess/"
    return client.post(path, follow=True)


def test_the_button_of_a_document_reads_it_again(admin_client, admin_user):
    document = make_pending(make_user())
    document.mark_failed("encrypted", "The PDF opens only with a password.")
    shown = admin_client.get(f"/admin/documents/document/{document.pk}/change/").content.decode()
    empty_queue()

    said = press(admin_client, document).content.decode()

    assert "<button>Retry</button>" in shown
    assert "1 document will be read again." in said
    assert "<button>" not in said.split("object-tools")[1]  # it is under way now
    document.refresh_from_db()
    assert (document.status, document.error) == ("pending", "")
    args = ProcrastinateJob.objects.get().args
    assert args == {"document_id": str(document.pk), "origin": args["origin"]}
    assert LogEntry.objects.get().user_id == admin_user.pk


def test_a_button_pressed_twice_reads_once(admin_client):
    document = make_document(make_user())
    empty_queue()

    press(admin_client, document)
    said = press(admin_client, document).content.decode()

    assert "0 documents will be read again; 1 being read already." in said
    assert ProcrastinateJob.objects.count() == 1


def test_staff_who_may_only_look_have_no_button(client, django_user_model):
    document = make_document(make_user())
    staff = django_user_model.objects.create_user("reader", password="x", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_document"))
    client.force_login(staff)

    shown = client.get(f"/admin/documents/document/{document.pk}/change/").content.decode()

    assert "/reprocess/" not in shown
    assert press(client, document).status_code == 403
    assert Document.objects.get().status == "ready"


def test_the_button_only_takes_posts_and_documents_that_exist(admin_client):
    document = make_document(make_user())
    path = f"/admin/documents/document/{document.pk}/reprocess/"

    assert admin_client.get(path).status_code == 405
    document.remove()
    assert admin_client.post(path).status_code == 404

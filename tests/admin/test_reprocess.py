"""The action 'Reprocess' on documents."""

import pytest
from django.contrib.auth.models import Permission
from procrastinate.contrib.django.models import ProcrastinateJob

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

    assert "1 documents will be read again; 1 are being read already." in said
    ready.refresh_from_db()
    assert ready.status == "pending"
    [job] = ProcrastinateJob.objects.all()
    assert job.args == {"document_id": str(ready.pk)}


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

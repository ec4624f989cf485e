"""The history of what staff did, which outlives what they did it to."""

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission

from documents.models import Document
from tests.factories import make_document, make_user

pytestmark = pytest.mark.django_db
PATH = "/admin/admin/logentry/"
DOCUMENTS = "/admin/documents/document/"


def delete(client, document):
    assert client.post(f"{DOCUMENTS}{document.pk}/delete/", {"post": "yes"}).status_code == 302


def listed(client, **query):
    response = client.get(PATH, query)
    assert response.status_code == 200
    return response.content.decode()


def test_the_deletion_of_a_document_is_kept_without_its_name(admin_client, admin_user):
    document = make_document(make_user(), name="secret-plans.txt")
    reprocessed = {"action": "reprocess", "_selected_action": [document.pk]}
    admin_client.post(DOCUMENTS, reprocessed)
    assert LogEntry.objects.get().object_repr == "secret-plans.txt"

    delete(admin_client, document)

    entry = LogEntry.objects.get()
    assert (entry.user_id, entry.action_flag) == (admin_user.pk, DELETION)
    assert (entry.object_id, entry.object_repr) == (str(document.pk), str(document.pk))
    assert "was deleted successfully" in listed(admin_client)  # told once, by its name
    shown = listed(admin_client, q=str(document.pk))
    assert str(document.pk) in shown
    assert "deleted" in shown
    assert "secret-plans" not in shown


def test_so_are_those_of_several(admin_client):
    user = make_user()
    documents = [make_document(user), make_document(user, "Another.", "other.txt")]
    chosen = {
        "action": "delete_selected",
        "_selected_action": [document.pk for document in documents],
        "post": "yes",
    }

    admin_client.post(DOCUMENTS, chosen)

    assert not Document.objects.exists()
    kept = {entry.object_repr for entry in LogEntry.objects.filter(action_flag=DELETION)}
    assert kept == {str(document.pk) for document in documents}


def test_what_is_there_still_can_be_opened_from_it(admin_client):
    document = make_document(make_user())
    admin_client.post(f"{DOCUMENTS}{document.pk}/reprocess/")

    shown = listed(admin_client, action_flag__exact=CHANGE)

    assert f'<a href="{DOCUMENTS}{document.pk}/change/">museum.txt</a>' in shown
    assert "Reprocessed." in shown


def test_nobody_changes_it_and_not_everybody_sees_it(admin_client, client):
    delete(admin_client, make_document(make_user()))
    entry = LogEntry.objects.get()

    assert admin_client.get(f"{PATH}add/").status_code == 403
    assert admin_client.get(f"{PATH}{entry.pk}/delete/").status_code == 403
    staff = make_user()
    staff.is_staff = True
    staff.save()
    staff.user_permissions.add(Permission.objects.get(codename="view_document"))
    client.force_login(staff)
    assert client.get(PATH).status_code == 403

"""Who waits for a bucket, a disk or a client keeps nothing that other calls need meanwhile."""

import threading
from typing import ClassVar

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync
from django.core.files.storage import FileSystemStorage
from django.db import connection
from django.test import AsyncClient

from documents.models import Document
from tests.factories import make_conversation, make_document, make_user, upload

pytestmark = pytest.mark.django_db(transaction=True)


class LookingStorage(FileSystemStorage):
    """Notes at each use whether that thread holds a connection, and which threads read files."""

    held: ClassVar[list[bool]] = []
    readers: ClassVar[list[str]] = []

    def _open(self, name, mode="rb"):
        self.readers.append(threading.current_thread().name)
        self.held.append(connection.connection is not None)
        return super()._open(name, mode)

    def _save(self, name, content):
        self.held.append(connection.connection is not None)
        return super()._save(name, content)

    def delete(self, name):
        self.held.append(connection.connection is not None)
        super().delete(name)


@pytest.fixture(autouse=True)
def _looking(settings):
    files = {"BACKEND": f"{__name__}.LookingStorage"}
    settings.STORAGES = settings.STORAGES | {"default": files}
    LookingStorage.held.clear()
    LookingStorage.readers.clear()


def sent(api, path):
    """The response to a call, of which the client has not received anything."""
    response = api.get(path)
    assert response.status_code == 200
    return response


def test_while_a_file_is_kept(api, user_id):
    assert upload(api, b"The okapi eats leaves.", user_id=user_id).status_code == 201

    assert LookingStorage.held == [False]


def test_while_a_file_is_fetched_and_sent(api):
    document = make_document(make_user())
    LookingStorage.held.clear()

    response = sent(api, f"/api/v1/documents/{document.pk}/file")

    assert LookingStorage.held == [False]
    assert connection.connection is None
    assert response.getvalue()


def test_while_the_file_of_a_deleted_document_is_removed(api):
    document = make_document(make_user())
    LookingStorage.held.clear()

    assert api.delete(f"/api/v1/documents/{document.pk}").status_code == 204

    assert LookingStorage.held == [False]
    assert not Document.objects.exists()


@pytest.mark.parametrize("path", ["documents", "conversations", "usage"])
def test_while_a_response_is_sent(api, path):
    make_conversation(make_user())

    sent(api, f"/api/v1/{path}")

    assert connection.connection is None


def test_while_staff_take_a_conversation_along(admin_client):
    conversation = make_conversation(make_user())

    sent(admin_client, f"/admin/conversations/conversation/{conversation.pk}/export.json")

    assert connection.connection is None


def test_files_of_a_download_are_read_beside_the_threads_of_questions():
    """As the server does it, where each request has one of the threads that all share."""
    document = make_document(make_user())
    LookingStorage.readers.clear()

    async def export() -> bytes:
        async with ThreadSensitiveContext():
            response = await AsyncClient().get(f"/api/v1/export?user_id={document.user_id}")
            return b"".join([part async for part in response.streaming_content])

    assert async_to_sync(export)().startswith(b"PK")
    assert [name.partition("_")[0] for name in LookingStorage.readers] == ["exporting"]

"""DELETE /users/{id}: a service key has a user forgotten."""

from uuid import uuid4

import pytest
from django.core.management import call_command

from botgpt.accounts.models import APIKey, User
from conversations.models import Conversation, Message
from documents.models import Document
from tests.factories import (
    assert_problem,
    call,
    empty_queue,
    get,
    make_conversation,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db


def forget(api, user_id, **headers):
    return call(api, "DELETE", f"/users/{user_id}", **headers)


@pytest.mark.django_db(transaction=True)
def test_a_worker_deletes_what_the_call_counted(api, user, document):
    empty_queue()
    make_conversation(user)
    make_conversation(make_user())

    response = forget(api, user.pk)

    assert response.status_code == 202
    assert response.json() == {
        "conversations": 1,
        "messages": 2,
        "documents": 1,
        "document_bytes": document.size,
        "api_keys": 0,
        "usage_entries": 0,
    }
    call_command("procrastinate", "worker", "--one-shot", "--no-listen-notify")
    assert not User.objects.filter(pk=user.pk).exists()
    assert (Document.objects.count(), Conversation.objects.count()) == (0, 1)
    assert_problem(forget(api, user.pk), 404)


def test_the_users_keys_end_at_once(api, user, settings):
    settings.OPEN_ACCESS = False
    _, own = APIKey.objects.issue("own", user)
    _, service = APIKey.objects.issue("platform")

    assert forget(api, user.pk, Authorization=f"Bearer {service}").status_code == 202

    assert_problem(get(api, "/conversations", Authorization=f"Bearer {own}"), 401)


def test_a_users_own_key_forgets_nobody(api, user, settings):
    settings.OPEN_ACCESS = False
    _, own = APIKey.objects.issue("own", user)
    headers = {"Authorization": f"Bearer {own}"}

    assert_problem(forget(api, user.pk, **headers), 403)
    assert_problem(forget(api, make_user().pk, **headers), 404)
    assert_problem(forget(api, user.pk), 401)
    assert User.objects.get(pk=user.pk).is_active


def test_who_is_not_known_is_not_found(api):
    assert_problem(forget(api, uuid4()), 404)


def test_twice_is_as_once(api, user):
    assert [forget(api, user.pk).status_code for _ in range(2)] == [202, 202]


@pytest.mark.django_db(transaction=True)
def test_a_call_for_a_user_who_goes_meanwhile_is_a_conflict(api, user_id, monkeypatch):
    real = Conversation.objects.open

    def late(**fields):
        User.objects.filter(pk=user_id).delete()
        return real(**fields)

    monkeypatch.setattr(Conversation.objects, "open", late)

    response = post(api, "/conversations", {"user_id": str(user_id), "first_message": "Hi"})

    assert_problem(response, 409, "deleted_meanwhile")
    assert not Message.objects.exists()

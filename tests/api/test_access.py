"""Who may call: keys, staff sessions, open access."""

from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from botgpt.accounts.models import APIKey, User
from tests.factories import assert_problem, get, make_conversation, make_document, make_user, post

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _closed(settings):
    settings.OPEN_ACCESS = False


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def test_without_a_key_nothing_is_served(api):
    response = get(api, "/conversations")

    assert "Bearer" in assert_problem(response, 401)["detail"]
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_key_acts_for_its_owner(api, user_id):
    _, secret = APIKey.objects.issue("shop", make_user(user_id))

    response = post(api, "/conversations", {"first_message": "Hi"}, **bearer(secret))

    assert response.status_code == 201
    assert response.json()["user_id"] == str(user_id)


def test_a_key_never_reaches_another_users_objects(api, user_id):
    _, secret = APIKey.objects.issue("shop", make_user(user_id))
    other = make_user()
    conversation, document = make_conversation(other), make_document(other)

    for path in (
        f"/conversations/{conversation.pk}",
        f"/conversations/{conversation.pk}/messages",
        f"/documents/{document.pk}",
        f"/documents/{document.pk}/chunks",
        f"/documents/{document.pk}/file",
        f"/conversations?user_id={other.pk}",
        f"/documents?user_id={other.pk}",
    ):
        assert_problem(get(api, path, **bearer(secret)), 404)
    assert get(api, "/conversations", **bearer(secret)).json()["count"] == 0
    foreign = {"first_message": "Hi", "user_id": str(other.pk)}
    assert_problem(post(api, "/conversations", foreign, **bearer(secret)), 404)


def test_a_service_key_acts_for_any_user(api):
    _, secret = APIKey.objects.issue("platform")
    new = uuid4()

    body = {"first_message": "Hi", "user_id": str(new)}
    assert post(api, "/conversations", body, **bearer(secret)).status_code == 201
    assert User.objects.get(pk=new).has_usable_password() is False


def test_an_unknown_or_revoked_key_is_refused(api, user_id):
    key, secret = APIKey.objects.issue("shop", make_user(user_id))
    assert_problem(get(api, "/models", **bearer("bot_nonsense")), 401)
    assert get(api, "/models", **bearer(secret)).status_code == 200

    APIKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())

    assert_problem(get(api, "/models", **bearer(secret)), 401)


def test_a_key_of_an_inactive_user_is_refused(api, user_id):
    _, secret = APIKey.objects.issue("shop", make_user(user_id))
    User.objects.filter(pk=user_id).update(is_active=False)

    assert_problem(get(api, "/models", **bearer(secret)), 401)


def test_the_secret_is_not_stored(user_id):
    key, secret = APIKey.objects.issue("shop")

    stored = APIKey.objects.filter(pk=key.pk).values().get()
    assert secret not in str(stored)


def test_staff_may_call_from_the_browser(admin_client, client, user_id):
    assert admin_client.get("/api/v1/models").status_code == 200
    client.force_login(make_user(user_id))
    assert_problem(client.get("/api/v1/models"), 401)


def test_createkey_prints_a_key_that_works(api, user_id, capsys):
    call_command("createkey", "shop", user=user_id)

    secret = capsys.readouterr().out.strip()
    assert get(api, "/models", **bearer(secret)).status_code == 200


def test_models_are_listed_with_their_aliases(api):
    _, secret = APIKey.objects.issue("platform")

    body = get(api, "/models", **bearer(secret)).json()

    assert body["count"] == 4
    first = body["results"][0]
    assert (first["name"], first["default"]) == ("llama-3.3-70b-versatile", True)
    assert first["aliases"] == ["llama-3.1-70b-versatile"]

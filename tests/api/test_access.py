"""Who may call: keys, staff sessions, open access."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
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


def test_an_expired_key_is_refused_and_told_so(api, user_id):
    key, secret = APIKey.objects.issue("shop", make_user(user_id))
    APIKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() + timedelta(minutes=1))
    assert get(api, "/models", **bearer(secret)).status_code == 200

    APIKey.objects.filter(pk=key.pk).update(expires_at=datetime(2026, 3, 1, tzinfo=UTC))

    problem = assert_problem(get(api, "/models", **bearer(secret)), 401, "key_expired")
    assert "expired on 2026-03-01" in problem["detail"]
    told = api.get("/openai/v1/models", headers=bearer(secret))
    assert (told.status_code, told.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "expired on 2026-03-01" in told.json()["error"]["message"]


def test_a_call_with_a_key_reads_it_in_one_query(api, user_id, django_assert_num_queries):
    user = make_user(user_id)
    User.objects.filter(pk=user_id).update(daily_tokens=500)
    _, secret = APIKey.objects.issue("shop", user, monthly_usd=Decimal("2.5"))
    get(api, "/models", **bearer(secret))  # notes the use, which is not done again for a minute

    with django_assert_num_queries(1):
        assert get(api, "/models", **bearer(secret)).status_code == 200

    key = APIKey.objects.usable(secret)
    assert [(one.whose, one.amount) for one in key.limits()] == [("key", Decimal("2.5"))]
    assert [(one.whose, one.amount) for one in key.owner.limits()] == [("user", 500)]


def test_the_use_of_a_key_is_noted_once_a_minute(api):
    key, secret = APIKey.objects.issue("platform")
    get(api, "/models", **bearer(secret))
    first = APIKey.objects.get(pk=key.pk).last_used_at
    assert first is not None
    get(api, "/models", **bearer(secret))
    assert APIKey.objects.get(pk=key.pk).last_used_at == first

    APIKey.objects.filter(pk=key.pk).update(last_used_at=first - timedelta(seconds=61))
    get(api, "/models", **bearer(secret))

    assert APIKey.objects.get(pk=key.pk).last_used_at > first


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


def test_models_are_listed_with_their_aliases(api):
    _, secret = APIKey.objects.issue("platform")

    body = get(api, "/models", **bearer(secret)).json()

    assert body["count"] == 6
    first = body["results"][0]
    assert (first["name"], first["default"]) == ("openai/gpt-oss-120b", True)
    [llama] = [one for one in body["results"] if one["name"] == "llama-3.3-70b-versatile"]
    assert llama["aliases"] == ["llama-3.1-70b-versatile"]

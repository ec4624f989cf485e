"""Request rates of keys and users: what passes, what is refused, and what that costs."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from botgpt.accounts.models import APIKey, User
from conversations.models import Conversation, Message
from documents import rates
from documents.models import Document, Rate
from documents.rates import Requests
from tests.factories import (
    assert_problem,
    events_of,
    get,
    make_conversation,
    make_pending,
    make_user,
    post,
    upload,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """A process that has leased nothing, early in a minute."""
    monkeypatch.setattr(rates, "requests", Requests())
    if timezone.now().second > 56:
        time.sleep(60 - timezone.now().second)


@pytest.fixture
def key(settings, user):
    """The headers of a service key."""
    settings.OPEN_ACCESS = False
    return headers_of()


def headers_of(owner=None):
    _, secret = APIKey.objects.issue("test", owner)
    return {"Authorization": f"Bearer {secret}"}


def in_another_process(monkeypatch):
    monkeypatch.setattr(rates, "requests", Requests())


def test_a_key_makes_so_many_requests_a_minute_and_is_told_when_the_next_begins(api, key, settings):
    settings.KEY_REQUESTS_A_MINUTE = 3
    before = timezone.now()
    for left in (2, 1, 0):
        response = get(api, "/documents", **key)
        assert response.status_code == 200
        assert response.headers["RateLimit-Policy"] == '"key";q=3;w=60'
        assert response.headers["RateLimit"].startswith(f'"key";r={left};t=')

    response = get(api, "/documents", **key)

    problem = assert_problem(response, 429, "rate_limit_exceeded")
    assert "This API key may make 3 requests a minute" in problem["detail"]
    assert 0 < problem["retry_after"] == int(response.headers["Retry-After"]) <= 60
    resets_at = datetime.fromisoformat(problem["resets_at"])
    minute = before.replace(second=0, microsecond=0) + timedelta(minutes=1)
    assert abs(resets_at - minute) <= timedelta(seconds=1)
    assert get(api, "/documents", **headers_of()).status_code == 200


def test_the_next_minute_begins_anew(api, key, settings, monkeypatch):
    settings.KEY_REQUESTS_A_MINUTE = 1
    get(api, "/documents", **key)
    assert get(api, "/documents", **key).status_code == 429

    in_another_process(monkeypatch)
    Rate.objects.update(starts=timezone.now() - timedelta(minutes=1))

    assert get(api, "/documents", **key).status_code == 200


def test_processes_share_the_limit(api, key, settings, monkeypatch):
    settings.KEY_REQUESTS_A_MINUTE = 2
    for _ in range(2):
        assert get(api, "/documents", **key).status_code == 200
        in_another_process(monkeypatch)

    assert get(api, "/documents", **key).status_code == 429


def test_what_is_refused_is_known_without_asking_the_database(
    api, key, settings, django_assert_num_queries
):
    settings.KEY_REQUESTS_A_MINUTE = 1
    for _ in range(2):
        get(api, "/documents", **key)

    with django_assert_num_queries(1):  # whose key it is
        assert get(api, "/documents", **key).status_code == 429


def test_where_no_limit_is_set_nothing_is_counted(
    api, key, user, settings, django_assert_num_queries
):
    with django_assert_num_queries(3):  # the key, which is touched, and the documents counted
        response = get(api, f"/documents?user_id={user.pk}", **key)
    assert "RateLimit" not in response.headers
    assert not Rate.objects.exists()


def test_both_limits_cost_one_statement(api, key, user, settings, django_assert_num_queries):
    settings.KEY_REQUESTS_A_MINUTE = settings.USER_REQUESTS_A_MINUTE = 10

    with django_assert_num_queries(4):
        response = get(api, f"/documents?user_id={user.pk}", **key)

    assert response.headers["RateLimit-Policy"] == '"key";q=10;w=60, "user";q=10;w=60'


def list_named(api, key, user):
    return get(api, f"/conversations?user_id={user.pk}", **key)


def open_named(api, key, user):
    body = {"user_id": str(user.pk), "first_message": "Hi"}
    return post(api, "/conversations", body, **key)


def ask_unnamed(api, key, user):
    path = f"/conversations/{user.conversations.first().pk}/messages"
    return post(api, path, {"content": "And?"}, **key)


def search_named(api, key, user):
    return post(api, "/search", {"user_id": str(user.pk), "query": "x"}, **key)


def upload_named(api, key, user):
    api.defaults["HTTP_AUTHORIZATION"] = key["Authorization"]
    return upload(api, b"text", user_id=str(user.pk))


@pytest.mark.parametrize("call", [list_named, open_named, ask_unnamed, search_named, upload_named])
def test_a_service_keys_requests_count_to_the_user_that_they_are_for(
    api, key, user, settings, call
):
    make_conversation(user)
    settings.USER_REQUESTS_A_MINUTE = 2
    for _ in range(2):
        assert call(api, key, user).status_code in (200, 201)
    kept = Message.objects.count(), Document.objects.count(), Conversation.objects.count()

    problem = assert_problem(call(api, key, user), 429, "rate_limit_exceeded")

    assert "This user may make 2 requests a minute" in problem["detail"]
    assert kept == (
        Message.objects.count(),
        Document.objects.count(),
        Conversation.objects.count(),
    )
    assert list_named(api, key, make_user()).status_code == 200


def test_a_user_who_is_refused_uses_up_nothing_of_the_key(api, key, user, settings, monkeypatch):
    settings.KEY_REQUESTS_A_MINUTE, settings.USER_REQUESTS_A_MINUTE = 4, 1
    list_named(api, key, user)
    in_another_process(monkeypatch)
    for _ in range(9):
        assert list_named(api, key, user).status_code == 429

    statuses = [list_named(api, key, make_user()).status_code for _ in range(4)]

    assert statuses == [200, 200, 200, 429]


def test_all_keys_of_a_user_count_to_the_user(api, user, settings):
    settings.OPEN_ACCESS, settings.USER_REQUESTS_A_MINUTE = False, 2
    for _ in range(2):
        assert get(api, "/conversations", **headers_of(user)).status_code == 200

    assert_problem(get(api, "/conversations", **headers_of(user)), 429)


def test_a_refused_question_makes_nothing_not_even_its_user(api, key, settings):
    settings.KEY_REQUESTS_A_MINUTE = 1
    get(api, "/documents", **key)

    body = {"user_id": str(uuid4()), "first_message": "Hi", "stream": True}
    assert_problem(post(api, "/conversations", body, **key), 429)

    assert not User.objects.filter(pk=body["user_id"]).exists()
    assert not Conversation.objects.exists()


def test_a_stream_tells_how_the_caller_stands(api, key, user, settings):
    settings.KEY_REQUESTS_A_MINUTE = 5
    body = {"user_id": str(user.pk), "first_message": "Hi", "stream": True}

    response = post(api, "/conversations", body, **key)

    assert events_of(response)[-1][1] == "message.completed"
    assert response.headers["RateLimit"].startswith('"key";r=4;t=')


def test_replays_of_a_call_count_too(api, key, user, settings):
    settings.KEY_REQUESTS_A_MINUTE = 2
    headers = {**key, "Idempotency-Key": "once"}
    body = {"user_id": str(user.pk), "first_message": "Hi"}
    first, again = (post(api, "/conversations", body, **headers) for _ in range(2))
    assert first.json() == again.json()

    assert_problem(post(api, "/conversations", body, **headers), 429, "rate_limit_exceeded")


def test_a_call_that_waits_for_a_document_is_counted_once(api, key, user, settings):
    settings.KEY_REQUESTS_A_MINUTE, settings.DOCUMENT_WAIT_SECONDS = 10, 1
    make_pending(user)
    body = {"user_id": str(user.pk), "first_message": "Hi", "mode": "grounded_rag"}

    response = post(api, "/conversations", body, **key)

    assert_problem(response, 409, "documents_not_ready")
    assert response.headers["RateLimit"].startswith('"key";r=9;t=')


def test_clients_of_openai_are_told_in_their_own_shape(api, key, user, settings):
    settings.USER_REQUESTS_A_MINUTE = 1
    messages = [{"role": "user", "content": "Hi"}]
    body = {"model": "openai/gpt-oss-20b", "messages": messages, "user": str(user.pk)}
    ask = {"content_type": "application/json", "headers": key}
    assert api.post("/openai/v1/chat/completions", json.dumps(body), **ask).status_code == 200

    response = api.post("/openai/v1/chat/completions", json.dumps(body), **ask)

    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
    error = response.json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")


def test_staff_docs_and_health_are_not_counted(api, admin_client, settings):
    settings.OPEN_ACCESS = False
    settings.KEY_REQUESTS_A_MINUTE = settings.USER_REQUESTS_A_MINUTE = 1
    for _ in range(3):
        user_id = make_user().pk
        for _ in range(2):
            path = f"/api/v1/conversations?user_id={user_id}"
            assert admin_client.get(path).status_code == 200
        assert api.get("/health/ready").status_code == 200
        assert api.get("/docs").status_code == 200
    assert not Rate.objects.exists()


def test_open_access_counts_to_users_where_that_is_set(api, user, settings):
    settings.KEY_REQUESTS_A_MINUTE = settings.USER_REQUESTS_A_MINUTE = 1

    assert list_named(api, {}, user).status_code == 200
    assert list_named(api, {}, user).status_code == 429
    assert get(api, "/conversations").status_code == 200


def test_of_a_great_limit_many_are_taken_at_once_and_all_of_it_is_given(
    user, django_assert_max_num_queries
):
    ours, limit, given = Requests(), 6_000, 0

    with django_assert_max_num_queries(200):
        while not ours.take([(user.pk, limit)])[0].is_refused:
            given += 1

    assert given == limit


def test_rows_of_days_long_over_are_removed(user):
    Requests().take([(user.pk, 5), (uuid4(), 5)])
    Rate.objects.filter(holder=user.pk).update(starts=timezone.now() - timedelta(days=3))

    rates.forget_old()

    assert Rate.objects.count() == 1
    assert not Rate.objects.filter(holder=user.pk).exists()


def test_a_process_forgets_holders_whose_minute_is_over(monkeypatch):
    monkeypatch.setattr(rates, "HOLDERS_KNOWN", 3)
    ours = Requests()
    for _ in range(3):
        ours.take([(uuid4(), 5)])
    for lease in ours._leases.values():
        lease.ends = 0

    ours.take([(uuid4(), 5)])

    assert len(ours._leases) == 1


def test_the_counters_are_not_logged():
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'documents_rate'")
        assert cursor.fetchone() == ("u",)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", [5, 300])
def test_in_parallel_just_as_many_pass_as_the_limit(limit):
    """Eight threads of two processes, by turns; two holders that overlap."""
    ours, theirs = Requests(), Requests()
    key, users = uuid4(), [uuid4(), uuid4()]
    barrier = threading.Barrier(8)

    def take(number):
        barrier.wait()
        process = (ours, theirs)[number % 2]
        limits = [(key, limit), (users[number % 2], 10_000)]
        try:
            turns = range(2 * limit)
            return sum(not process.take(limits)[0].is_refused for _ in turns)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        given = sum(threads.map(take, range(8)))

    assert given <= limit
    # What a process has leased when the other is refused goes unused.
    assert given >= limit * 0.97

"""GET /usage, and the usage that each answer tells."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.utils import timezone

from botgpt.accounts.models import APIKey
from conversations.models import UsageEntry
from tests import fake_groq
from tests.factories import (
    assert_problem,
    get,
    make_conversation,
    make_document,
    make_usage,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db

# 36 new prompt tokens at 0.15, 64 cached at 0.075, 20 of the answer at 0.60 USD a million.
LARGE = Decimal("0.0000222")
# The same of gpt-oss-20b: 0.075, cached 0.0375, 0.30.
SMALL = Decimal("0.0000111")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def ask(api, user_id, **fields):
    body = {"user_id": str(user_id), "first_message": "Hello", **fields}
    response = post(api, "/conversations", body)
    assert response.status_code == 201, response.content
    return response.json()


def rows(api, query="", **headers):
    response = get(api, f"/usage{query}", **headers)
    assert response.status_code == 200, response.content
    return response.json()["results"]


def test_each_answer_tells_its_tokens_and_its_exact_cost(api, user_id, groq):
    usage = ask(api, user_id)["answer"]["usage"]

    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (100, 20)
    assert usage["cached_tokens"] == 64
    assert Decimal(usage["cost_usd"]) == LARGE


def test_cached_tokens_cost_less_where_the_model_has_a_cache(api, user_id, groq):
    usage = ask(api, user_id, model="llama-3.3-70b-versatile")["answer"]["usage"]

    assert Decimal(usage["cost_usd"]) == Decimal("0.0000748")  # 100 at 0.59, 20 at 0.79
    usage = ask(api, user_id, model="openai/gpt-oss-20b")["answer"]["usage"]
    assert Decimal(usage["cost_usd"]) == SMALL


def test_usage_is_told_by_day_unless_asked_otherwise(api, user_id, groq):
    ask(api, user_id)
    ask(api, user_id)

    body = get(api, f"/usage?user_id={user_id}").json()

    (row,) = body["results"]
    assert row == {"day": timezone.now().date().isoformat(), **body["total"]}
    assert (row["calls"], row["answers"], row["total_tokens"]) == (2, 2, 240)
    assert (row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"]) == (200, 40, 128)
    assert Decimal(row["cost_usd"]) == 2 * LARGE


def test_the_writing_of_searches_is_a_purpose_of_its_own(api, user, user_id, groq):
    document = make_document(user)
    grounded = make_conversation(user, mode="grounded_rag", documents=[document])
    groq.script(fake_groq.answer('{"question": "What does a ticket cost?"}'))
    asked = post(api, f"/conversations/{grounded.pk}/messages", {"content": "And what of it?"})
    answer = asked.json()["answer"]

    by_purpose = {row["purpose"]: row for row in rows(api, "?group_by=purpose,model")}

    assert by_purpose["rewrite"]["model"] == "openai/gpt-oss-20b"
    assert Decimal(by_purpose["rewrite"]["cost_usd"]) == SMALL
    assert (by_purpose["rewrite"]["calls"], by_purpose["rewrite"]["answers"]) == (1, 0)
    assert Decimal(answer["usage"]["cost_usd"]) == SMALL + LARGE
    assert answer["usage"]["total_tokens"] == 240


def test_it_is_grouped_by_day_model_and_user_at_once(api, user):
    other = make_user()
    make_usage(user, NOON)
    make_usage(user, NOON)
    make_usage(user, NOON + timedelta(days=1), model="openai/gpt-oss-20b")
    make_usage(other, NOON)

    found = rows(api, "?group_by=day,model,user&from=2026-03-01&to=2026-03-31")

    assert [(row["day"], row["model"], row["user_id"], row["calls"]) for row in found] == [
        ("2026-03-03", "openai/gpt-oss-20b", str(user.pk), 1),
        ("2026-03-02", "openai/gpt-oss-120b", str(user.pk), 2),
        ("2026-03-02", "openai/gpt-oss-120b", str(other.pk), 1),
    ]


def test_days_are_utc_and_both_ends_count(api, user):
    for hours in (-1, 0, 23, 24):
        make_usage(user, datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=hours))

    (row,) = rows(api, "?from=2026-03-02&to=2026-03-02")

    assert (row["day"], row["calls"]) == ("2026-03-02", 2)


def test_only_the_last_thirty_days_unless_told(api, user):
    make_usage(user, timezone.now() - timedelta(days=29))
    make_usage(user, timezone.now() - timedelta(days=31))

    assert [row["calls"] for row in rows(api)] == [1]


def test_it_comes_in_pages_with_the_total_of_all(api, user, django_assert_num_queries):
    for day in range(5):
        make_usage(user, NOON - timedelta(days=day))

    with django_assert_num_queries(3):
        body = get(api, "/usage?from=2026-02-01&to=2026-03-31&limit=2&page=2").json()

    assert body["count"] == 5
    assert [row["day"] for row in body["results"]] == ["2026-02-28", "2026-02-27"]
    assert "page=3" in body["next"]
    assert (body["total"]["calls"], body["total"]["total_tokens"]) == (5, 600)


def test_no_usage_is_an_empty_list_and_a_total_of_nothing(api, user_id):
    body = get(api, f"/usage?user_id={user_id}").json()

    assert (body["count"], body["results"]) == (0, [])
    assert body["total"]["total_tokens"] == 0
    assert Decimal(body["total"]["cost_usd"]) == 0


def test_a_key_sees_its_owners_usage_alone(api, user, settings):
    settings.OPEN_ACCESS = False
    _, secret = APIKey.objects.issue("shop", user)
    bearer = {"Authorization": f"Bearer {secret}"}
    make_usage(user)
    make_usage(make_user())

    assert [row["calls"] for row in rows(api, "?group_by=user", **bearer)] == [1]
    assert_problem(get(api, f"/usage?user_id={uuid4()}", **bearer), 404)
    assert_problem(get(api, "/usage"), 401)


def test_the_key_that_asked_is_told(api, user, groq, settings):
    settings.OPEN_ACCESS = False
    key, secret = APIKey.objects.issue("shop", user)
    bearer = {"Authorization": f"Bearer {secret}"}
    post(api, "/conversations", {"first_message": "Hello"}, **bearer)
    make_usage(user)

    found = {row["key_id"]: row["calls"] for row in rows(api, "?group_by=key", **bearer)}

    assert found == {str(key.pk): 1, None: 1}


def test_usage_outlives_its_conversation(api, user_id, groq):
    opened = ask(api, user_id)

    assert api.delete(f"/api/v1/conversations/{opened['id']}").status_code == 204

    assert [row["total_tokens"] for row in rows(api)] == [120]


def test_an_answer_whose_usage_the_provider_keeps_to_itself_is_estimated(api, user_id, groq):
    groq.script(lambda handler, request: without_usage(handler, request))

    usage = ask(api, user_id)["answer"]["usage"]

    assert usage["prompt_tokens"] > 60
    assert usage["completion_tokens"] > 0
    assert UsageEntry.objects.get().estimated


def without_usage(handler, request):
    handler.start_events()
    handler.send_event(fake_groq._chunk(request, {"content": "good"}, "stop"))
    handler.send_line("data: [DONE]")
    handler.end_events()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("group_by=colour", "group_by"),
        ("from=yesterday", "from"),
        ("from=2026-03-02&to=2026-03-01", "from"),
        ("from=2020-01-01&to=2026-01-01", "from"),
        ("from=0001-01-01&to=0001-01-01", "from"),
        ("to=9999-12-31", "to"),
        ("from=2026-03-02&from=2026-03-01", "from"),
        ("user_id=me", "user_id"),
        ("limit=0", "limit"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(api, query, field):
    assert field in assert_problem(get(api, f"/usage?{query}"), 400, "invalid")["errors"]

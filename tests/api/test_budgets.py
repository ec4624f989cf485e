"""Budgets of users and keys: refusals, reservations, resets, and GET /budgets."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from botgpt.accounts.models import APIKey, User
from conversations import budgets, exceptions
from conversations.models import Conversation, Message, Spending, UsageEntry
from conversations.models.conversation import Asking
from conversations.models.usage import Amount
from llm.messages import Usage
from tests import fake_groq
from tests.factories import (
    assert_problem,
    complete,
    events_of,
    get,
    make_conversation,
    make_usage,
    make_user,
    post,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db

MODEL = "openai/gpt-oss-120b"
# What the scripted model says that an answer took.
TOOK = 120
EVENING = datetime(2026, 3, 31, 23, 59, 50, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _small_answers(settings):
    settings.ANSWER_TOKENS = 100


def allow(holder, **budget):
    type(holder).objects.filter(pk=holder.pk).update(**budget)
    holder.refresh_from_db()


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def open_one(api, user, message="Hello", **headers):
    body = {"user_id": str(user.pk), "first_message": message}
    return post(api, "/conversations", body, **headers)


def asked(user, at=None, charged_to=()):
    """An answer to come, with the limits that hold for it."""
    asking = Asking(charged_to=charged_to, limits=user.limits())
    _, _, answer = Conversation.objects.open(
        user=user, content="Hello", documents=[], asking=asking, model=MODEL, mode="open_chat"
    )
    if at:
        Message.objects.filter(pk=answer.pk).update(started_at=at)
        answer.started_at = at
    return answer


def spent(holder, period="day"):
    row = Spending.objects.filter(holder=holder.pk, period=period).first()
    return row.tokens if row else None


def test_without_a_budget_nothing_is_reserved_or_refused(api, user, groq):
    assert open_one(api, user).status_code == 201

    assert not Spending.objects.exists()
    assert UsageEntry.objects.get().prompt_tokens == 100


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ({"daily_tokens": TOOK}, "daily budget of this user is 120 tokens: 120 tokens are"),
        ({"monthly_tokens": TOOK}, "monthly budget of this user is 120 tokens"),
        ({"daily_usd": Decimal("0.0000")}, "daily budget of this user is 0.00 USD: 0.0000748 USD"),
        ({"monthly_usd": Decimal("0.0000")}, "monthly budget of this user is 0.00 USD"),
    ],
)
def test_a_budget_that_is_used_up_refuses_before_anything_is_kept(api, user, groq, budget, told):
    make_usage(user)
    allow(user, **budget)

    response = open_one(api, user)

    problem = assert_problem(response, 429, "budget_exceeded")
    assert told in problem["detail"]
    ends = datetime.fromisoformat(problem["resets_at"])
    assert ends.time() == datetime.min.time()
    assert problem["resets_at"] in problem["detail"]
    wait = (ends - timezone.now()).total_seconds()
    assert wait - 1 < int(response.headers["Retry-After"]) <= wait + 61
    assert groq.received == []
    assert not Message.objects.exists()


def test_an_answer_that_could_take_more_than_is_left_is_refused_and_its_question_kept(
    api, user, groq
):
    allow(user, daily_tokens=150)

    problem = assert_problem(open_one(api, user), 429, "budget_exceeded")

    assert "0 tokens are spent or reserved, and this answer may take" in problem["detail"]
    assert groq.received == []
    answer = Message.objects.get(pk=problem["answer_id"])
    assert (answer.status, answer.error_code) == ("failed", "budget_exceeded")
    assert answer.error == problem["detail"]
    assert answer.reserved_tokens == 0
    assert spent(user) == 0

    allow(user, daily_tokens=10_000)
    path = f"/conversations/{problem['conversation_id']}/messages/{answer.pk}"
    assert_problem(get(api, f"{path}/nothing"), 404)
    assert post(api, f"{path}/retry").status_code == 201


def test_a_stream_tells_the_refusal_as_an_event(api, user, groq):
    allow(user, daily_tokens=150)
    body = {"user_id": str(user.pk), "first_message": "Hello", "stream": True}

    *_, (_, name, problem) = events_of(post(api, "/conversations", body))

    assert name == "error"
    assert problem["status"] == 429
    assert problem["resets_at"]


def test_what_an_answer_did_not_take_is_released(api, user, groq):
    allow(user, daily_tokens=10_000, monthly_usd=Decimal(1))

    open_one(api, user)

    assert (spent(user), spent(user, "month")) == (TOOK, TOOK)
    assert Spending.objects.get(period="month").usd == Decimal("0.0000222")
    answer = Message.objects.get(role="assistant")
    assert (answer.reserved_tokens, answer.reserved_usd) == (0, 0)


def test_a_failure_releases_what_was_reserved(api, user, groq):
    allow(user, daily_tokens=10_000)
    groq.script(fake_groq.error(500))

    assert_problem(open_one(api, user), 503)

    assert spent(user) == 0


def test_an_answer_cut_short_is_charged_for_what_was_said(api, user, groq):
    allow(user, daily_tokens=10_000)
    groq.script(fake_groq.cut(words=4))

    assert_problem(open_one(api, user), 502)

    entry = UsageEntry.objects.get()
    assert entry.estimated
    assert entry.completion_tokens > 4
    assert spent(user) == entry.prompt_tokens + entry.completion_tokens


def test_a_key_and_its_user_each_have_their_own(api, user, groq, settings):
    settings.OPEN_ACCESS = False
    key, secret = APIKey.objects.issue("platform")
    other = make_user()
    allow(key, daily_tokens=2 * TOOK + 10)
    allow(user, daily_tokens=10_000)
    make_usage(other, key_id=key.pk)
    make_usage(user)

    problem = assert_problem(open_one(api, user, **bearer(secret)), 429)
    assert "of this API key is 250 tokens: 120 tokens" in problem["detail"]

    allow(key, daily_tokens=10_000)
    allow(user, daily_tokens=TOOK)
    problem = assert_problem(open_one(api, user, **bearer(secret)), 429)
    assert "of this user is 120 tokens: 120 tokens" in problem["detail"]

    allow(user, daily_tokens=10_000)
    assert open_one(api, user, **bearer(secret)).status_code == 201
    assert (spent(key), spent(user)) == (2 * TOOK, 2 * TOOK)


def test_where_one_of_two_budgets_refuses_the_other_reserves_nothing(api, user, groq, settings):
    settings.OPEN_ACCESS = False
    key, secret = APIKey.objects.issue("shop", user)
    allow(user, daily_tokens=10_000)
    allow(key, monthly_tokens=50)

    assert_problem(open_one(api, user, **bearer(secret)), 429)

    assert (spent(user), spent(key, "month")) == (0, 0)


def test_of_two_budgets_used_up_the_one_that_resets_last_is_told(api, user, groq):
    make_usage(user)
    allow(user, daily_tokens=1, monthly_tokens=1)

    problem = assert_problem(open_one(api, user), 429)

    assert "monthly" in problem["detail"]


def test_a_question_that_no_model_answers_is_never_refused(api, user, document):
    make_usage(user)
    allow(user, daily_tokens=1)
    body = {
        "user_id": str(user.pk),
        "first_message": "What does a ticket cost?",
        "mode": "grounded_rag",
    }

    assert post(api, "/conversations", body).status_code == 201


def test_a_budget_begins_anew_with_the_day_and_the_month(user):
    allow(user, daily_tokens=1000, monthly_tokens=1500)
    most = Usage(500, 100)
    budgets.reserve(asked(user, EVENING), [MODEL], most)
    with pytest.raises(exceptions.BudgetExceeded, match="resets at 2026-04-01T00:00:00Z"):
        budgets.reserve(asked(user, EVENING), [MODEL], most)

    budgets.reserve(asked(user, EVENING + timedelta(seconds=10)), [MODEL], most)

    days = Spending.objects.filter(period="day").order_by("starts")
    assert list(days.values_list("tokens", flat=True)) == [600, 600]
    assert Spending.objects.filter(period="month").count() == 2


def test_an_answer_that_ends_after_midnight_counts_to_the_day_it_was_asked_for(user):
    allow(user, daily_tokens=1000)
    answer = asked(user, EVENING)
    budgets.reserve(answer, [MODEL], Usage(500, 100))

    answer.refresh_from_db()
    answer.interrupt()

    entry = UsageEntry.objects.get()
    assert entry.created_at == EVENING
    day = Spending.objects.get()
    assert (day.starts.isoformat(), day.tokens) == ("2026-03-31", 600)


def test_an_answer_whose_process_died_counts_as_what_was_reserved(user):
    allow(user, daily_tokens=1000, daily_usd=Decimal(1))
    answer = asked(user)
    budgets.reserve(answer, [MODEL], Usage(500, 100))

    for _ in range(2):  # as two readers may who find it at the same time
        Message.objects.get(pk=answer.pk).interrupt()

    entry = UsageEntry.objects.get()
    assert (entry.prompt_tokens, entry.completion_tokens, entry.estimated) == (500, 100, True)
    assert entry.cost_usd == Decimal("0.000135")
    row = Spending.objects.get()
    assert (row.tokens, row.usd) == (600, Decimal("0.000135"))
    stored = Message.objects.get(pk=answer.pk)
    assert (stored.status, stored.reserved_tokens, stored.total_tokens) == ("interrupted", 0, 600)
    assert stored.cost_usd == Decimal("0.000135")


def test_an_answer_that_ended_while_it_was_taken_for_dead_stays_as_it_ended(user):
    answer = asked(user)
    complete(Message.objects.get(pk=answer.pk), "Whole.")

    answer.interrupt()

    stored = Message.objects.get(pk=answer.pk)
    assert (stored.status, stored.content, answer.content) == ("completed", "Whole.", "Whole.")


def test_a_new_budget_begins_with_what_is_spent_and_under_way(user):
    allow(user, daily_tokens=5000)
    make_usage(user)
    make_usage(user, timezone.now() - timedelta(days=40))
    make_usage(make_user())
    budgets.reserve(asked(user), [MODEL], Usage(500, 100))

    allow(user, daily_tokens=5000, monthly_tokens=5000)
    budgets.reserve(asked(user), [MODEL], Usage(500, 100))

    assert (spent(user), spent(user, "month")) == (TOOK + 1200, TOOK + 1200)


def test_what_ends_without_a_reservation_counts_to_a_budget_made_meanwhile(user):
    allow(user, daily_tokens=5000)
    budgets.reserve(asked(user), [MODEL], Usage(500, 100))

    make_usage(user, purpose="title")

    assert spent(user) == 600 + TOOK


def test_an_answer_that_has_ended_reserves_nothing_any_more(user):
    allow(user, daily_tokens=5000)
    answer = asked(user)
    Message.objects.filter(pk=answer.pk).update(status="cancelled")

    with pytest.raises(Message.DoesNotExist):
        budgets.reserve(answer, [MODEL], Usage(500, 100))

    assert spent(user) == 0


@pytest.mark.django_db(transaction=True)
def test_an_answer_deleted_meanwhile_is_paid_for_all_the_same(api, user, groq):
    allow(user, daily_tokens=10_000)
    groq.script(delete_and_answer)

    assert_problem(open_one(api, user), 404)

    assert spent(user) == TOOK
    assert UsageEntry.objects.get().prompt_tokens == 100


def delete_and_answer(handler, request):
    """The conversation is deleted while the model speaks."""
    Conversation.objects.all().delete()
    connection.close()
    fake_groq.answer("Too late.")(handler, request)


def test_the_dearest_model_that_may_stand_in_is_reserved_for():
    small, large = "openai/gpt-oss-20b", "llama-3.3-70b-versatile"
    usage = Usage(1000, 100)

    alone, together = budgets.bound([small], usage), budgets.bound([small, large], usage)

    assert (alone.tokens, alone.usd) == (1100, Decimal("0.000105"))
    # Llama's tokens are counted with a margin, of 15 in a hundred.
    assert (together.tokens, together.usd) == (1250, Decimal("0.0007575"))


def test_searches_are_written_by_words_alone_where_a_budget_has_nothing_left_for_a_model(
    api, user, document, groq
):
    grounded = make_conversation(user, mode="grounded_rag", documents=[document])
    allow(user, daily_tokens=400)

    response = post(api, f"/conversations/{grounded.pk}/messages", {"content": "And what of it?"})

    assert groq.received == []
    answer = grounded.messages.get(position=3)
    assert answer.retrieval.rewrite_failure == "budget_exceeded"
    assert spent(user) == 0
    assert response.status_code in (201, 429)


def test_the_writing_of_searches_is_reserved_for_and_settled(api, user, document, groq):
    grounded = make_conversation(user, mode="grounded_rag", documents=[document])
    allow(user, daily_tokens=10_000)
    groq.script(fake_groq.answer('{"question": "What does a ticket cost?"}'))

    post(api, f"/conversations/{grounded.pk}/messages", {"content": "And what of it?"})

    assert len(groq.received) == 2
    assert spent(user) == 2 * TOOK


@pytest.mark.django_db(transaction=True)
def test_parallel_reservations_never_exceed_the_budget():
    user = make_user()
    allow(user, daily_tokens=5 * 600, monthly_tokens=100 * 600)
    answers = [asked(user) for _ in range(20)]
    barrier, outcomes = threading.Barrier(20), []

    def reserve(answer):
        try:
            barrier.wait()
            budgets.reserve(answer, [MODEL], Usage(500, 100))
            outcomes.append("reserved")
        except exceptions.BudgetExceeded:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=reserve, args=[answer]) for answer in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["refused"] * 15 + ["reserved"] * 5
    assert (spent(user), spent(user, "month")) == (3000, 3000)
    assert Message.objects.filter(reserved_tokens=600).count() == 5


@pytest.mark.django_db(transaction=True)
def test_what_is_charged_while_the_row_is_made_is_counted_once():
    user = make_user()
    allow(user, daily_tokens=100_000)
    answer = asked(user)
    barrier = threading.Barrier(11)

    def charge():
        barrier.wait()
        for _ in range(5):
            make_usage(user, purpose="title")
        connection.close()

    threads = [threading.Thread(target=charge) for _ in range(10)]
    for thread in threads:
        thread.start()
    barrier.wait()
    budgets.reserve(answer, [MODEL], Usage(500, 100))
    for thread in threads:
        thread.join()

    assert spent(user) == 600 + 50 * TOOK


@pytest.mark.django_db(transaction=True)
def test_keys_and_users_that_overlap_never_wait_for_each_other():
    users = [make_user() for _ in range(4)]
    keys = [APIKey.objects.issue(f"key {n}")[0] for n in range(4)]
    for holder in (*users, *keys):
        allow(holder, daily_tokens=100_000, monthly_tokens=100_000)
    errors = []

    def spend(number):
        try:
            for turn in range(8):
                user, key = users[(number + turn) % 4], keys[(number * 3 + turn * 2) % 4]
                answer = asked(user, charged_to=(key.pk,))
                answer.limits = (*user.limits(), *key.limits())
                budgets.reserve(answer, [MODEL], Usage(100, 20))
                Message.objects.get(pk=answer.pk).interrupt()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=spend, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert sum(spent(user) for user in users) == sum(spent(key) for key in keys) == 48 * 120
    assert UsageEntry.objects.count() == 48


def wait_until_it_waits_for_a_row():
    """Some other connection to this database."""
    waiting = """SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    with connection.cursor() as cursor:

        def some_wait():
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            return cursor.execute(waiting).fetchone()[0]

        wait_for(some_wait)


@pytest.mark.django_db(transaction=True)
def test_rows_are_counted_to_in_one_order_however_they_lie():
    now, (first, last) = timezone.now(), sorted(uuid4() for _ in range(2))
    for holder in (last, first):
        Spending.objects.create(holder=holder, period="day", starts=now.date())
    errors = []

    def count():
        try:
            with transaction.atomic():
                Spending.objects.count_in([last, first], now, Amount(1))
        except OperationalError as error:
            errors.append(error)
        finally:
            connection.close()

    with transaction.atomic():
        Spending.objects.select_for_update().get(holder=first)
        counting = threading.Thread(target=count)
        counting.start()
        wait_until_it_waits_for_a_row()
        Spending.objects.select_for_update(nowait=True).get(holder=last)
    counting.join()

    assert errors == []
    assert list(Spending.objects.values_list("tokens", flat=True)) == [1, 1]


def test_budgets_are_told_with_what_is_left(api, user):
    make_usage(user)
    allow(user, daily_tokens=1000, daily_usd=Decimal("0.5"), monthly_tokens=100)

    body = get(api, f"/budgets?user_id={user.pk}").json()

    day, month = body["results"]
    assert body["count"] == 2
    assert (day["whose"], day["id"], day["period"]) == ("user", str(user.pk), "day")
    assert day["tokens"] == {"limit": 1000, "spent": 120, "remaining": 880}
    assert day["usd"] == {"limit": "0.50000000", "spent": "0.00007480", "remaining": "0.49992520"}
    assert month["tokens"] == {"limit": 100, "spent": 120, "remaining": 0}
    assert month["usd"] is None
    tomorrow = timezone.now().date() + timedelta(days=1)
    assert day["resets_at"] == f"{tomorrow}T00:00:00Z"
    assert not Spending.objects.exists()


def test_a_key_is_told_its_own_budget_and_its_owners(api, user, settings):
    settings.OPEN_ACCESS = False
    key, secret = APIKey.objects.issue("shop", user)
    allow(user, daily_tokens=1000)
    allow(key, monthly_usd=Decimal(2))

    results = get(api, "/budgets", **bearer(secret)).json()["results"]

    assert [(row["whose"], row["period"]) for row in results] == [("user", "day"), ("key", "month")]
    assert_problem(get(api, f"/budgets?user_id={make_user().pk}", **bearer(secret)), 404)
    assert_problem(get(api, "/budgets"), 401)


def test_without_budgets_the_list_is_empty(api, user):
    assert get(api, f"/budgets?user_id={user.pk}").json()["results"] == []
    assert get(api, "/budgets").json()["count"] == 0


def test_a_month_that_is_told_is_the_one_that_it_is(user):
    december = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)

    begins, ends = Spending.Period.MONTH.bounds(december)

    assert (begins.isoformat(), ends.isoformat()) == (
        "2026-12-01T00:00:00+00:00",
        "2027-01-01T00:00:00+00:00",
    )
    assert User.objects.get(pk=user.pk).limits() == ()


def test_clients_of_openai_are_told_that_their_quota_is_used_up(api, user, groq):
    make_usage(user)
    allow(user, daily_tokens=TOOK)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "user": str(user.pk)}

    response = api.post("/openai/v1/chat/completions", body, "application/json")

    assert response.status_code == 429
    assert response.json()["error"]["code"] == "insufficient_quota"
    assert int(response.headers["Retry-After"]) > 0
    assert groq.received == []

"""Titles: written by the small model after the first answer, and never over the user's own."""

import threading
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from botgpt.accounts.models import APIKey, User
from conversations import tasks
from conversations.models import Conversation, Message, Spending, UsageEntry
from llm import catalogue
from llm.messages import Usage
from tests import fake_groq
from tests.factories import empty_queue, get, patch, post

pytestmark = pytest.mark.django_db

QUESTION = "What does a ticket to the old museum at the harbour cost for two adults?"
FIRST_WORDS = "What does a ticket to the old museum at the"


def write_titles():
    async_to_sync(tasks.write_titles.func)(timestamp=0)


def opened(api, user_id, **fields):
    body = {"user_id": str(user_id), "first_message": QUESTION, **fields}
    return Conversation.objects.get(pk=post(api, "/conversations", body).json()["id"])


def test_a_conversation_is_named_after_its_first_answer(api, user_id, groq):
    conversation = opened(api, user_id)
    assert conversation.title == FIRST_WORDS
    groq.script(fake_groq.answer('Title: "Museum Ticket Prices."'))

    write_titles()

    shown = get(api, f"/conversations/{conversation.pk}").json()
    assert shown["title"] == "Museum Ticket Prices"
    asked = groq.received[-1].body
    assert (asked["model"], asked["reasoning_effort"]) == ("openai/gpt-oss-20b", "low")
    assert QUESTION in asked["messages"][-1]["content"]
    assert "You asked" in asked["messages"][-1]["content"]


def test_naming_is_no_change_by_the_user_and_is_charged(api, user_id, groq):
    before = opened(api, user_id)
    groq.script(fake_groq.answer("Museum Ticket Prices"))

    write_titles()

    after = Conversation.objects.get()
    assert (after.updated_at, after.title_due) == (before.updated_at, False)
    entry = UsageEntry.objects.get(purpose="title")
    assert (entry.model, entry.prompt_tokens, entry.user_id) == ("openai/gpt-oss-20b", 100, user_id)
    assert entry.cost_usd > 0


@pytest.mark.parametrize(
    ("named", "answering", "effort"),
    [
        ("llama-3.1-8b-instant", "openai/gpt-oss-20b", "low"),
        ("qwen/qwen3.6-27b", "qwen/qwen3.6-27b", "none"),
    ],
)
def test_whoever_writes_a_title_thinks_little_and_is_paid_for_it(
    api, user_id, groq, settings, named, answering, effort
):
    settings.GROQ_SMALL_MODEL = named
    groq.server.offered = fake_groq.ORDINARY
    opened(api, user_id)

    write_titles()

    asked = groq.received[-1].body
    assert (asked["model"], asked["reasoning_effort"]) == (answering, effort)
    entry = UsageEntry.objects.get(purpose="title")
    cost = catalogue.find(answering).cost(Usage(100, 20, 64))
    assert (entry.model, entry.cost_usd) == (answering, cost)


def test_each_is_named_once(api, user_id, groq):
    opened(api, user_id)

    write_titles()
    write_titles()

    assert len(groq.received) == 2  # the answer and its conversation's title


@pytest.mark.django_db(transaction=True)
def test_a_title_that_the_user_gives_meanwhile_stays(api, user_id, groq):
    conversation = opened(api, user_id)

    def named_by_the_user_meanwhile(handler, request):
        patch(api, f"/conversations/{conversation.pk}", {"title": "My own"})
        connection.close()  # this thread's own
        fake_groq.answer("Museum Ticket Prices")(handler, request)

    groq.script(named_by_the_user_meanwhile)
    write_titles()

    conversation.refresh_from_db()
    assert (conversation.title, conversation.title_due) == ("My own", False)


@pytest.mark.parametrize(
    "reply", [fake_groq.answer('"..."'), fake_groq.empty(), fake_groq.error(400)]
)
def test_a_useless_title_leaves_the_first_words_for_good(api, user_id, groq, reply):
    conversation = opened(api, user_id)
    groq.script(reply)

    write_titles()
    write_titles()

    conversation.refresh_from_db()
    assert (conversation.title, conversation.title_due) == (FIRST_WORDS, False)
    assert len(groq.received) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_model_that_cannot_answer_now_is_asked_again_for_some_minutes(api, user_id, groq, status):
    conversation = opened(api, user_id)
    groq.script(fake_groq.error(status), fake_groq.error(status))

    write_titles()
    conversation.refresh_from_db()
    assert conversation.title_due
    Message.objects.update(started_at=timezone.now() - timedelta(minutes=6))
    write_titles()

    conversation.refresh_from_db()
    assert (conversation.title, conversation.title_due) == (FIRST_WORDS, False)


def test_a_model_out_of_service_is_not_asked_for_every_title_there_is(api, user_id, groq):
    for _ in range(9):
        opened(api, user_id)
    groq.script(*[fake_groq.error(503)] * 20)

    write_titles()

    assert len(groq.received) == 9 + 4


def test_several_are_written_at_once(api, user_id, groq):
    for _ in range(4):
        opened(api, user_id)
    together = threading.Barrier(4, timeout=30)

    def when_all_are_asked_for(handler, request):
        together.wait()
        fake_groq.answer("Museum Tickets")(handler, request)

    groq.script(*[when_all_are_asked_for] * 4)
    write_titles()

    assert {one.title for one in Conversation.objects.all()} == {"Museum Tickets"}


def test_only_what_has_an_answer_is_named(api, user_id, groq):
    groq.script(fake_groq.error(500))
    opened_by = {"user_id": str(user_id), "first_message": QUESTION}
    failed = post(api, "/conversations", opened_by).json()

    write_titles()
    assert len(groq.received) == 1

    path = f"/conversations/{failed['conversation_id']}/messages/{failed['answer_id']}/retry"
    assert post(api, path).status_code == 201
    groq.script(fake_groq.answer("Museum Tickets"))
    write_titles()
    assert Conversation.objects.get().title == "Museum Tickets"


def test_what_has_no_answer_after_a_day_is_looked_at_no_more(api, user_id, groq):
    groq.script(fake_groq.error(500))
    post(api, "/conversations", {"user_id": str(user_id), "first_message": QUESTION})
    Conversation.objects.update(created_at=timezone.now() - timedelta(hours=25))

    write_titles()

    assert not Conversation.objects.get().title_due


def test_a_title_that_was_given_is_kept(api, user_id, groq):
    opened(api, user_id, title="My own")

    write_titles()

    assert Conversation.objects.get().title == "My own"
    assert len(groq.received) == 1


def test_without_a_key_nothing_is_due(api, user_id, settings, groq):
    conversation = opened(api, user_id)
    settings.GROQ_API_KEY = ""

    write_titles()

    conversation.refresh_from_db()
    assert (conversation.title, conversation.title_due) == (FIRST_WORDS, True)


@pytest.mark.django_db(transaction=True)
def test_the_worker_names_conversations(api, user_id, groq):
    conversation = opened(api, user_id)
    groq.script(fake_groq.answer("Museum Ticket Prices"))

    empty_queue()
    tasks.write_titles.defer(timestamp=0)
    call_command("procrastinate", "worker", "--one-shot", "--no-listen-notify")

    conversation.refresh_from_db()
    assert conversation.title == "Museum Ticket Prices"


def test_a_title_counts_to_the_budget_and_releases_what_it_did_not_take(api, user, groq):
    User.objects.filter(pk=user.pk).update(daily_tokens=10_000)
    opened(api, user.pk)
    groq.script(fake_groq.answer("Museum Ticket Prices"))

    write_titles()

    assert Conversation.objects.get().title == "Museum Ticket Prices"
    assert Spending.objects.get(holder=user.pk).tokens == 240


def test_where_a_budget_is_used_up_the_first_words_stay(api, user, groq):
    opened(api, user.pk)
    User.objects.filter(pk=user.pk).update(monthly_tokens=500)

    write_titles()

    conversation = Conversation.objects.get()
    assert (conversation.title, conversation.title_due) == (FIRST_WORDS, False)
    assert len(groq.received) == 1
    assert Spending.objects.get(holder=user.pk).tokens == 120


def test_the_budget_of_the_key_that_asked_holds_for_the_title(api, user, groq):
    key, secret = APIKey.objects.issue("shop", user)
    bearer = {"Authorization": f"Bearer {secret}"}
    post(api, "/conversations", {"first_message": QUESTION}, **bearer)
    APIKey.objects.filter(pk=key.pk).update(daily_tokens=500)

    write_titles()

    assert len(groq.received) == 1
    assert Spending.objects.get(holder=key.pk).tokens == 120


def test_a_title_that_fails_releases_what_was_reserved(api, user, groq):
    User.objects.filter(pk=user.pk).update(daily_tokens=10_000)
    opened(api, user.pk)
    groq.script(fake_groq.error(500))

    write_titles()

    assert Spending.objects.get(holder=user.pk).tokens == 120


def test_a_title_that_was_only_thought_of_is_charged_and_the_first_words_stay(api, user_id, groq):
    conversation = opened(api, user_id)
    groq.script(fake_groq.thoughts_alone(400))

    write_titles()

    conversation.refresh_from_db()
    assert (conversation.title, conversation.title_due) == (FIRST_WORDS, False)
    assert UsageEntry.objects.get(purpose="title").completion_tokens == 400

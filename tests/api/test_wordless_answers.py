"""What the provider reports is paid for, whatever became of the answer."""

import json

import pytest
from django.db import connection
from django.db.models import Sum

from conversations.models import Conversation, Message, Spending, UsageEntry
from tests import fake_groq
from tests.factories import (
    assert_problem,
    call,
    events_of,
    get,
    make_conversation,
    make_document,
    post,
)

pytestmark = pytest.mark.django_db

PATH = "/conversations"
# With the tokens of the prompt, as the scripted model reports them.
TOOK = 2_000


def ask(api, user, **more):
    return post(api, PATH, {"user_id": str(user.pk), "first_message": "Hello", **more})


def entered(user):
    """Tokens and entries in the ledger."""
    sums = UsageEntry.objects.filter(user=user).aggregate(
        prompt=Sum("prompt_tokens", default=0), completion=Sum("completion_tokens", default=0)
    )
    return sums["prompt"] + sums["completion"]


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_that_use_up_the_tokens_count_to_the_budget_until_it_refuses(
    api, user, groq, settings, stream
):
    settings.ANSWER_TOKENS = 500
    type(user).objects.filter(pk=user.pk).update(daily_tokens=5_000)
    groq.script(*[fake_groq.thoughts_alone(TOOK - 100)] * 24)

    for _ in range(24):
        ask(api, user, stream=stream)

    assert_problem(ask(api, user), 429, "budget_exceeded")
    assert len(groq.received) <= 3
    assert entered(user) == TOOK * len(groq.received)


@pytest.mark.parametrize(
    ("reason", "status", "code", "advice"),
    [
        ("length", 422, "token_limit", "max_completion_tokens"),
        ("content_filter", 422, "content_filter", "other words"),
        ("stop", 502, "empty_answer", "ask again"),
    ],
)
def test_an_answer_without_a_word_says_what_to_do_and_what_it_took(
    api, user, groq, reason, status, code, advice
):
    groq.script(fake_groq.answer("", finish_reason=reason))

    problem = assert_problem(ask(api, user), status, code)

    assert advice in problem["detail"]
    path = f"{PATH}/{problem['conversation_id']}/messages/{problem['answer_id']}"
    answer = get(api, path).json()
    assert (answer["status"], answer["error"]["code"]) == ("failed", code)
    assert (answer["finish_reason"], answer["model"]) == (reason, "openai/gpt-oss-120b")
    assert answer["usage"]["total_tokens"] == 120
    assert float(answer["usage"]["cost_usd"]) > 0
    assert UsageEntry.objects.get().estimated is False
    assert post(api, f"{path}/retry").status_code == 201


def test_a_stream_ends_with_the_same_problem_live_and_later(api, user, groq):
    groq.script(fake_groq.thoughts_alone())

    *_, (_, name, problem) = events_of(ask(api, user, stream=True))
    path = f"{PATH}/{problem['conversation_id']}/messages/{problem['answer_id']}/stream"
    *_, (_, later_name, later) = events_of(call(api, "GET", path))

    assert (name, later_name) == ("error", "error")
    assert (problem["code"], problem["status"]) == ("token_limit", 422)
    assert (later["code"], later["status"], later["detail"]) == (
        "token_limit",
        422,
        problem["detail"],
    )


@pytest.mark.parametrize("words", ["", "good "])
def test_a_stream_that_breaks_after_its_usage_is_charged_as_reported(api, user, groq, words):
    groq.script(fake_groq.broken_after_usage(words))

    problem = assert_problem(ask(api, user), 502, "model_bad_answer")

    entry = UsageEntry.objects.get()
    assert (entry.prompt_tokens, entry.completion_tokens, entry.estimated) == (100, 20, False)
    assert Message.objects.get(pk=problem["answer_id"]).content == words


def test_the_model_that_stood_in_is_charged_for_its_thoughts(api, user, groq):
    groq.script(fake_groq.error(503), fake_groq.thoughts_alone())

    assert_problem(ask(api, user, fallback_models=["qwen/qwen3.6-27b"]), 422, "token_limit")

    assert UsageEntry.objects.get().model == "qwen/qwen3.6-27b"


def test_no_other_model_is_asked_where_the_tokens_are_used_up(api, user, groq):
    groq.script(fake_groq.thoughts_alone())

    assert_problem(ask(api, user, fallback_models=["qwen/qwen3.6-27b"]), 422, "token_limit")

    assert len(groq.received) == 1


def test_an_answer_whose_conversation_is_deleted_meanwhile_is_paid_for_all_the_same(
    api, user, groq
):
    def delete_first(handler, request):
        Conversation.objects.filter(user=user).remove()
        fake_groq.thoughts_alone()(handler, request)

    groq.script(delete_first)

    assert ask(api, user).status_code in (404, 422)
    assert entered(user) == TOOK


def test_a_refusal_is_the_answer(api, user, groq):
    groq.script(fake_groq.refusal("I cannot help with that."))

    answer = ask(api, user).json()["answer"]

    assert (answer["status"], answer["content"]) == ("completed", "I cannot help with that.")


def test_thoughts_whose_usage_is_not_reported_count_as_the_most_there_can_be(
    api, user, groq, settings
):
    settings.ANSWER_TOKENS = 500
    groq.script(fake_groq.answer("", finish_reason="length", usage={}))

    assert_problem(ask(api, user), 422, "token_limit")

    entry = UsageEntry.objects.get()
    assert (entry.completion_tokens, entry.estimated) == (500, True)


def test_searches_are_paid_for_where_the_question_then_is_too_long(api, user, groq, settings):
    settings.CONTEXT_TOKENS, settings.ANSWER_TOKENS = 2_000, 100
    make_document(user)
    conversation = make_conversation(user, mode="grounded_rag")
    groq.script(fake_groq.answer(json.dumps({"question": "What does a ticket cost?"})))

    content = "And what of it? " + "please " * 1_700
    response = post(api, f"{PATH}/{conversation.pk}/messages", {"content": content})

    problem = assert_problem(response, 422, "question_too_long")
    assert UsageEntry.objects.get().purpose == "rewrite"
    assert Message.objects.get(pk=problem["answer_id"]).rewrite_tokens == 120


@pytest.mark.django_db(transaction=True)
def test_searches_are_paid_for_where_the_conversation_is_deleted_meanwhile(api, user, groq):
    type(user).objects.filter(pk=user.pk).update(daily_tokens=50_000)
    make_document(user)
    conversation = make_conversation(user, mode="grounded_rag")

    def delete_and_answer(handler, request):
        Message.objects.all().delete()
        connection.close()
        fake_groq.answer(json.dumps({"question": "What does it cost?"}))(handler, request)

    groq.script(delete_and_answer)

    content = {"content": "And what of it?"}
    assert_problem(post(api, f"{PATH}/{conversation.pk}/messages", content), 404)

    assert UsageEntry.objects.get().purpose == "rewrite"
    assert set(Spending.objects.values_list("tokens", flat=True)) == {120}

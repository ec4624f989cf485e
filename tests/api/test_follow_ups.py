"""Follow-ups of grounded conversations: what they search for, with and without a model."""

import asyncio
import json
import threading
import time

import pytest
from django.db import connections

from conversations import live
from conversations.models import Message
from conversations.turn import Turn
from tests import fake_groq
from tests.factories import (
    events_of,
    get,
    make_conversation,
    make_document,
    make_user,
    patch,
    post,
)

pytestmark = pytest.mark.django_db

TEXT = """Nikola Tesla was born in Smiljan in 1856. He studied in Graz.

Thomas Edison was born in Milan, Ohio in 1847. He invented the phonograph.
"""
WRITTEN = json.dumps(
    {"question": "When was Thomas Edison born?", "searches": ["Edison birth year", "Milan, Ohio"]}
)


@pytest.fixture
def conversation(user):
    make_document(user, TEXT, "inventors.txt")
    return make_conversation(user, mode="grounded_rag")


def ask(api, conversation, content, **more):
    body = {"content": content, **more}
    response = post(api, f"/conversations/{conversation.pk}/messages", body)
    assert response.status_code in (200, 201), response.content
    return response if more.get("stream") else response.json()["answer"]


def test_a_follow_up_that_names_nothing_finds_what_the_question_before_was_about(api, conversation):
    ask(api, conversation, "Which instrument did Edison invent?")

    answer = ask(api, conversation, "Tell me more about that.")

    assert answer["retrieval"]["query"] == "Which instrument did Edison invent?"
    assert answer["retrieval"]["rewriting"] == "terms"
    assert "phonograph" in answer["content"]
    assert answer["citations"]


def test_a_question_on_another_topic_is_searched_as_it_stands(api, conversation):
    ask(api, conversation, "Which instrument did Edison invent?")

    question = "In which Austrian town did Nikola Tesla study physics?"
    answer = ask(api, conversation, question)

    assert answer["retrieval"]["searches"] == [[{"text": question, "weight": 1.0}]]
    assert answer["retrieval"]["rewriting"] == "off"


def test_rewriting_can_be_turned_off(api, conversation):
    patch(api, f"/conversations/{conversation.pk}", {"query_rewriting": "off"})
    ask(api, conversation, "Which instrument did Edison invent?")

    answer = ask(api, conversation, "And why?")

    assert answer["retrieval"]["query"] == "And why?"
    assert answer["retrieval"]["rewriting"] == "off"


def test_a_model_writes_the_searches_and_their_tokens_and_cost_are_told(api, conversation, groq):
    groq.script(fake_groq.answer("The phonograph [1]."))
    first = ask(api, conversation, "Which instrument did Thomas Edison invent for recording sound?")
    groq.script(fake_groq.answer(WRITTEN), fake_groq.answer("In 1847 [1]."))

    answer = ask(api, conversation, "When was he born?")

    assert answer["retrieval"]["query"] == "When was Thomas Edison born?"
    assert answer["retrieval"]["rewriting"] == "model"
    texts = [[part["text"] for part in search] for search in answer["retrieval"]["searches"]]
    assert texts == [
        ["When was Thomas Edison born?", "When was he born?"],
        ["Edison birth year"],
        ["Milan, Ohio"],
    ]
    rewrite, asked = groq.received[-2:]
    assert rewrite.body["model"] == "openai/gpt-oss-20b"
    assert rewrite.body["reasoning_effort"] == "low"
    assert rewrite.body["max_completion_tokens"] <= 500
    assert "The phonograph [1]." in rewrite.body["messages"][-1]["content"]
    assert asked.body["messages"][-1]["content"].endswith("Question: When was he born?")
    usage = answer["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (100, 20)
    assert (usage["rewrite_tokens"], usage["total_tokens"]) == (120, 240)
    # Of openai/gpt-oss-20b: 36 tokens at $0.075 a million, 64 cached ones at half, 20 at $0.30.
    extra = float(usage["cost_usd"]) - float(first["usage"]["cost_usd"])
    assert extra == pytest.approx(0.0000111)


def test_the_first_question_asks_no_model_for_searches(api, user, groq):
    make_document(user, TEXT)
    body = {"user_id": str(user.pk), "first_message": "Born when?", "mode": "grounded_rag"}

    post(api, "/conversations", body)

    assert len(groq.received) == 1


def test_a_question_that_stands_alone_asks_no_model_for_searches(api, conversation, groq):
    ask(api, conversation, "In which Austrian town did Nikola Tesla study physics?")

    assert len(groq.received) == 1


@pytest.mark.parametrize(
    ("reply", "failure", "tokens"),
    [
        (fake_groq.error(429, {"Retry-After": "60"}), "model_rate_limited", 0),
        (fake_groq.error(500), "model_overloaded", 0),
        (fake_groq.hang(3), "model_timeout", 0),
        (fake_groq.answer(WRITTEN, delay=3), "model_timeout", 0),
        (fake_groq.html(), "model_bad_answer", 0),
        (fake_groq.empty(), "empty_answer", 120),
        (fake_groq.answer("I cannot do that."), "malformed", 120),
        (fake_groq.answer('{"question": ""}'), "empty", 120),
        (fake_groq.answer("word " * 5_000), "too_long", 120),
    ],
)
def test_whatever_fails_in_rewriting_the_carried_words_are_searched_for(
    api, conversation, groq, settings, reply, failure, tokens
):
    settings.GROQ_REWRITE_SECONDS = 1
    settings.GROQ_MAX_RETRIES = 2
    ask(api, conversation, "Which instrument did Thomas Edison invent for recording sound?")
    before = len(groq.received)
    groq.script(reply)
    began = time.monotonic()

    answer = ask(api, conversation, "When was he born?")

    assert time.monotonic() - began < 2.5
    assert len(groq.received) - before == 2  # once to rewrite, without retries, and once to answer
    assert answer["content"] == "You asked: When was he born? [1]"
    assert answer["retrieval"]["rewriting"] == "terms"
    assert "Edison" in answer["retrieval"]["query"]
    assert answer["usage"]["rewrite_tokens"] == tokens
    path = f"/conversations/{conversation.pk}/messages/{answer['id']}/trace"
    trace = get(api, path).json()
    assert trace["rewriting"]["failure"] == failure
    assert trace["settings"]["query_rewriting"] == "model"


def test_what_rewriting_took_is_counted_even_where_the_answer_fails(api, conversation, groq):
    groq.script(fake_groq.answer(WRITTEN), fake_groq.error(500))

    path = f"/conversations/{conversation.pk}/messages"
    failed = post(api, path, {"content": "When was he born?"}).json()["answer_id"]

    answer = Message.objects.get(pk=failed)
    assert (answer.status, answer.rewrite_tokens) == ("failed", 120)
    assert answer.cost_usd > 0
    again = post(api, f"{path}/{failed}/retry", {})
    assert again.status_code == 201, again.content
    assert again.json()["answer"]["usage"]["rewrite_tokens"] >= 120


def test_the_stream_tells_the_query_before_the_first_word(api, conversation):
    ask(api, conversation, "Which instrument did Edison invent?")

    events = events_of(ask(api, conversation, "Tell me more about that.", stream=True))

    assert [name for _, name, _ in events][:3] == ["message.created", "retrieval", "delta"]
    searched = events[1][2]
    assert searched["query"] == "Which instrument did Edison invent?"
    assert searched["passages"][0]["document_name"] == "inventors.txt"
    answer = events[-1][2]["answer"]
    assert answer["retrieval"] == {
        name: searched[name] for name in ("query", "searches", "rewriting")
    }


@pytest.mark.django_db(transaction=True)
def test_no_database_connection_is_held_while_searches_are_written(user_id, groq):
    user = make_user(user_id)
    make_document(user, TEXT)
    conversation = make_conversation(user, mode="grounded_rag")
    turn = Turn(conversation, *conversation.ask("When was he born?"))
    go_on = threading.Event()

    def when_told(handler, request):
        go_on.wait(30)
        fake_groq.answer(WRITTEN)(handler, request)

    groq.script(when_told, fake_groq.answer("In 1847 [1]."))

    async def run():
        task = asyncio.create_task(live.answers().start(turn).wait())
        while not groq.received and not task.done():
            await asyncio.sleep(0.01)
        assert len(groq.received) == 1  # asked for searches, and waiting
        # The loop is free meanwhile, and no thread keeps a connection in a transaction.
        free = not any(c.in_atomic_block for c in connections.all(initialized_only=True))
        go_on.set()
        await task
        return free

    assert asyncio.run(run())
    assert Message.objects.get(pk=turn.answer.pk).content == "In 1847 [1]."

"""POST /conversations/{id}/messages/{id}/cancel"""

import asyncio
import json
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient
from django.utils import timezone

from conversations import branch_views, live
from conversations.database import in_database
from conversations.models import Message, UsageEntry
from llm import catalogue
from llm.messages import Usage
from tests import fake_groq
from tests.factories import assert_problem, events_of, get, make_conversation, make_user, post

pytestmark = pytest.mark.django_db
WORDS = "one two three four five six seven eight nine ten " * 4


@pytest.fixture
def conversation(user):
    return make_conversation(user)


def path_of(message, verb="cancel", query=""):
    return f"/conversations/{message.conversation_id}/messages/{message.pk}/{verb}{query}"


async def send(path, body=None):
    """A call in the running loop; a stream is read to its end."""
    client = AsyncClient(raise_request_exception=False)
    response = await client.generic(
        "POST", f"/api/v1{path}", json.dumps(body or {}), "application/json"
    )
    if response.streaming:
        response.sent = b"".join([part async for part in response.streaming_content])
    return response


async def speaking(conversation):
    """The answer under way, once it has said some words."""
    while True:
        pending = conversation.messages.filter(status="pending")
        answer = await in_database(pending.first)
        here = answer and live.answers().find(answer.pk)
        if here and here.said.count(" ") > 3:
            return answer
        await asyncio.sleep(0.01)


def ask_and(stop, conversation, **body):
    """Asks, and does `stop` to the answer while the model speaks; the two responses."""

    async def both():
        path = f"/conversations/{conversation.pk}/messages"
        asked = asyncio.create_task(send(path, {"content": "Count", **body}))
        async with asyncio.timeout(20):
            stopped = await stop(await speaking(conversation))
            return await asked, stopped

    return async_to_sync(both)()


async def cancel(answer):
    return await send(path_of(answer))


def test_what_was_said_is_kept_and_the_model_stops(api, conversation, groq):
    groq.script(fake_groq.answer(WORDS, delay=0.05))

    asked, stopped = ask_and(cancel, conversation)

    assert stopped.status_code == 200
    answer = stopped.json()
    assert (answer["status"], answer["finish_reason"], answer["error"]) == (
        "cancelled",
        "cancelled",
        None,
    )
    assert "one two three" in answer["content"]
    assert WORDS.startswith(answer["content"])
    assert len(answer["content"]) < len(WORDS)
    assert (asked.status_code, asked.json()["answer"]) == (201, answer)
    stored = get(api, f"/conversations/{conversation.pk}/messages").json()["results"]
    assert stored[-1] == answer
    assert groq.server.hung_up.wait(5)


def test_an_answer_of_this_process_is_stopped_at_once(conversation, groq, monkeypatch):
    monkeypatch.setattr(live, "SAVE_SECONDS", 60)  # when notes in the database are read
    groq.script(fake_groq.answer(WORDS, delay=0.05))

    _, stopped = ask_and(cancel, conversation)

    assert stopped.json()["status"] == "cancelled"


def test_what_it_took_is_estimated(conversation, groq):
    groq.script(fake_groq.answer(WORDS, delay=0.05))

    _, stopped = ask_and(cancel, conversation)

    usage = stopped.json()["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["completion_tokens"] > 3
    entry = UsageEntry.objects.get()
    assert entry.estimated
    assert (entry.prompt_tokens, entry.completion_tokens) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
    )
    assert str(entry.cost_usd) == usage["cost_usd"] != "0.00000000"


def test_the_model_that_stood_in_is_named_and_priced(conversation, groq, settings):
    settings.GROQ_FALLBACK_MODELS = ["openai/gpt-oss-20b"]
    groq.script(fake_groq.error(503), fake_groq.answer(WORDS, delay=0.05))

    _, stopped = ask_and(cancel, conversation)

    assert stopped.json()["model"] == "openai/gpt-oss-20b"
    entry = UsageEntry.objects.get()
    used = Usage(entry.prompt_tokens, entry.completion_tokens)
    cost = catalogue.find("openai/gpt-oss-20b").cost(used)
    assert entry.model == "openai/gpt-oss-20b"
    assert entry.cost_usd == cost.quantize(entry.cost_usd)


def test_a_stream_ends_with_the_answer_as_it_was_kept(conversation, groq):
    groq.script(fake_groq.answer(WORDS, delay=0.05))

    asked, stopped = ask_and(cancel, conversation, stream=True)

    events = events_of(asked)
    assert events[-1][1] == "message.completed"
    assert events[-1][2]["answer"] == stopped.json()
    deltas = "".join(data["text"] for _, name, data in events if name == "delta")
    assert deltas == stopped.json()["content"]


def test_an_answer_of_another_process_is_stopped_by_a_note_in_the_database(conversation, groq):
    groq.script(fake_groq.answer(WORDS, delay=0.05))

    async def note(answer):
        row = Message.objects.filter(pk=answer.pk)
        await in_database(lambda: row.update(cancel_requested=True))

    asked, _ = ask_and(note, conversation)

    assert asked.json()["answer"]["status"] == "cancelled"


def test_the_note_is_left_where_another_process_answers(api, conversation, monkeypatch):
    monkeypatch.setattr(branch_views, "STOPPED_WITHIN_SECONDS", 0.05)
    _, pending = conversation.ask("And then?")
    Message.objects.filter(pk=pending.pk).update(started_at=timezone.now())

    response = post(api, path_of(pending))

    assert (response.status_code, response.json()["status"]) == (200, "pending")
    pending.refresh_from_db()
    assert pending.cancel_requested


def test_an_answer_that_nobody_gives_any_longer_is_interrupted(api, conversation):
    _, pending = conversation.ask("And then?")
    Message.objects.filter(pk=pending.pk).update(started_at=None)

    assert post(api, path_of(pending)).json()["status"] == "interrupted"


def test_a_cancelled_answer_can_be_retried_in_its_place(api, conversation, groq):
    groq.script(fake_groq.answer(WORDS, delay=0.05))
    _, stopped = ask_and(cancel, conversation)
    answer = Message.objects.get(pk=stopped.json()["id"])

    body = post(api, path_of(answer, "retry"), {}).json()["answer"]

    assert (body["id"], body["status"]) == (str(answer.pk), "completed")
    assert body["content"] == "You asked: Count"


def test_the_conversation_goes_on_with_what_was_said(api, conversation, groq):
    groq.script(fake_groq.answer(WORDS, delay=0.05))
    _, stopped = ask_and(cancel, conversation)

    post(api, f"/conversations/{conversation.pk}/messages", {"content": "Go on"})

    said = [one["content"] for one in groq.received[-1].body["messages"]]
    assert said[-2:] == [stopped.json()["content"], "Go on"]


def test_an_answer_that_has_ended_cannot_be_cancelled(api, conversation):
    answer = conversation.messages.get(role="assistant")

    assert_problem(post(api, path_of(answer)), 409, "nothing_to_cancel")
    answer.refresh_from_db()
    assert (answer.status, answer.cancel_requested) == ("completed", False)


def test_what_is_not_there_or_anothers_is_not_found(api, conversation):
    _, pending = conversation.ask("And then?")
    question = conversation.messages.filter(role="user").first()
    unknown = Message(pk=uuid4(), conversation_id=conversation.pk)

    assert_problem(post(api, path_of(question)), 404)
    assert_problem(post(api, path_of(unknown)), 404)
    assert_problem(post(api, path_of(pending, query=f"?user_id={make_user().pk}")), 404)
    pending.refresh_from_db()
    assert not pending.cancel_requested

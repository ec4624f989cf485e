"""Answers under way: when their words pause, and that they let questions go first."""

import asyncio
import gc
from contextlib import ExitStack
from functools import wraps

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from conversations import live, streaming
from conversations.models import Message
from conversations.turn import Turn
from conversations.views import ConversationList
from documents import lifetimes
from tests import fake_groq
from tests.factories import make_conversation, make_document

pytestmark = pytest.mark.django_db


def asked(user, **fields) -> Turn:
    conversation = make_conversation(user, **fields)
    return Turn(conversation, *conversation.ask("When does it open?"))


@pytest.fixture
def turn(user, groq):
    groq.script(fake_groq.answer("It opens at nine."))
    return asked(user)


def waiting(questions: int) -> ExitStack:
    """So many questions that are not begun yet, until it is left."""
    stack = ExitStack()
    for _ in range(questions):
        stack.enter_context(live.answers().beginning())
    return stack


async def heard(answer: live.LiveAnswer) -> None:
    """Follows the answer as a client of a stream does."""
    async for _ in streaming.event_stream(answer, opened=True)._iterator:
        pass


async def said(answer: live.LiveAnswer) -> None:
    while answer.said != "It opens at nine.":
        await answer.changed()


def test_answers_under_way_are_no_reason_to_search_for_dead_objects(turn):
    async def thresholds() -> tuple[int, int]:
        answer = live.answers().start(turn)
        during = gc.get_threshold()[0]
        await asyncio.wait_for(answer.wait(), 10)
        return during, gc.get_threshold()[0]

    before = gc.get_threshold()
    during, after = async_to_sync(thresholds)()
    gc.set_threshold(*before)

    assert during - after == lifetimes.OBJECTS_AN_ANSWER > 0
    assert after == lifetimes.OBJECTS_BETWEEN_SEARCHES


def test_a_streamed_answers_end_waits_for_many_questions(turn):
    async def answered() -> tuple[bool, bool]:
        answer = live.answers().start(turn)
        listening = asyncio.create_task(heard(answer))
        with waiting(live.MANY_QUESTIONS):
            await asyncio.wait_for(said(answer), 10)
            await asyncio.sleep(3 * live.COURTESY_STEP)
            before = answer.ended
        await asyncio.wait_for(listening, 10)
        return before, answer.ended

    assert async_to_sync(answered)() == (False, True)
    assert Message.objects.get(pk=turn.answer.pk).status == "completed"


@pytest.mark.parametrize(
    ("streamed", "questions", "longest"),
    [
        pytest.param(True, live.MANY_QUESTIONS, 0.2, id="for ever"),
        pytest.param(True, live.MANY_QUESTIONS - 1, 60, id="for a few"),
        pytest.param(False, live.MANY_QUESTIONS, 60, id="where its client waits for the whole"),
    ],
)
def test_it_does_not_wait(turn, monkeypatch, streamed, questions, longest):
    monkeypatch.setattr(live, "LONGEST_COURTESY", longest)

    async def answered() -> None:
        answer = live.answers().start(turn)
        with waiting(questions):
            await asyncio.wait_for(heard(answer) if streamed else answer.wait(), 10)

    async_to_sync(answered)()

    assert Message.objects.get(pk=turn.answer.pk).status == "completed"


def test_pauses_between_words_grow_with_the_questions_that_wait():
    async def pauses() -> list[float]:
        found = []
        for questions in (0, 5, 10, 1000):
            with waiting(questions):
                found.append(live.answers().pause)
        return found

    none, five, ten, thousand = async_to_sync(pauses)()

    assert none == live.SHORTEST_PAUSE < five < ten < thousand == live.LONGEST_PAUSE


@pytest.mark.parametrize(("question", "status"), [("When does it open?", 201), ("", 400)])
def test_a_question_waits_until_it_is_saved_or_refused(user, groq, monkeypatch, question, status):
    post, seen = ConversationList.post, []

    async def refused_or_saved() -> tuple[int, int]:
        everyone = live.answers()

        @wraps(post)  # which keeps what the schema says of it
        def look(view, request):
            seen.append(everyone._questions)
            return post(view, request)

        monkeypatch.setattr(ConversationList, "post", look)
        body = {"user_id": str(user.pk), "first_message": question}
        response = await AsyncClient().post(
            "/api/v1/conversations", body, content_type="application/json"
        )
        return response.status_code, everyone._questions

    assert async_to_sync(refused_or_saved)() == (status, 0)
    assert seen == [1]


def test_words_are_told_as_soon_as_it_is_clear_that_no_citation_begins(user, groq, monkeypatch):
    """The first piece may be "[" alone; a pause after it would be silence."""
    monkeypatch.setattr(live, "SHORTEST_PAUSE", 60)
    monkeypatch.setattr(live, "LONGEST_PAUSE", 60)
    groq.script(fake_groq.answer("[ not a citation", delay=0.05))
    documents = [make_document(user)]
    turn = asked(user, mode="grounded_rag", documents=documents, query_rewriting="off")

    async def first_words() -> str:
        answer = live.answers().start(turn)
        await asyncio.wait_for(answer.first_words(), 10)
        words = answer.said
        answer.stop(live.Stop.CANCELLED)
        await asyncio.wait([answer.task], timeout=10)
        return words

    assert async_to_sync(first_words)().startswith("[")

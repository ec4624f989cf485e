"""An answer as server-sent events, from its beginning or from where a client lost it.

An event's id is `<answer id>:<number>`. 1 is `message.created`, 2 `retrieval`; a `delta` has 2 and
the length of the answer up to its end, the last event one more. So an event's number depends on the
answer alone, not on how its words came together, and any process can go on after any of them.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import StreamingHttpResponse
from rest_framework.settings import api_settings
from rest_framework.utils.encoders import JSONEncoder

from conversations import exceptions, metrics
from conversations.bodies import (
    answer_body,
    retrieval_body,
    stored_retrieval_body,
    told_message,
    told_turn,
    turn_body,
)
from conversations.database import in_database
from conversations.live import LiveAnswer, Stop
from conversations.models import Message, StreamedText
from conversations.turn import Turn

CREATED, SEARCHED = 1, 2
# Proxies close what is silent for long, most after a minute.
KEEP_ALIVE_SECONDS = 10
# How often an answer of another process is looked at, as often as that saves it.
LOOK_SECONDS = 0.25

Event = tuple[int, str, Any]
# What can be told at once is sent at once; nothing, after a while, keeps the connection alive.
Events = AsyncGenerator[list[Event]]

# As the framework renders what is no JSON by itself.
_json = partial(orjson.dumps, default=JSONEncoder().default, option=orjson.OPT_PASSTHROUGH_DATETIME)


def event_stream(answer: LiveAnswer, *, opened: bool) -> StreamingHttpResponse:
    """The events of an answer under way here; ends with `message.completed` or `error`."""
    return _response(answer.turn.answer.pk, _live_events(answer, opened, after=0))


def resumed_stream(
    answer_id: UUID, live: LiveAnswer | None, *, opened: bool, after: int
) -> StreamingHttpResponse:
    """The events after that number, of an answer under way here, elsewhere, or ended."""
    if live is not None:
        return _response(answer_id, _live_events(live, opened, after))
    return _response(answer_id, _stored_events(answer_id, opened, after))


def words_and_end(answer: LiveAnswer) -> Events:
    """For streams of another shape: `delta`, then `message.completed` or `error`."""
    return _live_events(answer, opened=False, after=SEARCHED)


def stream_response(parts: AsyncIterator[bytes]) -> StreamingHttpResponse:
    """Server-sent events that no proxy holds back."""
    response = StreamingHttpResponse(parts, content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would hold the words back
    return response


def number_after(event_id: str, answer_id: UUID) -> int:
    """The number in a `Last-Event-ID`; 0, so that all is told, where it is none of this answer."""
    answer, _, number = event_id.partition(":")
    known = answer == str(answer_id) and number.isascii() and number.isdigit() and len(number) < 10
    return int(number) if known else 0


async def until_ended(answer_id: UUID, seconds: float) -> None:
    """Waits for an answer of any process to end, for so long at most."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status, _ = await in_database(_look, answer_id, 0)
        if status != Message.Status.PENDING:
            return
        await asyncio.sleep(LOOK_SECONDS / 5)


def _response(answer_id: UUID, events: Events) -> StreamingHttpResponse:
    return stream_response(_as_bytes(answer_id, events))


async def _as_bytes(answer_id: UUID, events: Events) -> AsyncIterator[bytes]:
    own_id = str(answer_id).encode()
    # Closed here and now where the client leaves, not whenever memory is tidied up.
    async with aclosing(events):
        async for some in events:
            told = [
                b"id: %b:%d\nevent: %b\ndata: %b\n\n" % (own_id, number, name.encode(), _json(data))
                for number, name, data in some
            ]
            yield b"".join(told or [b": keep-alive\n\n"])


async def _live_events(answer: LiveAnswer, opened: bool, after: int) -> Events:
    answer.listeners += 1
    open_streams = metrics.STREAMS.labels("here")
    open_streams.inc()
    try:
        async with aclosing(_told(answer, opened, after)) as events:
            async for some in events:
                yield some
    except Exception as error:  # telling failed; the answer itself goes on
        number = SEARCHED + len(answer.said) + 1
        yield [(number, "error", await in_database(_problem, answer.turn, error))]
    finally:
        answer.listeners -= 1
        open_streams.dec()
        if not answer.ended and not answer.listeners and settings.ON_DISCONNECT == "stop":
            answer.stop(Stop.CANCELLED)


async def _told(answer: LiveAnswer, opened: bool, after: int) -> Events:
    turn = answer.turn
    events: list[Event] = []
    if after < CREATED:
        events.append((CREATED, "message.created", _as_begun(await told_turn(turn, opened))))
    told = max(after - SEARCHED, 0)
    searched = after >= SEARCHED
    while True:
        if answer.searched and not searched:
            searched = True
            events.append((SEARCHED, "retrieval", retrieval_body(turn)))
        ended, said = answer.ended, answer.said
        if len(said) > told:
            events.append((SEARCHED + len(said), "delta", {"text": said[told:]}))
            told = len(said)
        if ended:
            break
        if events:
            yield events
            events = []
        elif not await answer.changed(within=KEEP_ALIVE_SECONDS):
            yield []
    yield [*events, (SEARCHED + len(answer.said) + 1, *await _end(answer))]


async def _end(answer: LiveAnswer) -> tuple[str, Any]:
    """The last event of an answer: its name and data."""
    if answer.error is not None:
        return "error", await in_database(_problem, answer.turn, answer.error)
    if problem := exceptions.of_ended(answer.turn.answer):
        return "error", await in_database(_as_data, problem)
    return "message.completed", {"answer": await told_message(answer.turn.answer)}


def _as_begun(body: dict[str, Any]) -> dict[str, Any]:
    """The turn as it began: whoever comes later adds the deltas to an empty answer too."""
    nothing_yet: dict[str, Any] = {"status": Message.Status.PENDING, "content": ""}
    nothing_yet |= {"citations": [], "error": None}
    return body | {"answer": body["answer"] | nothing_yet}


async def _stored_events(answer_id: UUID, opened: bool, after: int) -> Events:
    """The events of an answer as the database has them, until it has ended."""
    with metrics.STREAMS.labels("elsewhere").track_inprogress():
        turn = await in_database(stored_turn, answer_id)
        async with aclosing(_looked_up(turn, answer_id, opened, after)) as events:
            async for some in events:
                yield some


async def _looked_up(turn: Turn, answer_id: UUID, opened: bool, after: int) -> Events:
    if after < CREATED:
        body = await in_database(turn_body, turn, opened)
        yield [(CREATED, "message.created", _as_begun(body))]
    told, searched, silent_since = max(after - SEARCHED, 0), after >= SEARCHED, time.monotonic()
    try:
        while True:
            status, said = await _looked(answer_id, told)
            if not searched and (said or status == Message.Status.COMPLETED):
                searched = True
                body = await in_database(stored_retrieval_body, answer_id)
                yield [(SEARCHED, "retrieval", body)]
            if said:
                told += len(said)
                silent_since = time.monotonic()
                yield [(SEARCHED + told, "delta", {"text": said})]
            if status != Message.Status.PENDING:
                break
            if time.monotonic() - silent_since > KEEP_ALIVE_SECONDS:
                silent_since = time.monotonic()
                yield []
            await asyncio.sleep(LOOK_SECONDS)
        yield [await in_database(_ending, answer_id)]
    except Message.DoesNotExist as error:  # deleted meanwhile
        yield [(SEARCHED + told + 1, "error", await in_database(_problem, turn, error))]


async def _looked(answer_id: UUID, told: int) -> tuple[str, str]:
    """As `_look`; nothing new while the database is away."""
    try:
        return await in_database(_look, answer_id, told)
    except (OperationalError, InterfaceError):
        return Message.Status.PENDING, ""


def stored_turn(answer_id: UUID) -> Turn:
    """The turn of an answer as it is saved. Raises Message.DoesNotExist."""
    answer = Message.objects.select_related("conversation", "parent").get(pk=answer_id)
    return Turn(answer.conversation, answer.parent or answer, answer)


def _look(answer_id: UUID, told: int) -> tuple[str, str]:
    """The answer's status and what it says from that character on. Raises Message.DoesNotExist."""
    # First the pieces: an answer that ends in between has all of them in its own text.
    pieces = StreamedText.objects.filter(message=answer_id).order_by("start")
    text = "".join(pieces.values_list("text", flat=True))
    this = Message.objects.filter(pk=answer_id)
    answer = this.get()
    if answer.status == Message.Status.PENDING and this.interrupt_orphans():
        answer = this.get()
    ended = answer.status != Message.Status.PENDING
    return answer.status, (answer.content if ended else text)[told:]


def _ending(answer_id: UUID) -> Event:
    """The last event of an answer that has ended."""
    answer = Message.objects.get(pk=answer_id)
    number = SEARCHED + len(answer.content) + 1
    if problem := exceptions.of_ended(answer):
        return number, "error", _as_data(problem)
    return number, "message.completed", {"answer": answer_body(answer_id)}


def _problem(turn: Turn, error: BaseException) -> Any:
    """The problem details that a call which is not streamed would have answered with."""
    told = turn.told(error)
    told.__cause__ = error  # as `raise ... from` does, for the log
    return _as_data(told)


def _as_data(problem: BaseException) -> Any:
    answer_with: Any = api_settings.EXCEPTION_HANDLER
    return orjson.loads(answer_with(problem, {}).content)

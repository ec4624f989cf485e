"""An answer as server-sent events."""

import json
from collections.abc import AsyncIterator
from typing import Any

from django.http import StreamingHttpResponse
from rest_framework.exceptions import APIException
from rest_framework.settings import api_settings
from rest_framework.utils.encoders import JSONEncoder

from conversations.serializers import MessageSerializer, PassageSerializer, turn_body
from conversations.turn import Turn, in_database


def event_stream(turn: Turn, *, opened: bool) -> StreamingHttpResponse:
    """The turn's events as they happen; ends with `message.completed` or `error`."""
    response = StreamingHttpResponse(_events(turn, opened), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would hold the words back
    return response


async def _events(turn: Turn, opened: bool) -> AsyncIterator[bytes]:
    """Numbered events; the id is `<answer id>:<number>`, from 1."""
    number = 0
    async for name, data in _named(turn, opened):
        number += 1
        text = json.dumps(data, cls=JSONEncoder, ensure_ascii=False)
        yield f"id: {turn.answer.pk}:{number}\nevent: {name}\ndata: {text}\n\n".encode()


async def _named(turn: Turn, opened: bool) -> AsyncIterator[tuple[str, Any]]:
    parts = turn.stream()
    try:
        yield "message.created", await in_database(turn_body, turn, opened)
        async for text in parts:
            if text == "":
                yield "retrieval", {"passages": PassageSerializer(turn.passages, many=True).data}
            else:
                yield "delta", {"text": text}
        yield "message.completed", {"answer": await in_database(_answer, turn)}
    except Exception as error:
        yield "error", await in_database(_problem, turn, error)
    finally:
        await parts.aclose()  # type: ignore[attr-defined]


def _answer(turn: Turn) -> Any:
    return MessageSerializer(turn.answer).data


def _problem(turn: Turn, error: Exception) -> Any:
    """The problem details that a call which is not streamed would have answered with."""
    told: BaseException = error
    if not isinstance(error, APIException):
        told = turn.told(error)
        told.__cause__ = error  # as `raise ... from` does, for the log
    answer_with: Any = api_settings.EXCEPTION_HANDLER
    return json.loads(answer_with(told, {}).content)

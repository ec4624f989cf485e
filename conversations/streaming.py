"""An answer as server-sent events."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from django.http import StreamingHttpResponse
from rest_framework.exceptions import APIException
from rest_framework.settings import api_settings
from rest_framework.utils.encoders import JSONEncoder

from conversations.serializers import answer_body, retrieval_body, turn_body
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
    # Closed here and now where the client leaves, not whenever memory is tidied up.
    async with aclosing(_named(turn, opened)) as events:
        async for name, data in events:
            number += 1
            text = json.dumps(data, cls=JSONEncoder, ensure_ascii=False)
            yield f"id: {turn.answer.pk}:{number}\nevent: {name}\ndata: {text}\n\n".encode()


async def _named(turn: Turn, opened: bool) -> AsyncGenerator[tuple[str, Any]]:
    try:
        try:
            yield "message.created", await in_database(turn_body, turn, opened)
        except BaseException as error:
            # The turn, which settles its answer by itself, has not begun yet.
            await turn.fail(error, said="")
            raise
        async with aclosing(turn.stream()) as parts:
            async for text in parts:
                if text == "":
                    yield "retrieval", retrieval_body(turn)
                else:
                    yield "delta", {"text": text}
        yield "message.completed", {"answer": await in_database(answer_body, turn)}
    except Exception as error:
        yield "error", await in_database(_problem, turn, error)


def _problem(turn: Turn, error: Exception) -> Any:
    """The problem details that a call which is not streamed would have answered with."""
    told: BaseException = error
    if not isinstance(error, APIException):
        told = turn.told(error)
        told.__cause__ = error  # as `raise ... from` does, for the log
    answer_with: Any = api_settings.EXCEPTION_HANDLER
    return json.loads(answer_with(told, {}).content)

"""An answer as server-sent events."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from django.http import StreamingHttpResponse
from rest_framework.exceptions import APIException
from rest_framework.utils.encoders import JSONEncoder

from conversations.serializers import MessageSerializer, PassageSerializer, turn_body
from conversations.turn import Turn, in_database

logger = logging.getLogger(__name__)


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
    yield "message.created", await in_database(turn_body, turn, opened)
    parts = turn.stream()
    try:
        async for text in parts:
            if text == "":
                yield "retrieval", {"passages": PassageSerializer(turn.passages, many=True).data}
            else:
                yield "delta", {"text": text}
    except APIException as error:
        yield "error", _problem(error)
        return
    except Exception:
        logger.exception("stream failed")
        yield "error", _problem(APIException("Answering failed on our side: ask again."))
        return
    finally:
        await parts.aclose()  # type: ignore[attr-defined]
    yield "message.completed", {"answer": await in_database(_answer, turn)}


def _answer(turn: Turn) -> Any:
    return MessageSerializer(turn.answer).data


def _problem(error: APIException) -> dict[str, Any]:
    """The same members as the problem details of a call that is not streamed."""
    return {
        "type": f"urn:botgpt:problem:{error.get_codes()}",
        "status": error.status_code,
        "code": error.get_codes(),
        "detail": str(error.detail),
        **getattr(error, "extra", {}),
    }

"""How each service is asked for a streamed answer, and how its events are read."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks.serving.responses import Event

QUESTION = "What should I know before I open a bakery?"
USERS = 100


class ErrorEvent(Exception):
    """The service told of an error within its stream."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The call that answers with a stream, and its events."""

    name: str
    path: str
    body: Callable[[int], dict[str, object]]  # by the stream's number
    text: Callable[[Event], str]  # "" for other events; raises ErrorEvent
    ends: Callable[[Event], bool]  # the event that only a whole answer has


def _user(number: int) -> str:
    return str(uuid.UUID(int=number % USERS + 1, version=4))


def _named_text(event: Event) -> str:
    if event.name == "error":
        raise ErrorEvent()
    return str(json.loads(event.data)["text"]) if event.name == "delta" else ""


def _openai_text(event: Event) -> str:
    if event.data == "[DONE]":
        return ""
    chunk = json.loads(event.data)
    if "error" in chunk:
        raise ErrorEvent()
    return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])


def _opening(number: int) -> dict[str, object]:
    message = {"user_id": _user(number), "first_message": QUESTION, "mode": "open_chat"}
    return {**message, "stream": True}


def _completion(_number: int) -> dict[str, object]:
    messages = [{"role": "user", "content": QUESTION}]
    return {"model": "llama-3.3-70b-versatile", "messages": messages, "stream": True}


PRODUCT = Dialect(
    name="product",
    path="/api/v1/conversations",
    body=_opening,
    text=_named_text,
    ends=lambda event: event.name == "message.completed",
)
FASTAPI = Dialect(
    name="fastapi",
    path="/conversations",
    body=_opening,
    text=_named_text,
    ends=lambda event: event.name == "done",
)
# Of the bare model, and of LiteLLM.
OPENAI = Dialect(
    name="openai",
    path="/v1/chat/completions",
    body=_completion,
    text=_openai_text,
    ends=lambda event: event.data == "[DONE]",
)
BY_NAME = {dialect.name: dialect for dialect in (PRODUCT, FASTAPI, OPENAI)}

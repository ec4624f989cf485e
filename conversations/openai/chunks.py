"""An answer as a stream of OpenAI's chunks."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import orjson

from conversations.bodies import told_message
from conversations.live import LiveAnswer
from conversations.models import Message
from conversations.openai.errors import error_body
from conversations.openai.shapes import Head, annotations, finish_reason, usage
from conversations.streaming import words_and_end


@dataclass(frozen=True, slots=True)
class Chunks:
    """The stream of one answer. The usage comes last, where it is wanted."""

    head: Head
    base_url: str
    with_usage: bool

    async def of(self, answer: LiveAnswer) -> AsyncIterator[bytes]:
        """The first has the role, the last the annotations.

        An error that comes after the first words is told in the stream, and ends it.
        """
        begun = False
        # Closed here and now where the client leaves, so that the answer learns of it.
        async with aclosing(words_and_end(answer)) as events:
            async for some in events:
                if not begun:
                    begun = True
                    yield self._chunk({"role": "assistant", "content": ""})
                if not some:
                    yield b": keep-alive\n\n"
                for _, name, data in some:
                    if name == "error" and answer.turn.ended_wordless:
                        with suppress(Message.DoesNotExist):
                            data = {"answer": await told_message(answer.turn.answer)}
                            name = "message.completed"
                    if name == "error":
                        yield _line(error_body(data))
                        return
                    yield self._told(name, data)
        yield b"data: [DONE]\n\n"

    def _told(self, name: str, data: dict[str, Any]) -> bytes:
        if name == "delta":
            return self._chunk({"content": data["text"]})
        return b"".join(self._ending(data["answer"]))

    def _ending(self, answer: dict[str, Any]) -> Iterator[bytes]:
        cited = list(annotations(answer, self.base_url))
        delta = {"annotations": cited} if cited else {}
        # Groq's own clients look for the usage here.
        own = {"id": self.head.id, "usage": usage(answer)}
        yield self._chunk(delta, finish_reason(answer), x_groq=own)
        if self.with_usage:
            yield _line(self.head.usage_chunk(answer))

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        # With a usage to come, OpenAI has an empty one in each chunk before.
        empty = {"usage": None} if self.with_usage else {}
        return _line(self.head.chunk(delta, reason, **empty, **more))


def _line(body: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(body)

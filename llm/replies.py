"""What Groq's chat API replies: the JSON of a whole answer, or the events of a streamed one."""

import json
from typing import Any

import orjson

from llm.errors import BadUpstreamAnswer
from llm.messages import Completion, Usage, storable

# A provider that sends a page of text instead of a short name is not to be stored whole.
REASON_CHARS = 40
MOST_TOKENS = 2**31 - 1
# In bytes. One event is a few hundred; what goes on without a line's end is no stream of events.
LONGEST_LINE = 1_000_000

_UNKNOWN = Usage(0, 0)
# The fields that the format of server-sent events has beside `data`; a comment's name is empty.
_OTHER_FIELDS = {b"", b"event", b"id", b"retry"}
# What reading JSON of another shape than expected raises.
_OTHER_SHAPE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Events:
    """Reads the events of one streamed answer as their bytes come.

    Each event is taken to be one line, as Groq sends it. Thoughts of a reasoning model (`reasoning`
    in a delta) are no part of the answer.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._said: list[str] = []
        self._usage = _UNKNOWN
        self._reason = ""
        self._id: str | None = None
        self._done = False
        self._failure: Exception | None = None

    @property
    def broken(self) -> bool:
        """True once something malformed came, or an error told in the stream."""
        return self._failure is not None

    @property
    def ended(self) -> bool:
        """True once the model has told why the answer ends."""
        return bool(self._reason)

    def feed(self, data: bytes) -> str:
        """The answer's text in the lines that these bytes complete; "" where they hold none.

        Where they break the stream, what came before still counts.
        """
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        texts: list[str] = []
        try:
            for line in lines:
                texts.append(self._text(line))
            if len(self._rest) > LONGEST_LINE:
                raise ValueError("a line without end")
        except _OTHER_SHAPE as error:
            self._failure = error
        text = storable("".join(texts))
        self._said.append(text)
        return text

    def completion(self, model: str) -> Completion:
        """The whole answer, at the stream's end. Raises BadUpstreamAnswer where it is broken."""
        if self._failure is not None:
            raise BadUpstreamAnswer() from self._failure
        return _completion("".join(self._said), model, self._usage, self._reason, self._id)

    def _text(self, line: bytes) -> str:
        """What one line adds to the answer."""
        name, _, value = line.partition(b":")
        if name != b"data":
            if name.strip() not in _OTHER_FIELDS:
                raise ValueError("no line of an event")
            return ""
        self._done = self._done or value.strip() == b"[DONE]"
        return "" if self._done else self._chunk(_read(value))

    def _chunk(self, chunk: dict[str, Any]) -> str:
        own = chunk.get("x_groq") or {}
        if chunk.get("error") or own.get("error"):
            raise ValueError("an error told in the stream")
        self._id = chunk.get("id") or self._id
        # Groq has a place of its own for the usage, in the last chunk; OpenAI has another.
        if told := own.get("usage") or chunk.get("usage"):
            self._usage = _usage(told)
        text = ""
        for choice in chunk["choices"]:
            self._reason = choice.get("finish_reason") or self._reason
            text += (choice.get("delta") or {}).get("content") or ""
        return text


def whole(body: bytes, model: str) -> Completion:
    """The answer in the JSON of a call that does not stream. Raises BadUpstreamAnswer."""
    try:
        answer = _read(body)
        choice = answer["choices"][0]
        text = choice["message"].get("content") or ""
        reason = choice.get("finish_reason") or ""
        usage = _usage(answer.get("usage") or {})
        return _completion(storable(text), model, usage, reason, answer.get("id"))
    except _OTHER_SHAPE as error:
        raise BadUpstreamAnswer() from error


def _read(text: bytes) -> Any:
    """Raises ValueError where it is no JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Which refuses one half of a pair of surrogates: an emoji that was cut between two chunks.
        return json.loads(text)


def _completion(
    text: str, model: str, usage: Usage, reason: str, request_id: str | None
) -> Completion:
    """Raises BadUpstreamAnswer where the answer is empty or was cut off."""
    if not text.strip() or not reason:
        raise BadUpstreamAnswer()
    return Completion(text, model, usage, storable(str(reason))[:REASON_CHARS], request_id)


def _usage(told: dict[str, Any]) -> Usage:
    details = told.get("prompt_tokens_details") or {}
    prompt = _count(told, "prompt_tokens")
    cached = min(_count(details, "cached_tokens"), prompt)
    return Usage(prompt, _count(told, "completion_tokens"), cached)


def _count(told: dict[str, Any], name: str) -> int:
    return min(max(0, int(told.get(name) or 0)), MOST_TOKENS)

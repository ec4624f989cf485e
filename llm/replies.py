"""What Groq's chat API replies: the JSON of a whole answer, or the events of a streamed one."""

import json
from typing import Any

import orjson

from llm.errors import BadUpstreamAnswer, LLMError, TokenLimit, Withheld, Wordless
from llm.messages import NO_USAGE, Completion, Usage, storable

# A provider that sends a page of text instead of a short name is not to be stored whole.
REASON_CHARS = 40
MOST_TOKENS = 2**31 - 1
# In bytes. One event is a few hundred; what goes on without a line's end is no stream of events.
LONGEST_LINE = 1_000_000

# The fields that the format of server-sent events has beside `data`; a comment's name is empty.
_OTHER_FIELDS = {b"", b"event", b"id", b"retry"}
# What an answer without a word is, by the provider's reason for its end.
_WORDLESS = {"length": TokenLimit, "content_filter": Withheld}
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
        # As far as the provider has reported it, which holds however the stream ends.
        self.usage = NO_USAGE
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
        """The whole answer, at the stream's end. Raises BadUpstreamAnswer or Wordless."""
        if self._failure is not None:
            raise BadUpstreamAnswer() from self._failure
        return _completion("".join(self._said), model, self.usage, self._reason, self._id)

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
        # Groq has a place of its own for the usage, in the last chunk; OpenAI has another.
        if reported := own.get("usage") or chunk.get("usage"):
            self.usage = _usage(reported)
        if chunk.get("error") or own.get("error"):
            raise ValueError("an error told in the stream")
        self._id = chunk.get("id") or self._id
        text = ""
        for choice in chunk["choices"]:
            self._reason = choice.get("finish_reason") or self._reason
            text += _words(choice.get("delta") or {})
        return text


def whole(body: bytes, model: str) -> Completion:
    """The answer in the JSON of a call that does not stream.

    Raises BadUpstreamAnswer or Wordless, with the usage that was reported.
    """
    usage = NO_USAGE
    try:
        answer = _read(body)
        usage = _usage(answer.get("usage") or {})
        choice = answer["choices"][0]
        text = _words(choice["message"])
        reason = choice.get("finish_reason") or ""
        return _completion(storable(text), model, usage, reason, answer.get("id"))
    except LLMError as error:
        error.note_usage(usage, model)
        raise
    except _OTHER_SHAPE as error:
        raise BadUpstreamAnswer().note_usage(usage, model) from error


def _words(message: dict[str, Any]) -> str:
    """What a message, or a piece of one, says; a refusal is an answer too."""
    return message.get("content") or message.get("refusal") or ""


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
    """Raises BadUpstreamAnswer where the answer was cut off, Wordless where it is empty."""
    reason = storable(str(reason))[:REASON_CHARS]
    if not reason:
        raise BadUpstreamAnswer()
    if not text.strip():
        raise _WORDLESS.get(reason, Wordless)(reason)
    return Completion(text, model, usage, reason, request_id)


def _usage(told: dict[str, Any]) -> Usage:
    details = told.get("prompt_tokens_details") or {}
    prompt = _count(told, "prompt_tokens")
    cached = min(_count(details, "cached_tokens"), prompt)
    return Usage(prompt, _count(told, "completion_tokens"), cached)


def _count(told: dict[str, Any], name: str) -> int:
    return min(max(0, int(told.get(name) or 0)), MOST_TOKENS)

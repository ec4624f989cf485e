"""What is said to a model and what comes back."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Effort = Literal["none", "default", "low", "medium", "high"]
# What PostgreSQL's text or UTF-8 cannot hold; models send it now and then.
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a prompt; the role is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a model chooses its words; what is left out is the provider's default.

    `max_completion_tokens` can only lower the bound that a call sets. What a model does not have of
    `reasoning_effort` becomes what it has (see `Model.effort`).
    """

    temperature: float | None = None
    top_p: float | None = None
    max_completion_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    reasoning_effort: Effort | None = None


# For short texts that nobody wants thought over.
THINKING_LITTLE = Sampling(reasoning_effort="low")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; `cached_tokens` are among the prompt's.

    All zero where the provider told none: then what was used is not known.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


NO_USAGE = Usage(0, 0)


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of an answer's text: what came at once, one token or several.

    `model` is the catalogue's name of the model that says it. `is_last` is True where the model has
    told that it has ended; where it tells so by itself, no piece is.
    """

    text: str
    model: str
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer. `model` is the catalogue's name of the model that gave it."""

    text: str
    model: str
    usage: Usage
    finish_reason: str
    request_id: str | None


def fingerprint(messages: Sequence[ChatMessage]) -> str:
    """SHA-256 of a prompt's roles and texts, in hexadecimal digits."""
    said = json.dumps([[one.role, one.content] for one in messages])
    return hashlib.sha256(said.encode()).hexdigest()


def storable(text: str) -> str:
    """The text with what cannot be stored or sent on replaced by U+FFFD."""
    return UNSTORABLE.sub("\ufffd", text)

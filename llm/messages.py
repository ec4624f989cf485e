"""What is said to a model and what comes back."""

import re
from dataclasses import dataclass

# What PostgreSQL's text or UTF-8 cannot hold; models send it now and then.
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a prompt; the role is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; `cached_tokens` are among the prompt's."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of an answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    text: str
    model: str
    usage: Usage
    finish_reason: str
    request_id: str | None


def storable(text: str) -> str:
    """The text with what cannot be stored or sent on replaced by U+FFFD."""
    return UNSTORABLE.sub("\ufffd", text)

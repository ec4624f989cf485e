"""The responder used without a model: the best passages, quoted and cited."""

import math
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from llm.catalogue import EXTRACTIVE
from llm.messages import ChatMessage, Completion, Delta, Usage
from llm.passages import Passage

QUOTED_PASSAGES = 3
QUOTE_CHARS = 420
# A quote is a run of at most this many segments; a table row and its neighbours, or a sentence.
QUOTE_SEGMENTS = 5

WORD = re.compile(r"\w+")
# A segment ends with its line, or with a sentence's end inside the line.
SEGMENT = re.compile(r"[^\n]+?(?:[.!?](?=\s)|(?=\n)|\Z)")
# Words too common to tell one line from another, for choosing a quote only.
COMMON = frozenset(
    [
        "a",
        "about",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "in",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "that",
        "the",
        "their",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "you",
        "your",
    ]
)


@dataclass(frozen=True, slots=True)
class Span:
    """A range of characters in a passage's text, end exclusive."""

    start: int
    end: int


def answer(question: str, passages: Sequence[Passage]) -> str:
    """Quotes the best passages as Markdown, each with its [n], document and page."""
    parts = []
    for number, passage in enumerate(passages[:QUOTED_PASSAGES], start=1):
        span = quote(question, passage, passages)
        text = " ".join(passage.text[span.start : span.end].split())
        page, _ = passage.page_at(span.start)
        parts.append(f"> {text}\n\n[{number}] {passage.document_name}, page {page}")
    return "The documents say:\n\n" + "\n\n".join(parts)


def quote(question: str, passage: Passage, among: Sequence[Passage]) -> Span:
    """The part of a passage, on one page, that shares most with the question.

    Words that few of the passages hold weigh more. Of equal parts the first and shorter wins.
    """
    segments = [match.span() for match in SEGMENT.finditer(passage.text)]
    segments = [(start, end) for start, end in segments if passage.text[start:end].strip()]
    weights = _weights(question, among)
    best, best_score = Span(0, min(len(passage.text), QUOTE_CHARS)), -1.0
    for first in range(len(segments)):
        found: set[str] = set()
        start = segments[first][0]
        page_end = passage.page_end_of(start)
        for last in range(first, min(first + QUOTE_SEGMENTS, len(segments))):
            end = min(segments[last][1], page_end, start + QUOTE_CHARS)
            found |= weights.keys() & _stems(passage.text[segments[last][0] : end])
            score = sum(weights[stem] for stem in found) - 0.02 * (last - first)
            if score > best_score:
                best, best_score = Span(start, end), score
            if end < segments[last][1]:
                break
    return _trimmed(passage.text, best)


def _weights(question: str, among: Sequence[Passage]) -> dict[str, float]:
    """How much each of the question's words tells, by how few of the passages hold it."""
    held = [_stems(passage.text) for passage in among]
    counts = {stem: sum(stem in stems for stems in held) for stem in _stems(question)}
    return {stem: math.log(1 + (len(among) + 1) / (n + 0.5)) for stem, n in counts.items()}


def _stems(text: str) -> set[str]:
    """Lower-case words without common ones; a plural s is dropped so that forms meet."""
    words = {word.lower() for word in WORD.findall(text)} - COMMON
    return {word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words}


def _trimmed(text: str, span: Span) -> Span:
    """The span without white space at its ends."""
    inside = text[span.start : span.end]
    start = span.start + len(inside) - len(inside.lstrip())
    return Span(start, max(start, span.start + len(inside.rstrip())))


@dataclass(frozen=True, slots=True)
class Fixed:
    """Answers what it was given, behind the same calls as the Groq client; costs no tokens."""

    text: str

    async def complete(self, messages: Sequence[ChatMessage], **options: Any) -> Completion:
        """The answer; the prompt is not read."""
        return Completion(self.text, EXTRACTIVE, Usage(0, 0), "stop", None)

    async def stream(
        self, messages: Sequence[ChatMessage], **options: Any
    ) -> AsyncIterator[Delta | Completion]:
        """The answer as one delta, then whole."""
        yield Delta(self.text)
        yield await self.complete(messages)

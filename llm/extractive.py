"""The responder used without a model: the best passages, quoted and cited."""

import math
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from llm import fence
from llm.catalogue import EXTRACTIVE
from llm.messages import ChatMessage, Completion, Delta, Usage
from llm.passages import Passage

QUOTED_PASSAGES = 3
# Said where the passages share little with the question. Over 400 SQuAD questions to the right
# articles and 400 to others, coverage was below 0.2 for none and 20%, below 0.34 for 4% and 60%.
DOUBT = "The documents do not seem to answer this."
REFUSED_BELOW = 0.2
DOUBTED_BELOW = 0.34
QUOTE_CHARS = 420
# What makes Markdown an image, a link, the address of one, or HTML.
ACTIVE = re.compile(r"(?<=!)(?=\[)|(?<=\])(?=[(:])|(?<!\\)(\\*)(?=<[A-Za-z/!?])")
# A quote is a run of at most this many segments; a table row and its neighbours, or a sentence.
QUOTE_SEGMENTS = 5

WORD = re.compile(r"\w+")
# A segment ends with its line, or with a sentence's end inside the line.
SEGMENT = re.compile(r"[^\n]+?(?:[.!?](?=\s)|(?=\n)|\Z)")
# A question for an amount is better met by a part with a number that it does not name itself.
AMOUNT = re.compile(
    r"\b(how (much|many|large|long|high)|what (was|were|is|are)|when|number|amount|total|rate)\b",
    re.IGNORECASE,
)
# Years and page furniture are no amounts: one has a separator, a sign, or five digits.
NUMBER = re.compile(r"[$€£]\s?\d[\d,.]*|\d+[,.]\d[\d,.]*|\d+\s?%|\d{5,}")
AMOUNT_WEIGHT = 0.5
STEM_CHARS = 6
# A character more costs little: it decides between parts that share as much.
LENGTH_COST = 0.001
# Words too common to tell one line from another, for choosing a quote only.
COMMON = frozenset(
    WORD.findall(
        "a about an and any are as at be been being but by can could did do does for from had has "
        "have he her him his how i if in is it its many more most much no not of on or s she "
        "should so some such than that the their then there these they this to was we were what "
        "when where which who why will with would you your"
    )
)


@dataclass(frozen=True, slots=True)
class Span:
    """A range of characters in a passage's text, end exclusive, and how well it fits."""

    start: int
    end: int
    score: float = 0.0


def answer(question: str, passages: Sequence[Passage]) -> str:
    """Quotes what fits best as Markdown, each quote with its [n], document and page."""
    fit = coverage(question, passages)
    if fit < REFUSED_BELOW:
        return f"{DOUBT} Try other words, or add a document that covers it."
    quotes = [(quote(question, passage, passages), n) for n, passage in enumerate(passages, 1)]
    quotes.sort(key=lambda pair: (-pair[0].score, pair[1]))
    parts: dict[str, str] = {}
    for span, number in quotes:
        passage = passages[number - 1]
        text = _quoted(passage.text[span.start : span.end])
        page, _ = passage.page_at(span.start)
        # Chunks overlap: the same words are quoted once.
        name = _quoted(passage.document_name)
        parts.setdefault(text, f"> {text}\n\n[{number}] {name}, page {page}")
    lead = f"{DOUBT} The closest passages:" if fit < DOUBTED_BELOW else "The documents say:"
    return f"{lead}\n\n" + "\n\n".join(list(parts.values())[:QUOTED_PASSAGES])


def coverage(question: str, passages: Sequence[Passage]) -> float:
    """How much of what a question names the best passage holds, from 0 to 1.

    Its words count by how few of the passages hold them; 1 for a question that names nothing.
    """
    weights = _weights(question, passages)
    total = sum(weights.values())
    if not total:
        return 1.0
    held = [sum(weights[s] for s in weights.keys() & _stems(one.text)) for one in passages]
    return max(held, default=0.0) / total


def _quoted(text: str) -> str:
    """On one line of Markdown that only shows it: no image or link of the text's own, no mark."""
    line = " ".join(fence.visible(text).split())
    return ACTIVE.sub(lambda found: 2 * (found[1] or "") + "\\", fence.unnumbered(line))


def quote(question: str, passage: Passage, among: Sequence[Passage]) -> Span:
    """The part of a passage, on one page, that shares most with the question.

    Words that few of the passages hold weigh more. Of equal parts the first and shorter wins.
    """
    segments = _segments(passage.text)
    weights = _weights(question, among)
    asked = set(NUMBER.findall(question)) if AMOUNT.search(question) else None
    best = Span(0, min(len(passage.text), passage.page_end_of(0), QUOTE_CHARS), -1.0)
    for first, (start, _) in enumerate(segments):
        page_end = passage.page_end_of(start)
        for _, segment_end in segments[first : first + QUOTE_SEGMENTS]:
            end = min(segment_end, page_end, start + QUOTE_CHARS)
            part = passage.text[start:end]
            score = sum(
                weights[stem] for stem in weights.keys() & _stems(part)
            ) - LENGTH_COST * len(part)
            if asked is not None and set(NUMBER.findall(part)) - asked:
                score += AMOUNT_WEIGHT
            if score > best.score:
                best = Span(start, end, score)
            if end < segment_end:
                break
    return _trimmed(passage.text, best)


def _segments(text: str) -> list[tuple[int, int]]:
    """Sentences and lines, in order; a line that goes on in lower case joins the one before."""
    joined: list[tuple[int, int]] = []
    for match in SEGMENT.finditer(text):
        start, end = match.span()
        words = match.group().strip()
        if not words:
            continue
        if joined and words.split()[0].islower() and text[joined[-1][1] - 1] not in ".!?":
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _weights(question: str, among: Sequence[Passage]) -> dict[str, float]:
    """How much each of the question's words tells, by how few of the passages hold it."""
    held = [_stems(passage.text) for passage in among]
    counts = {stem: sum(stem in stems for stems in held) for stem in _stems(question)}
    return {stem: math.log(1 + (len(among) + 1) / (n + 0.5)) for stem, n in counts.items()}


def _stems(text: str) -> set[str]:
    """The beginnings of words in lower case, so that their forms meet; without common ones."""
    words = {word.lower() for word in WORD.findall(text)} - COMMON
    return {_singular(word)[:STEM_CHARS] for word in words}


def _singular(word: str) -> str:
    return word[:-1] if 3 < len(word) <= STEM_CHARS and word.endswith("s") else word


def _trimmed(text: str, span: Span) -> Span:
    """The span without white space at its ends."""
    inside = text[span.start : span.end]
    start = span.start + len(inside) - len(inside.lstrip())
    return Span(start, max(start, span.start + len(inside.rstrip())), span.score)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Answers what it was given, behind the same calls as the Groq client; costs no tokens."""

    text: str

    async def complete(self, messages: Sequence[ChatMessage], **options: Any) -> Completion:
        """The answer; the prompt is not read."""
        return Completion(self.text, EXTRACTIVE, Usage(0, 0), "stop", None)

    async def stream(
        self, messages: Sequence[ChatMessage], **options: Any
    ) -> AsyncGenerator[Delta | Completion]:
        """The answer as one delta, then whole."""
        yield Delta(self.text, EXTRACTIVE, is_last=True)
        yield await self.complete(messages)

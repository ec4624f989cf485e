"""Matches the [n] marks of an answer with the passages its prompt numbered."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from conversations.models import Citation, Message
from documents.models import NAME_CHARS, Page
from llm import extractive, prompts
from llm.passages import Passage

# [1], and lists as models write them: [1, 3] or [1][3]. Some write the brackets of 【1】.
MARK = re.compile(r"[\[【](\d{1,3}(?:\s*,\s*\d{1,3})*)[\]】]")


# The end of a text that may become a mark; longer ones are let go.
OPEN_MARK = re.compile(r"[\[【][\d\s,]{0,40}$")
# What answers say of their own gaps.
GAPS = (prompts.IN_PART, prompts.NOT_AT_ALL, extractive.DOUBT)


@dataclass(frozen=True, slots=True)
class Marked:
    """An answer without the marks that point nowhere, the numbers cited, and how many fell."""

    text: str
    numbers: tuple[int, ...]
    dropped: int

    @property
    def grounding(self) -> Message.Grounding:
        """`no_evidence` where it cites nothing; `partial` where a mark fell or it tells of a gap.

        A gap is told in one of the sentences that the prompts ask for.
        """
        if not self.numbers:
            return Message.Grounding.NO_EVIDENCE
        said = self.text.lower()
        if self.dropped or any(gap.lower().rstrip(".") in said for gap in GAPS):
            return Message.Grounding.PARTIAL
        return Message.Grounding.ANSWERED


class MarksInStream:
    """Passes an answer on as it comes, without the marks that point nowhere.

    What may be the beginning of a mark is held back until its end is there.
    """

    def __init__(self, passage_count: int) -> None:
        self.passage_count = passage_count
        self.held = ""
        self.numbers: list[int] = []
        self.dropped = 0

    def feed(self, text: str) -> str:
        """What can be shown now."""
        text = self.held + text
        begun = OPEN_MARK.search(text)
        ready = text[: begun.start()] if begun else text
        self.held = text[len(ready) :]
        marked = match_marks(ready, self.passage_count)
        self.numbers += [number for number in marked.numbers if number not in self.numbers]
        self.dropped += marked.dropped
        return marked.text

    def rest(self) -> str:
        """What was held back and is no mark after all."""
        held, self.held = self.held, ""
        return held

    def marked(self, said: str) -> Marked:
        """What was passed on, with the numbers that it cites."""
        return Marked(said, tuple(self.numbers), self.dropped)


class NoMarks:
    """Passes an answer on as it comes: open chat has no passages."""

    def feed(self, text: str) -> str:
        """All of it."""
        return text

    def rest(self) -> str:
        """Nothing is ever held back."""
        return ""

    def marked(self, said: str) -> None:
        """Nothing is cited."""


def match_marks(answer: str, passage_count: int) -> Marked:
    """Keeps marks of 1 to `passage_count`, written [n]; numbers in order of first mention."""
    numbers: list[int] = []
    dropped = 0

    def rewrite(mark: re.Match[str]) -> str:
        nonlocal dropped
        said = [int(part) for part in mark.group(1).split(",")]
        known = [number for number in said if 1 <= number <= passage_count]
        dropped += len(said) - len(known)
        numbers.extend(number for number in known if number not in numbers)
        return "".join(f"[{number}]" for number in known)

    return Marked(MARK.sub(rewrite, answer), tuple(numbers), dropped)


def cite(
    message: Message, numbers: Sequence[int], passages: Sequence[Passage], question: str
) -> list[Citation]:
    """The citations of these passages, each with the words that bear on the question.

    Each is checked against the page that it names; one database query.
    """
    citations = [
        _citation(message, number, passages[number - 1], question, passages) for number in numbers
    ]
    places = [(one.document_id, one.page, one.char_start, one.quote) for one in citations]
    standing = Page.objects.holding(places)
    for n, citation in enumerate(citations):
        citation.verified = n in standing
    return citations


def _citation(
    message: Message, number: int, passage: Passage, question: str, among: Sequence[Passage]
) -> Citation:
    span = extractive.quote(question, passage, among)
    page, start = passage.page_at(span.start)
    return Citation(
        message_id=message.pk,  # the message will hold its citations
        number=number,
        document_id=passage.document_id,
        chunk_id=passage.chunk_id,
        document_name=passage.document_name,
        section=passage.section[:NAME_CHARS],
        page=page,
        char_start=start,
        char_end=start + span.end - span.start,
        quote=passage.text[span.start : span.end],
        score=passage.score,
    )

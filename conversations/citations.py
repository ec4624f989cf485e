"""Matches the [n] marks of an answer with the passages its prompt numbered."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from conversations.models import Citation, Message
from llm import extractive
from llm.passages import Passage

# [1], and lists as models write them: [1, 3] or [1][3]. Some write the brackets of 【1】.
MARK = re.compile(r"[\[【](\d{1,3}(?:\s*,\s*\d{1,3})*)[\]】]")


@dataclass(frozen=True, slots=True)
class Marked:
    """An answer without the marks that point nowhere, the numbers cited, and how many fell."""

    text: str
    numbers: tuple[int, ...]
    dropped: int


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
    """The citations of these passages, each with the words that bear on the question."""
    return [
        _citation(message, number, passages[number - 1], question, passages) for number in numbers
    ]


def _citation(
    message: Message, number: int, passage: Passage, question: str, among: Sequence[Passage]
) -> Citation:
    span = extractive.quote(question, passage, among)
    page, start = passage.page_at(span.start)
    return Citation(
        message=message,
        number=number,
        document_id=passage.document_id,
        chunk_id=passage.chunk_id,
        document_name=passage.document_name,
        page=page,
        char_start=start,
        char_end=start + span.end - span.start,
        quote=passage.text[span.start : span.end],
        score=passage.score,
    )

"""How well search finds what questions ask for: questions with evidence, the rule, the numbers.

A question is one line of a JSON Lines file, with the text asked and the evidence that answers it:

    {"question": "What were net sales?", "document": "report.pdf", "pages": [24, 31]}

`document` is a file's name below the folder evaluated, `pages` (or `page`) count from 1, and
`text` (one or a list) is a stretch of the document's own words. A passage is a hit when it is of
the document, and touches one of the pages or holds one of the texts, where those are given: any
of them will do.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from pathlib import Path
from typing import Any, Protocol

# Recall is told at these depths; the last one is how many passages are asked for.
DEPTHS = (1, 3, 5, 10)
DEPTH = DEPTHS[-1]
# A hit further down than this is listed: a prompt may not hold it.
LATE = 5
BAD_LINES_SHOWN = 10
# What a folder's documents are called; their content decides how they are read.
SUFFIXES = frozenset({".pdf", ".txt", ".md"})


class QuestionError(Exception):
    """The questions cannot be used; the message names the file, the lines and their faults."""


class Scope(StrEnum):
    """Where a question is searched."""

    ALL = "all"
    DOCUMENT = "document"


class Found(Protocol):
    """What the rule needs of a passage."""

    @property
    def document_id(self) -> Any:
        """What names its document."""

    @property
    def page_start(self) -> int:
        """From 1."""

    @property
    def page_end(self) -> int:
        """The last page, included."""

    @property
    def text(self) -> str:
        """As it was read."""


# Finds passages for a text in the documents of these ids, best first.
Search = Callable[[str, Sequence[Any]], Sequence[Found]]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the evidence."""

    id: str
    text: str
    document: str = ""
    pages: frozenset[int] = frozenset()
    evidence: tuple[str, ...] = ()

    def is_answered_by(self, passage: Found) -> bool:
        """Whether the passage, which is of the question's document, holds the evidence."""
        if not self.pages and not self.evidence:
            return True
        if any(passage.page_start <= page <= passage.page_end for page in self.pages):
            return True
        return any(_plain(text) in _plain(passage.text) for text in self.evidence)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A question asked: the rank of the first hit, from 1, and what the search gave and took."""

    question: Question
    rank: int | None
    seconds: float
    passages: int
    words: int


@dataclass(frozen=True, slots=True)
class Report:
    """The numbers of a run. `unread` are the documents that could not be read, with the reason."""

    scope: Scope
    documents: int
    chunks: int
    outcomes: tuple[Outcome, ...]
    unread: tuple[tuple[str, str], ...] = ()

    def recall(self, depth: int) -> float:
        """The share of questions with a hit among the first `depth` passages."""
        found = [one for one in self.outcomes if one.rank is not None and one.rank <= depth]
        return len(found) / max(1, len(self.outcomes))

    @property
    def mrr(self) -> float:
        """The mean of 1 / rank, 0 where the first DEPTH passages hold no hit."""
        ranks = [one.rank for one in self.outcomes if one.rank is not None]
        return sum(1 / rank for rank in ranks) / max(1, len(self.outcomes))

    def latency_ms(self, percent: int) -> float:
        """The search time that so many percent of the questions stayed within."""
        times = sorted(one.seconds for one in self.outcomes)
        return 1000 * times[ceil(len(times) * percent / 100) - 1] if times else 0.0

    @property
    def passage_words(self) -> float:
        """The mean length of the passages found: longer ones hit more easily."""
        passages = sum(one.passages for one in self.outcomes)
        return sum(one.words for one in self.outcomes) / max(1, passages)

    def as_json(self) -> str:
        """One JSON object with all of it, and each question's rank."""
        numbers = {
            "scope": self.scope.value,
            "documents": self.documents,
            "chunks": self.chunks,
            "questions": len(self.outcomes),
            "recall": {str(depth): round(self.recall(depth), 4) for depth in DEPTHS},
            "mrr": round(self.mrr, 4),
            "latency_ms": {f"p{n}": round(self.latency_ms(n), 2) for n in (50, 95)},
            "passage_words": round(self.passage_words, 1),
            "ranks": [
                {"id": one.question.id, "question": one.question.text, "rank": one.rank}
                for one in self.outcomes
            ],
            "unread": [{"document": name, "reason": reason} for name, reason in self.unread],
        }
        return json.dumps(numbers, ensure_ascii=False)

    def as_text(self) -> str:
        """The numbers, then the questions whose hit came late or not at all."""
        recall = "   ".join(f"@{depth} {self.recall(depth):.3f}" for depth in DEPTHS)
        times = "   ".join(f"p{n} {self.latency_ms(n):.1f} ms" for n in (50, 95))
        lines = [
            f"questions   {len(self.outcomes):,}, each in "
            + ("its own document" if self.scope == Scope.DOCUMENT else "all documents"),
            f"documents   {self.documents:,} with {self.chunks:,} chunks",
            f"recall      {recall}",
            f"MRR@{DEPTH}      {self.mrr:.3f}",
            f"search      {times}",
            f"passages    {self.passage_words:.0f} words on average",
        ]
        lines += [f"unread      {name}: {reason}" for name, reason in self.unread]
        missed = [one for one in self.outcomes if one.rank is None]
        late = [one for one in self.outcomes if one.rank is not None and one.rank > LATE]
        if missed:
            lines += ["", f"Not among the first {DEPTH} ({len(missed):,}):"]
            lines += [f"  {_line(one.question)}" for one in missed]
        if late:
            lines += ["", f"Below rank {LATE} ({len(late):,}):"]
            late.sort(key=lambda one: one.rank or 0)
            lines += [f"  {one.rank:>2}  {_line(one.question)}" for one in late]
        return "\n".join(lines)


def ask(
    questions: Sequence[Question], search: Search, ids: Mapping[str, Any], scope: Scope
) -> Iterator[Outcome]:
    """Asks them one by one. `ids` are the documents' ids by name, without those unread."""
    everything = list(dict.fromkeys(ids.values()))
    for question in questions:
        own = ids.get(question.document)
        within = everything
        if scope == Scope.DOCUMENT:
            within = [own] if own is not None else []
        started = time.perf_counter()
        passages = search(question.text, within)[:DEPTH]
        seconds = time.perf_counter() - started
        hits = (
            rank
            for rank, passage in enumerate(passages, start=1)
            if (not question.document or (own is not None and passage.document_id == own))
            and question.is_answered_by(passage)
        )
        words = sum(len(passage.text.split()) for passage in passages)
        yield Outcome(question, next(hits, None), seconds, len(passages), words)


# --- Files --------------------------------------------------------------------------------------


def find_files(folder: Path) -> dict[str, Path]:
    """The documents in a folder and below, by their names relative to it; hidden ones left out."""
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*"))}
    return {
        name.as_posix(): path
        for name, path in found.items()
        if path.is_file()
        and path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in name.parts)
    }


def find_questions(folder: Path) -> Path:
    """The one JSON Lines file in a folder. Raises QuestionError."""
    found = sorted(folder.glob("*.jsonl"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise QuestionError(f"{folder} holds no .jsonl file with questions: name one.")
    names = ", ".join(path.name for path in found)
    raise QuestionError(f"{folder} holds several files of questions ({names}): name one.")


def read_questions(path: Path, documents: Sequence[str], scope: Scope) -> list[Question]:
    """The questions of a file about these documents. Raises QuestionError naming bad lines."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionError(f"{path} cannot be read: {error}") from error
    questions: list[Question] = []
    faults: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            questions.append(_question(line, number, documents, scope))
        except ValueError as error:
            faults.append(f"line {number}: {error}")
    if faults:
        shown = "\n  ".join(faults[:BAD_LINES_SHOWN])
        more = len(faults) - BAD_LINES_SHOWN
        rest = f"\n  and {more} more" if more > 0 else ""
        raise QuestionError(f"{path} has lines that are no questions:\n  {shown}{rest}")
    if not questions:
        raise QuestionError(f"{path} holds no question.")
    return questions


def _question(line: str, number: int, documents: Sequence[str], scope: Scope) -> Question:
    """Raises ValueError with what is wrong."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON ({error})") from None
    if not isinstance(row, dict):
        raise ValueError('no JSON object such as {"question": …, "document": …}')
    text, document = row.get("question"), row.get("document", "")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("question is missing or no text")
    if not isinstance(document, str):
        raise ValueError("document is no text")
    if document and document not in documents:
        raise ValueError(f"there is no document {document!r} in the folder")
    pages, evidence = _pages(row), _evidence(row)
    if not (document or pages or evidence):
        raise ValueError("no evidence: give document, pages or text")
    if not document and (pages or scope == Scope.DOCUMENT):
        if len(documents) > 1:
            raise ValueError("document is missing, and the folder has more than one")
        document = documents[0]
    return Question(str(row.get("id", number)), text, document, pages, evidence)


def _pages(row: Mapping[str, Any]) -> frozenset[int]:
    if "page" in row and "pages" in row:
        raise ValueError("page and pages: give one of them")
    pages = [row["page"]] if "page" in row else row.get("pages", [])
    if not isinstance(pages, list) or ("pages" in row and not pages):
        raise ValueError("pages is no list of page numbers")
    for page in pages:
        if isinstance(page, bool) or not isinstance(page, int) or page < 1:
            raise ValueError(f"{page!r} is no page number: they count from 1")
    return frozenset(pages)


def _evidence(row: Mapping[str, Any]) -> tuple[str, ...]:
    texts = row.get("text", [])
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or ("text" in row and not texts):
        raise ValueError("text is neither a text nor a list of texts")
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError("text holds something that is no text, or blank")
    return tuple(texts)


def _plain(text: str) -> str:
    """With single spaces: where a line ends is no part of the evidence."""
    return " ".join(text.split())


def _line(question: Question) -> str:
    place = question.document
    if question.pages:
        place += f" p. {', '.join(map(str, sorted(question.pages)))}"
    return f"{question.id}: {question.text}" + (f"  [{place}]" if place else "")

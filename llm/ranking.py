"""From what matched to what is worth reading: the last ordering, joining and dropping."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from llm.passages import Passage

# A question for an amount is better met where figures stand, as in a table: a passage gains up to
# this share of its score, wholly where so many of its words are figures.
FIGURES_GAIN = 0.3
FIGURES_SHARE = 0.3

ASKS_AMOUNT = re.compile(
    r"\b(how (much|many|large|long|high|big)|amounts?|totals?|rates?|ratios?|percent\w*|margins?|"
    r"usd|eur|(m|b)illions?|compute|calculate|number|figures?|costs?|prices?|values?|average|sum|"
    r"revenues?|sales|income|profits?|earnings|eps|expenses?|expenditures?|capex|spend\w*|spent|"
    r"debts?|dividends?|cash|assets|liabilities|goodwill|depreciation)\b|[$€£%]",
    re.IGNORECASE,
)
FIGURE = re.compile(r"\d[\d,.]*")

# Texts that begin with other words are not the same.
FIRST_WORDS = 8


class Outcome(StrEnum):
    """What became of a candidate."""

    KEPT = "kept"
    JOINED = "joined"
    DUPLICATE = "duplicate"
    BELOW_LIMIT = "below_limit"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that matched, and what became of it."""

    passage: Passage
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Found:
    """The passages, best first, and all candidates they were chosen from."""

    passages: list[Passage]
    candidates: list[Candidate]


def choose(question: str, matches: Sequence[Passage], limit: int) -> Found:
    """At most `limit` passages: neighbours become one passage, the same text stands once."""
    kept: list[Passage] = []
    texts: set[str] = set()
    whole: set[int] = set()  # places in `kept` that have been joined
    candidates: list[Candidate] = []
    ordered = _reordered(question, matches)
    for match, text in zip(ordered, _comparable(ordered), strict=True):
        neighbour = next(
            (n for n, one in enumerate(kept) if n not in whole and _adjoin(one, match)), None
        )
        if text in texts:
            outcome = Outcome.DUPLICATE
        elif neighbour is not None:
            outcome = Outcome.JOINED
            kept[neighbour] = _join(kept[neighbour], match)
            whole.add(neighbour)
        elif len(kept) < limit:
            outcome = Outcome.KEPT
            kept.append(match)
        else:
            outcome = Outcome.BELOW_LIMIT
        texts.add(text)
        candidates.append(Candidate(match, outcome))
    return Found(kept, candidates)


def _reordered(question: str, matches: Sequence[Passage]) -> list[Passage]:
    """The matches by their score, in which figures count where an amount is asked for."""
    if not ASKS_AMOUNT.search(question):
        return list(matches)
    return sorted(map(_with_gain, matches), key=lambda one: -one.score)


def _with_gain(match: Passage) -> Passage:
    figures = len(FIGURE.findall(match.text))
    if not figures:
        return match
    share = figures / len(match.text.split())
    gain = FIGURES_GAIN * min(1.0, share / FIGURES_SHARE)
    return replace(match, score=match.score * (1 + gain))


def _comparable(matches: Sequence[Passage]) -> list[str]:
    """Each text as small letters with single spaces; the first words do where no other has them."""
    first = [
        " ".join(match.text.split(None, FIRST_WORDS)[:FIRST_WORDS]).lower() for match in matches
    ]
    shared = Counter(first)
    return [
        " ".join(match.text.lower().split()) if shared[words] > 1 else words
        for match, words in zip(matches, first, strict=True)
    ]


def _adjoin(one: Passage, other: Passage) -> bool:
    return abs(one.ordinal - other.ordinal) == 1 and one.document_id == other.document_id


def _join(better: Passage, other: Passage) -> Passage:
    """Both in reading order, with the identity and score of the better one."""
    first, second = sorted((better, other), key=lambda one: one.ordinal)
    return replace(
        first.joined(second),
        chunk_id=better.chunk_id,
        ordinal=better.ordinal,
        section=better.section,
        score=better.score,
    )

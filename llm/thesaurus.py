"""Other words for what a question asks, so that it meets documents written in other words."""

import re
from functools import lru_cache
from pathlib import Path

from llm.retrieval import Query
from llm.words import searchable

# A term that stands for another one counts half (tests/benchmarks/README.md).
WEIGHT = 0.5

_FILE = Path(__file__).with_name("thesaurus.txt")
_WORD = re.compile(r"[^\W_]+")
_CONNECTORS = frozenset({"a", "and", "for", "in", "of", "the"})

Phrase = tuple[str, ...]


def expand(query: Query) -> Query:
    """The query, with other words for what each of its texts asks."""
    others = ((" ".join(other_words(text)), weight * WEIGHT) for text, weight in query.texts)
    return Query((*query.texts, *((text, weight) for text, weight in others if text)))


def other_words(text: str) -> list[str]:
    """The phrases that stand for those of the text, in the thesaurus's order."""
    words, known, longest = _words(text), _phrases(), _longest()
    found = {
        other: None
        for start in range(len(words))
        for length in range(1, longest + 1)
        for other in known.get(tuple(words[start : start + length]), ())
    }
    return list(found)


@lru_cache(maxsize=1)
def _phrases() -> dict[Phrase, list[str]]:
    """What each phrase of the thesaurus finds."""
    known: dict[Phrase, list[str]] = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        left, arrow, right = (part.strip() for part in line.partition(">"))
        sought = left.split(", ")
        found = right.split(", ") if arrow else sought
        for phrase in sought:
            known.setdefault(tuple(_words(phrase)), []).extend(found)
    return known


@lru_cache(maxsize=1)
def _longest() -> int:
    """The words of its longest phrase."""
    return max(map(len, _phrases()))


def _words(text: str) -> list[str]:
    """Lower-case words without connectors, in the singular."""
    words = _WORD.findall(searchable(text).lower())
    return [_singular(word) for word in words if word not in _CONNECTORS]


def _singular(word: str) -> str:
    """Near enough for English: both sides of a comparison are bent the same way."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word

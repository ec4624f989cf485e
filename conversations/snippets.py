"""The part of a text that shows where words stand in it."""

import re
from dataclasses import dataclass

# About two lines; the first match comes after a few words that lead to it.
SNIPPET_CHARS = 240
LEAD_CHARS = 60
CUT = "…"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A part of a text, with [start, end) of the matches in it, in characters."""

    snippet: str
    highlights: tuple[tuple[int, int], ...]


def snippet(text: str, words: re.Pattern[str] | None) -> Snippet:
    """The part around the first match; the beginning where nothing matches."""
    first = words.search(text) if words else None
    start, end = _window(text, first.start() if first else 0)
    part = text[start:end]
    before = CUT if start else ""
    shown = before + part + (CUT if end < len(text) else "")
    found = words.finditer(text, start, end) if words else ()
    shift = len(before) - start
    return Snippet(shown, tuple((one.start() + shift, one.end() + shift) for one in found))


def _window(text: str, at: int) -> tuple[int, int]:
    """About SNIPPET_CHARS around a place, from one word's beginning to another's end."""
    start = max(0, at - LEAD_CHARS)
    if start:
        gap = text.find(" ", start, at)
        start = gap + 1 if gap >= 0 else start
    end = start + SNIPPET_CHARS
    if end >= len(text):
        return start, len(text)
    gap = text.rfind(" ", at + 1, end)
    return start, gap if gap > at else end

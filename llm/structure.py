"""Headings: what tells a reader, and a search, which section of a document a passage is from."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

HEADING_CHARS = 120
HEADING_WORDS = 14
# A line that stands on so many pages is furniture of the page (`Annual report | 40`), no heading.
FURNITURE_PAGES = 4
FURNITURE_SHARE = 0.1

_NUMBERED = re.compile(
    r"(?:(?:item|part|note|chapter|section|article|annex|appendix|schedule|exhibit)\s+"
    r"(?:[0-9]+[a-z]?|[ivxlc]+|[a-z])\b|\d{1,2}(?:\.\d{1,2}){1,3}\s|\d{1,2}\.\s)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+")
_FIGURES = re.compile(r"\d+")


class Level(IntEnum):
    """How much a heading opens."""

    PART = 1
    PASSAGE = 2


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading at an offset of the text."""

    offset: int
    title: str
    level: Level


class Outline:
    """The headings of a document, in order.

    `starts` are the offsets at which its pages begin in the whole text; `given` are headings that
    are known beforehand.
    """

    def __init__(
        self, pages: Sequence[str], starts: Sequence[int], given: Sequence[Heading] = ()
    ) -> None:
        found = {heading.offset: heading for heading in _headings(pages, starts)}
        # What a document says of itself (bookmarks, Markdown) is better than what its lines show.
        found |= {heading.offset: heading for heading in given}
        self.headings = [found[offset] for offset in sorted(found)]
        self._offsets = [heading.offset for heading in self.headings]
        self._sections = list(_sections(self.headings))

    def section(self, start: int, end: int) -> str:
        """Where the most of a stretch of text stands: `Part` or `Part > Passage`."""
        headings_before = bisect_right(self._offsets, start + (end - start) // 3)
        return self._sections[headings_before - 1] if headings_before else ""


def _sections(headings: Sequence[Heading]) -> Iterator[str]:
    """The section that each heading opens."""
    part = passage = ""
    for heading in headings:
        if heading.level == Level.PART:
            part, passage = heading.title, ""
        else:
            passage = heading.title
        yield " > ".join(title for title in (part, passage) if title)


def _headings(pages: Sequence[str], starts: Sequence[int]) -> Iterator[Heading]:
    furniture = _furniture(pages)
    for page, start in zip(pages, starts, strict=True):
        before = ""
        for offset, line, after in _lines(page):
            if _pattern(line) not in furniture and (found := _title(line, before, after)):
                title, level = found
                yield Heading(start + offset, title, level)
            before = line


def _lines(page: str) -> Iterator[tuple[int, str, str]]:
    """Each line that is not blank, with its offset and the next one."""
    lines: list[tuple[int, str]] = []
    offset = 0
    for line in page.split("\n"):
        if line.strip():
            lines.append((offset, line.strip()))
        offset += len(line) + 1
    for index, (offset, line) in enumerate(lines):
        yield offset, line, lines[index + 1][1] if index + 1 < len(lines) else ""


def _furniture(pages: Sequence[str]) -> set[str]:
    """Lines that many pages share, whatever their figures."""
    counts = Counter(
        pattern for page in pages for pattern in {_pattern(line) for line in page.split("\n")}
    )
    least = max(FURNITURE_PAGES, FURNITURE_SHARE * len(pages))
    return {pattern for pattern, count in counts.items() if count >= least}


def _pattern(line: str) -> str:
    return _FIGURES.sub("#", line.strip().lower())


def _title(line: str, before: str, after: str) -> tuple[str, Level] | None:
    """The heading that a line is; None where it is none."""
    if len(line) > HEADING_CHARS:
        return None
    words = _WORD.findall(line)
    letters = sum(map(len, words))
    if not 1 <= len(words) <= HEADING_WORDS or letters < 0.6 * len(line.replace(" ", "")):
        return None
    if line[-1] in ",;" or letters < 4 or not (line[0].isupper() or line[0].isdigit()):
        return None
    if _NUMBERED.match(line) and words[-1][0].isupper():
        return line, Level.PART
    if line[-1] in ".?!:" or len(_FIGURES.findall(line)) > 1:
        return None
    if line.isupper():
        return (line, Level.PART) if len(words) > 1 or letters > 7 else None
    opens = not before or before[-1] in ".:!?)" or before.isupper()
    capitals = [word for word in words if len(word) > 3]
    titled = bool(capitals) and all(word[0].isupper() for word in capitals)
    running = len(after) > 60 and after[0].isupper()
    return (line, Level.PASSAGE) if opens and titled and running else None

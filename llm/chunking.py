"""Text with page marks cut into overlapping chunks that know their place in the source."""

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from llm.structure import Heading, Level, Outline

# English prose takes six characters a word with its space, German seven, wide tables more; eight
# lets a chunk of ordinary text reach its word count and still bounds the odd one.
CHARS_PER_WORD = 8

# A word, or a piece of a "word" too long to be one (scripts without spaces, base64, rules of
# dashes). The ideographic full stops close a piece, so that those scripts break at sentences too.
_PIECE = 60
_STOPS = "\u3002\uff01\uff1f"

# Two figures make a row of a table; a line is looked at no further than this.
_FIGURE = re.compile(r"\d[\d,.]*")
_LINE = 300

# The heading of a part ends a chunk that has at least one word in so many of its room.
PART_SHARE = 3

# Chapters and their sections are parts; what is deeper stands inside them.
PART_DEPTH = 2

# A full stop, perhaps inside quotes or brackets, ends a sentence.
_SENTENCE_END = re.compile("[.!?\u2026][\"'\u201d\u2019\xbb)\\]]*$")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a document.

    Pages count from 1 and include both ends. `char_start` is an offset in the text of the first
    page, `char_end` an offset in the text of the last page, exclusive. Where a chunk runs across
    pages, its text joins them with one line feed.
    """

    ordinal: int
    text: str
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    section: str = ""


@dataclass(frozen=True, slots=True)
class KnownHeading:
    """A heading that the document names itself: its page from 1, its offset in the page's text,
    and its depth (1: a chapter)."""

    title: str
    page: int
    offset: int
    level: int


def chunk_pages(
    pages: Sequence[str],
    *,
    words: int = 220,
    overlap: int = 40,
    known_headings: Sequence[KnownHeading] = (),
) -> Iterator[Chunk]:
    """Cut pages into chunks of at most `words` words, each repeating about `overlap` words.

    A chunk begins and ends at a heading, paragraph, sentence or line border where one is near, and
    holds at most `8 * words` characters. Nothing is repeated across the heading of a part. Every
    word of the pages is in at least one chunk. Raises ValueError unless 0 <= overlap < words.
    """
    if not 0 <= overlap < words:
        raise ValueError("chunk_pages needs 0 <= overlap < words")
    text = "\n".join(pages)
    page_starts = _page_starts(pages)
    given = [
        Heading(page_starts[known.page - 1] + known.offset, known.title, _level(known))
        for known in known_headings
    ]
    outline = Outline(pages, page_starts, given)
    for ordinal, (start, end) in enumerate(_Cutter(text, outline, words, overlap).spans()):
        first = bisect_right(page_starts, start)
        last = bisect_right(page_starts, end - 1)
        yield Chunk(
            ordinal=ordinal,
            text=text[start:end],
            page_start=first,
            page_end=last,
            char_start=start - page_starts[first - 1],
            char_end=end - page_starts[last - 1],
            section=outline.section(start, end),
        )


def _level(known: KnownHeading) -> Level:
    return Level.PART if known.level <= PART_DEPTH else Level.PASSAGE


def _page_starts(pages: Sequence[str]) -> Sequence[int]:
    starts = array("q")
    offset = 0
    for page in pages:
        starts.append(offset)
        offset += len(page) + 1
    return starts


class _Border(IntEnum):
    """How good a place to cut lies between two words; higher is better."""

    INSIDE_WORD = 0
    WORD = 1
    ROW = 2
    LINE = 3
    SENTENCE = 4
    SENTENCE_AND_LINE = 5
    PARAGRAPH = 6
    HEADING = 7
    PART = 8


class _Cutter:
    """Chooses the cuts. Positions are word numbers; a border `i` lies before word `i`."""

    def __init__(self, text: str, outline: Outline, words: int, overlap: int) -> None:
        self.text = text
        self.headings = {heading.offset: heading.level for heading in outline.headings}
        self.words = words
        self.overlap = overlap
        self.max_chars = CHARS_PER_WORD * words
        self.starts, self.ends = _word_spans(text, min(_PIECE, self.max_chars - len(_STOPS)))

    def spans(self) -> Iterator[tuple[int, int]]:
        """Character offsets (start, end) of each chunk, in order."""
        count = len(self.starts)
        first, done = 0, 0
        while done < count:
            done = self._end(first, done)
            yield self.starts[first], self.ends[done - 1]
            first = self._next_start(first, done)

    def _end(self, first: int, done: int) -> int:
        """The border that closes a chunk beginning at `first`, always past `done`."""
        furthest = done + 1
        limit = min(first + self.words, len(self.starts))
        while furthest < limit and self._fits(first, furthest + 1):
            furthest += 1
        earliest = max(done + 1, first + self.words // PART_SHARE)
        for border in range(earliest, min(furthest + 1, len(self.starts))):
            if self._opens_part(border):
                return border
        if furthest == len(self.starts):
            return furthest
        nearest = max(done + 1, furthest - self.words // 4)
        return self._best(nearest, furthest, lambda border: border)

    def _next_start(self, first: int, done: int) -> int:
        """Where the next chunk begins: about `overlap` words back, and with room for a new word."""
        if self.overlap == 0 or done == len(self.starts) or self._opens_part(done):
            return done
        earliest = max(first + 1, done - self.overlap * 3 // 2)
        while earliest < done and not self._may_repeat(earliest, done):
            earliest += 1
        latest = max(earliest, done - (self.overlap + 1) // 2)
        target = done - self.overlap
        return self._best(earliest, latest, lambda border: -abs(border - target))

    def _may_repeat(self, start: int, done: int) -> bool:
        """Whether a chunk that begins there has room for a new word, and repeats no more than an
        overlap of ordinary words does."""
        repeated = self.ends[done - 1] - self.starts[start]
        return self._fits(start, done + 1) and repeated <= CHARS_PER_WORD * self.overlap * 3 // 2

    def _fits(self, first: int, end: int) -> bool:
        short = self.ends[end - 1] - self.starts[first] <= self.max_chars
        return short and end - first <= self.words

    def _best(self, low: int, high: int, closeness: Callable[[int], int]) -> int:
        """The best border from `low` to `high`; among equals the one with most `closeness`."""
        return max(range(low, high + 1), key=lambda border: (self._rank(border), closeness(border)))

    def _rank(self, border: int) -> _Border:
        before, after = self.ends[border - 1], self.starts[border]
        if level := self.headings.get(after):
            return _Border.PART if level == Level.PART else _Border.HEADING
        breaks = self.text.count("\n", before, after)
        if breaks > 1:
            return _Border.PARAGRAPH
        if self._ends_sentence(before, after):
            return _Border.SENTENCE_AND_LINE if breaks else _Border.SENTENCE
        if breaks:
            return _Border.ROW if self._inside_table(before, after) else _Border.LINE
        return _Border.WORD if after > before else _Border.INSIDE_WORD

    def _opens_part(self, border: int) -> bool:
        return self.headings.get(self.starts[border]) == Level.PART

    def _inside_table(self, before: int, after: int) -> bool:
        """Whether the lines on both sides hold two figures or more."""
        above = self.text[self.text.rfind("\n", 0, before) + 1 : before]
        end = self.text.find("\n", after)
        below = self.text[after : end if end >= 0 else len(self.text)]
        return all(len(_FIGURE.findall(line[:_LINE])) > 1 for line in (above, below))

    def _ends_sentence(self, before: int, after: int) -> bool:
        """Not before a small letter or a digit, as after `approx.` and `No.`."""
        if self.text[before - 1] in _STOPS:
            return True
        if after == before or self.text[after].islower() or self.text[after].isdigit():
            return False
        return _SENTENCE_END.search(self.text[max(0, before - 4) : before]) is not None


def _word_spans(text: str, piece: int) -> tuple[Sequence[int], Sequence[int]]:
    """Start and end offsets of the words, in flat arrays: a text of 10 MB has two million."""
    pattern = re.compile(rf"[^\s{_STOPS}]{{1,{piece}}}[{_STOPS}]{{0,3}}|\S")
    starts, ends = array("q"), array("q")
    for match in pattern.finditer(text):
        starts.append(match.start())
        ends.append(match.end())
    return starts, ends

"""A passage: a retrieved chunk with its score and its place in a document."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Passage:
    """What retrieval found. `page_breaks` are the offsets in `text` where each next page begins."""

    chunk_id: UUID
    document_id: UUID
    document_name: str
    text: str
    score: float
    page_start: int
    page_end: int
    char_start: int
    page_breaks: tuple[int, ...]
    section: str = ""
    ordinal: int = 0

    @property
    def pages(self) -> str:
        """`page 4` or `pages 4-5`."""
        if self.page_start == self.page_end:
            return f"page {self.page_start}"
        return f"pages {self.page_start}-{self.page_end}"

    def page_at(self, offset: int) -> tuple[int, int]:
        """The page (from 1) and the offset in that page's text of an offset in `text`."""
        breaks_before = bisect_right(self.page_breaks, offset)
        if breaks_before == 0:
            return self.page_start, self.char_start + offset
        return self.page_start + breaks_before, offset - self.page_breaks[breaks_before - 1]

    def page_end_of(self, offset: int) -> int:
        """Where in `text` the page ends that holds this offset."""
        later = [start - 1 for start in self.page_breaks if start > offset]
        return later[0] if later else len(self.text)

    def joined(self, after: "Passage") -> "Passage":
        """This passage and the next chunk of its document as one; what both hold stands once.

        It keeps this one's identity and score.
        """
        start = self._offset_of(after.page_start, after.char_start)
        text = self.text[:start].ljust(start, "\n") + after.text
        breaks = {offset for offset in self.page_breaks if offset <= start}
        breaks |= {start + offset for offset in after.page_breaks}
        if after.page_start > self.page_start and after.char_start == 0:
            breaks.add(start)
        return replace(
            self,
            text=text,
            page_end=max(self.page_end, after.page_end),
            page_breaks=tuple(sorted(breaks)),
        )

    def _offset_of(self, page: int, offset: int) -> int:
        """Where in `text`, or past its end, a place of the document stands."""
        if page == self.page_start:
            return offset - self.char_start
        known = page - self.page_start - 1
        if known < len(self.page_breaks):
            return self.page_breaks[known] + offset
        return len(self.text) + 1 + offset


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of one page's text: offsets in it, the end exclusive."""

    page: int
    start: int
    end: int


def stretches(
    text: str, page_start: int, char_start: int, page_breaks: Sequence[int]
) -> list[Stretch]:
    """Where a passage or chunk stands, page by page."""
    first = Stretch(page_start, char_start, char_start + len(text))
    if not page_breaks:
        return [first]
    ends = [*(start - 1 for start in page_breaks[1:]), len(text)]
    later = [
        Stretch(page, 0, max(0, end - start))
        for page, (start, end) in enumerate(
            zip(page_breaks, ends, strict=True), start=page_start + 1
        )
    ]
    return [replace(first, end=char_start + max(0, page_breaks[0] - 1)), *later]

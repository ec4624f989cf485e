"""A passage: a retrieved chunk with its score and its place in a document."""

from bisect import bisect_right
from dataclasses import dataclass
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

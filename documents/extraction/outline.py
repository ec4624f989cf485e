"""A document's sections as it names them itself: a PDF's bookmarks, a Markdown file's headings."""

import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from documents.extraction.text import clean

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

MAX_ITEMS: Final = 1_000
MAX_TITLE_CHARS: Final = 200

# Bookmarks are a help; a file that makes them costly is read without the rest of them.
_MAX_SECONDS: Final = 5.0
_MAX_DEPTH: Final = 10

# A section's title stands near the beginning of its page, or further down a page of a text file.
_SEARCHED_CHARS: Final = 20_000

_FENCE = re.compile(r" {0,3}(```|~~~)")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*)")
_CLOSING_HASHES = re.compile(r"[ \t]+#+$")


@dataclass(frozen=True, slots=True)
class OutlineItem:
    """A section's title on one line, where it begins, and its depth (1: a chapter).

    `page` counts from 1; `offset` is that of the title in the page's clean text, 0 if unknown.
    """

    title: str
    page: int
    level: int
    offset: int = 0


def of_pdf(document: "PdfDocument") -> list[OutlineItem]:
    """The bookmarks that lead to a page, in order; those before the first that cannot be read."""
    items: list[OutlineItem] = []
    deadline = time.monotonic() + _MAX_SECONDS
    try:
        for bookmark in islice(document.get_toc(max_depth=_MAX_DEPTH), MAX_ITEMS):
            if time.monotonic() > deadline:
                break
            destination = bookmark.get_dest()
            page = None if destination is None else destination.get_index()
            title = _one_line(bookmark.get_title())
            if page is not None and page >= 0 and title:
                items.append(OutlineItem(title, page + 1, bookmark.level + 1))
    except Exception as error:  # whatever is wrong with them, the text can be read
        print(f"PDFium cannot read the outline: {type(error).__name__}", file=sys.stderr)
    return items


def of_markdown(pages: Sequence[str]) -> list[OutlineItem]:
    """The headings marked with `#` in clean text, outside fenced code."""
    return list(islice(_headings(pages), MAX_ITEMS))


def placed(items: Sequence[OutlineItem], pages: Sequence[str]) -> list[OutlineItem]:
    """The items whose page there is, each with the offset at which its page has the title."""
    return [
        replace(item, offset=_offset(item.title, pages[item.page - 1]))
        for item in items
        if item.page <= len(pages)
    ]


def _headings(pages: Sequence[str]) -> Iterator[OutlineItem]:
    fence = ""
    for number, page in enumerate(pages, start=1):
        offset = 0
        for line in page.split("\n"):
            if mark := _FENCE.match(line):
                fence = "" if fence == mark[1] else fence or mark[1]
            elif not fence and (heading := _HEADING.match(line)):
                title = _one_line(_CLOSING_HASHES.sub("", heading[2][: 2 * MAX_TITLE_CHARS]))
                yield OutlineItem(title, number, len(heading[1]), offset)
            offset += len(line) + 1


def _offset(title: str, page: str) -> int:
    """Where the page has the title, however its words are parted and written."""
    words = r"\s+".join(map(re.escape, title.split()))
    found = re.compile(words, re.IGNORECASE).search(page, 0, _SEARCHED_CHARS)
    return found.start() if found else 0


def _one_line(title: str) -> str:
    return " ".join(clean(title).split())[:MAX_TITLE_CHARS].rstrip()

"""Reads one file and writes its text as JSON Lines; a hostile file can harm this process only.

`python -m documents.extraction.reader KIND PATH MEMORY_BYTES CPU_SECONDS MAX_CHARS MAX_PAGES`,
started by `guard`, which knows what to make of its end. The lines: a header `{"kind": "pdf",
"pages": 9, "title": "..."}`, `{"read": 1}` as each page is read, `{"page": 1, "text": "..."}` for
each page once all are known, `{"section": "...", "page": 1, "level": 1, "offset": 0}` for each item
of the outline, and `{"done": true}`; or `{"error": "encrypted"}`.
"""

import json
import logging
import math
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from documents.extraction import Code, ExtractionError, outline
from documents.extraction.kind import unicode_encoding
from documents.extraction.outline import OutlineItem
from documents.extraction.text import clean, clean_pages

if TYPE_CHECKING:
    from pypdf import PdfReader
    from pypdfium2 import PdfDocument

# FPDF_ERR_PASSWORD and FPDF_ERR_SECURITY of PDFium's fpdfview.h.
_PDFIUM_LOCKED = (4, 5)

# A metadata field may hold a whole book; a title that is longer than this is none.
_TITLE_CHARS = 300

# Bounds what pypdf's warnings may write to the file behind stderr.
_MAX_FILE_BYTES = 1_000_000

# Enough to tell one legacy encoding from another. Only text around bytes beyond ASCII tells it.
_SAMPLE_STRETCHES = 300
_BEYOND_ASCII = re.compile(rb"[\x80-\xff][^\n]{0,200}[\x80-\xff]*")

# A crash leaves a run of zeros in a log; a file with many more is none of text.
_NULS_ALLOWED = 1 / 20

# The encodings still met in files that are not Unicode, the likelier first: it wins a tie.
_LEGACY = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
)


def main(arguments: list[str]) -> int:
    """Read as the arguments say; 0 also when the answer is a known failure."""
    kind, path, memory_bytes, cpu_seconds, max_chars, max_pages = arguments
    _limit_resources(int(memory_bytes), float(cpu_seconds))
    _keep_quiet()
    try:
        if kind == "pdf":
            bookmarks, texts = _open_pdf(Path(path), int(max_pages))
            pages = _clean(texts, int(max_chars), "no_text_layer")
            _send_all(pages, outline.placed(bookmarks, pages))
        else:
            pages = _clean(_read_txt(Path(path), int(max_pages)), int(max_chars), "empty")
            _send_all(pages, outline.of_markdown(pages))
    except ExtractionError as error:
        _send(error=error.code)
    except MemoryError:
        _send(error="too_large")
    return 0


def _limit_resources(memory_bytes: int, cpu_seconds: float) -> None:
    """Address space, processor time and file sizes; Windows has no such limits."""
    try:
        import resource
    except ImportError:
        return
    cpu = math.ceil(cpu_seconds)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_FILE_BYTES, _MAX_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _keep_quiet() -> None:
    """What is written to stderr gets into a log; warnings and errors may quote the document."""
    logging.disable()
    sys.excepthook = lambda kind, *_: print(kind.__name__, file=sys.stderr)


def _send(**line: object) -> None:
    sys.stdout.buffer.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    sys.stdout.buffer.flush()


def _clean(texts: Iterable[str], max_chars: int, without_text: Code) -> list[str]:
    """All pages, clean; all are read first, for a word broken on one may stand on another."""
    raw: list[str] = []
    room = max_chars
    for number, text in enumerate(texts, start=1):
        room -= len(text)
        if room < 0:
            raise ExtractionError("too_large")
        raw.append(text)
        _send(read=number)
    pages = clean_pages(raw)
    if not any(page.strip() for page in pages):
        raise ExtractionError(without_text)
    return pages


def _send_all(pages: Iterable[str], sections: Iterable[OutlineItem]) -> None:
    for number, text in enumerate(pages, start=1):
        _send(page=number, text=text)
    for item in sections:
        _send(section=item.title, page=item.page, level=item.level, offset=item.offset)
    _send(done=True)


# --- PDF ---


def _open_pdf(path: Path, max_pages: int) -> tuple[list[OutlineItem], Iterator[str]]:
    """The bookmarks, and raw text page by page; the header is sent."""
    if path.stat().st_size == 0:
        raise ExtractionError("empty")
    by_pypdf, by_pdfium = _open_pypdf(path), _open_pdfium(path)
    count = _page_count(by_pypdf, by_pdfium)
    if count == 0:
        raise ExtractionError("empty")
    if count > max_pages:
        raise ExtractionError("too_large")
    _send(kind="pdf", pages=count, title=_title(by_pypdf))
    bookmarks = [] if by_pdfium is None else outline.of_pdf(by_pdfium)
    return bookmarks, _pdf_texts(by_pypdf, by_pdfium, count)


def _pdf_texts(
    by_pypdf: "PdfReader | None", by_pdfium: "PdfDocument | None", count: int
) -> Iterator[str]:
    """Each page's text from PDFium or, where that fails, from pypdf."""
    for index in range(count):
        text = _pdfium_text(by_pdfium, index)
        yield _pypdf_text(by_pypdf, index) if text is None else text


def _open_pypdf(path: Path) -> "PdfReader | None":
    """The file as pypdf sees it, or None where it sees no PDF."""
    from pypdf import PasswordType, PdfReader

    try:
        reader = PdfReader(path, strict=False)
        locked = reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED
    except MemoryError:
        raise
    except Exception as error:  # A parser of hostile input fails in more ways than it declares.
        _note("pypdf cannot open the file", error)
        return None
    if locked:
        raise ExtractionError("encrypted")
    return reader


def _open_pdfium(path: Path) -> "PdfDocument | None":
    """The file as PDFium sees it, or None where it sees no PDF."""
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        return PdfDocument(path, password="")
    except PdfiumError as error:
        if error.err_code in _PDFIUM_LOCKED:
            raise ExtractionError("encrypted") from error
        _note("PDFium cannot open the file", error)
        return None


def _page_count(by_pypdf: "PdfReader | None", by_pdfium: "PdfDocument | None") -> int:
    if by_pdfium is not None:
        return len(by_pdfium)
    if by_pypdf is None:
        raise ExtractionError("damaged")
    try:
        return len(by_pypdf.pages)
    except MemoryError:
        raise
    except Exception as error:
        raise ExtractionError("damaged") from error


def _title(by_pypdf: "PdfReader | None") -> str:
    """The title in the metadata, on one line, or ""."""
    if by_pypdf is None:
        return ""
    try:
        title = by_pypdf.metadata.title if by_pypdf.metadata else None
    except MemoryError:
        raise
    except Exception as error:
        _note("no metadata", error)
        return ""
    return " ".join(clean(str(title or "")).split())[:_TITLE_CHARS]


def _pdfium_text(document: "PdfDocument | None", index: int) -> str | None:
    """A page's text, or None where PDFium cannot read the page."""
    if document is None:
        return None
    from pypdfium2 import PdfiumError

    try:
        page = document[index]
        try:
            textpage = page.get_textpage()
            try:
                return str(textpage.get_text_bounded())
            finally:
                textpage.close()
        finally:
            page.close()
    except PdfiumError as error:
        _note(f"PDFium cannot read page {index + 1}", error)
        return None


def _pypdf_text(reader: "PdfReader | None", index: int) -> str:
    """A page's text, or "" where pypdf cannot read it either."""
    if reader is None:
        return ""
    try:
        return reader.pages[index].extract_text()
    except MemoryError:
        raise
    except Exception as error:
        _note(f"pypdf cannot read page {index + 1}", error)
        return ""


def _note(event: str, error: Exception) -> None:
    """A line for the operator; its class alone, for a message may quote the document."""
    print(f"{event}: {type(error).__name__}", file=sys.stderr)


# --- Text ---


def _read_txt(path: Path, max_pages: int) -> Iterator[str]:
    """Text split into pages at form feeds; the header is sent."""
    pages = _decode(path.read_bytes()).split("\f")
    if len(pages) > 1 and not pages[-1].strip():
        pages.pop()  # Printers' files end each page, the last one too, with a form feed.
    if len(pages) > max_pages:
        raise ExtractionError("too_large")
    _send(kind="txt", pages=len(pages), title="")
    yield from pages


def _decode(data: bytes) -> str:
    """As UTF-16 if it is so, as UTF-8, by the look of the bytes, as Windows' Western code page."""
    encoding = unicode_encoding(data)
    for candidate in [encoding] if encoding else _encodings(data):
        try:
            text = data.decode(candidate)
        except UnicodeDecodeError:
            continue
        if text.count("\0") <= max(1, len(text) * _NULS_ALLOWED):
            return text
    raise ExtractionError("unreadable_text")


def _encodings(data: bytes) -> Iterator[str]:
    yield "utf-8"
    yield _guess(data)
    yield "cp1252"


def _guess(data: bytes) -> str:
    """The legacy encoding that a bounded sample resembles most."""
    from charset_normalizer import from_bytes

    stretches = islice(_BEYOND_ASCII.finditer(data), _SAMPLE_STRETCHES)
    sample = b"\n".join(stretch[0] for stretch in stretches)
    matches = from_bytes(sample, cp_isolation=list(_LEGACY))
    ranked = {
        match.encoding: (match.chaos, -match.coherence, _LEGACY.index(match.encoding))
        for match in matches
        if match.encoding in _LEGACY
    }
    return min(ranked, key=ranked.__getitem__, default="cp1252")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

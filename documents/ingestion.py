"""From a stored file to searchable chunks: read, chunk, count, index; wholly or not at all."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from tempfile import NamedTemporaryFile
from typing import cast

from django.conf import settings
from django.core.files.storage import FileSystemStorage
from django.db import connection, transaction
from django.utils import timezone

from documents import metrics, tracing
from documents.extraction import ExtractionError
from documents.extraction.guard import Extraction, extract
from documents.extraction.kind import Kind
from documents.models import NAME_CHARS, Chunk, Document
from llm import chunking, retrieval, tokens

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_UPDATES = 0.5

# Rows go in as one stream: three times as fast as INSERTs, and never all of them in memory.
COPY_CHUNKS = """
COPY documents_chunk (
    id, document_id, ordinal, text, section, token_count, page_start, page_end, char_start,
    page_breaks
) FROM STDIN
"""
COPY_PAGES = "COPY documents_page (document_id, number, text) FROM STDIN"

Progress = Callable[[int, int], None]


class _DeletedError(Exception):
    """The document was deleted while it was read."""


def ingest(document: Document, on_page: Progress | None = None) -> None:
    """Reads the document into chunks and posting lists; ends as `ready` or `failed`.

    A file that cannot be read is marked failed and not raised. What may pass (the database
    gone, the disk full) is raised, and leaves the document unfinished.
    """
    started = time.perf_counter()
    document.mark_processing()
    try:
        with tracing.span("read", document=str(document.pk), kind=document.kind):
            extraction = _read(document, on_page)
        with tracing.span("store", pages=len(extraction.pages)):
            _store(document, extraction)
    except ExtractionError as error:
        document.mark_failed(error.code, error.detail)
        metrics.READ.labels(document.kind, error.code).inc()
        logger.warning(
            "document failed",
            extra={"document": document.pk, "code": error.code, "reader": error.log},
        )
    except _DeletedError:
        logger.info("document deleted while it was read", extra={"document": document.pk})
    else:
        seconds = time.perf_counter() - started
        metrics.READ.labels(document.kind, "ready").inc()
        metrics.PAGES.labels(document.kind).inc(document.page_count or 0)
        metrics.CHUNKS.labels(document.kind).inc(document.chunk_count or 0)
        metrics.READING.labels(document.kind).observe(seconds)
        logger.info(
            "document ready",
            extra={
                "document": document.pk,
                "pages": document.page_count,
                "chunks": document.chunk_count,
                "seconds": round(seconds, 2),
            },
        )


def _read(document: Document, on_page: Progress | None) -> Extraction:
    """Title, clean pages and sections, read in a guarded subprocess. Raises _DeletedError."""
    due = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due or done == total:
            due = time.monotonic() + SECONDS_BETWEEN_UPDATES
            row = Document.objects.filter(pk=document.pk)
            if not row.update(pages_done=done, page_count=total):
                raise _DeletedError
        if on_page:
            on_page(done, total)

    with _on_this_machine(document) as path:
        return extract(
            path,
            cast(Kind, document.kind),
            memory_bytes=settings.EXTRACTION_MEMORY_BYTES,
            seconds=settings.EXTRACTION_SECONDS,
            on_page=progress,
        )


@contextmanager
def _on_this_machine(document: Document) -> Iterator[Path]:
    """The document's file: the one that is kept or, where files are kept elsewhere, a copy.

    Raises OSError where it cannot be had, as from a disk that is not mounted: that may pass.
    """
    with document.file.open("rb") as kept:
        if isinstance(document.file.storage, FileSystemStorage):
            yield Path(document.file.path)
            return
        with NamedTemporaryFile(prefix="botgpt-") as copy:
            copyfileobj(kept, copy)
            copy.flush()
            yield Path(copy.name)


def _store(document: Document, extraction: Extraction) -> None:
    """Replaces the document's chunks and posting lists, and marks it ready, in one transaction."""
    pages = extraction.pages
    with transaction.atomic(), connection.cursor() as cursor:
        # A document deleted while it was read stays deleted.
        if not Document.objects.select_for_update().filter(pk=document.pk).exists():
            raise _DeletedError
        document.chunks.all().delete()
        document.pages.all().delete()
        document.postings.all().delete()
        chunks = list(_chunks(document, extraction))
        with cursor.copy(COPY_CHUNKS) as copy:
            for chunk in chunks:
                copy.write_row(_row(chunk))
        with cursor.copy(COPY_PAGES) as copy:
            for number, text in enumerate(pages, start=1):
                copy.write_row((document.pk, number, text))
        document.language = retrieval.detect_language(cursor, "\n".join(pages))
        retrieval.index(
            cursor,
            document.pk,
            document.language,
            [chunk.text for chunk in chunks],
            [chunk.section for chunk in chunks],
        )
        document.chunk_count = len(chunks)
        document.token_count = sum(chunk.token_count for chunk in chunks)
        document.title = extraction.title[:NAME_CHARS]
        document.name_terms = retrieval.name_terms(
            cursor, document.language, document.name, document.title
        )
        document.page_count = document.pages_done = len(pages)
        document.status, document.error_code, document.error = Document.Status.READY, "", ""
        document.processed_at = timezone.now()
        document.save()


def _chunks(document: Document, extraction: Extraction) -> Iterator[Chunk]:
    """The document's chunks, not yet saved."""
    pages = extraction.pages
    cut = chunking.chunk_pages(
        pages,
        words=settings.CHUNK_WORDS,
        overlap=settings.CHUNK_OVERLAP_WORDS,
        known_headings=[
            chunking.KnownHeading(item.title, item.page, item.offset, item.level)
            for item in extraction.outline
        ],
    )
    for chunk in cut:
        yield Chunk(
            document=document,
            ordinal=chunk.ordinal,
            text=chunk.text,
            section=chunk.section,
            token_count=tokens.count(chunk.text),
            page_start=chunk.page_start,
            page_end=chunk.page_end,
            char_start=chunk.char_start,
            page_breaks=_page_breaks(chunk, pages),
        )


def _row(chunk: Chunk) -> tuple[object, ...]:
    """The chunk in the order of COPY_CHUNKS."""
    return (
        chunk.pk,
        chunk.document_id,
        chunk.ordinal,
        chunk.text,
        chunk.section,
        chunk.token_count,
        chunk.page_start,
        chunk.page_end,
        chunk.char_start,
        chunk.page_breaks,
    )


def _page_breaks(chunk: chunking.Chunk, pages: Sequence[str]) -> list[int]:
    """Offsets in the chunk's text where its second and later pages begin."""
    breaks: list[int] = []
    offset = -chunk.char_start
    for page in pages[chunk.page_start - 1 : chunk.page_end - 1]:
        offset += len(page) + 1  # the line feed that joins two pages
        breaks.append(offset)
    return breaks

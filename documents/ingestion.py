"""From a stored file to searchable chunks: read, chunk, count, index; wholly or not at all."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from documents.extraction import ExtractionError
from documents.extraction.guard import extract
from documents.extraction.kind import Kind
from documents.models import NAME_CHARS, Chunk, Document, Page
from llm import chunking, retrieval, tokens

logger = logging.getLogger(__name__)

CHUNKS_AT_ONCE = 500
PAGES_BETWEEN_UPDATES = 10

Progress = Callable[[int, int], None]


def ingest(document: Document, on_page: Progress | None = None) -> None:
    """Reads the document into chunks and posting lists; ends as `ready` or `failed`.

    A file that cannot be read is marked failed and not raised. What may pass (the database
    gone, the disk full) is raised, and leaves the document as it was.
    """
    started = time.perf_counter()
    document.mark_processing()
    try:
        pages = _read(document, on_page)
    except ExtractionError as error:
        document.mark_failed(error.code, error.detail)
        logger.warning(
            "document failed",
            extra={"document": document.pk, "code": error.code, "reader": error.log},
        )
        return
    _store(document, pages)
    logger.info(
        "document ready",
        extra={
            "document": document.pk,
            "pages": document.page_count,
            "chunks": document.chunk_count,
            "seconds": round(time.perf_counter() - started, 2),
        },
    )


def _read(document: Document, on_page: Progress | None) -> list[str]:
    """The cleaned text of each page, read in a guarded subprocess."""

    def progress(done: int, total: int) -> None:
        if done % PAGES_BETWEEN_UPDATES == 0 or done == total:
            Document.objects.filter(pk=document.pk).update(pages_done=done, page_count=total)
        if on_page:
            on_page(done, total)

    # A disk that is not mounted is told here, as an OSError, which may pass.
    document.file.open("rb").close()
    extraction = extract(
        Path(document.file.path),
        cast(Kind, document.kind),
        memory_bytes=settings.EXTRACTION_MEMORY_BYTES,
        seconds=settings.EXTRACTION_SECONDS,
        on_page=progress,
    )
    document.title = extraction.title[:NAME_CHARS]
    return extraction.pages


def _store(document: Document, pages: Sequence[str]) -> None:
    """Replaces the document's chunks and posting lists, and marks it ready, in one transaction."""
    with transaction.atomic():
        # A document deleted while it was read stays deleted.
        if not Document.objects.select_for_update().filter(pk=document.pk).exists():
            return
        document.chunks.all().delete()
        document.pages.all().delete()
        document.postings.all().delete()
        chunks = list(_chunks(document, pages))
        Chunk.objects.bulk_create(chunks, batch_size=CHUNKS_AT_ONCE)
        Page.objects.bulk_create(
            (Page(document=document, number=n, text=text) for n, text in enumerate(pages, 1)),
            batch_size=CHUNKS_AT_ONCE,
        )
        with connection.cursor() as cursor:
            document.language = retrieval.detect_language(cursor, "\n".join(pages))
            document.term_count = retrieval.index(cursor, document.pk, document.language)
        document.page_count = document.pages_done = len(pages)
        document.chunk_count = len(chunks)
        document.token_count = sum(chunk.token_count for chunk in chunks)
        document.status, document.error_code, document.error = Document.Status.READY, "", ""
        document.processed_at = timezone.now()
        document.save()


def _chunks(document: Document, pages: Sequence[str]) -> Iterator[Chunk]:
    """The document's chunks, not yet saved."""
    cut = chunking.chunk_pages(
        pages, words=settings.CHUNK_WORDS, overlap=settings.CHUNK_OVERLAP_WORDS
    )
    for chunk in cut:
        yield Chunk(
            document=document,
            ordinal=chunk.ordinal,
            text=chunk.text,
            token_count=tokens.count(chunk.text),
            page_start=chunk.page_start,
            page_end=chunk.page_end,
            char_start=chunk.char_start,
            page_breaks=_page_breaks(chunk, pages),
        )


def _page_breaks(chunk: chunking.Chunk, pages: Sequence[str]) -> list[int]:
    """Offsets in the chunk's text where its second and later pages begin."""
    breaks: list[int] = []
    offset = -chunk.char_start
    for page in pages[chunk.page_start - 1 : chunk.page_end - 1]:
        offset += len(page) + 1  # the line feed that joins two pages
        breaks.append(offset)
    return breaks

"""Finds the passages of documents that match a question."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection
from django.db.models import Q

from documents.models import Chunk
from llm import retrieval
from llm.passages import Passage


def find_passages(query: str, document_ids: Sequence[UUID], limit: int) -> list[Passage]:
    """The best passages of these documents, best first; two database queries."""
    with connection.cursor() as cursor:
        hits = retrieval.search(cursor, query, document_ids, limit)
    if not hits:
        return []
    wanted = Q()
    for hit in hits:
        wanted |= Q(document_id=hit.document_id, ordinal=hit.ordinal)
    chunks = Chunk.objects.filter(wanted).select_related("document")
    by_place = {(chunk.document_id, chunk.ordinal): chunk for chunk in chunks}
    # A document deleted between the two queries has hits, but no chunks any more.
    return [
        _passage(by_place[hit.document_id, hit.ordinal], hit.score)
        for hit in hits
        if (hit.document_id, hit.ordinal) in by_place
    ]


def _passage(chunk: Chunk, score: float) -> Passage:
    return Passage(
        chunk_id=chunk.pk,
        document_id=chunk.document_id,
        document_name=chunk.document.name,
        text=chunk.text,
        score=score,
        page_start=chunk.page_start,
        page_end=chunk.page_end,
        char_start=chunk.char_start,
        page_breaks=tuple(chunk.page_breaks),
    )

"""Finds the passages of documents that match a question."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from uuid import UUID

from django.db import connection

from documents import metrics
from documents.models import Chunk
from documents.prepared import prepared_cursor
from llm import retrieval, thesaurus
from llm.passages import Passage
from llm.ranking import Found, choose
from llm.retrieval import Query, TermScore

# So many candidates are looked at for each passage wanted.
CANDIDATES_A_PASSAGE = 3
# Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): score = sum of 1 / (60 + rank).
FUSION_RANK = 60


def find_passages(text: str, document_ids: Sequence[UUID], limit: int) -> list[Passage]:
    """The best passages of these documents for one text, best first; one database query."""
    return search([Query(((text, 1.0),))], document_ids, limit).passages


def search(queries: Sequence[Query], document_ids: Sequence[UUID], limit: int) -> Found:
    """The best passages for the queries, whose results are fused; one database query each."""
    wanted = limit * CANDIDATES_A_PASSAGE
    searched = len(document_ids)
    with metrics.timed_retrieval(searched), search_cursor(searched) as cursor:
        rankings = [
            retrieval.search(cursor, thesaurus.expand(query), document_ids, wanted)
            for query in queries
        ]
    matches = rankings[0] if len(rankings) == 1 else _fused(rankings)[:wanted]
    question = queries[0].texts[0][0]
    return choose(question, matches, limit)


def chosen_again(chunk_ids: Sequence[UUID]) -> tuple[list[Passage], int]:
    """The passages that were made of these chunks, in the order of a search, and how many are gone.

    Neighbours are joined as they were then; one database query.
    """
    rows = Chunk.objects.filter(pk__in=chunk_ids).select_related("document")
    there = {chunk.pk: chunk for chunk in rows}
    matches = [_as_passage(there[pk]) for pk in chunk_ids if pk in there]
    # Without a question nothing is put in another order, and what was the same text stays out.
    return choose("", matches, len(matches)).passages, len(chunk_ids) - len(matches)


def _as_passage(chunk: Chunk) -> Passage:
    return Passage(
        chunk_id=chunk.pk,
        document_id=chunk.document_id,
        document_name=chunk.document.name,
        text=chunk.text,
        score=0.0,
        page_start=chunk.page_start,
        page_end=chunk.page_end,
        char_start=chunk.char_start,
        page_breaks=tuple(chunk.page_breaks),
        section=chunk.section,
        ordinal=chunk.ordinal,
    )


def search_cursor(documents: int) -> AbstractContextManager[retrieval.Cursor]:
    """A cursor for searching so many documents; for few, each connection keeps the plan."""
    return connection.cursor() if documents > retrieval.FEW_DOCUMENTS else prepared_cursor()


def explain(
    query: Query, document_ids: Sequence[UUID], passages: Sequence[Passage]
) -> dict[UUID, list[TermScore]]:
    """Why each passage's own chunk ranks where it does, term by term, by chunk id."""
    places = {(passage.document_id, passage.ordinal): passage.chunk_id for passage in passages}
    with connection.cursor() as cursor:
        found = retrieval.explain(cursor, thesaurus.expand(query), document_ids, list(places))
    return {places[place]: scores for place, scores in found.items()}


def _fused(rankings: Sequence[Sequence[Passage]]) -> list[Passage]:
    """One ranking of several, by reciprocal ranks."""
    scores: dict[UUID, float] = defaultdict(float)
    for ranking in rankings:
        for rank, match in enumerate(ranking, start=1):
            scores[match.chunk_id] += 1 / (FUSION_RANK + rank)
    matches = {match.chunk_id: match for ranking in rankings for match in ranking}
    best = sorted(scores, key=lambda chunk_id: -scores[chunk_id])
    return [replace(matches[chunk_id], score=scores[chunk_id]) for chunk_id in best]

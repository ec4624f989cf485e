"""Finds the passages of documents that match a question."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from django.db import connection

from documents.models import Chunk
from llm import retrieval, thesaurus
from llm.passages import Passage
from llm.ranking import Found, choose
from llm.retrieval import Hit, Query, TermScore

# So many candidates are looked at for each passage wanted.
CANDIDATES_A_PASSAGE = 4
# Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): score = sum of 1 / (60 + rank).
FUSION_RANK = 60


def find_passages(text: str, document_ids: Sequence[UUID], limit: int) -> list[Passage]:
    """The best passages of these documents for one text, best first; two database queries."""
    return search([Query(((text, 1.0),))], document_ids, limit).passages


def search(queries: Sequence[Query], document_ids: Sequence[UUID], limit: int) -> Found:
    """The best passages for the queries, whose results are fused; one database query more."""
    wanted = limit * CANDIDATES_A_PASSAGE
    with connection.cursor() as cursor:
        rankings = [
            retrieval.search(cursor, thesaurus.expand(query), document_ids, wanted)
            for query in queries
        ]
    hits = rankings[0] if len(rankings) == 1 else _fused(rankings)
    question = queries[0].texts[0][0]
    return choose(question, _passages(hits[:wanted]), limit)


def explain(
    query: Query, document_ids: Sequence[UUID], passages: Sequence[Passage]
) -> dict[UUID, list[TermScore]]:
    """Why each passage's own chunk ranks where it does, term by term, by chunk id."""
    places = {(passage.document_id, passage.ordinal): passage.chunk_id for passage in passages}
    with connection.cursor() as cursor:
        found = retrieval.explain(cursor, thesaurus.expand(query), document_ids, list(places))
    return {places[place]: scores for place, scores in found.items()}


def _fused(rankings: Sequence[Sequence[Hit]]) -> list[Hit]:
    """One ranking of several, by reciprocal ranks."""
    scores: dict[UUID, float] = defaultdict(float)
    for ranking in rankings:
        for rank, hit in enumerate(ranking, start=1):
            scores[hit.chunk_id] += 1 / (FUSION_RANK + rank)
    return [Hit(*one) for one in sorted(scores.items(), key=lambda one: -one[1])]


def _passages(hits: Sequence[Hit]) -> list[Passage]:
    """The passages of these hits, in their order; one database query.

    A document deleted since the hits were found has no chunks any more.
    """
    if not hits:
        return []
    scores = {hit.chunk_id: hit.score for hit in hits}
    rows = Chunk.objects.filter(pk__in=scores).values_list(
        "id",
        "document_id",
        "document__name",
        "text",
        "page_start",
        "page_end",
        "char_start",
        "page_breaks",
        "section",
        "ordinal",
        named=True,
    )
    passages = {
        row.id: Passage(
            chunk_id=row.id,
            document_id=row.document_id,
            document_name=row.document__name,
            text=row.text,
            score=scores[row.id],
            page_start=row.page_start,
            page_end=row.page_end,
            char_start=row.char_start,
            page_breaks=tuple(row.page_breaks),
            section=row.section,
            ordinal=row.ordinal,
        )
        for row in rows
    }
    return [passages[chunk_id] for chunk_id in scores if chunk_id in passages]

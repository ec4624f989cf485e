"""Finds the passages of documents that match a question."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection
from django.db.models import Q

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
    scores: dict[tuple[UUID, int], float] = {}
    for ranking in rankings:
        for rank, hit in enumerate(ranking, start=1):
            place = (hit.document_id, hit.ordinal)
            scores[place] = scores.get(place, 0.0) + 1 / (FUSION_RANK + rank)
    best = sorted(scores, key=lambda place: -scores[place])
    return [
        Hit(document_id, ordinal, scores[document_id, ordinal]) for document_id, ordinal in best
    ]


def _passages(hits: Sequence[Hit]) -> list[Passage]:
    """The passages of these hits, in their order; one database query."""
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
        section=chunk.section,
        ordinal=chunk.ordinal,
    )

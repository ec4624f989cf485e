"""Finds the passages of documents that match a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db import connection
from django.db.models import Q

from documents.models import Chunk
from llm import retrieval
from llm.passages import Passage
from llm.retrieval import Hit, Query

# So many candidates are looked at for each passage wanted.
CANDIDATES_A_PASSAGE = 4
# Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): score = sum of 1 / (60 + rank).
FUSION_RANK = 60


class Outcome(StrEnum):
    """What became of a candidate."""

    KEPT = "kept"
    JOINED = "joined"
    DUPLICATE = "duplicate"
    BELOW_LIMIT = "below_limit"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that was considered, and what became of it."""

    passage: Passage
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Found:
    """The passages, best first, and all candidates they were chosen from."""

    passages: list[Passage]
    candidates: list[Candidate]


def find_passages(text: str, document_ids: Sequence[UUID], limit: int) -> list[Passage]:
    """The best passages of these documents for one text, best first; two database queries."""
    return search([Query(((text, 1.0),))], document_ids, limit).passages


def search(queries: Sequence[Query], document_ids: Sequence[UUID], limit: int) -> Found:
    """The best passages for the queries, whose results are fused; one database query more."""
    wanted = limit * CANDIDATES_A_PASSAGE
    with connection.cursor() as cursor:
        rankings = [retrieval.search(cursor, query, document_ids, wanted) for query in queries]
    hits = rankings[0] if len(rankings) == 1 else _fused(rankings)
    passages = _passages(hits[:wanted])
    candidates = [
        Candidate(passage, Outcome.KEPT if rank < limit else Outcome.BELOW_LIMIT)
        for rank, passage in enumerate(passages)
    ]
    return Found(passages[:limit], candidates)


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
    )

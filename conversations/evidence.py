"""What a grounded turn finds, and the trace that it leaves."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from conversations import ledger
from conversations.models import Message, Retrieval
from conversations.rewriting import Asked, Searches
from documents.search import search
from llm.passages import Passage
from llm.ranking import Candidate, Outcome

# Found, but more than the prompt could hold.
BUDGET = "budget"
# More tell nothing apart.
SCORE_DIGITS = 6
# The candidates whose text a prompt could hold.
IN_REACH = {Outcome.KEPT.value, Outcome.JOINED.value, BUDGET}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The passages found, best first, and all candidates they were chosen from."""

    passages: list[Passage]
    candidates: list[Candidate]
    milliseconds: int


def find(searches: Searches, document_ids: Sequence[UUID], limit: int) -> Evidence:
    """Searches these documents."""
    started = time.perf_counter()
    found = search(searches.queries, document_ids, limit)
    milliseconds = int((time.perf_counter() - started) * 1000)
    return Evidence(found.passages, found.candidates, milliseconds)


def keep_trace(
    question: Message,
    answer: Message,
    *,
    wanted: str,
    limit: int,
    searches: Searches,
    evidence: Evidence,
    kept: Iterable[Passage],
) -> Retrieval:
    """Saves what was searched for and found.

    `kept` are the passages that the prompt holds. Raises Message.DoesNotExist where the
    conversation was deleted meanwhile.
    """
    asked = searches.asked
    retrieval = Retrieval(
        message_id=answer.pk,
        question=question.content,
        query=searches.query,
        searches=searches_as_data(searches),
        query_rewriting=wanted,
        rewriting=searches.rewriting,
        rewrite_model=asked.model,
        rewrite_prompt_tokens=asked.usage.prompt_tokens,
        rewrite_completion_tokens=asked.usage.completion_tokens,
        rewrite_failure=asked.failure,
        rewrite_ms=asked.milliseconds,
        limit=limit,
        candidates=candidates_as_data(evidence, kept),
        duration_ms=evidence.milliseconds,
    )
    # One way alone: both ways each would hold the other.
    answer._state.fields_cache["retrieval"] = retrieval
    with transaction.atomic():
        # Locked until the end, so that it is not deleted before what belongs to it is there.
        there = Message.objects.select_for_update(no_key=True).filter(pk=answer.pk)
        if not there.values_list("pk"):
            raise Message.DoesNotExist
        retrieval.save(force_insert=True)
    return retrieval


def enter_rewriting(answer: Message, asked: Asked) -> None:
    """Enters what writing the searches took, in place of what was reserved for it.

    At once: the answer may still fail, or have been deleted meanwhile.
    """
    answer.rewrite_tokens += asked.usage.prompt_tokens + asked.usage.completion_tokens
    answer.cost_usd += asked.cost
    counts = {"rewrite_tokens": answer.rewrite_tokens, "cost_usd": answer.cost_usd}
    entry = ledger.entry(
        answer.conversation,
        ledger.Purpose.REWRITE,
        asked.model,
        asked.usage,
        message_id=answer.pk,
        charged_to=answer.charged_to,
    )
    with transaction.atomic():
        this = Message.objects.filter(pk=answer.pk)
        this.update(**counts, reserved_tokens=0, reserved_usd=0)
        entry.enter(answer.began_at, answer.reserved)
    answer.reserved_tokens, answer.reserved_usd = 0, Decimal(0)


def searches_as_data(searches: Searches) -> list[Any]:
    """Each search as a list of texts with their weights."""
    return [
        [{"text": text, "weight": weight} for text, weight in query.texts]
        for query in searches.queries
    ]


def candidates_as_data(evidence: Evidence, kept: Iterable[Passage] | None = None) -> list[Any]:
    """Each candidate with what became of it; those found but not in `kept` fell to the budget."""
    found = {passage.chunk_id for passage in evidence.passages}
    cut = set() if kept is None else found - {passage.chunk_id for passage in kept}
    return [
        {
            "chunk_id": str(one.passage.chunk_id),
            "document_id": str(one.passage.document_id),
            "document_name": one.passage.document_name,
            "section": one.passage.section,
            "page_start": one.passage.page_start,
            "page_end": one.passage.page_end,
            "score": round(one.passage.score, SCORE_DIGITS),
            "outcome": BUDGET if one.passage.chunk_id in cut else one.outcome.value,
        }
        for one in evidence.candidates
    ]


def difference(before: Sequence[Any], after: Sequence[Any]) -> dict[str, list[Any]]:
    """What one list of candidates has in reach of a prompt and the other has not, or elsewhere."""
    old, new = _ranks(before), _ranks(after)
    return {
        "gained": [one for one in after if one["chunk_id"] in new.keys() - old.keys()],
        "lost": [one for one in before if one["chunk_id"] in old.keys() - new.keys()],
        "moved": [
            {"chunk_id": chunk_id, "rank_before": old[chunk_id], "rank_after": rank}
            for chunk_id, rank in new.items()
            if chunk_id in old and old[chunk_id] != rank
        ],
    }


def _ranks(candidates: Sequence[Any]) -> dict[str, int]:
    """The ranks, from 1, of the candidates in reach of a prompt."""
    reached = [one["chunk_id"] for one in candidates if one["outcome"] in IN_REACH]
    return {chunk_id: rank for rank, chunk_id in enumerate(reached, start=1)}

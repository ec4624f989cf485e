"""What is deleted by age, where the settings say so."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils import timezone

from conversations.ids import first_id
from conversations.models import Conversation, ConversationDocument, Retrieval
from documents.models import Document

# Rows in a transaction. A conversation that has more messages goes whole.
MESSAGES_AT_ONCE = 1_000
DOCUMENTS_AT_ONCE = 20
TRACES_AT_ONCE = 1_000
Progress = Callable[[int], object]
EPOCH = datetime.fromtimestamp(0, UTC)
# Documents that are looked at in one query.
LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class Aged:
    """How many are, or were, older than they may get."""

    conversations: int = 0
    documents: int = 0
    traces: int = 0


def due() -> Aged:
    """What `delete_due` would delete now, before that makes more documents unused."""
    return Aged(
        _counted(_conversations, settings.RETENTION_DAYS),
        _counted(_documents, settings.DOCUMENT_RETENTION_DAYS),
        _counted(_traces, settings.TRACE_RETENTION_DAYS),
    )


def delete_due(progress: Progress = lambda _: None) -> Aged:
    """Deletes what is older than the settings let it get, in batches; how many there were.

    `progress` hears how many each batch was.
    """
    # Conversations first: documents that only these used are unused from then on.
    return Aged(
        _deleted(_delete_conversations, settings.RETENTION_DAYS, progress),
        _deleted(_delete_documents, settings.DOCUMENT_RETENTION_DAYS, progress),
        _deleted(_delete_traces, settings.TRACE_RETENTION_DAYS, progress),
    )


def _counted(rows: Callable[[datetime], Any], days: int) -> int:
    return rows(_ago(days)).count() if days else 0


def _deleted(delete: Callable[[datetime], Iterator[int]], days: int, progress: Progress) -> int:
    deleted = 0
    for batch in delete(_ago(days)) if days else ():
        progress(batch)
        deleted += batch
    return deleted


def _ago(days: int) -> datetime:
    now = timezone.now()
    return now - timedelta(days=min(days, (now - EPOCH).days))


def _conversations(before: datetime) -> Any:
    """Those in which nothing was said or changed since, longest ago first."""
    return Conversation.objects.filter(updated_at__lt=before).order_by("updated_at", "pk")


def _documents(before: datetime) -> Any:
    """Those uploaded and last read before that no conversation can answer from."""
    chosen = ConversationDocument.objects.filter(document=OuterRef("pk"))
    searched = Conversation.objects.filter(
        user=OuterRef("user"), all_documents=True, mode=Conversation.Mode.GROUNDED_RAG
    )
    old = Document.objects.filter(pk__lt=first_id(before), processed_at__lt=before)
    return old.filter(~Exists(chosen), ~Exists(searched)).order_by("pk")


def _traces(before: datetime) -> Any:
    """Those of answers asked for before."""
    return Retrieval.objects.filter(pk__lt=first_id(before)).order_by("pk")


def _delete_conversations(before: datetime) -> Iterator[int]:
    while chosen := _conversations(before).first_with(MESSAGES_AT_ONCE):
        # Unless somebody went on with one this moment.
        yield _conversations(before).filter(pk__in=chosen).remove()


def _delete_documents(before: datetime) -> Iterator[int]:
    last = UUID(int=0)
    while ids := list(
        _documents(before).filter(pk__gt=last).values_list("pk", flat=True)[:LOOKED_AT]
    ):
        for start in range(0, len(ids), DOCUMENTS_AT_ONCE):
            some = ids[start : start + DOCUMENTS_AT_ONCE]
            yield _documents(before).filter(pk__in=some).remove()
        last = ids[-1]


def _delete_traces(before: datetime) -> Iterator[int]:
    while ids := list(_traces(before).values_list("pk", flat=True)[:TRACES_AT_ONCE]):
        yield Retrieval.objects.filter(pk__in=ids).delete()[0]

"""Uploads by callers of the API, who may send so much and no more."""

from django.conf import settings
from django.db.models import Sum

from documents import rates
from documents.exceptions import TooManyUploads, UserStorageFull
from documents.models import Document
from documents.tasks import defer_ingestion


def accept(document: Document) -> None:
    """Queues the reading of a new document, within the transaction that keeps it.

    Raises TooManyUploads or UserStorageFull where its user has gone beyond a limit.
    """
    most_a_day, most_bytes = settings.USER_UPLOADS_A_DAY, settings.USER_STORED_BYTES
    if most_a_day or most_bytes:
        # The user's other uploads wait here for this one's end, so that each sees those before.
        standing = rates.count_upload(document.user_id, most_a_day)
        if most_a_day and standing.is_refused:
            raise TooManyUploads(most_a_day, standing.resets_at)
        theirs = Document.objects.filter(user=document.user_id)
        stored: int = theirs.aggregate(bytes=Sum("size"))["bytes"]
        if most_bytes and stored > most_bytes:
            raise UserStorageFull(
                f"This user's documents may take {most_bytes:,} bytes, and with this file of "
                f"{document.size:,} they would take {stored:,}: delete some first."
            )
    defer_ingestion(document)

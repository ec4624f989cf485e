"""Jobs that the worker runs."""

import logging

from django.db import OperationalError
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app

from documents.ingestion import ingest
from documents.models import Document

logger = logging.getLogger(__name__)

ATTEMPTS = 5
# A worker that has not been heard of for this long is dead (procrastinate beats every 10 s).
DEAD_AFTER_SECONDS = 30


@app.task(
    queue="documents",
    pass_context=True,
    retry=RetryStrategy(
        max_attempts=ATTEMPTS, exponential_wait=2, retry_exceptions=[OperationalError, OSError]
    ),
)
def ingest_document(context: JobContext, document_id: str) -> None:
    """Reads a document; tries again what may pass, and tells on the document what does not."""
    document = Document.objects.filter(pk=document_id).first()
    if document is None or document.status == Document.Status.READY:
        return
    try:
        ingest(document)
    except (OperationalError, OSError):
        if context.job.attempts + 1 >= ATTEMPTS:
            _give_up(document)
        raise
    except Exception:
        _give_up(document)
        raise


def defer_ingestion(document: Document) -> None:
    """Queues the reading of a document; part of the transaction under way."""
    ingest_document.defer(document_id=str(document.pk))


def _give_up(document: Document) -> None:
    detail = "Reading the document failed on our side: delete it and upload it again."
    document.mark_failed("internal_error", detail)


@app.periodic(cron="* * * * *")
@app.task(queue="documents", queueing_lock="requeue_stalled", pass_context=True)
async def requeue_stalled(context: JobContext, timestamp: int) -> None:
    """Takes up again the jobs of workers that died."""
    manager = app.job_manager
    stalled = await manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_SECONDS)
    for job in stalled:
        logger.warning("job of a dead worker taken up again", extra={"job": job.id})
        await manager.retry_job(job)

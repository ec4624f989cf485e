"""Jobs that the worker runs."""

import logging

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import Exists, OuterRef, TextField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Status

from documents import metrics, rates, tracing
from documents.idempotency import FORGOTTEN_AT_ONCE
from documents.ingestion import ingest
from documents.models import Document, DocumentQuerySet, IdempotentCall
from documents.origin import of_job

logger = logging.getLogger(__name__)

ATTEMPTS = 5
# A worker that has not been heard of for this long is dead.
DEAD_AFTER_SECONDS = 5 * settings.HEARTBEAT_SECONDS
# What writing the chunks may take, after the reading.
STORING_SECONDS = 60
MAY_PASS = (OperationalError, InterfaceError, OSError)

# As for a new job: workers hear of those at once, and look for others every five seconds.
TELL_WORKERS = """
SELECT pg_notify(
    'procrastinate_any_queue_v1',
    json_build_object('type', 'job_inserted', 'job_id', %(job_id)s::bigint)::text
)
"""

INTERNAL_ERROR = (
    "Reading the document failed on our side. Reprocess it; if it fails again, report it."
)
INTERRUPTED = (
    f"Reading the document was cut off {ATTEMPTS} times: the process that did it ended. "
    "Reprocess it, or split the file."
)


@app.task(
    queue="documents",
    pass_context=True,
    # Tries again after 4, 16, 64 and 256 seconds.
    retry=RetryStrategy(
        max_attempts=ATTEMPTS - 1, exponential_wait=4, retry_exceptions=[*MAY_PASS, JobAborted]
    ),
)
def ingest_document(
    context: JobContext, document_id: str, origin: dict[str, str] | None = None
) -> None:
    """Reads a document; tries again what may pass, and tells on the document what does not.

    `origin` is for the worker's log (see `botgpt.jobs`).
    """
    document = Document.objects.unfinished().filter(pk=document_id).first()
    if document is None:
        return
    if context.job.attempts >= ATTEMPTS:
        _give_up(document, "interrupted", INTERRUPTED)
        return

    def stop_when_told(_done: int, _total: int) -> None:
        if context.should_abort():
            raise JobAborted

    try:
        with tracing.span("ingest", document=document_id, attempt=context.job.attempts + 1):
            ingest(document, stop_when_told)
    except (*MAY_PASS, JobAborted):
        if context.job.attempts + 1 < ATTEMPTS:
            document.mark_pending()
        else:
            _give_up(document, "internal_error", INTERNAL_ERROR)
        raise
    except Exception:
        _give_up(document, "internal_error", INTERNAL_ERROR)
        raise


def _give_up(document: Document, code: str, why: str) -> None:
    document.mark_failed(code, why)
    metrics.READ.labels(document.kind, code).inc()


def defer_ingestion(document: Document) -> None:
    """Queues the reading of a document; part of the transaction under way."""
    ingest_document.defer(document_id=str(document.pk), origin=of_job())


def defer_in_reserve(document: Document) -> int:
    """Queues the reading for the case that the process which does it now dies; the job's id."""
    seconds = settings.EXTRACTION_SECONDS + STORING_SECONDS
    job = ingest_document.configure(schedule_in={"seconds": seconds})
    return job.defer(document_id=str(document.pk))


def withdraw(job_id: int) -> None:
    """Takes a job that is not needed any more out of the queue."""
    app.job_manager.cancel_job_by_id(job_id, delete_job=True)


# Before the documents that wait: among them are those that it takes up again.
@app.periodic(cron="* * * * * */2")
@app.task(queue="documents", queueing_lock="requeue_stalled", priority=10)
async def requeue_stalled(timestamp: int) -> None:
    """Takes up again the jobs of workers that died; no document waits for a job that is lost."""
    manager = app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_SECONDS):
        try:
            if "timestamp" in job.task_kwargs:
                # A periodic one: the next is due already, and may wait for this one's lock.
                await manager.finish_job(job, Status.FAILED, delete_job=True)
                continue
            await manager.retry_job(job)
        except Exception:  # its worker lives after all, and has just ended it
            logger.warning("job of a dead worker not taken up again", extra={"job": job.id})
            continue
        logger.warning("job of a dead worker taken up again", extra={"job": job.id})
        if document_id := job.task_kwargs.get("document_id"):
            waiting = Document.objects.unfinished().filter(pk=str(document_id))
            await waiting.aupdate(status=Document.Status.PENDING)
        await app.connector.execute_query_async(TELL_WORKERS, job_id=job.id)
    if lost := await sync_to_async(_without_job().fail)("internal_error", INTERNAL_ERROR):
        logger.error("documents without a job failed", extra={"documents": lost})


@app.periodic(cron="0 * * * *")
@app.task(queue="documents", queueing_lock="forget_rates")
def forget_rates(timestamp: int) -> None:
    """Removes what was counted of minutes and days that are long over."""
    rates.forget_old()


@app.periodic(cron="*/10 * * * *")
@app.task(queue="documents", queueing_lock="forget_calls")
def forget_calls(timestamp: int) -> None:
    """Removes calls whose Idempotency-Key has had its time, in batches that lock little."""
    while IdempotentCall.objects.forget_old() == FORGOTTEN_AT_ONCE:
        pass


def _without_job() -> DocumentQuerySet:
    """Those that wait in vain: somebody deleted their job, or it failed while they were locked."""
    jobs = ProcrastinateJob.objects.annotate(document=KT("args__document_id")).filter(
        status__in=["todo", "doing"], document=Cast(OuterRef("pk"), TextField())
    )
    waiting: DocumentQuerySet = Document.objects.unfinished().filter(~Exists(jobs))
    return waiting

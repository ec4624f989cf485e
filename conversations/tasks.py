"""Jobs that the worker runs again and again: they look for what is due.

So a question costs no time for queueing them, and what a dead worker left undone is found again.
Each has a lock, by which no two workers do the same.
"""

import logging
from dataclasses import asdict
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils import timezone
from procrastinate.contrib.django import app

from conversations import retention, summaries, titles
from conversations.database import in_database
from conversations.models import AuditEntry, Message, StreamedText, Tally, WebProcess

logger = logging.getLogger(__name__)

# The log names processes by id: for so long it can be looked up which one that was.
REMEMBERED_FOR = timedelta(days=1)
# Answers end, and documents are read, some time after they were asked for. An hour is counted again
# as long as it is the last one or so, and once an hour for two days.
LATE = timedelta(minutes=10)
VERY_LATE = timedelta(days=2)
# Before the documents that wait: each of these jobs is short, and somebody sees what it does.
PRIORITY = 10


@app.periodic(cron="* * * * * */5")
@app.task(queue="conversations", lock="titles", queueing_lock="titles", priority=PRIORITY)
async def write_titles(timestamp: int) -> None:
    """Names conversations by their first question and answer."""
    if settings.GROQ_API_KEY:
        await titles.write_due()


# As seldom as that, because what the model could not summarise is due again the next time.
@app.periodic(cron="* * * * * */30")
@app.task(queue="conversations", lock="summaries", queueing_lock="summaries", priority=PRIORITY)
async def fold_histories(timestamp: int) -> None:
    """Folds turns that left the window into their conversation's summary."""
    if settings.GROQ_API_KEY:
        await summaries.fold_due()


@app.periodic(cron="* * * * * */10")
@app.task(queue="conversations", lock="orphans", queueing_lock="orphans", priority=PRIORITY)
async def settle_orphans(timestamp: int) -> None:
    """Ends answers whose web process died, and forgets dead processes and pieces left over."""
    await in_database(Message.objects.interrupt_orphans)
    await in_database(_forget_the_dead)


@app.periodic(cron="* * * * * */30")
@app.task(queue="conversations", lock="tallies", queueing_lock="tallies", priority=PRIORITY)
def count_hours(timestamp: int) -> None:
    """Counts what the dashboard tells."""
    Tally.objects.count_since(timezone.now() - LATE)


@app.periodic(cron="7 * * * *")
@app.task(queue="conversations", lock="tallies", queueing_lock="tallies_again")
def count_again(timestamp: int) -> None:
    """Counts again what may have changed later."""
    Tally.objects.count_since(timezone.now() - VERY_LATE)


@app.periodic(cron="*/10 * * * *")
@app.task(queue="conversations", lock="audit", queueing_lock="audit")
async def forget_audit_entries(timestamp: int) -> None:
    """Removes what the audit trail has kept for long enough."""
    while await in_database(AuditEntry.objects.forget_old):
        pass


@app.periodic(cron="17 * * * *")
@app.task(queue="conversations", lock="retention", queueing_lock="retention")
def delete_what_is_due(timestamp: int) -> None:
    """Deletes what is older than the settings let it get."""
    deleted = asdict(retention.delete_due())
    if any(deleted.values()):
        logger.info("deleted by age", extra=deleted)


def _forget_the_dead() -> None:
    WebProcess.objects.filter(seen_at__lt=Now() - REMEMBERED_FOR).delete()
    under_way = Message.objects.filter(pk=OuterRef("message_id"), status=Message.Status.PENDING)
    StreamedText.objects.filter(~Exists(under_way)).delete()

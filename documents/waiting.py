"""The queue of documents that wait to be read, as it stands."""

from dataclasses import dataclass

from django.db import connection

from documents.tasks import ingest_document

# Jobs that are due. One that is tried again waits since its last failure, or since it is due.
WAITING = """
WITH due AS MATERIALIZED (
    SELECT id, scheduled_at FROM procrastinate_jobs
    WHERE status = 'todo' AND task_name = %(task)s
    AND (scheduled_at IS NULL OR scheduled_at <= now())
), oldest AS (
    SELECT id, scheduled_at FROM due ORDER BY id LIMIT 1
)
SELECT (SELECT count(*) FROM due), coalesce((
    SELECT extract(epoch FROM now() - greatest(max(at), max(scheduled_at)))
    FROM oldest JOIN procrastinate_events ON job_id = oldest.id
), 0)
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many documents wait for a worker, and for how long the first in line has."""

    documents: int
    oldest_seconds: int


def waiting() -> Waiting:
    """Now; one database query."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING, {"task": ingest_document.name})
        documents, seconds = cursor.fetchone()
    return Waiting(documents, int(seconds))

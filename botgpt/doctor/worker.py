"""The worker: one lives, and the queue is short and young."""

from collections.abc import Iterator

from psycopg import errors

from botgpt.doctor.database import Away, Session, connected, unknown
from botgpt.doctor.findings import Finding, fail, ok, warn
from documents.tasks import DEAD_AFTER_SECONDS

# Seconds that a job may wait: most take less than that to be done.
LONG_WAIT = 60

ALIVE = """
SELECT count(*) FILTER (WHERE last_heartbeat > now() - make_interval(secs => %(seconds)s)),
       extract(epoch FROM now() - max(last_heartbeat))::int
FROM procrastinate_workers
"""
# The oldest of those that are due is the first by its id.
QUEUE = """
WITH due AS (
    SELECT id, scheduled_at FROM procrastinate_jobs
    WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())
), oldest AS (
    SELECT id, scheduled_at FROM due ORDER BY id LIMIT 1
)
SELECT (SELECT count(*) FROM due), extract(epoch FROM now() - coalesce(
    (SELECT scheduled_at FROM oldest),
    (SELECT min(at) FROM procrastinate_events WHERE job_id = (SELECT id FROM oldest))
))::int
"""
FAILED = """
SELECT count(DISTINCT job.id) FROM procrastinate_jobs AS job
JOIN procrastinate_events AS event ON event.job_id = job.id AND event.type = 'failed'
WHERE job.status = 'failed' AND event.at > now() - interval '1 day'
"""


def worker() -> Iterator[Finding]:
    """Signs of life, queue, jobs that failed."""
    try:
        with connected() as session:
            yield _alive(session)
            yield _queue(session)
            row = session.execute(FAILED).fetchone()
            if row and row[0]:
                yield warn(
                    f"{row[0]} jobs failed within a day",
                    "see Procrastinate in the admin; documents that failed can be reprocessed",
                )
    except Away:
        yield unknown()
    except errors.UndefinedTable:
        yield fail("cannot be told: the database is not migrated", "run manage.py migrate")


def _alive(session: Session) -> Finding:
    row = session.execute(ALIVE, {"seconds": DEAD_AFTER_SECONDS}).fetchone()
    assert row is not None
    alive, silent = row
    if alive:
        return ok(f"{alive} {'worker lives' if alive == 1 else 'workers live'}")
    last = "none has given" if silent is None else f"for {silent} seconds none has given"
    return fail(
        f"{last} a sign of life: uploads stay pending",
        "start one: make run does, or manage.py procrastinate worker",
    )


def _queue(session: Session) -> Finding:
    row = session.execute(QUEUE).fetchone()
    assert row is not None
    waiting, age = row
    if not waiting:
        return ok("no job waits")
    told = f"{waiting} jobs wait, the oldest for {age or 0} seconds"
    if (age or 0) <= LONG_WAIT:
        return ok(told)
    return warn(told, "run more worker processes, or raise DOCUMENTS_AT_ONCE")

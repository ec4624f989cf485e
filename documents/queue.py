"""How the queue of jobs stands: what waits, what runs, and whether there is a worker."""

from dataclasses import dataclass

from django.db import connection, transaction

# Workers tell every second that they live; a busy machine may keep one from it for a while.
ALIVE_SECONDS = 10

# A job waits from when it was deferred, or from when it is to be done, if that is later.
QUEUES = """
SELECT queue_name,
       count(*) FILTER (WHERE status = 'doing'),
       count(*) FILTER (WHERE status = 'todo' AND due <= now()),
       extract(epoch FROM now() - min(due) FILTER (WHERE status = 'todo' AND due <= now()))::float
FROM (
    SELECT job.queue_name, job.status,
           coalesce(job.scheduled_at, (
               SELECT min(event.at) FROM procrastinate_events AS event
               WHERE event.job_id = job.id AND event.type = 'deferred'
           ), now()) AS due
    FROM procrastinate_jobs AS job
    WHERE job.status IN ('todo', 'doing')
) AS job
GROUP BY queue_name
ORDER BY queue_name
"""
WORKERS = """
SELECT count(*) FROM procrastinate_workers
WHERE last_heartbeat > now() - make_interval(secs => %s)
"""
MILLISECONDS = "SELECT set_config('statement_timeout', %s, true)"


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue; `oldest` is for how many seconds the first job that waits has been due."""

    name: str
    running: int
    waiting: int
    oldest: float


@dataclass(frozen=True, slots=True)
class Standing:
    """All queues that have jobs, and the workers that live."""

    queues: tuple[Queue, ...]
    workers: int

    @property
    def waiting(self) -> int:
        """Jobs that are due in all queues."""
        return sum(queue.waiting for queue in self.queues)

    @property
    def oldest(self) -> float:
        """Seconds that the first of them has been due."""
        return max((queue.oldest for queue in self.queues), default=0.0)


def standing(seconds: float) -> Standing:
    """How it stands now; two queries, each of which the database ends after so many seconds."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(MILLISECONDS, [str(int(seconds * 1000))])
        cursor.execute(QUEUES)
        queues = [
            Queue(name, running, waiting, oldest or 0.0)
            for name, running, waiting, oldest in cursor.fetchall()
        ]
        cursor.execute(WORKERS, [ALIVE_SECONDS])
        return Standing(tuple(queues), cursor.fetchone()[0])

"""The database: reachable, new enough, migrated, with connections for all, its clock as ours."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from procrastinate.contrib.django.utils import connector_params
from psycopg import errors

from botgpt import env
from botgpt.doctor.findings import Finding, fail, ok, warn
from conversations.models import WebProcess

CONNECT_SECONDS = 3
# Besides its pool a worker has procrastinate's own, which keeps four connections.
WORKER_EXTRA = 4
# Seconds. Machines in step differ by far less; budgets and limits reset by the minute.
APART, FAR_APART = 2.0, 60.0

CONNECTIONS = """
SELECT current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""

Session = psycopg.Connection[tuple[Any, ...]]


class Away(Exception):
    """There is no connection; the message says why and holds no secret."""


@contextmanager
def connected() -> Iterator[Session]:
    """A connection past the pool, which would hide why there is none. Raises Away."""
    parameters = connector_params("default") | {"connect_timeout": CONNECT_SECONDS}
    try:
        session: Session = psycopg.connect(**parameters, autocommit=True)
    except psycopg.OperationalError as error:
        raise Away(" ".join(str(error).split())) from error
    with session:
        yield session


def unknown() -> Finding:
    """What a check tells that needs the database, which is away."""
    return fail(
        "cannot be told: the database does not answer", "mend the database first (--only database)"
    )


def database() -> Iterator[Finding]:
    """Reachable, version, migrations, connections, pooler."""
    started = time.perf_counter()
    try:
        with connected() as session:
            session.execute("SELECT 1")
            yield _version(session, time.perf_counter() - started)
            migrations = _migrations()
            yield migrations
            pooled = _is_pooled(session)
            if pooled:
                yield _prepared()
            if not migrations.mend:
                yield _room(session, pooled=pooled)
    except Away as error:
        yield fail(f"does not answer: {error}", _where())


def clock() -> Iterator[Finding]:
    """The database's against that of this machine."""
    try:
        with connected() as session:
            asked = time.time()
            row = session.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
            answered = time.time()
    except Away:
        yield unknown()
        return
    assert row is not None
    # Within the time that the answer took nothing is certain.
    ahead = row[0] - (asked + answered) / 2
    apart = max(0.0, abs(ahead) - (answered - asked) / 2)
    if apart <= APART:
        yield ok("database and this machine agree")
        return
    direction = "ahead of" if ahead > 0 else "behind"
    finding = fail if apart > FAR_APART else warn
    yield finding(
        f"the database's clock is {apart:.0f} seconds {direction} this machine's",
        "keep both in step (chrony or systemd-timesyncd): budgets, limits and the times that "
        "answers bear go by them",
    )


def _version(session: Session, seconds: float) -> Finding:
    number = session.info.server_version
    least = connection.features.minimum_database_version or (0,)
    told = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    told += f" at {session.info.host or 'its socket'} answers in {seconds * 1000:.0f} ms"
    if number // 10_000 < least[0]:
        return fail(told, f"upgrade it to {least[0]} or newer")
    return ok(told)


def _migrations() -> Finding:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        return fail(f"{len(waiting)} migrations are not applied", "run manage.py migrate")
    return ok(f"all {len(executor.loader.applied_migrations)} migrations are applied")


def _room(session: Session, *, pooled: bool) -> Finding:
    row = session.execute(CONNECTIONS).fetchone()
    assert row is not None
    most, used = row
    web = max(env.integer("WEB_WORKERS", 2, minimum=1), WebProcess.objects.alive().count())
    alive = session.execute("SELECT count(*) FROM procrastinate_workers").fetchone()
    workers = max(1, alive[0] if alive else 0)
    pool = settings.DATABASE_POOL_SIZE
    wanted = web * pool + workers * (pool + WORKER_EXTRA)
    told = (
        f"{used} of {most} connections are in use; {web} web and {workers} worker processes "
        f"may take {wanted} (DATABASE_POOL_SIZE={pool})"
    )
    if wanted <= most or pooled:
        return ok(told)
    return warn(told, "raise max_connections, lower DATABASE_POOL_SIZE, or set up PgBouncer")


def _is_pooled(session: Session) -> bool:
    """PgBouncer makes up the process that it names to its clients."""
    row = session.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] != session.info.backend_pid


def _prepared() -> Finding:
    """Two clients who prepare the same, in turn on the server's same connections."""
    try:
        with connected() as one, connected() as other:
            for session in (one, other, one, other):
                session.prepare_threshold = 0  # without which nothing is prepared
                session.execute("SELECT 2")
    except (errors.DuplicatePreparedStatement, errors.InvalidSqlStatementName):
        return fail(
            "a pooler is in between that does not know prepared statements, which all calls need",
            "give the database's own address as DATABASE_DIRECT_URL, or use PgBouncer 1.22 or "
            "newer with max_prepared_statements = 100",
        )
    return ok("a pooler is in between, and prepared statements work through it")


def _where() -> str:
    if not settings.DATABASE_URL:
        return f"start it with make run; BOTGPT_DATA_DIR is {settings.DATA_DIR}"
    return "see that it runs, and host, port, user, password and name in DATABASE_URL"

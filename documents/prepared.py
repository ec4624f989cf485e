"""Statements that PostgreSQL plans once for each connection, instead of each time.

For the few that all calls make: of the database's time for them, planning takes a half and more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection
from psycopg import Cursor


@contextmanager
def prepared_cursor() -> Iterator[Any]:
    """A cursor that prepares what it executes: one statement at a time, always the same text.

    Django's own cursors put the values into the statement, so that each one is planned. So it is
    behind a pooler too: not every one knows which connection has prepared what.
    """
    if settings.DATABASE_DIRECT_URL:
        with connection.cursor() as cursor:
            yield cursor
        return
    connection.ensure_connection()
    session: Any = connection.connection
    # As `connection.cursor()` does, so that Django logs and counts, but for a cursor that prepares.
    made: Any = (
        connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    )
    # Not for good: psycopg would then remember the last hundred statements of every cursor, and
    # those that store a document hold all its text.
    session.prepare_threshold = 0
    try:
        with made(Cursor(session)) as cursor:
            yield cursor
    finally:
        session.prepare_threshold = None

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
    with connection.cursor() as cursor:
        if settings.DATABASE_DIRECT_URL:
            yield cursor
            return
        session = cursor.connection
        # Not for good: psycopg would then remember the last hundred statements of every cursor,
        # and those that store a document hold all its text.
        session.prepare_threshold = 0
        try:
            # Inside Django's wrapper, which logs and counts.
            cursor.cursor = Cursor(session)
            yield cursor
        finally:
            session.prepare_threshold = None

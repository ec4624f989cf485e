"""Django's PostgreSQL backend, with a pool that survives the server's restarts, and a whole log.

The pool's own check asks the server each time that a connection is taken, which costs a round
trip. A server that hangs up makes the socket readable, which costs no more than a look.
"""

import select
from typing import Any

from django.db.backends.postgresql import base, operations
from psycopg_pool import PoolTimeout

# Seconds that those wait for a connection who come after one that waited in vain for its full time.
WAIT_NEXT = 0.5


class DatabaseOperations(operations.DatabaseOperations):
    """Knows what a cursor executed that prepares."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> Any:
        """As Django's, for its log of queries; of one that was prepared without the values."""
        return super().last_executed_query(cursor, sql, params) or sql


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes no connection from the pool that the server has closed."""

    ops_class = DatabaseOperations

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """As Django's. Raises OperationalError where there is none to be had in time."""
        while True:
            try:
                connection = super().get_new_connection(conn_params)
            except PoolTimeout:
                self.pool.timeout = WAIT_NEXT
                raise
            if self.pool is None:
                return connection
            if not _hung_up(connection):
                self.pool.timeout = self.settings_dict["OPTIONS"]["pool"]["timeout"]
                return connection
            connection.close()
            self.pool.putconn(connection)  # which replaces it

    def _set_autocommit(self, autocommit: bool) -> None:
        """Only where it changes: connections of the pool mostly have it already."""
        if self.connection.autocommit != autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc]


def _hung_up(connection: Any) -> bool:
    """Whether the server said something that nobody asked for: on an idle connection, farewell."""
    if connection.closed:
        return True
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))

"""Connections of the pool, which are few and for all."""

from django.db import connections


def give_connection_back() -> None:
    """Before work that is slow and needs no database: a thread keeps its connection otherwise.

    Within a transaction it does nothing. The thread's next query takes a connection by itself.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()

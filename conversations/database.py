"""Database work of async code."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from asgiref.sync import SyncToAsync, sync_to_async
from django.conf import settings
from django.db import connections

T = TypeVar("T")

# Python runs one thread at a time, so many are no help. With four an answer took a tenth less CPU
# than with two, and as much as with six or eight (make bench-serving).
THREADS = ThreadPoolExecutor(min(4, settings.DATABASE_POOL_SIZE), thread_name_prefix="database")
LOOKING = ThreadPoolExecutor(2, thread_name_prefix="looking")


async def in_database(function: Callable[..., T], *args: object) -> T:
    """Runs `function` in a thread, and gives its database connection back when it is done.

    In a server that is one of a few threads which all requests share, so that an answer under way
    holds neither thread nor connection. In a command it is the command's own thread.
    """
    return await _in(THREADS, function, *args)


async def soon_in_database(seconds: float, function: Callable[..., T], *args: object) -> T:
    """The same for who looks after the service: beside all requests, and not for long.

    Raises TimeoutError after so many seconds; a database that hangs keeps its thread from others.
    """
    async with asyncio.timeout(seconds):
        return await _in(LOOKING, function, *args)


async def _in(threads: ThreadPoolExecutor, function: Callable[..., T], *args: object) -> T:
    def call() -> T:
        try:
            return function(*args)
        finally:
            for connection in connections.all(initialized_only=True):
                if not connection.in_atomic_block:
                    connection.close_if_unusable_or_obsolete()

    if SyncToAsync.thread_sensitive_context.get(None) is None:
        return await sync_to_async(call)()
    loop, context = asyncio.get_running_loop(), copy_context()
    return await loop.run_in_executor(threads, context.run, call)


async def one_by_one(parts: Iterator[T]) -> AsyncIterator[T]:
    """What an iterator yields that works with the database: each in a turn of its own."""
    end = object()
    while (part := await in_database(next, parts, end)) is not end:
        yield part

"""Database work of async code."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from asgiref.sync import SyncToAsync, sync_to_async
from django.conf import settings

from documents.connections import give_connection_back

T = TypeVar("T")

# Python runs one thread at a time, so many are no help. With four an answer took a tenth less CPU
# than with two, and as much as with six or eight (make bench-serving).
THREADS = ThreadPoolExecutor(min(4, settings.DATABASE_POOL_SIZE), thread_name_prefix="database")
LOOKING = ThreadPoolExecutor(2, thread_name_prefix="looking")
# Downloads pack and read files, from a bucket too: no question waits for that.
EXPORTING = ThreadPoolExecutor(2, thread_name_prefix="exporting")


async def in_database(function: Callable[..., T], *args: object) -> T:
    """Runs `function` in a thread, and gives its database connection back when it is done.

    In a server that is one of a few threads which all requests share, so that an answer under way
    holds neither thread nor connection. In a command it is the command's own thread.
    """
    return await in_threads(THREADS, function, *args)


async def soon_in_database(seconds: float, function: Callable[..., T], *args: object) -> T:
    """The same for who looks after the service: beside all requests, and not for long.

    Raises TimeoutError after so many seconds; a database that hangs keeps its thread from others.
    """
    async with asyncio.timeout(seconds):
        return await in_threads(LOOKING, function, *args)


async def in_threads(threads: ThreadPoolExecutor, function: Callable[..., T], *args: object) -> T:
    """The same in these threads."""

    def call() -> T:
        try:
            return function(*args)
        finally:
            give_connection_back()

    if SyncToAsync.thread_sensitive_context.get(None) is None:
        return await sync_to_async(call)()
    loop, context = asyncio.get_running_loop(), copy_context()
    return await loop.run_in_executor(threads, context.run, call)


async def one_by_one(parts: Iterator[T]) -> AsyncIterator[T]:
    """What an iterator yields that works with the database: each in a turn of its own."""
    end = object()
    while (part := await in_threads(EXPORTING, next, parts, end)) is not end:
        yield part

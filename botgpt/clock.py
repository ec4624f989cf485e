"""A watch over the wall clock of a worker, by which periodic jobs are due.

Put back, it would have them wait until it has caught up; put ahead, it would have all of them made
that were due in between. A worker that begins anew goes by the new time.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

logger = logging.getLogger("botgpt.clock")

# Seconds. Clocks that are kept in step are put right by far less at once.
LOOK_EVERY = 1.0
JUMP = 2.0


class ClockWatch:
    """What a worker runs its jobs in: from the first of them on, a jump of the clock stops it."""

    def __init__(self) -> None:
        self._watching: asyncio.Task[None] | None = None

    async def __call__(
        self, run_job: Callable[[], Awaitable[Any]], context: Any, worker: Any
    ) -> Any:
        """Begins to watch, where that has not been done, and runs the job."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(_watch(worker))
        return await run_job()


async def _watch(worker: Any) -> None:
    offset = time.time() - time.monotonic()
    while abs(jump := time.time() - time.monotonic() - offset) < JUMP:
        offset += jump  # it may drift
        await asyncio.sleep(LOOK_EVERY)
    logger.warning("the clock has jumped: the worker begins anew", extra={"seconds": round(jump)})
    worker.stop()

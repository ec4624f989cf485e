"""What the worker runs its jobs in."""

from collections.abc import Awaitable, Callable
from typing import Any

from documents import origin


async def in_origin(run_job: Callable[[], Awaitable[Any]], context: Any, worker: Any) -> Any:
    """Runs the job in the name of the request that deferred it, which its log lines tell."""
    kept = context.job.task_kwargs.get("origin") or {}
    origin.request_id.set(kept.get("request_id", ""))
    return await run_job()

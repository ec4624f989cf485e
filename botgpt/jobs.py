"""What the worker runs its jobs in."""

from collections.abc import Awaitable, Callable
from typing import Any

from documents import origin, tracing


async def in_origin(run_job: Callable[[], Awaitable[Any]], context: Any, worker: Any) -> Any:
    """Runs the job in the name of the request that deferred it, which logs and traces tell."""
    from botgpt import observing  # needs the settings, which name this function

    observing.begin_worker()
    kept = context.job.task_kwargs.get("origin") or {}
    origin.request_id.set(kept.get("request_id", ""))
    tracing.resume(kept)
    return await run_job()

"""Where work comes from: the request that began it, whichever task, thread or process does it."""

import time
from contextvars import ContextVar

from documents import tracing

# "" outside of requests, and of the jobs that they left.
request_id: ContextVar[str] = ContextVar("request_id", default="")
# By `time.perf_counter`; None outside of requests.
began: ContextVar[float | None] = ContextVar("began", default=None)


def begin(name: str) -> float:
    """A request of that id begins; when, by `time.perf_counter`."""
    now = time.perf_counter()
    request_id.set(name)
    began.set(now)
    return now


def forget() -> None:
    """What is done from here on in this context is done for all requests alike."""
    request_id.set("")
    began.set(None)


def of_job() -> dict[str, str]:
    """What a job keeps of the request that defers it; `origin` among its arguments."""
    return {"request_id": request_id.get(), **tracing.headers()}

"""What counting a request to its key and user costs: in one thread, and in many at once.

    BOTGPT_DATA_DIR=.data/bench .venv/bin/python -m botgpt.launch exec -- \\
        .venv/bin/python -m tests.benchmarks.rates
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "botgpt.settings")
django.setup()

from django.db import connection  # noqa: E402

from documents.rates import Rate, Requests  # noqa: E402

MANY = 1_000_000
CALLS = 4_000
Limits = Sequence[tuple[UUID, int]]


def main() -> None:
    """Prints a table; the rows it made are removed."""
    Rate.objects.all().delete()
    key, busy = uuid4(), uuid4()
    refused = (uuid4(), 1)
    cases: dict[str, Callable[[], Limits]] = {
        "one key, one user": lambda: [(key, MANY), (busy, MANY)],
        "one key, another user each time": lambda: [(key, MANY), (uuid4(), MANY)],
        "a user of few requests (limit 60)": lambda: [(uuid4(), 60)],
        "a key that is refused": lambda: [refused],
    }
    print("counting a request, microseconds: p50, p95, mean | 8 threads at once: a call each")
    for name, limits in cases.items():
        requests = Requests()
        alone = timed(requests, limits, CALLS)
        begun = time.perf_counter()
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(timed, [requests] * 8, [limits] * 8, [CALLS // 8] * 8))
        together = (time.perf_counter() - begun) / CALLS * 1e6
        p50, p95 = statistics.median(alone), statistics.quantiles(alone, n=20)[-1]
        print(f"{name:36} {p50:8.0f} {p95:8.0f} {statistics.fmean(alone):8.0f} | {together:8.0f}")
    Rate.objects.all().delete()


def timed(requests: Requests, limits: Callable[[], Limits], calls: int) -> list[float]:
    """How long each call took, in microseconds."""
    took = []
    for _ in range(calls):
        asked = limits()
        begun = time.perf_counter()
        requests.take(asked)
        took.append((time.perf_counter() - begun) * 1e6)
    connection.close()
    return took


if __name__ == "__main__":
    main()

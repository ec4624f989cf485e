"""What is counted of documents: how they are read, and how they are searched."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import Counter, Histogram

READ = Counter(
    "botgpt_documents_read",
    "Documents read, by what came of it: ready, or the code of an error",
    ["kind", "outcome"],
)
PAGES = Counter("botgpt_pages_read", "Pages of documents that became ready", ["kind"])
CHUNKS = Counter("botgpt_chunks_written", "Chunks of documents that became ready", ["kind"])
READING = Histogram(
    "botgpt_reading_seconds",
    "How long reading a document took",
    ["kind"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
RETRIEVAL = Histogram(
    "botgpt_retrieval_seconds",
    "How long a search took, by how many documents were searched",
    ["documents"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
SIZES = ((1, "1"), (10, "2-10"), (100, "11-100"), (1000, "101-1000"))


@contextmanager
def timed_retrieval(documents: int) -> Iterator[None]:
    """Around a search of so many documents."""
    started = perf_counter()
    yield
    size = next((name for most, name in SIZES if documents <= most), "1001+")
    RETRIEVAL.labels(size).observe(perf_counter() - started)

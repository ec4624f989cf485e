"""Measures search against bm25s in memory and against OR query + ts_rank on the same PostgreSQL.

    make bench
    make bench BENCH="--stored 100 --documents 1 10 100 --json result.json"

The questions are people's own. All methods answer one question before the next is asked, so that
whatever else the machine does hits all alike.
"""

import argparse
import gc
import json
import logging
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import bm25s
import psutil
import Stemmer
from django.db import connection
from tqdm import tqdm

from botgpt import env
from documents.models import Chunk
from documents.search import find_passages, search_cursor
from llm import retrieval, thesaurus
from llm.retrieval import Query
from tests.benchmarks import corpus

LIMIT = 10
RECALL_AT = 5
SEED = 1
# Where there is time left, a scope's questions are asked again.
ROUNDS = 5
SECONDS = 60
# What bm25s takes while it indexes; it is left out where the machine has less.
PEER_BYTES_A_CHUNK = 16_000
# The p95 in milliseconds that `find_passages` is meant to stay under, by documents in scope.
GOALS = {1: 5, 20: 15, 100: 60, 1_000: 300}
GOAL_BYTES = 1_200

# Any of the words; ts_rank orders what has one. The text comes with it, as a prompt needs it.
TS_RANK = """
SELECT best.document, best.ordinal, chunk.text
FROM (
    SELECT document, ordinal, ts_rank(tsv, words) AS score
    FROM bench_chunk,
        (
            SELECT string_agg(quote_literal(lexeme), ' | ')::tsquery AS words
            FROM unnest(to_tsvector('english', %(question)s))
        ) AS question
    WHERE document = ANY(%(documents)s) AND tsv @@ words
    ORDER BY score DESC
    LIMIT %(limit)s
) AS best
JOIN documents_chunk AS chunk ON chunk.document_id = best.document AND chunk.ordinal = best.ordinal
ORDER BY best.score DESC
"""


@dataclass(frozen=True, slots=True)
class Method:
    """How it answers, and whether an answer has a passage of the first document."""

    name: str
    ask: Callable[[str], Any]
    has: Callable[[Any, int], bool]


@dataclass(frozen=True, slots=True)
class Figures:
    """How one method did in one scope; times in milliseconds."""

    documents: int
    chunks: int
    method: str
    p50: float
    p95: float
    # ts_rank's time in units of this one's: above 1, this one is faster.
    p50_ratio: float
    p95_ratio: float
    recall: float
    asked: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What it took bm25s to hold a scope: its arrays, without the vocabulary."""

    documents: int
    chunks: int
    seconds: float
    bytes_a_chunk: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[1, 10, 20, 100, 1000])
    parser.add_argument("--stored", type=int, default=1550, help="documents of 646 chunks")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="that store them")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if env.text("DATABASE_URL"):
        parser.error("it fills the database of its own data folder: unset DATABASE_URL")
    if not corpus.SOURCE.exists():
        print(f"Nothing is measured: {corpus.SOURCE} is missing.")
        return
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    stored = corpus.store(max(arguments.stored, *arguments.documents), arguments.processes)
    asked = random.Random(SEED).sample(corpus.questions(), arguments.questions)
    figures: list[Figures] = []
    memory: list[Memory] = []
    for documents in arguments.documents:
        scope = stored.documents[:1]
        scope += random.Random(SEED).sample(stored.documents[1:], documents - 1)
        methods = [_product(scope), _search(scope), _ts_rank(scope)]
        if peer := _bm25s(scope):
            methods.append(peer[0])
            memory.append(peer[1])
        figures += measure(methods, asked, documents)
        del methods, peer
        gc.collect()
    print(report(stored, figures, memory))
    if arguments.json:
        parts = {
            "machine": machine(),
            "stored": asdict(stored) | {"documents": len(stored.documents)},
            "figures": [asdict(row) for row in figures],
            "bm25s": [asdict(row) for row in memory],
        }
        arguments.json.write_text(json.dumps(parts, indent=2) + "\n")


def measure(
    methods: Sequence[Method], asked: Sequence[tuple[str, int]], documents: int
) -> list[Figures]:
    """Asks every method every question, first to warm up and for recall, then by the clock."""
    recall = dict.fromkeys((method.name for method in methods), 0.0)
    for question, passage in tqdm(asked, desc=f"{documents} in scope", disable=None):
        for method in methods:
            recall[method.name] += method.has(method.ask(question), passage) / len(asked)
    times = _times(methods, [question for question, _ in asked])
    quantiles = {name: statistics.quantiles(ms, n=20) for name, ms in times.items()}
    base = quantiles["ts_rank"]
    return [
        Figures(
            documents=documents,
            chunks=documents * len(corpus.passages()),
            method=name,
            p50=quantiles[name][9],
            p95=quantiles[name][18],
            p50_ratio=base[9] / quantiles[name][9],
            p95_ratio=base[18] / quantiles[name][18],
            recall=recall[name],
            asked=len(ms),
        )
        for name, ms in times.items()
    ]


def _times(methods: Sequence[Method], questions: Sequence[str]) -> dict[str, list[float]]:
    """Milliseconds of each answer."""
    times: dict[str, list[float]] = {method.name: [] for method in methods}
    until = time.monotonic() + SECONDS
    for round_ in range(ROUNDS):
        if round_ and time.monotonic() > until:
            break
        for number, question in enumerate(questions):
            # Each is the first in its turn, when the caches hold what another one read.
            first = (number + round_) % len(methods)
            for method in (*methods[first:], *methods[:first]):
                started = time.perf_counter()
                method.ask(question)
                times[method.name].append((time.perf_counter() - started) * 1000)
    return times


# --- Methods ------------------------------------------------------------------------------------


def _product(scope: list[UUID]) -> Method:
    """Search as users get it: passages with their text, neighbours joined."""

    def has(found: list, passage: int) -> bool:
        # A passage is a page: one joined of two has both.
        return any(
            one.document_id == scope[0] and one.page_start <= passage + 1 <= one.page_end
            for one in found[:RECALL_AT]
        )

    return Method("find_passages", lambda text: find_passages(text, scope, LIMIT), has)


def _search(scope: list[UUID]) -> Method:
    """The posting lists alone, with the thesaurus."""
    ids = list(
        Chunk.objects.filter(document_id=scope[0]).order_by("ordinal").values_list("id", flat=True)
    )

    def ask(text: str) -> list:
        with search_cursor(len(scope)) as cursor:
            return retrieval.search(cursor, thesaurus.expand(Query(((text, 1.0),))), scope, LIMIT)

    def has(found: list, passage: int) -> bool:
        return ids[passage] in [hit.chunk_id for hit in found[:RECALL_AT]]

    return Method("retrieval.search", ask, has)


def _ts_rank(scope: list[UUID]) -> Method:
    def ask(text: str) -> list:
        with connection.cursor() as cursor:
            values = {"question": text, "documents": scope, "limit": LIMIT}
            cursor.execute(TS_RANK, values)
            return cursor.fetchall()

    def has(found: list, passage: int) -> bool:
        return (scope[0], passage) in [place[:2] for place in found[:RECALL_AT]]

    return Method("ts_rank", ask, has)


def _bm25s(scope: list[UUID]) -> tuple[Method, Memory] | None:
    """bm25s with its defaults (Lucene's BM25) and Snowball stems; its documents count from 0."""
    chunks = len(scope) * len(corpus.passages())
    if psutil.virtual_memory().available < chunks * PEER_BYTES_A_CHUNK:
        print(f"bm25s is left out at {chunks:,} chunks, for which it needs more memory.")
        return None
    stemmer = Stemmer.Stemmer("english")

    def split(texts: list[str]) -> bm25s.tokenization.Tokenized:
        return bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)

    texts = [text for document in scope for text in _texts(document)]
    started = time.perf_counter()
    index = bm25s.BM25(method="lucene")
    index.index(split(texts), show_progress=False)
    seconds = time.perf_counter() - started
    del texts
    gc.collect()
    size = index.scores["data"].nbytes + index.scores["indices"].nbytes

    def ask(text: str) -> list[int]:
        return index.retrieve(split([text]), k=LIMIT, show_progress=False)[0][0].tolist()

    method = Method("bm25s", ask, lambda found, passage: passage in found[:RECALL_AT])
    return method, Memory(len(scope), chunks, seconds, size / chunks)


def _texts(document: UUID) -> list[str]:
    rows = Chunk.objects.filter(document_id=document).order_by("ordinal")
    return list(rows.values_list("text", flat=True))


# --- Report -------------------------------------------------------------------------------------


def machine() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), current_setting('shared_buffers')"
        )
        version, buffers = cursor.fetchone()
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GB of memory, PostgreSQL {version} "
        f"(shared_buffers {buffers}), Python {platform.python_version()}, bm25s {bm25s.__version__}"
    )


def report(stored: corpus.Stored, figures: Sequence[Figures], memory: Sequence[Memory]) -> str:
    """All of it as Markdown."""
    lines = [
        f"Machine: {machine()}.",
        "",
        f"Stored: {len(stored.documents):,} documents, {stored.chunks:,} chunks. "
        f"A process stores {stored.chunks_a_second:,.0f} chunks ({stored.megabytes_a_second:.2f} "
        f"MB of text) a second, {stored.processes} at once. "
        f"Posting lists with their index: {stored.posting_bytes:,.0f} bytes a chunk "
        f"(goal {GOAL_BYTES:,}); the tsvector column's table and its indexes: "
        f"{stored.peer_bytes:,.0f}.",
        "",
        "| documents | chunks | method | p50 ms | p95 ms | goal p95 | ts_rank takes (p50, p95) "
        "| recall@5 | asked |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in figures:
        goal = GOALS.get(row.documents, "") if row.method == "find_passages" else ""
        lines.append(
            f"| {row.documents:,} | {row.chunks:,} | {row.method} | {row.p50:.2f} | {row.p95:.2f} "
            f"| {goal} | {row.p50_ratio:.2f}x, {row.p95_ratio:.2f}x | {row.recall:.2f} "
            f"| {row.asked} |"
        )
    lines += [
        "",
        "| bm25s in memory, documents | chunks | indexed in s | bytes a chunk |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row.documents:,} | {row.chunks:,} | {row.seconds:,.1f} | {row.bytes_a_chunk:,.0f} |"
        for row in memory
    ]
    return "\n".join(["", *lines])


if __name__ == "__main__":
    main()

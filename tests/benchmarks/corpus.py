"""A library of any size in a database of its own, made from one real text.

A document is SQuAD's passages, one chunk each. The first is the text as it is. In each further one
most of the rare words are others, so that the vocabulary grows with the library as in a real one.
"""

import hashlib
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from unittest import mock
from uuid import UUID

from django.core.management import call_command
from django.db import connection, transaction
from tqdm import tqdm

from botgpt.accounts.models import User
from documents import ingestion
from documents.extraction.guard import Extraction
from documents.models import Chunk, Document
from llm import tokens

SOURCE = Path(__file__).resolve().parents[3] / "shared/data/squad-dev-half.json"
USER = UUID("00000000-0000-4000-8000-000000000000")

# A word in at most so many passages is rare; of those so many are others in each document.
RARE_PASSAGES = 5
REPLACED_SHARE = 0.6
WORD = re.compile(r"[A-Za-z]+")

# What PostgreSQL users have without further ado. The index on `document` serves small scopes.
PEER_TABLE = """
CREATE TABLE IF NOT EXISTS bench_chunk (document uuid, ordinal int, tsv tsvector);
CREATE TABLE IF NOT EXISTS bench_ingest (
    number int PRIMARY KEY, document uuid, chunks int, bytes int, seconds float, processes int
);
"""
PEER_INSERT = """
INSERT INTO bench_chunk
SELECT document_id, ordinal, to_tsvector('english', text)
FROM documents_chunk WHERE document_id = %s
"""
PEER_INDEXES = """
SET maintenance_work_mem = '512MB';
CREATE INDEX IF NOT EXISTS bench_chunk_tsv ON bench_chunk USING gin (tsv);
CREATE INDEX IF NOT EXISTS bench_chunk_document ON bench_chunk (document);
RESET maintenance_work_mem;
"""
DROP_PEER_INDEXES = "DROP INDEX IF EXISTS bench_chunk_tsv, bench_chunk_document"
TABLES = ("documents_document", "documents_chunk", "documents_posting", "bench_chunk")

INGESTED = """
SELECT sum(chunks) / sum(seconds), sum(bytes) / sum(seconds) / 1e6, max(processes)
FROM bench_ingest
"""
SIZES = """
SELECT pg_total_relation_size('documents_posting')::float / count(*),
    pg_total_relation_size('bench_chunk')::float / count(*), count(*)
FROM bench_chunk
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is in the database; sizes in bytes a chunk, with indexes; rates of one process."""

    documents: list[UUID]
    chunks: int
    posting_bytes: float
    peer_bytes: float
    chunks_a_second: float
    megabytes_a_second: float
    processes: int


@cache
def passages() -> list[str]:
    """SQuAD's passages."""
    return [paragraph["context"] for paragraph in _paragraphs()]


def questions() -> list[tuple[str, int]]:
    """Each human question that has an answer, with the number of its passage."""
    return [
        (row["question"], number)
        for number, paragraph in enumerate(_paragraphs())
        for row in paragraph["qas"]
        if not row["is_impossible"]
    ]


def document_texts(number: int) -> list[str]:
    """The passages of a document, always the same for its number."""
    if number == 0:
        return passages()
    others = _other_words(number)
    return [WORD.sub(lambda word: word[0] + others.get(word[0], ""), text) for text in passages()]


def store(documents: int, processes: int) -> Stored:
    """Stores what is missing of so many documents."""
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(PEER_TABLE)
        cursor.execute("SELECT number FROM bench_ingest")
        missing = sorted(set(range(documents)) - {number for (number,) in cursor.fetchall()})
    User.objects.known_as(USER)
    if missing:
        _store_all(missing, processes)
    _settle()
    with connection.cursor() as cursor:
        cursor.execute(INGESTED)
        rates = cursor.fetchone()
        cursor.execute(SIZES)
        posting_bytes, peer_bytes, chunks = cursor.fetchone()
        cursor.execute("SELECT document FROM bench_ingest ORDER BY number")
        ids = [document for (document,) in cursor.fetchall()]
    return Stored(ids, chunks, posting_bytes, peer_bytes, *rates)


def _store_all(numbers: Sequence[int], processes: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(DROP_PEER_INDEXES)
    started = time.perf_counter()
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        done = pool.map(_store_one, numbers, [processes] * len(numbers))
        for _ in tqdm(done, desc="storing", total=len(numbers), unit="document", disable=None):
            pass
    print(f"Stored {len(numbers):,} documents in {time.perf_counter() - started:,.0f} s.")


def _settle() -> None:
    """Indexes the peer's table and vacuums; quick where that was done before."""
    with connection.cursor() as cursor:
        cursor.execute(PEER_INDEXES)
        for table in TABLES:
            cursor.execute(f"VACUUM ANALYZE {table}")


def _store_one(number: int, processes: int) -> None:
    """Through the product's own path, from the text of pages on; each passage is a page."""
    texts = document_texts(number)
    document = Document(
        user_id=USER,
        name=f"squad-{number}.txt",
        kind=Document.Kind.TXT,
        size=sum(len(text.encode()) for text in texts),
        sha256=hashlib.sha256(f"{number}".encode()).hexdigest(),
    )
    with transaction.atomic(), connection.cursor() as cursor:
        document.save(force_insert=True)
        started = time.perf_counter()
        with mock.patch.object(ingestion, "_chunks", _one_a_page):
            ingestion._store(document, Extraction("", texts))
        seconds = time.perf_counter() - started
        cursor.execute(PEER_INSERT, [document.pk])
        cursor.execute(
            "INSERT INTO bench_ingest VALUES (%s, %s, %s, %s, %s, %s)",
            [number, document.pk, len(texts), document.size, seconds, processes],
        )


def _one_a_page(document: Document, extraction: Extraction) -> Iterator[Chunk]:
    for ordinal, text in enumerate(extraction.pages):
        yield Chunk(
            document=document,
            ordinal=ordinal,
            text=text,
            token_count=tokens.count(text),
            page_start=ordinal + 1,
            page_end=ordinal + 1,
            char_start=0,
        )


@cache
def _paragraphs() -> list[dict]:
    articles = json.loads(SOURCE.read_text())["data"]
    return [paragraph for article in articles for paragraph in article["paragraphs"]]


@cache
def _rare_words() -> list[str]:
    counts = Counter(word for text in passages() for word in set(WORD.findall(text)))
    return sorted(word for word, count in counts.items() if count <= RARE_PASSAGES)


def _other_words(number: int) -> dict[str, str]:
    """What is added to the words that are others in this document."""
    rare = _rare_words()
    chosen = random.Random(number).sample(rare, round(REPLACED_SHARE * len(rare)))
    return dict.fromkeys(chosen, _letters(number))


def _letters(number: int) -> str:
    """Four letters that no English ending is made of, so that stemming leaves them alone."""
    letters = "bcfghjkmpqvwxz"
    return "".join(letters[number // len(letters) ** place % len(letters)] for place in range(4))

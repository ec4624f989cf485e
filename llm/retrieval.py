"""Keyword retrieval: BM25 over posting lists in PostgreSQL, in plain SQL.

The posting lists are one row per document and term, with three arrays of equal length: the
ordinals of the chunks that hold the term, how often each holds it, and each one's length in
terms. Stop words and stems come from PostgreSQL's text search configuration of the document's
language. Statistics are taken over the documents searched, so they never mix users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

# The usual constants (Robertson and Zaragoza 2009, and Lucene's defaults).
K1 = 1.2
B = 0.75
# A question's terms beyond this many characters cost time and add no sense.
QUERY_CHARS = 4000
# Enough running text to tell the language by its stop words.
SAMPLE_CHARS = 6000
# In the languages PostgreSQL knows, a third to a half of running words are stop words.
STOP_WORD_SHARE = 0.15

# The language whose stop words cover most of the sample is its language.
DETECT = """
SELECT config.cfgname::text, 1 - sum(cardinality(word.positions))::float / plain.total
FROM (
    SELECT sum(cardinality(positions)) AS total
    FROM unnest(to_tsvector('simple', %(sample)s))
) AS plain,
pg_catalog.pg_ts_config AS config,
unnest(to_tsvector(config.oid::regconfig, %(sample)s)) AS word
WHERE config.cfgnamespace = 'pg_catalog'::regnamespace AND plain.total > 0
GROUP BY config.cfgname, plain.total
ORDER BY 2 DESC, 1
LIMIT 1
"""

# Replaces a document's posting lists by those of its chunks.
INDEX = """
WITH vectors AS MATERIALIZED (
    SELECT ordinal, to_tsvector(%(language)s::regconfig, text) AS vector
    FROM documents_chunk WHERE document_id = %(document)s
), lengths AS MATERIALIZED (
    SELECT ordinal, vector, least(sum(cardinality(word.positions)), 32767)::smallint AS length
    FROM vectors, unnest(vector) AS word
    GROUP BY ordinal, vector
)
INSERT INTO documents_posting (document_id, term, ordinals, frequencies, lengths)
SELECT %(document)s, word.lexeme, array_agg(ordinal ORDER BY ordinal),
    array_agg(cardinality(word.positions)::smallint ORDER BY ordinal),
    array_agg(length ORDER BY ordinal)
FROM lengths, unnest(vector) AS word
GROUP BY word.lexeme
"""

# The number of terms in a document, for the average length.
COUNT_TERMS = """
SELECT coalesce(sum(frequency), 0)
FROM documents_posting, unnest(frequencies) AS frequency
WHERE document_id = %(document)s
"""

SEARCH = """
WITH scope AS MATERIALIZED (
    SELECT id, language, chunk_count, term_count
    FROM documents_document
    WHERE id = ANY(%(documents)s) AND status = 'ready' AND chunk_count > 0
), totals AS MATERIALIZED (
    SELECT sum(chunk_count)::float AS chunks,
        greatest(sum(term_count)::float / sum(chunk_count), 1) AS average_length
    FROM scope
), terms AS MATERIALIZED (
    SELECT spoken.language, word.lexeme, max(part.weight) AS weight
    FROM (SELECT DISTINCT language FROM scope) AS spoken,
        unnest(%(texts)s::text[], %(weights)s::float[]) AS part(text, weight),
        unnest(to_tsvector(spoken.language::regconfig, part.text)) AS word
    GROUP BY spoken.language, word.lexeme
), lists AS (
    SELECT posting.document_id, posting.ordinals, posting.frequencies, posting.lengths, terms.weight,
        sum(cardinality(posting.ordinals)) OVER (PARTITION BY posting.term) AS found
    FROM scope
    JOIN terms USING (language)
    JOIN documents_posting AS posting
        ON posting.document_id = scope.id AND posting.term = terms.lexeme
)
SELECT lists.document_id, entry.ordinal, sum(
    lists.weight * ln(1 + (totals.chunks - lists.found + 0.5) / (lists.found + 0.5))
    * entry.frequency * (%(k1)s + 1) / (
        entry.frequency + %(k1)s * (1 - %(b)s + %(b)s * entry.length / totals.average_length)
    )
)::float AS score
FROM totals, lists,
    unnest(lists.ordinals, lists.frequencies, lists.lengths) AS entry(ordinal, frequency, length)
GROUP BY lists.document_id, entry.ordinal
ORDER BY score DESC, lists.document_id, entry.ordinal
LIMIT %(limit)s
"""


class Cursor(Protocol):
    """What retrieval needs of a database cursor."""

    def execute(self, sql: str, params: Mapping[str, Any], /) -> Any:
        """Runs a statement with bound parameters."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> Any:
        """All rows."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that matched, by its document and ordinal, with its BM25 score."""

    document_id: UUID
    ordinal: int
    score: float


def detect_language(cursor: Cursor, text: str) -> str:
    """The text search configuration that fits the text; `simple` where none does."""
    middle = max(0, len(text) // 2 - SAMPLE_CHARS // 2)
    cursor.execute(DETECT, {"sample": text[middle : middle + SAMPLE_CHARS]})
    row = cursor.fetchone()
    return str(row[0]) if row and row[1] >= STOP_WORD_SHARE else "simple"


def index(cursor: Cursor, document_id: UUID, language: str) -> int:
    """Writes the posting lists of a document's chunks; returns its length in terms."""
    cursor.execute(INDEX, {"document": document_id, "language": language})
    cursor.execute(COUNT_TERMS, {"document": document_id})
    return int(cursor.fetchone()[0])


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for: texts with their weights; a term counts by the highest of them."""

    texts: tuple[tuple[str, float], ...]


def search(cursor: Cursor, query: Query, document_ids: Sequence[UUID], limit: int) -> list[Hit]:
    """The best chunks of these documents for the query, best first; one statement."""
    parameters = {
        "texts": [text[:QUERY_CHARS] for text, _ in query.texts],
        "weights": [weight for _, weight in query.texts],
        "documents": list(document_ids),
        "k1": K1,
        "b": B,
        "limit": limit,
    }
    cursor.execute(SEARCH, parameters)
    return [Hit(document_id, ordinal, score) for document_id, ordinal, score in cursor.fetchall()]

"""Keyword retrieval: BM25 over posting lists in PostgreSQL, in plain SQL.

A document's posting lists stand in as many buckets (rows) as it has chunks, some sixty entries
each; a term's bucket is the remainder of its hash. A bucket has three arrays: the hashes of its
terms, where each one's entries end, and the entries, one a chunk: the chunk's ordinal in the upper
bits and, in the lowest eight, the term's impact there. That is the part of BM25 that does not
depend on the other documents, so it is worked out once, when a document is indexed. The rest, how
rare a term is, comes from the documents searched, so that it never mixes users.

Stop words and stems are those of PostgreSQL's text search configuration of a document's language.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any, Protocol
from uuid import UUID

from llm.passages import Passage
from llm.words import searchable, searchable_name

# Chosen by trial (tests/benchmarks/README.md); Lucene has 1.2 and 0.75.
K1 = 1.2
B = 0.6
# A chunk's length in terms that is neither long nor short. It stands for the average: chunks are
# cut to one size, so the true one differs little from document to document.
USUAL_LENGTH = 120
# A term of the section's heading counts as so many in the text (BM25F, Robertson et al. 2004).
SECTION_WEIGHT = 0.2
# A term of the document's name adds so much to each of its chunks. Its rarity among the documents
# counts up to 1, so that in a large library names do not drown what the text says.
NAME_WEIGHT = 2.5
# A question's terms beyond this many characters cost time and add no sense.
QUERY_CHARS = 4000
# Lists looked up at most: with many documents a question's lighter terms are left out.
LOOKUPS = 24_000
FEWEST_TERMS = 16
# The rarest terms, up to so many entries, choose the candidates; the others' entries are then read
# for those only. No term is rare in so few that a better chunk could be missed in practice.
FIRST_ENTRIES = 50_000
FIRST_CANDIDATES = 500
# In up to so many documents all terms choose at once: a second step costs more than it saves, and
# planning the statement anew takes a tenth of the time or more (tests/benchmarks/README.md).
FEW_DOCUMENTS = 100
ALL_ENTRIES = 2**31 - 1
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

# Writes the posting lists of a document's chunks.
INDEX = """
WITH vectors AS MATERIALIZED (
    SELECT ordinal, to_tsvector(%(language)s::regconfig, body) AS body,
        to_tsvector(%(language)s::regconfig, section) AS section
    FROM unnest(%(ordinals)s::int[], %(texts)s::text[], %(sections)s::text[])
        AS chunk(ordinal, body, section)
), lengths AS MATERIALIZED (
    SELECT vectors.*, 1 - %(b)s + %(b)s / %(usual_length)s * (
        SELECT coalesce(sum(cardinality(word.positions)), 0) FROM unnest(body) AS word
    ) AS length
    FROM vectors
), frequencies AS (
    SELECT ordinal, lexeme, cardinality(word.positions) / length AS frequency
    FROM lengths, unnest(body) AS word
    UNION ALL
    SELECT ordinal, lexeme, %(section_weight)s FROM lengths, unnest(section) AS word
), placed AS MATERIALIZED (
    SELECT hashtext(lexeme) AS hash, (hashtext(lexeme) & 2147483647) %% %(buckets)s AS bucket,
        (ordinal << 8) | round(255 * sum(frequency) / (sum(frequency) + %(k1)s))::int AS entry
    FROM frequencies
    GROUP BY ordinal, lexeme
), terms AS (
    SELECT bucket, hash, sum(count(*)) OVER (PARTITION BY bucket ORDER BY hash)::int AS finish
    FROM placed
    GROUP BY bucket, hash
), directories AS (
    SELECT bucket, array_agg(hash ORDER BY hash) AS terms, array_agg(finish ORDER BY hash) AS ends
    FROM terms
    GROUP BY bucket
), lists AS (
    SELECT bucket, array_agg(entry ORDER BY hash, entry) AS entries FROM placed GROUP BY bucket
)
INSERT INTO documents_posting (document_id, bucket, terms, ends, entries)
SELECT %(document)s, bucket, terms, ends, entries FROM directories JOIN lists USING (bucket)
"""

NAME_TERMS = """
SELECT coalesce(array_agg(hashtext(lexeme)), '{}')
FROM unnest(to_tsvector(%(language)s::regconfig, %(name)s))
"""

# The question's terms, their entries in each document, and how rare each is among these chunks.
LOOK_UP = """
WITH scope AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY id) AS number, id, name, language, chunk_count, name_terms
    FROM documents_document
    WHERE id = ANY(%(documents)s) AND status = 'ready' AND chunk_count > 0
), totals AS MATERIALIZED (
    SELECT sum(chunk_count)::float AS chunks, count(*)::float AS documents FROM scope
), vectors AS MATERIALIZED (
    SELECT part.number, part.weight, spoken.language,
        to_tsvector(spoken.language::regconfig, part.text) AS vector
    FROM (SELECT DISTINCT language FROM scope) AS spoken,
        unnest(%(texts)s::text[], %(weights)s::float[])
            WITH ORDINALITY AS part(text, weight, number)
), meant AS (
    -- Of each text what is left by the language that has the most of it as stop words. What that
    -- leaves out is no term in any other language either: there, a stop word would be rare.
    SELECT DISTINCT ON (number) number, positions
    FROM vectors, LATERAL (
        SELECT array_agg(position) AS positions
        FROM unnest(vector) AS word, unnest(word.positions) AS position
    ) AS kept
    ORDER BY number, cardinality(positions)
), words AS (
    SELECT language, word.lexeme, max(weight) AS weight
    FROM vectors
    JOIN meant USING (number),
    unnest(vector) AS word
    WHERE word.positions && meant.positions
    GROUP BY language, word.lexeme
    ORDER BY weight DESC, length(lexeme) DESC, lexeme  -- long words tend to be rare
    LIMIT %(most_terms)s
), terms AS MATERIALIZED (
    SELECT language, lexeme, hashtext(lexeme) AS hash, weight FROM words
), buckets AS MATERIALIZED (
    SELECT scope.number, terms.hash, terms.weight, posting.ends, posting.entries,
        array_position(posting.terms, terms.hash) AS place
    FROM terms
    JOIN scope USING (language)
    JOIN documents_posting AS posting
        ON posting.document_id = scope.id
        AND posting.bucket = (terms.hash & 2147483647) %% scope.chunk_count
), lists AS MATERIALIZED (
    SELECT number, hash, weight, entries[coalesce(ends[place - 1], 0) + 1 : ends[place]] AS entries
    FROM buckets
    WHERE place IS NOT NULL
), rarities AS MATERIALIZED (
    SELECT hash, (sum(found) OVER (ORDER BY found, hash) - found)::bigint AS before,
        ln(1 + (chunks - found + 0.5) / (found + 0.5)) AS rarity
    FROM totals,
        (SELECT hash, sum(cardinality(entries)) AS found FROM lists GROUP BY hash) AS counts
), named AS MATERIALIZED (
    SELECT number, lexeme, weight,
        least(1, ln(1 + (documents - share + 0.5) / (share + 0.5))) AS rarity
    FROM (
        SELECT scope.number, terms.lexeme, terms.weight, totals.documents,
            count(*) OVER (PARTITION BY terms.hash) AS share
        FROM totals, scope
        JOIN terms USING (language)
        WHERE totals.documents > 1 AND terms.hash = ANY(scope.name_terms)
    ) AS shares
)
"""

FIRST = """
, names AS (
    SELECT number, %(name_weight)s * sum(weight * rarity) AS score FROM named GROUP BY number
), first AS MATERIALIZED (
    SELECT place, sums.score + coalesce(names.score, 0) AS score
    FROM (
        SELECT (number << 24) | (entry >> 8) AS place, number, sum(factor * (entry & 255)) AS score
        FROM (
            SELECT number, weight * rarity / 255 AS factor, unnest(entries) AS entry
            FROM lists JOIN rarities USING (hash)
            WHERE before <= %(first_entries)s
        ) AS entries
        GROUP BY place, number
    ) AS sums
    LEFT JOIN names USING (number)
    ORDER BY 2 DESC, 1
    LIMIT %(first_candidates)s
)
"""

REST = """
, rest AS (
    SELECT place, sum(factor * (entry & 255)) AS score
    FROM (
        SELECT (number << 24) | (entry >> 8) AS place, factor, entry
        FROM (
            SELECT number, weight * rarity / 255 AS factor, unnest(entries) AS entry
            FROM lists JOIN rarities USING (hash)
            WHERE before > %(first_entries)s
                AND number IN (SELECT place >> 24 FROM first)
        ) AS entries
    ) AS entries
    JOIN first USING (place)
    GROUP BY place
), best AS (
    SELECT place, first.score + coalesce(rest.score, 0) AS score
    FROM first LEFT JOIN rest USING (place)
    ORDER BY score DESC, place
    LIMIT %(limit)s
)
"""

PASSAGES = """
SELECT chunk.id, scope.id, scope.name, chunk.text, best.score, chunk.page_start, chunk.page_end,
    chunk.char_start, chunk.page_breaks, chunk.section, chunk.ordinal
FROM best
JOIN scope ON scope.number = place >> 24
JOIN documents_chunk AS chunk
    ON chunk.document_id = scope.id AND chunk.ordinal = place & 16777215
ORDER BY best.score DESC, place
"""

BEST_OF_FEW = ", best AS (SELECT place, score FROM first)"
SEARCH_FEW = LOOK_UP + FIRST + BEST_OF_FEW + PASSAGES
SEARCH_MANY = LOOK_UP + FIRST + REST + PASSAGES

EXPLAIN = (
    LOOK_UP  # noqa: S608 - two constants
    + """
, wanted AS (
    SELECT scope.number, scope.language, asked.ordinal, asked.id
    FROM unnest(%(ids)s::uuid[], %(ordinals)s::int[]) AS asked(id, ordinal) JOIN scope USING (id)
)
SELECT wanted.id, wanted.ordinal, terms.lexeme, lists.weight, rarities.rarity,
    (entry & 255) / 255.0::float AS impact, lists.weight * rarities.rarity * (entry & 255) / 255
FROM wanted
JOIN lists USING (number)
JOIN rarities USING (hash)
JOIN terms ON terms.hash = lists.hash AND terms.language = wanted.language,
unnest(lists.entries) AS entry
WHERE entry >> 8 = wanted.ordinal
UNION ALL
SELECT wanted.id, wanted.ordinal, 'name: ' || lexeme, weight, rarity, %(name_weight)s::float,
    %(name_weight)s::float * weight * rarity
FROM wanted JOIN named USING (number)
ORDER BY 1, 2, 7 DESC
"""
)


class Cursor(Protocol):
    """What retrieval needs of a database cursor."""

    def execute(self, sql: str, params: Mapping[str, Any], /) -> Any:
        """Runs a statement with bound parameters."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> Any:
        """All rows."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for: texts with their weights; a term counts by the highest of them."""

    texts: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class TermScore:
    """What one term gives a chunk: `score` = `weight` of the question * `rarity` * `impact`."""

    term: str
    weight: float
    rarity: float
    impact: float
    score: float


def detect_language(cursor: Cursor, text: str) -> str:
    """The text search configuration that fits the text; `simple` where none does."""
    middle = max(0, len(text) // 2 - SAMPLE_CHARS // 2)
    sample = searchable(text[middle : middle + SAMPLE_CHARS])
    cursor.execute(DETECT, {"sample": sample})
    row = cursor.fetchone()
    return str(row[0]) if row and row[1] >= STOP_WORD_SHARE else "simple"


def index(
    cursor: Cursor, document_id: UUID, language: str, texts: Sequence[str], sections: Sequence[str]
) -> None:
    """Writes the posting lists of a document's chunks, given in their order with their sections."""
    parameters = {
        "document": document_id,
        "language": language,
        "ordinals": list(range(len(texts))),
        "texts": [searchable(text) for text in texts],
        "sections": [searchable(section) for section in sections],
        "buckets": len(texts),
        "k1": K1,
        "b": B,
        "usual_length": USUAL_LENGTH,
        "section_weight": SECTION_WEIGHT,
    }
    cursor.execute(INDEX, parameters)


def name_terms(cursor: Cursor, language: str, name: str, title: str) -> list[int]:
    """The terms by which questions name a document, for `Document.name_terms`."""
    words = f"{searchable_name(name)} {searchable(title)}"
    cursor.execute(NAME_TERMS, {"language": language, "name": words})
    return list(cursor.fetchone()[0])


def search(cursor: Cursor, query: Query, document_ids: Sequence[UUID], limit: int) -> list[Passage]:
    """The best chunks of these documents for the query, best first; one statement.

    For few documents it is always the same one, so that a cursor can prepare it.
    """
    parameters = _look_up(query, document_ids)
    if len(document_ids) <= FEW_DOCUMENTS:
        parameters |= {"first_entries": ALL_ENTRIES, "first_candidates": limit}
        cursor.execute(SEARCH_FEW, parameters)
    else:
        candidates = max(FIRST_CANDIDATES, limit)
        parameters |= {"first_entries": FIRST_ENTRIES, "first_candidates": candidates}
        cursor.execute(SEARCH_MANY, parameters | {"limit": limit})
    # `page_breaks`, the ninth column, is an array.
    rows: list[tuple[Any, ...]] = [(*row[:8], tuple(row[8]), *row[9:]) for row in cursor.fetchall()]
    return list(starmap(Passage, rows))


def explain(
    cursor: Cursor, query: Query, document_ids: Sequence[UUID], places: Sequence[tuple[UUID, int]]
) -> dict[tuple[UUID, int], list[TermScore]]:
    """Why chunks (document, ordinal) score as they do, term by term, the weightiest first."""
    parameters = _look_up(query, document_ids) | {
        "ids": [document_id for document_id, _ in places],
        "ordinals": [ordinal for _, ordinal in places],
    }
    cursor.execute(EXPLAIN, parameters)
    found: dict[tuple[UUID, int], list[TermScore]] = {place: [] for place in places}
    for document_id, ordinal, *scores in cursor.fetchall():
        found[document_id, ordinal].append(TermScore(*scores))
    return found


def _look_up(query: Query, document_ids: Sequence[UUID]) -> dict[str, Any]:
    return {
        "texts": [searchable(text[:QUERY_CHARS]) for text, _ in query.texts],
        "weights": [weight for _, weight in query.texts],
        "documents": list(document_ids),
        "most_terms": max(FEWEST_TERMS, LOOKUPS // max(1, len(document_ids))),
        "name_weight": NAME_WEIGHT,
    }

"""Where in passages the words of a query stand."""

from collections.abc import Sequence
from typing import Any

from django.db import connection

from llm.passages import Passage

# Controls that cleaned text never holds; a text that does all the same gets no highlights.
START, STOP = "\x02", "\x03"
OPTIONS = f'StartSel="{START}", StopSel="{STOP}", HighlightAll=true'

# PostgreSQL marks the words itself, with the parser and the stems that indexed them. Any of the
# query's lexemes will do; they are quoted as tsquery's input syntax wants it.
MARK = """
SELECT passage.place,
    ts_headline(document.language::regconfig, passage.text, query.any_of, %(options)s)
FROM unnest(%(documents)s::uuid[], %(texts)s::text[]) WITH ORDINALITY
    AS passage(document_id, text, place)
JOIN documents_document AS document ON document.id = passage.document_id,
LATERAL (
    SELECT string_agg(
        '''' || replace(replace(word.lexeme, '\\', '\\\\'), '''', '''''') || '''', ' | '
    )::tsquery AS any_of
    FROM unnest(to_tsvector(document.language::regconfig, %(query)s)) AS word
) AS query
WHERE query.any_of IS NOT NULL
"""

Span = tuple[int, int]


def find_highlights(query: str, passages: Sequence[Passage]) -> list[list[Span]]:
    """For each passage the (start, end) offsets in its text of words that match; one query.

    Offsets count characters (Unicode code points), end exclusive, in order and apart.
    """
    if not passages:
        return []
    texts = [passage.text for passage in passages]
    parameters: dict[str, Any] = {
        "query": query,
        "options": OPTIONS,
        "documents": [passage.document_id for passage in passages],
        "texts": texts,
    }
    with connection.cursor() as cursor:
        cursor.execute(MARK, parameters)
        marked = dict(cursor.fetchall())
    # A document deleted meanwhile has no row.
    return [_spans(marked.get(place, ""), text) for place, text in enumerate(texts, start=1)]


def _spans(marked: str, text: str) -> list[Span]:
    if marked.replace(START, "").replace(STOP, "") != text:
        return []
    before, *parts = marked.split(START)
    spans: list[Span] = []
    offset = len(before)
    for part in parts:
        word, _, rest = part.partition(STOP)
        spans.append((offset, offset + len(word)))
        offset += len(word) + len(rest)
    return spans

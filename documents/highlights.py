"""Where in passages the words of a query stand."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from llm import thesaurus
from llm.passages import Passage
from llm.retrieval import Query
from llm.words import searchable

# A number with its commas and points, or a word with its apostrophes.
WORD = re.compile(r"\d+(?:[.,]\d+)+|\w+(?:['\u2019]\w+)*")

# Words match where they share a lexeme in the language of the passage's document.
MATCH = """
WITH spoken AS (
    SELECT language::regconfig AS language, array_agg(id) AS documents
    FROM documents_document WHERE id = ANY(%(documents)s)
    GROUP BY language
)
SELECT spoken.documents, array(
    SELECT form.place
    FROM unnest(%(forms)s::text[]) WITH ORDINALITY AS form(text, place)
    WHERE tsvector_to_array(to_tsvector(spoken.language, form.text)) && asked.lexemes
)
FROM spoken, LATERAL (
    SELECT array_agg(word.lexeme) AS lexemes
    FROM unnest(%(asked)s::text[]) AS query(text),
        unnest(to_tsvector(spoken.language, query.text)) AS word
) AS asked
"""

Span = tuple[int, int]


def find_highlights(query: Query, passages: Sequence[Passage]) -> list[list[Span]]:
    """For each passage the (start, end) offsets in its text of words that match.

    One database query. Words that stand for those of the query match as they do in search.
    Offsets count characters (Unicode code points), end exclusive, in order and apart.
    """
    if not passages:
        return []
    texts = [list(WORD.finditer(passage.text)) for passage in passages]
    parts = _parts({match[0] for words in texts for match in words})
    sought = {word for text, _ in thesaurus.expand(query).texts for word in WORD.findall(text)}
    asked = [form for found in _parts(sought).values() for form, _ in found]
    forms = list({form for found in parts.values() for form, _ in found})
    matching = _matching(asked, forms, [passage.document_id for passage in passages])
    return [
        _apart(_spans(words, parts, matching.get(passage.document_id, set())))
        for passage, words in zip(passages, texts, strict=True)
    ]


def _parts(words: set[str]) -> dict[str, list[tuple[str, Span]]]:
    """Of each word the forms that the index has, with their places in the word.

    Most have one. A run of Chinese has its pairs of characters.
    """
    if not words:
        return {}
    ordered = list(words)
    forms = searchable("\0".join(ordered)).split("\0")  # at once: it is many patterns
    return {word: list(_places(word, form)) for word, form in zip(ordered, forms, strict=True)}


def _places(word: str, form: str) -> Iterator[tuple[str, Span]]:
    pieces = form.split()
    if len(pieces) < 2 or not all(piece in word for piece in pieces):
        yield form, (0, len(word))
        return
    start = -1
    for piece in pieces:
        start = word.find(piece, start + 1)
        yield piece, (start, start + len(piece))


def _matching(asked: list[str], forms: list[str], documents: list[UUID]) -> dict[UUID, set[str]]:
    """Which of the forms match, by document; one deleted meanwhile has none."""
    parameters: dict[str, Any] = {"asked": asked, "forms": forms, "documents": documents}
    with connection.cursor() as cursor:
        cursor.execute(MATCH, parameters)
        rows = cursor.fetchall()
    return {
        document: matching
        for ids, places in rows
        for matching in [{forms[place - 1] for place in places}]
        for document in ids
    }


def _spans(
    words: Sequence[re.Match[str]], parts: dict[str, list[tuple[str, Span]]], matching: set[str]
) -> Iterator[Span]:
    for word in words:
        for form, (start, end) in parts[word[0]]:
            if form in matching:
                yield word.start() + start, word.start() + end


def _apart(spans: Iterable[Span]) -> list[Span]:
    """The same, those that overlap joined."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined

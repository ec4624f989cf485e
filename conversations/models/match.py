"""Search through one user's conversations, by the words of titles and messages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

# How many matches can be paged through; what is beyond them is older still.
MOST_MATCHES = 1_000
# The conversations looked through, those last spoken in first.
MOST_CONVERSATIONS = 10_000

# The query as PostgreSQL reads it: words without endings cut off, "phrases", or, -without.
READ = "SELECT websearch_to_tsquery('simple', %(query)s)::text"
# One word of it, in quotes that are doubled within, with the sign that its beginning is enough.
LEXEME = re.compile(r"'((?:[^']|'')*)'(:\*)?")

# By the indexes conversation_words and message_words, where the planner finds them worth it. That
# takes the conversations' ids as constants: of a subquery it does not know how many there will be,
# and reads every message of a user who has many. That they are the user's is asked for again.
MATCHES = """
(
    SELECT 0 AS kind, id, id AS conversation_id
    FROM conversations_conversation
    WHERE id = ANY(%(conversations)s::uuid[])
        AND to_tsvector('simple', COALESCE(title, '')) @@ %(words)s::tsquery
    ORDER BY id DESC LIMIT %(until)s
) UNION ALL (
    SELECT 1 AS kind, id, conversation_id
    FROM conversations_message
    WHERE conversation_id = ANY(%(conversations)s::uuid[])
        AND to_tsvector('simple', COALESCE(content, '')) @@ %(words)s::tsquery
        AND (active OR %(every_branch)s)
    ORDER BY id DESC LIMIT %(until)s
)
"""
COUNT = f"""
SELECT LEAST(count(*), %(until)s)
FROM ({MATCHES}) AS found
JOIN conversations_conversation AS conversation
    ON conversation.id = found.conversation_id AND conversation.user_id = %(user)s
"""  # noqa: S608 - of constants
PAGE = f"""
SELECT conversation.id, conversation.title, message.id, message.role, message.active,
    COALESCE(message.content, conversation.title),
    COALESCE(message.created_at, conversation.created_at)
FROM ({MATCHES}) AS found
JOIN conversations_conversation AS conversation
    ON conversation.id = found.conversation_id AND conversation.user_id = %(user)s
LEFT JOIN conversations_message AS message ON found.kind = 1 AND message.id = found.id
ORDER BY found.kind, found.id DESC
LIMIT %(limit)s OFFSET %(start)s
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class Words:
    """What is searched for, as a `tsquery`; empty where the query has no word."""

    tsquery: str

    @classmethod
    def read(cls, query: str) -> "Words":
        """Web search syntax; of a last word that is still being typed the beginning matches."""
        with connection.cursor() as cursor:
            cursor.execute(READ, {"query": query})
            (tsquery,) = cursor.fetchone()
        typing = query[-1:].isalnum() and re.search(r"(?<!!)'(?:[^']|'')+'$", tsquery)
        return cls(f"{tsquery}:*" if typing else tsquery)

    def pattern(self) -> re.Pattern[str] | None:
        """Finds the words in a text, in any case; None where there is none."""
        found = sorted(LEXEME.findall(self.tsquery), key=len, reverse=True)
        if not found:
            return None
        forms = [
            re.escape(word.replace("''", "'")) + (r"[^\W_]*" if beginning else "")
            for word, beginning in found
        ]
        return re.compile(rf"(?<![^\W_])(?:{'|'.join(forms)})(?![^\W_])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Match:
    """A title or message that matches; without a message it is the title."""

    conversation_id: UUID
    title: str
    message_id: UUID | None
    role: str | None
    active: bool | None
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Matches:
    """All matches, titles before messages, the newest of each first; for a paginator."""

    words: Words
    user_id: UUID
    conversations: Sequence[UUID]
    every_branch: bool

    def count(self) -> int:
        """How many there are, MOST_MATCHES at most; one query."""
        [(found,)] = self._rows(COUNT, until=MOST_MATCHES)
        return int(found)

    def __getitem__(self, page: slice) -> list[Match]:
        """Those of a page; one query."""
        rows = self._rows(PAGE, until=page.stop, start=page.start, limit=page.stop - page.start)
        return [Match(*row) for row in rows]

    def _rows(self, statement: str, **bounds: int) -> list[tuple[Any, ...]]:
        if not self.words.tsquery or not self.conversations:
            return [(0,)] if statement is COUNT else []
        parameters: dict[str, Any] = {
            "words": self.words.tsquery,
            "user": self.user_id,
            "conversations": list(self.conversations),
            "every_branch": self.every_branch,
        }
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters | bounds)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

"""The prompt of an answer, made again from what is stored, and whether it is what was sent.

A prompt takes many times what was said, so it is not stored; its fingerprint is. What it was made
of may have changed since: then the fingerprint differs, and that is told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

from django.db import connection

from conversations.evidence import BUDGET
from conversations.history import SAID
from conversations.models import Conversation, Message
from documents.search import chosen_again
from llm import prompts
from llm.messages import ChatMessage, fingerprint
from llm.passages import Passage
from llm.ranking import Outcome

# Messages before a question that are looked at.
MOST_BEFORE = 1_000
# Of what was said but left out so much is shown.
LEFT_OUT_SHOWN = 50

BEFORE = """
WITH RECURSIVE above AS (
    SELECT id, parent_id, role, status, content, 1 AS step
    FROM conversations_message WHERE id = %(message)s
    UNION ALL
    SELECT parent.id, parent.parent_id, parent.role, parent.status, parent.content, step + 1
    FROM above JOIN conversations_message AS parent ON parent.id = above.parent_id
    WHERE step < %(most)s
)
SELECT id, role, content FROM above
WHERE status = ANY(%(said)s) AND content <> '' ORDER BY step DESC
"""


class Likeness(Enum):
    """How what is shown compares with what was sent."""

    SAME = "same"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Said:
    """A message before the question."""

    id: UUID
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages, how like they are to those sent, and what of them is known to be missing.

    `left_out` are the last of the messages that were said before and for which there was no room.
    """

    messages: tuple[ChatMessage, ...]
    likeness: Likeness
    missing: tuple[str, ...]
    left_out: tuple[Said, ...]


def of(answer: Message) -> Prompt | None:
    """The prompt of an answer, at most three queries; None where nothing is stored of it.

    The answer comes with its conversation, parent and retrieval.
    """
    if not answer.context or answer.parent is None:
        return None
    receipt, question = answer.context, answer.parent
    before = _before(question)
    kept = before[max(0, len(before) - receipt["history"]["kept"]) :]
    passages, missing = _passages(answer)
    if lost := receipt["history"]["kept"] - len(kept):
        missing = (f"{lost} of the messages before it, which were deleted", *missing)
    texts = [prompts.passage(number, one) for number, one in enumerate(passages, start=1)]
    asked = ChatMessage("user", prompts.grounded_question(question.content, texts))
    said = [ChatMessage(one.role, one.content) for one in kept]
    ways = [(ChatMessage("system", one), *said, asked) for one in _openings(answer)]
    same = next((one for one in ways if fingerprint(one) == answer.prompt_sha256), None)
    otherwise = Likeness.OTHER if answer.prompt_sha256 else Likeness.UNKNOWN
    out = before[: len(before) - len(kept)] if receipt["history"]["left_out"] else []
    return Prompt(
        messages=same or ways[0],
        likeness=Likeness.SAME if same else otherwise,
        missing=missing,
        left_out=tuple(out[-min(LEFT_OUT_SHOWN, receipt["history"]["left_out"]) :]),
    )


def _before(question: Message) -> list[Said]:
    """What was said before it on its branch, oldest first."""
    if question.parent_id is None:
        return []
    said = [str(one) for one in SAID]
    values: dict[str, Any] = {"message": question.parent_id, "most": MOST_BEFORE, "said": said}
    with connection.cursor() as cursor:
        cursor.execute(BEFORE, values)
        return [Said(*row) for row in cursor.fetchall()]


def _openings(answer: Message) -> Iterator[str]:
    """The system prompts that it may have begun with, that of the present settings first."""
    conversation = answer.conversation
    bases: Sequence[str] = [prompts.OPEN_CHAT]
    if conversation.mode == Conversation.Mode.GROUNDED_RAG:
        bases = [prompts.GROUNDED_STRICT, prompts.GROUNDED_PREFER]
        if conversation.grounding == Conversation.Grounding.PREFER:
            bases = bases[::-1]
    with_summary = answer.context["summary"]["kept"] > 0
    for base in bases:
        opening = prompts.system(base, conversation.system_prompt)
        yield prompts.with_summary(opening, conversation.summary) if with_summary else opening


def _passages(answer: Message) -> tuple[list[Passage], tuple[str, ...]]:
    """Those that the prompt held, as far as they are there, and what is not."""
    wanted = answer.context["passages"]["kept"]
    if not wanted:
        return [], ()
    retrieval: Any = getattr(answer, "retrieval", None)
    candidates = retrieval.candidates if retrieval else []
    if not candidates:
        return [], (f"its {wanted} passages: the record of its search was deleted",)
    found_then = {Outcome.KEPT.value, Outcome.JOINED.value, BUDGET}
    ids = [UUID(one["chunk_id"]) for one in candidates if one["outcome"] in found_then]
    passages, gone = chosen_again(ids)
    lost = f"{gone} chunks of documents that were deleted or read anew"
    return passages[:wanted], (lost,) if gone else ()

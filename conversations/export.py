"""A conversation as a file: JSON for programs, Markdown for people; written chunk by chunk."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework.utils.encoders import JSONEncoder

from conversations.models import Conversation, Message
from conversations.models.tree import in_reading_order
from conversations.serializers import ConversationSerializer, MessageSerializer

# Messages in memory at a time.
CHUNK = 100
NAME_CHARS = 80

SPEAKERS = {Message.Role.USER: "User", Message.Role.ASSISTANT: "Assistant"}
STATUS_NOTES = {
    Message.Status.PENDING: "This answer is still under way.",
    Message.Status.FAILED: "This answer failed: {error}",
    Message.Status.CANCELLED: "This answer was stopped by the user.",
    Message.Status.INTERRUPTED: "This answer was interrupted: {error}",
}


def file_name(title: str) -> str:
    """A name without an ending that any file system takes: words, digits, spaces and hyphens."""
    words = " ".join(re.sub(r"[^\w-]+", " ", title).split())
    return words[:NAME_CHARS].strip(" -_") or "conversation"


def order(conversation: Conversation, *, every_branch: bool) -> list[UUID]:
    """The messages in the order they are told; each branch whole before the next. One query.

    Answers are settled first that no process gives any longer.
    """
    messages = conversation.messages.all() if every_branch else conversation.messages.shown()
    rows = messages.order_by("position", "pk").values_list("pk", "parent_id", "status")
    there: list[tuple[UUID, UUID | None, str]] = list(rows)
    if any(status == Message.Status.PENDING for _, _, status in there):
        conversation.settle_orphans()
    return [place.id for place in in_reading_order((pk, parent) for pk, parent, _ in there)]


def as_json(conversation: Conversation, ids: Sequence[UUID]) -> Iterator[str]:
    """As the API shows a conversation, with all of the messages."""

    def shown(messages: Sequence[Message]) -> list[str]:
        return [_dump(one) for one in MessageSerializer(messages, many=True).data]

    yield _dump(ConversationSerializer(conversation).data).removesuffix("}") + ', "messages": ['
    between = ""
    for texts in _in_chunks(ids, shown):
        yield between + ",\n".join(texts)
        between = ",\n"
    yield "]}\n"


def as_markdown(conversation: Conversation, ids: Sequence[UUID]) -> Iterator[str]:
    """Title and dates, then each message; what people and models wrote stays as it is."""

    def shown(messages: Sequence[Message]) -> list[str]:
        return ["\n".join(_message_lines(one)) for one in messages]

    yield "\n".join(_head_lines(conversation))
    for texts in _in_chunks(ids, shown):
        yield "".join(texts)


def _in_chunks(
    ids: Sequence[UUID], show: Callable[[Sequence[Message]], list[str]]
) -> Iterator[list[str]]:
    """The messages as texts, CHUNK at a time, in two queries each; those deleted are left out."""
    for start in range(0, len(ids), CHUNK):
        wanted = ids[start : start + CHUNK]
        found = Message.objects.filter(pk__in=wanted).with_all_it_rests_on().in_bulk()
        if texts := show([found[pk] for pk in wanted if pk in found]):
            yield texts


def _dump(data: Any) -> str:
    return json.dumps(data, cls=JSONEncoder, ensure_ascii=False)


def _head_lines(conversation: Conversation) -> Iterator[str]:
    yield f"# {_line(conversation.title)}"
    yield ""
    yield f"- Begun: {_time(conversation.created_at)}"
    yield f"- Last changed: {_time(conversation.updated_at)}"
    yield f"- Model: {conversation.model}"
    if conversation.mode == Conversation.Mode.GROUNDED_RAG:
        names = [_line(document.name) for document in conversation.documents.all()]
        yield f"- Documents: {', '.join(names) or 'all of the user'}"
    yield ""


def _message_lines(message: Any) -> Iterator[str]:
    """The message under a heading of its own, after an empty line."""
    yield ""
    yield f"## {SPEAKERS[message.role]}{_branch(message)}"
    yield ""
    model = f", {message.model}" if message.model else ""
    yield f"_{_time(message.created_at)}{model}_"
    yield ""
    if message.content:
        yield message.content
        yield ""
    if note := STATUS_NOTES.get(message.status):
        yield f"_{note.format(error=_line(message.error))}_"
        yield ""
    citations = list(message.citations.all())
    for one in citations:
        section = f", {_line(one.section)}" if one.section else ""
        place = f"{_line(one.document_name)}, page {one.page}{section}"
        yield f"{one.number}. {place}: “{_line(one.quote)}”"
    if citations:
        yield ""


def _branch(message: Any) -> str:
    siblings: list[UUID] = message.sibling_ids
    if len(siblings) < 2:
        return ""
    shown = ", shown" if message.active else ""
    return f" (branch {siblings.index(message.pk) + 1} of {len(siblings)}{shown})"


def _line(text: str) -> str:
    """On one line."""
    return " ".join(text.split())


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"

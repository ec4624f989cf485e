"""What was said before a question, as its prompt tells it: a summary, then the messages since."""

from dataclasses import dataclass
from uuid import UUID

from conversations.models import Conversation, Message
from llm.context import Counted
from llm.messages import ChatMessage

# At most twice as many messages are read where no summary covers the rest: more would cost every
# question time.
STEP = 100
# An answer that was broken off is part of what was said, as far as it came.
SAID = (Message.Status.COMPLETED, Message.Status.CANCELLED, Message.Status.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class History:
    """Messages of the active path, oldest first, and the summary of those before them.

    `unread` are messages before them that the summary does not cover.
    """

    summary: str
    ids: tuple[UUID, ...]
    said: tuple[Counted, ...]
    unread: int = 0


NOTHING = History("", (), ())


def read(conversation: Conversation, end: int) -> History:
    """What a question at that position follows; at most two database queries.

    Without a summary it begins at a round position: for many turns with the same message.
    """
    if end == 0:
        return NOTHING
    summary, start = _summary(conversation, end)
    unread = 0 if start else max(0, end // STEP - 1) * STEP
    return _since(conversation, summary, start + unread, end, unread)


def read_unsummarised(conversation: Conversation) -> History:
    """The summary and all that it does not cover, up to the path's end."""
    last = conversation.messages.shown().last()
    end = last.position + 1 if last else 0
    summary, start = _summary(conversation, end)
    return _since(conversation, summary, start, end)


def _summary(conversation: Conversation, end: int) -> tuple[str, int]:
    """The summary and the position after what it covers; "" and 0 where there is none.

    On another branch, or with its last message deleted, it is not of what was said here.
    """
    through = conversation.summarised_through
    if through is None:
        return "", 0
    covered = conversation.messages.filter(pk=through, active=True, position__lt=end)
    position = covered.values_list("position", flat=True).first()
    return ("", 0) if position is None else (conversation.summary, position + 1)


def _since(
    conversation: Conversation, summary: str, start: int, end: int, unread: int = 0
) -> History:
    shown = conversation.messages.shown().filter(position__range=(start, end - 1))
    rows = shown.filter(status__in=SAID).exclude(content="").values_list("pk", "role", "content")
    found = list(rows)
    return History(
        summary,
        tuple(pk for pk, _, _ in found),
        tuple(Counted(ChatMessage(role, content)) for _, role, content in found),
        unread,
    )

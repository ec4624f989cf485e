"""A conversation as staff read it: its messages with all that they came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Sum

from conversations import markdown
from conversations.models import Conversation, Message
from conversations.models.tree import in_reading_order

MESSAGES_SHOWN = 200
# Of a longer tree the branches are not laid out.
TREE_SHOWN = 20_000
# Further messages are not added up.
MESSAGES_SUMMED = 10_000
# Branches of branches are set in no further than this.
LEVELS_SHOWN = 6
# The parts of a prompt, in the order in which it holds them.
SECTIONS = ("system", "summary", "history", "passages", "question")

STATUSES = {
    Message.Status.PENDING: "being answered now",
    Message.Status.FAILED: "failed",
    Message.Status.CANCELLED: "stopped by the user",
    Message.Status.INTERRUPTED: "interrupted: the server stopped",
}
# What providers say of an answer's end, beside that it was whole.
ENDS = {
    "length": "cut off: it reached its limit of tokens",
    "content_filter": "cut off by the provider's filter",
    "tool_calls": "ended in a call of a tool",
    "cancelled": "",  # which the status tells
    "stop": "",
    "": "",
}


@dataclass(frozen=True, slots=True)
class View:
    """Which part of a conversation to show: up to a place, or the place of a message; its end."""

    every_branch: bool = False
    until: int | None = None
    message_id: UUID | None = None

    @classmethod
    def asked(cls, query: Mapping[str, str]) -> "View":
        """As an address asks for it; what it cannot mean is left out."""
        until = query.get("until", "")
        try:
            message_id = UUID(query["message"])
        except (KeyError, ValueError):
            message_id = None
        return cls(
            every_branch=query.get("branches") == "all",
            until=int(until) if until.isascii() and until.isdigit() and len(until) < 9 else None,
            message_id=message_id,
        )

    def window(self, there: int, place: int | None) -> tuple[int, int]:
        """From which message to which, of so many, where that place is of the message wanted."""
        until = there if self.until is None else min(self.until, there)
        if place is not None:
            until = min(there, place + MESSAGES_SHOWN // 2 + 1)
        return max(0, until - MESSAGES_SHOWN), until


def of(conversation: Conversation, view: View) -> dict[str, Any]:
    """What the template shows; a bounded number of queries, however long the conversation is."""
    every_branch = view.every_branch and not _is_too_wide(conversation)
    window = _every_branch if every_branch else _shown
    messages, start, there = window(conversation, view)
    if any(one.status == Message.Status.PENDING for one in messages):
        if conversation.settle_orphans():
            messages, start, there = window(conversation, view)
        _add_words_so_far(messages)
    for message in messages:
        _dress(message, conversation)
    end = start + len(messages)
    return {
        "conversation": conversation,
        "messages": messages,
        "earlier": start,
        "later": there - end,
        "later_until": end + MESSAGES_SHOWN,
        "every_branch": every_branch,
        "too_wide": view.every_branch and not every_branch,
        "sums": _sums(conversation),
    }


def _is_too_wide(conversation: Conversation) -> bool:
    rows = conversation.messages.order_by("position", "pk").values("pk")
    return rows[TREE_SHOWN : TREE_SHOWN + 1].exists()


def _shown(conversation: Conversation, view: View) -> tuple[list[Any], int, int]:
    """A part of the active path, where it begins, and how many messages the path has."""
    path = conversation.messages.filter(active=True)
    last = path.order_by("-position").values_list("position", flat=True).first()
    there = 0 if last is None else last + 1
    place = None
    if view.message_id:
        wanted = path.filter(pk=view.message_id)
        place = wanted.values_list("position", flat=True).first()
    start, until = view.window(there, place)
    rows = _with_everything(conversation).filter(active=True)
    found = rows.filter(position__gte=start, position__lt=until).order_by("position")
    return list(found), start, there


def _every_branch(conversation: Conversation, view: View) -> tuple[list[Any], int, int]:
    """The same of the whole tree in reading order."""
    ordered = conversation.messages.order_by("position", "pk")
    places = in_reading_order(ordered.values_list("pk", "parent_id"))
    wanted = (n for n, place in enumerate(places) if place.id == view.message_id)
    start, until = view.window(len(places), next(wanted, None))
    part = places[start:until]
    found = _with_everything(conversation).in_bulk([place.id for place in part])
    for place in part:
        found[place.id].level = min(place.level, LEVELS_SHOWN)
    return [found[place.id] for place in part], start, len(places)


def _with_everything(conversation: Conversation) -> Any:
    # The list of the API leaves out what was considered for an answer; here it is shown.
    return conversation.messages.with_all_it_rests_on().defer(None)


def _add_words_so_far(messages: list[Any]) -> None:
    """What is saved of answers under way, of which a path has one at most."""
    for message in messages:
        if message.status == Message.Status.PENDING:
            message.content = "".join(message.streamed.values_list("text", flat=True))


def _dress(message: Any, conversation: Conversation) -> None:
    """Adds what the template shows of it and the model does not know."""
    places = list(enumerate(message.sibling_ids, start=1))
    message.branch = next((number for number, pk in places if pk == message.pk), 1)
    message.others = [(number, pk) for number, pk in places if pk != message.pk]
    # Models write Markdown; what people type is shown as they typed it.
    if message.role == Message.Role.ASSISTANT:
        message.html = markdown.as_html(message.content)
        message.told = STATUSES.get(message.status, "")
        message.end = ENDS.get(message.finish_reason, f"ended by {message.finish_reason}")
        message.instead_of = _instead_of(message, conversation)
    message.options = [one for one in message.sampling.items() if one[0] != "model"]
    message.sections = [
        (name, message.context[name]) for name in SECTIONS if name in message.context
    ]


def _instead_of(message: Any, conversation: Conversation) -> str:
    """The model that was wanted, where another one answered."""
    if not message.model or message.model == conversation.model:
        return ""
    wanted: str = message.sampling.get("model", "")
    if wanted:
        return "" if wanted == message.model else f"stood in for {wanted}"
    # The conversation's model may have been changed since.
    return f"the conversation has {conversation.model}"


def _sums(conversation: Conversation) -> dict[str, Any]:
    """What its answers took, all branches together; one query."""
    some = conversation.messages.order_by("position").values("pk")[:MESSAGES_SUMMED]
    names = ("prompt_tokens", "completion_tokens", "cached_tokens", "rewrite_tokens", "cost_usd")
    sums = {name: Sum(name, default=0) for name in names}
    return Message.objects.filter(pk__in=some).aggregate(messages=Count("pk"), **sums) | {
        "limit": MESSAGES_SUMMED
    }

"""A conversation as staff read it: its messages with all that they came from."""

from collections.abc import Iterator
from typing import Any

from conversations import markdown
from conversations.models import Conversation, Message
from conversations.models.tree import in_reading_order

MESSAGES_SHOWN = 200
# Branches of branches are set in no further than this.
LEVELS_SHOWN = 6
# The parts of a prompt, in the order in which it holds them.
SECTIONS = ("system", "summary", "history", "passages", "question")


def of(conversation: Any) -> dict[str, Any]:
    """What the template shows; at most four queries, however long the conversation is."""
    found = _every_branch(conversation) if conversation.every_branch else _shown(conversation)
    messages, there = found
    for message in messages:
        places = list(enumerate(message.sibling_ids, start=1))
        message.branch = next((number for number, pk in places if pk == message.pk), 1)
        message.others = [(number, pk) for number, pk in places if pk != message.pk]
        message.options = list(_options(message))
        # Models write Markdown; what people type is shown as they typed it.
        if message.role == Message.Role.ASSISTANT:
            message.html = markdown.as_html(message.content)
        message.sections = [
            (name, message.context[name]) for name in SECTIONS if name in message.context
        ]
    return {
        "conversation": conversation,
        "messages": messages,
        "left_out": max(0, there - len(messages)),
        "every_branch": conversation.every_branch,
    }


def _shown(conversation: Any) -> tuple[list[Any], int]:
    """The end of the active path, and how many messages it has."""
    rows = _with_everything(conversation).filter(active=True).order_by("-position")
    return list(rows[:MESSAGES_SHOWN])[::-1], conversation.message_count


def _every_branch(conversation: Conversation) -> tuple[list[Any], int]:
    """The end of the whole tree in reading order, and how many messages it has."""
    ordered = conversation.messages.order_by("position", "pk")
    places = in_reading_order(ordered.values_list("pk", "parent_id"))
    last = places[-MESSAGES_SHOWN:]
    found = _with_everything(conversation).in_bulk([place.id for place in last])
    for place in last:
        found[place.id].level = min(place.level, LEVELS_SHOWN)
    return [found[place.id] for place in last], len(places)


def _with_everything(conversation: Conversation) -> Any:
    # The list of the API leaves out what was considered for an answer; here it is shown.
    return conversation.messages.with_all_it_rests_on().defer(None)


def _options(message: Any) -> Iterator[tuple[str, Any]]:
    """Those the answer was asked for with; its model only where another one stood in."""
    for name, value in message.sampling.items():
        if name != "model":
            yield name, value
        elif value != message.model:
            yield "wanted", value

"""A tree of messages as one text: in which order it is read, and how deep its branches are."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Place:
    """A message's place; `level` counts the forks above it."""

    id: UUID
    level: int


def in_reading_order(messages: Iterable[tuple[UUID, UUID | None]]) -> list[Place]:
    """Each branch whole before the next; of (id, parent's id), siblings in the order given."""
    below: dict[UUID | None, list[UUID]] = {}
    for pk, parent_id in messages:
        below.setdefault(parent_id, []).append(pk)
    read: list[Place] = []
    waiting = _branches(below.get(None, []), 0)
    while waiting:
        place = waiting.pop()
        read.append(place)
        waiting += _branches(below.get(place.id, []), place.level)
    return read


def _branches(siblings: list[UUID], level: int) -> list[Place]:
    """The siblings, last first, as a stack wants them."""
    deeper = level + (len(siblings) > 1)
    return [Place(pk, deeper) for pk in reversed(siblings)]

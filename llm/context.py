"""Which messages and passages fit the model's window. Pure functions over token counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm.messages import ChatMessage

Count = Callable[[str], int]


class QuestionTooLong(ValueError):
    """The system prompt and the question alone do not fit the window."""


@dataclass(frozen=True, slots=True)
class Context:
    """The messages to send, how much was kept of each part, and their tokens (estimated)."""

    messages: tuple[ChatMessage, ...]
    history_kept: int
    history_left_out: int
    passages_kept: int
    passages_left_out: int
    tokens: int


def fit(
    *,
    system: str,
    history: Sequence[ChatMessage],
    question: str,
    passages: Sequence[str],
    with_passages: Callable[[str, Sequence[str]], str],
    budget: int,
    count: Count,
) -> Context:
    """Fits a prompt into `budget` tokens: the window less the answer's reserve.

    The system prompt and the question always stay whole; then come the passages, best first;
    then the history, newest first, without a gap. Raises QuestionTooLong where the first two
    do not fit.
    """
    room = budget - count(system)
    asked, kept_passages = _question_that_fits(question, passages, with_passages, room, count)
    room -= count(asked)
    kept_history = _prefix_that_fits([m.content for m in reversed(history)], room, count)
    recent = tuple(history[len(history) - len(kept_history) :])
    return Context(
        messages=(ChatMessage("system", system), *recent, ChatMessage("user", asked)),
        history_kept=len(recent),
        history_left_out=len(history) - len(recent),
        passages_kept=kept_passages,
        passages_left_out=len(passages) - kept_passages,
        tokens=budget - room + sum(count(message.content) for message in recent),
    )


def _question_that_fits(
    question: str,
    passages: Sequence[str],
    with_passages: Callable[[str, Sequence[str]], str],
    room: int,
    count: Count,
) -> tuple[str, int]:
    """The question with as many passages as fit, and their number. Raises QuestionTooLong."""
    for kept in range(len(passages), 0, -1):
        asked = with_passages(question, passages[:kept])
        if count(asked) <= room:
            return asked, kept
    if count(question) > room:
        raise QuestionTooLong("The question does not fit the model's window.")
    return question, 0


def _prefix_that_fits(texts: Sequence[str], room: int, count: Count) -> Sequence[str]:
    """The first texts, as many as fit the room together."""
    for kept, text in enumerate(texts):
        room -= count(text)
        if room < 0:
            return texts[:kept]
    return texts

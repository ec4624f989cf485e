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
    room = budget - count(system) - count(with_passages(question, ()))
    if room < 0:
        raise QuestionTooLong(f"The question does not fit the model's window of {budget} tokens.")
    kept_passages = _prefix_that_fits(passages, room, count)
    asked = with_passages(question, kept_passages) if kept_passages else question
    room = budget - count(system) - count(asked)
    kept_history = _prefix_that_fits([m.content for m in reversed(history)], room, count)
    recent = tuple(history[len(history) - len(kept_history) :])
    return Context(
        messages=(ChatMessage("system", system), *recent, ChatMessage("user", asked)),
        history_kept=len(recent),
        history_left_out=len(history) - len(recent),
        passages_kept=len(kept_passages),
        passages_left_out=len(passages) - len(kept_passages),
        tokens=budget - room + sum(count(message.content) for message in recent),
    )


def _prefix_that_fits(texts: Sequence[str], room: int, count: Count) -> Sequence[str]:
    """The first texts, as many as fit the room together."""
    for kept, text in enumerate(texts):
        room -= count(text)
        if room < 0:
            return texts[:kept]
    return texts

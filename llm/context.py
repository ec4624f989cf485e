"""Which messages and passages fit the model's window, and why. Pure functions over token counts.

A provider caches the beginning of a prompt and takes it for less the next time, as long as it is
the same to the byte. So a prompt is system, summary, history, question; passages come with the
question, and history is left out seldom and much at once instead of a little at every turn.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from llm import prompts
from llm.messages import ChatMessage

Count = Callable[[str], int]

# What a chat format puts around each message, rather too many than too few. Harmony (gpt-oss):
# <|start|> role <|message|> <|end|>, with <|channel|> final in an answer, so 4 or 6. Llama 3:
# <|start_header_id|> role <|end_header_id|> "\n\n" <|eot_id|>, so 5.
MESSAGE_TOKENS = 6
# What it adds once. Harmony: a system message of its own (61 with its marks), "# Instructions"
# (3) and the answer's <|start|> assistant (2). Llama 3.1: <|begin_of_text|>, the dates of its
# template (21) and the answer's header (4).
FORMAT_TOKENS = 66

# Of the history that fits, this much stays at least when room has to be made.
KEPT_SHARE = 2 / 3
# After folding, the rest of the history takes at most this much of its room.
FOLDED_SHARE = 0.5
# The newest exchanges are never folded.
UNFOLDED_EXCHANGES = 2


class QuestionTooLong(ValueError):
    """The system prompt and the question alone do not fit the window."""


class Reason(StrEnum):
    """Why a part of the prompt was left out."""

    OVER_BUDGET = "over_budget"
    # A history never begins with an answer.
    WITHOUT_QUESTION = "without_question"


@dataclass(frozen=True, slots=True)
class Counted:
    """A message of the history; `tokens` are those of its text, where they are known."""

    message: ChatMessage
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the prompt: its tokens, how many pieces were kept and left out, and why."""

    tokens: int
    kept: int
    left_out: int = 0
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a prompt is made of. The sections' tokens add up to `total`, which is in `budget`."""

    budget: int
    answer_reserve: int
    total: int
    system: Section
    summary: Section
    history: Section
    passages: Section
    question: Section

    def as_json(self) -> dict[str, Any]:
        """The receipt as it is stored and shown."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Context:
    """The messages to send and their receipt; `history_room` is what the history could take."""

    messages: tuple[ChatMessage, ...]
    receipt: Receipt
    history_room: int


def fit(
    *,
    system: str,
    summary: str,
    history: Sequence[Counted],
    question: str,
    passages: Sequence[str],
    with_passages: Callable[[str, Sequence[str]], str],
    budget: int,
    answer_reserve: int,
    count: Count,
    unread: int = 0,
) -> Context:
    """Fits a prompt into `budget` tokens: the window less the answer's reserve.

    The system prompt and the question always stay whole; then come the passages, best first;
    then the summary; then the history, newest first, without a gap and from a question on.
    `history` is what the summary ("" for none) does not cover, oldest first. For the same prefix
    turn after turn it has to begin with the same message. `unread` messages before it count as
    left out. `count` counts a text alone. Raises QuestionTooLong where system prompt and question
    do not fit.
    """
    system_tokens = count(system) + MESSAGE_TOKENS + FORMAT_TOKENS
    question_tokens = count(question) + MESSAGE_TOKENS
    room = budget - system_tokens - question_tokens
    if room < 0:
        raise QuestionTooLong("The question does not fit the model's window.")

    asked, kept, passages_tokens = _with_passages(question, passages, with_passages, room, count)
    room -= passages_tokens
    opening, summary_tokens = _with_summary(system, summary, room, count)
    room -= summary_tokens
    start, history_tokens = _window(history, room, count)

    recent = [one.message for one in history[start:]]
    return Context(
        messages=(ChatMessage("system", opening), *recent, ChatMessage("user", asked)),
        receipt=Receipt(
            budget=budget,
            answer_reserve=answer_reserve,
            total=budget - room + history_tokens,
            system=Section(system_tokens, kept=1),
            summary=_section(summary_tokens, int(opening != system), int(bool(summary))),
            history=_history_section(history, start, history_tokens, unread),
            passages=_section(passages_tokens, kept, len(passages)),
            question=Section(question_tokens, kept=1),
        ),
        history_room=room,
    )


def history_room(receipt: Mapping[str, Any]) -> int:
    """The tokens that the history could take in the prompt of a stored receipt."""
    return int(receipt["budget"] - receipt["total"] + receipt["history"]["tokens"])


def prompt_tokens(messages: Sequence[ChatMessage], count: Count) -> int:
    """What a whole prompt takes, rather too many than too few."""
    return FORMAT_TOKENS + sum(count(one.content) + MESSAGE_TOKENS for one in messages)


def to_fold(history: Sequence[Counted], room: int, count: Count) -> int:
    """How many of the oldest messages to fold into the summary; 0 while the history fits its room.

    Leaves whole exchanges that take about half of the room, and the newest two in any case.
    """
    tokens_from = _tokens_from(history, room, count)
    questions = _questions(history)
    if len(tokens_from) == len(history) or len(questions) < UNFOLDED_EXCHANGES:
        return 0
    most = room * FOLDED_SHARE
    short = (index for index in questions if tokens_from.get(index, math.inf) <= most)
    return min(next(short, len(history)), questions[-UNFOLDED_EXCHANGES])


def _with_passages(
    question: str,
    passages: Sequence[str],
    with_passages: Callable[[str, Sequence[str]], str],
    room: int,
    count: Count,
) -> tuple[str, int, int]:
    """The question with as many passages as fit, their number, and the tokens they add."""
    alone = count(question)
    for kept in range(len(passages), 0, -1):
        asked = with_passages(question, passages[:kept])
        added = count(asked) - alone
        if added <= room:
            return asked, kept, added
    return question, 0, 0


def _with_summary(system: str, summary: str, room: int, count: Count) -> tuple[str, int]:
    """The system prompt with the summary, where there is one that fits, and the tokens it adds."""
    if not summary:
        return system, 0
    opening = prompts.with_summary(system, summary)
    added = count(opening) - count(system)
    return (opening, added) if added <= room else (system, 0)


def _window(history: Sequence[Counted], room: int, count: Count) -> tuple[int, int]:
    """Where the kept history begins, and its tokens.

    Exchanges are numbered from the oldest, and a history that is too long is cut before the
    roundest number in binary (8 before 12 before 10) among those that leave enough. That one
    stays the same while the history grows, until it leaves too much for the room.
    """
    tokens_from = _tokens_from(history, room, count)
    numbered = enumerate(_questions(history))
    fitting = [(number, index) for number, index in numbered if index in tokens_from]
    if not fitting:
        return len(history), 0
    number, start = fitting[0]
    if number > 0:
        enough = tokens_from[start] * KEPT_SHARE
        steady = [at for at in fitting if tokens_from[at[1]] >= enough]
        _, start = max(steady, key=lambda at: at[0] & -at[0])
    return start, tokens_from[start]


def _tokens_from(history: Sequence[Counted], room: int, count: Count) -> dict[int, int]:
    """The tokens from each message to the end, for those that fit; counts hardly any others."""
    sums: dict[int, int] = {}
    total = 0
    for index in range(len(history) - 1, -1, -1):
        one = history[index]
        known = count(one.message.content) if one.tokens is None else one.tokens
        total += known + MESSAGE_TOKENS
        if total > room:
            break
        sums[index] = total
    return sums


def _questions(history: Sequence[Counted]) -> list[int]:
    return [index for index, one in enumerate(history) if one.message.role == "user"]


def _section(tokens: int, kept: int, given: int) -> Section:
    return Section(tokens, kept, given - kept, Reason.OVER_BUDGET if kept < given else None)


def _history_section(history: Sequence[Counted], start: int, tokens: int, unread: int) -> Section:
    kept = len(history) - start
    orphans = "user" not in {one.message.role for one in history[:start]}
    if start and orphans and not unread:
        return Section(tokens, kept, start, Reason.WITHOUT_QUESTION)
    return _section(tokens, kept, len(history) + unread)

"""What the small model writes in the background: a few texts at once, in their own time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import transaction

from conversations import budgets, ledger, provider
from conversations.budgets import Held
from conversations.database import in_database
from conversations.models import Conversation
from llm import catalogue, context, errors, tokens
from llm.messages import NO_USAGE, THINKING_LITTLE, ChatMessage, Usage

logger = logging.getLogger(__name__)

AT_ONCE = 4
# Nobody waits for these texts, but the worker has other work too.
SECONDS = 30
# What a reasoning model thinks before it writes, by its low effort: some 50 to 200 tokens.
THINKING_TOKENS = 400
# A later call may succeed where these were raised.
MAY_PASS = (errors.RateLimited, errors.Overloaded, errors.UpstreamTimeout, errors.Unreachable)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A text to be written for a conversation, of at most so many tokens, and who pays for it."""

    conversation: Conversation
    purpose: ledger.Purpose
    messages: Sequence[ChatMessage]
    max_tokens: int
    charged_to: Sequence[UUID]
    message_id: UUID | None = None


async def ask(call: Call) -> str:
    """The small model's text, which is paid for. Raises LLMError, or BudgetExceeded before.

    There has to be a key.
    """
    client = provider.answering()
    assert client is not None
    model = catalogue.find(settings.GROQ_SMALL_MODEL)
    counted = context.prompt_tokens(call.messages, lambda text: tokens.estimate(text, model))
    most = Usage(counted, call.max_tokens + THINKING_TOKENS)
    held = await in_database(budgets.hold, call.conversation, call.charged_to, model.name, most)
    answering, usage = model.name, NO_USAGE
    try:
        async with asyncio.timeout(SECONDS):
            completion = await client.complete(
                call.messages,
                models=[model.name],
                max_tokens=most.completion_tokens,
                sampling=THINKING_LITTLE,
            )
        answering, usage = completion.model, completion.usage
    except TimeoutError as error:
        raise errors.UpstreamTimeout() from error
    except errors.LLMError as error:
        answering, usage = error.model or answering, error.usage
        raise
    finally:
        await in_database(_charge, call, answering, usage, held)
    return completion.text


def _charge(call: Call, model: str, usage: Usage, held: Held) -> None:
    entry = ledger.entry(
        call.conversation,
        call.purpose,
        model,
        usage,
        message_id=call.message_id,
        charged_to=call.charged_to,
    )
    with transaction.atomic():
        entry.enter(held.at, held.amount)


async def write_all(due: Sequence[T], write: Callable[[T], Awaitable[None]]) -> None:
    """Writes a text for each that is due, several at once.

    `write` may raise an error that may pass. Where several at once do, the rest is left for the
    next time: the model is out of service, or our rate limit is used up.
    """
    for start in range(0, len(due), AT_ONCE):
        batch = due[start : start + AT_ONCE]
        outcomes = await asyncio.gather(*map(write, batch), return_exceptions=True)
        failures = [outcome for outcome in outcomes if outcome is not None]
        for failure in failures:
            if isinstance(failure, errors.LLMError):
                logger.warning("small model failed", extra={"code": failure.code})
            else:
                logger.error("writing a text failed", exc_info=failure)
        if failures and len(failures) == len(batch):
            break

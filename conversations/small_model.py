"""What the small model writes in the background: a few texts at once, in their own time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from django.conf import settings

from conversations import provider
from llm import catalogue, errors
from llm.messages import ChatMessage, Completion, Sampling

logger = logging.getLogger(__name__)

AT_ONCE = 4
# Nobody waits for these texts, but the worker has other work too.
SECONDS = 30
THINKING_LITTLE = Sampling(reasoning_effort="low")
# What a reasoning model thinks before it writes, by its low effort: some 50 to 200 tokens.
THINKING_TOKENS = 400
# A later call may succeed where these were raised.
MAY_PASS = (errors.RateLimited, errors.Overloaded, errors.UpstreamTimeout, errors.Unreachable)

T = TypeVar("T")


async def ask(messages: Sequence[ChatMessage], max_tokens: int) -> Completion:
    """The small model's text, of at most so many tokens. Raises LLMError.

    There has to be a key.
    """
    client = provider.answering()
    assert client is not None
    try:
        async with asyncio.timeout(SECONDS):
            return await client.complete(
                messages,
                models=[catalogue.find(settings.GROQ_SMALL_MODEL).name],
                max_tokens=max_tokens + THINKING_TOKENS,
                sampling=THINKING_LITTLE,
            )
    except TimeoutError as error:
        raise errors.UpstreamTimeout() from error


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

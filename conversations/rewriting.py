"""From a question to the searches of its turn."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from django.conf import settings

from conversations import provider
from conversations.models import Conversation, Message
from documents import tracing
from llm import catalogue, context, follow_up, prompts, tokens
from llm.errors import LLMError, UpstreamTimeout
from llm.follow_up import Exchange
from llm.messages import NO_USAGE, THINKING_LITTLE, Completion, Usage
from llm.retrieval import Query

if TYPE_CHECKING:
    from llm.client import GroqClient

logger = logging.getLogger(__name__)

# Three short searches, and the little that a reasoning model thinks before them.
REWRITE_TOKENS = 400

Rewriting = Conversation.Rewriting


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model that writes searches took; `failure` is the code of why it was in vain."""

    model: str = ""
    usage: Usage = NO_USAGE
    failure: str = ""
    milliseconds: int = 0

    @property
    def cost(self) -> Decimal:
        """In USD."""
        return catalogue.find(self.model).cost(self.usage) if self.model else Decimal(0)


NOT_ASKED = Asked()


@dataclass(frozen=True, slots=True)
class Searches:
    """What to search for. `query` says it in one text; `rewriting` is how it came about."""

    query: str
    queries: tuple[Query, ...]
    rewriting: Rewriting = Rewriting.OFF
    asked: Asked = NOT_ASKED


async def write(question: str, before: Sequence[Exchange], rewriting: Rewriting) -> Searches:
    """The searches for a question after these exchanges; by a model where that is wanted.

    Falls back on the words of the turns before whenever the model fails or takes too long.
    """
    client = provider.rewriting()
    if client is None or not is_for_model(question, before, rewriting):
        return by_terms(question, before, rewriting)
    started = time.perf_counter()
    answering, usage, failure = model().name, NO_USAGE, ""
    try:
        with tracing.span("rewrite", **{"gen_ai.request.model": answering}):
            completion = await _ask(client, question, before)
        answering, usage = completion.model, completion.usage
        rewritten = follow_up.parsed(completion.text)
    except LLMError as error:
        answering, usage, failure = error.model or answering, error.usage, error.code
    except follow_up.Unusable as error:
        failure = str(error)
    milliseconds = int((time.perf_counter() - started) * 1000)
    asked = Asked(answering, usage, failure, milliseconds)
    if failure:
        logger.warning("rewriting failed", extra={"code": failure, "duration_ms": milliseconds})
        return by_terms(question, before, rewriting, asked)
    queries = tuple(follow_up.queries(question, rewritten))
    return Searches(rewritten.question, queries, Rewriting.MODEL, asked)


def is_for_model(question: str, before: Sequence[Exchange], rewriting: Rewriting) -> bool:
    """Whether the model that writes searches is asked for this question's, where there is one."""
    wanted = rewriting == Rewriting.MODEL and bool(settings.GROQ_API_KEY) and bool(before)
    return wanted and follow_up.leaning(question).points_back


def model() -> catalogue.Model:
    """The one that writes searches."""
    return catalogue.find(settings.GROQ_SMALL_MODEL)


def most(question: str, before: Sequence[Exchange]) -> Usage:
    """What the model takes at most for these."""
    asked = prompts.rewrite(question, before)
    counted = context.prompt_tokens(asked, lambda text: tokens.estimate(text, model()))
    return Usage(counted, REWRITE_TOKENS)


def by_terms(
    question: str, before: Sequence[Exchange], rewriting: Rewriting, asked: Asked = NOT_ASKED
) -> Searches:
    """The searches for a question that need no model; `off` where nothing was carried to it."""
    alone = Query(((question, 1.0),))
    query = alone if rewriting == Rewriting.OFF else follow_up.carried(question, before)
    if query == alone:
        return Searches(question, (query,), Rewriting.OFF, asked)
    return Searches(follow_up.stated(query), (query,), Rewriting.TERMS, asked)


async def _ask(client: "GroqClient", question: str, before: Sequence[Exchange]) -> Completion:
    """Raises LLMError, UpstreamTimeout once the whole of it takes too long."""
    try:
        async with asyncio.timeout(settings.GROQ_REWRITE_SECONDS):
            return await client.complete(
                prompts.rewrite(question, before),
                models=[model().name],
                max_tokens=REWRITE_TOKENS,
                sampling=THINKING_LITTLE,
            )
    except TimeoutError as error:
        raise UpstreamTimeout() from error


def exchanges(question: Message) -> list[Exchange]:
    """The exchanges right before a question, oldest first; two database queries."""
    rows = Message.objects.filter(
        conversation=question.conversation_id, active=True, position__lt=question.position
    )
    newest = rows.order_by("-position").prefetch_related("citations")[: 2 * follow_up.EXCHANGES]
    said = sorted(newest, key=lambda message: message.position)
    return [
        Exchange(asked.content, answer.content, _cited(answer))
        for asked, answer in pairwise(said)
        # Either may have been deleted.
        if (asked.role, answer.role) == (Message.Role.USER, Message.Role.ASSISTANT)
    ]


def _cited(answer: Message) -> tuple[str, ...]:
    """The sections and the words that an answer cited, each once."""
    citations = answer.citations.all()
    texts = [text for one in citations for text in (one.section, one.quote) if text]
    return tuple(dict.fromkeys(texts))

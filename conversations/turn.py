"""The turn: retrieve, fit, ask, save. Its question is saved before the model is asked."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from rest_framework.exceptions import NotFound

from conversations import exceptions
from conversations.citations import cite, match_marks
from conversations.models import Conversation, Message
from documents.exceptions import DocumentsNotReady
from documents.models import Document
from documents.search import find_passages
from llm import catalogue, context, extractive, prompts, tokens
from llm.client import GroqClient
from llm.errors import LLMError
from llm.messages import ChatMessage, Completion, Delta
from llm.passages import Passage

logger = logging.getLogger(__name__)

# More history than this never fits a window; reading it would cost time for nothing.
HISTORY_MESSAGES = 200
POLL_SECONDS = 0.2

T = TypeVar("T")


async def in_database(function: Callable[..., T], *args: Any) -> T:
    """Runs `function` in a thread, and gives its database connection back when it is done."""

    def call() -> T:
        try:
            return function(*args)
        finally:
            for connection in connections.all(initialized_only=True):
                if not connection.in_atomic_block:
                    connection.close_if_unusable_or_obsolete()

    return await sync_to_async(call)()


@lru_cache(maxsize=8)
def _groq(api_key: str, base_url: str | None, timeout: int, retries: int) -> GroqClient:
    return GroqClient(api_key, base_url=base_url, timeout=timeout, max_retries=retries)


def groq() -> GroqClient | None:
    """The client of the model configured; None where there is no key."""
    if not settings.GROQ_API_KEY:
        return None
    return _groq(
        settings.GROQ_API_KEY,
        settings.GROQ_BASE_URL,
        settings.GROQ_TIMEOUT_SECONDS,
        settings.GROQ_MAX_RETRIES,
    )


async def wait_until_read(document_ids: list[UUID]) -> None:
    """Waits briefly for documents that are still being read. Raises DocumentsNotReady."""
    deadline = time.monotonic() + settings.DOCUMENT_WAIT_SECONDS
    while await in_database(_any_unfinished, document_ids):
        if time.monotonic() >= deadline:
            raise DocumentsNotReady("The documents are still being read: try again in a moment.")
        await asyncio.sleep(POLL_SECONDS)


def _any_unfinished(document_ids: list[UUID]) -> bool:
    found: bool = Document.objects.filter(pk__in=document_ids).unfinished().exists()
    return found


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be asked of whom."""

    responder: GroqClient | extractive.Fixed
    model: str
    messages: tuple[ChatMessage, ...]
    passages: tuple[Passage, ...]
    context: dict[str, Any]


class Turn:
    """One question and its answer."""

    def __init__(self, conversation: Conversation, question: Message, answer: Message) -> None:
        self.conversation, self.question, self.answer = conversation, question, answer
        self.passages: tuple[Passage, ...] = ()

    async def complete(self) -> None:
        """Gets the whole answer and saves it. Raises ModelFailed or QuestionTooLong."""
        try:
            plan = await in_database(self._plan)
            completion = await plan.responder.complete(
                plan.messages, model=plan.model, max_tokens=settings.ANSWER_TOKENS
            )
            await in_database(self._save, plan, completion)
        except BaseException as error:
            await self._fail(error, said="")
            raise self.told(error) from error

    async def stream(self) -> AsyncIterator[str]:
        """Yields "" once the passages are known, then the answer's text as it comes.

        The answer is saved when it ends, whole or not. Raises as `complete` does.
        """
        said: list[str] = []
        try:
            plan = await in_database(self._plan)
            yield ""
            async for part in plan.responder.stream(
                plan.messages, model=plan.model, max_tokens=settings.ANSWER_TOKENS
            ):
                if isinstance(part, Delta):
                    said.append(part.text)
                    yield part.text
                else:
                    await in_database(self._save, plan, part)
        except BaseException as error:
            await self._fail(error, said="".join(said))
            if isinstance(error, GeneratorExit):
                raise
            raise self.told(error) from error

    def told(self, error: BaseException) -> BaseException:
        """The error as the API tells it, with the ids under which the turn was kept."""
        extra = {
            "conversation_id": str(self.conversation.pk),
            "message_id": str(self.question.pk),
            "answer_id": str(self.answer.pk),
        }
        if isinstance(error, LLMError):
            return exceptions.ModelFailed(error, extra)
        if isinstance(error, context.QuestionTooLong):
            return exceptions.QuestionTooLong(extra)
        if isinstance(error, Message.DoesNotExist):
            return NotFound("The conversation was deleted while the question was answered.")
        return exceptions.AnsweringFailed(extra) if isinstance(error, Exception) else error

    async def _fail(self, error: BaseException, said: str) -> None:
        """Marks the answer failed, with a reason that the user can read."""
        if isinstance(error, LLMError):
            code, detail = error.code, error.detail
        elif isinstance(error, context.QuestionTooLong):
            code, detail = "question_too_long", exceptions.QuestionTooLong.default_detail
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            code, detail = "interrupted", "The connection was closed before the answer's end."
        else:
            code, detail = "internal_error", "Answering failed on our side: ask again."
        # Shielded: a client that leaves must not leave the answer pending.
        await asyncio.shield(in_database(self.answer.mark_failed, code, detail, said))
        logger.warning("answer failed", extra=self._ids() | {"code": code})

    def _plan(self) -> Plan:
        """Finds the passages and fits the prompt."""
        grounded = self.conversation.mode == Conversation.Mode.GROUNDED_RAG
        found = self._find_passages() if grounded else []
        client = groq()
        fixed = self._without_model(client, grounded, found)
        model = catalogue.find(self.conversation.model)
        fitted = context.fit(
            system=prompts.system(
                prompts.GROUNDED_RAG if grounded else prompts.OPEN_CHAT,
                self.conversation.system_prompt,
            ),
            history=self._history(),
            question=self.question.content,
            passages=[prompts.passage(number, one) for number, one in enumerate(found, start=1)],
            with_passages=prompts.grounded_question if grounded else lambda asked, _: asked,
            budget=min(model.context_window, settings.CONTEXT_TOKENS) - settings.ANSWER_TOKENS,
            count=lambda text: tokens.estimate(text, model),
        )
        self.passages = tuple(found[: fitted.passages_kept])
        left_out = {
            "prompt_tokens_estimated": fitted.tokens,
            "history_kept": fitted.history_kept,
            "history_left_out": fitted.history_left_out,
            "passages_kept": fitted.passages_kept,
            "passages_left_out": fitted.passages_left_out,
        }
        responder = fixed or client
        assert responder is not None  # without a client there is always a fixed answer
        return Plan(responder, model.name, fitted.messages, self.passages, left_out)

    def _find_passages(self) -> list[Passage]:
        """What the documents hold on the question, or on it and the one before."""
        scope = list(self.conversation.searched_documents().values_list("pk", flat=True))
        found = find_passages(self.question.content, scope, settings.PASSAGES)
        if found:
            return found
        before = self.conversation.messages.filter(
            role=Message.Role.USER, position__lt=self.question.position
        ).last()
        return find_passages(before.content, scope, settings.PASSAGES) if before else []

    def _without_model(
        self, client: GroqClient | None, grounded: bool, found: list[Passage]
    ) -> extractive.Fixed | None:
        """The answer that needs no model; None where one has to be asked."""
        if grounded and not found:
            return extractive.Fixed(prompts.NO_EVIDENCE)
        if client is not None:
            return None
        if grounded:
            return extractive.Fixed(extractive.answer(self.question.content, found))
        return extractive.Fixed(prompts.NO_MODEL)

    def _history(self) -> list[ChatMessage]:
        """The completed messages before the question, oldest first."""
        rows = (
            self.conversation.messages.filter(
                position__lt=self.question.position, status=Message.Status.COMPLETED
            )
            .order_by("-position")
            .values_list("role", "content")[:HISTORY_MESSAGES]
        )
        return [ChatMessage(role, content) for role, content in reversed(rows)]

    def _save(self, plan: Plan, completion: Completion) -> None:
        """Saves the answer with its usage, its context and its citations."""
        marked = match_marks(completion.text, len(plan.passages))
        usage, answer = completion.usage, self.answer
        answer.model, answer.finish_reason = completion.model, completion.finish_reason
        answer.prompt_tokens = usage.prompt_tokens
        answer.completion_tokens = usage.completion_tokens
        answer.cached_tokens = usage.cached_tokens
        answer.cost_usd = catalogue.find(plan.model).cost(usage)
        answer.context = plan.context | {"citations_dropped": marked.dropped}
        text = marked.text if plan.passages else completion.text
        numbers = marked.numbers if plan.passages else ()
        answer.complete(text, cite(answer, numbers, plan.passages, self.question.content))
        logger.info(
            "answer completed",
            extra=self._ids()
            | {
                "model": answer.model,
                "ms": answer.duration_ms,
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "citations": len(numbers),
            },
        )

    def _ids(self) -> dict[str, Any]:
        return {"conversation": self.conversation.pk, "answer": self.answer.pk}

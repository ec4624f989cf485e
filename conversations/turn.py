"""The turn: retrieve, fit, ask, save. Its question is saved before the model is asked."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from rest_framework.exceptions import NotFound

from conversations import evidence, exceptions, provider, rewriting
from conversations.citations import MarksInStream, NoMarks, cite, match_marks
from conversations.models import Conversation, Message, Retrieval
from conversations.rewriting import Searches
from documents.exceptions import DocumentsNotReady
from documents.models import Document
from llm import catalogue, context, extractive, prompts, tokens
from llm.client import GroqClient
from llm.errors import LLMError
from llm.follow_up import Exchange
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
    query: str
    context: dict[str, Any]


class Turn:
    """One question and its answer."""

    def __init__(self, conversation: Conversation, question: Message, answer: Message) -> None:
        self.conversation, self.question, self.answer = conversation, question, answer
        self.passages: tuple[Passage, ...] = ()
        self.retrieval: Retrieval | None = None

    @property
    def grounded(self) -> bool:
        """True where the answer has to rest on documents."""
        return bool(self.conversation.mode == Conversation.Mode.GROUNDED_RAG)

    async def complete(self) -> None:
        """Gets the whole answer and saves it. Raises ModelFailed or QuestionTooLong."""
        try:
            plan = await self._prepare()
            completion = await plan.responder.complete(
                plan.messages, model=plan.model, max_tokens=settings.ANSWER_TOKENS
            )
            await in_database(self._save, plan, completion)
        except BaseException as error:
            await self.fail(error, said="")
            raise self.told(error) from error

    async def stream(self) -> AsyncGenerator[str, None]:
        """Yields "" once the passages are known, then the answer's text as it comes.

        The answer is saved when it ends, whole or not. Raises as `complete` does.
        """
        said: list[str] = []
        try:
            plan = await self._prepare()
            marks = MarksInStream(len(plan.passages)) if self.grounded else NoMarks()
            yield ""
            async for part in plan.responder.stream(
                plan.messages, model=plan.model, max_tokens=settings.ANSWER_TOKENS
            ):
                text = marks.feed(part.text) if isinstance(part, Delta) else marks.rest()
                if text:
                    said.append(text)
                    yield text
                if isinstance(part, Completion):
                    await in_database(self._save, plan, part)
        except BaseException as error:
            await self.fail(error, said="".join(said))
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

    async def fail(self, error: BaseException, said: str) -> None:
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

    async def _prepare(self) -> Plan:
        """Finds the passages and fits the prompt; holds no thread while a model is asked."""
        if not self.grounded:
            return await in_database(self._plan, self.question.content, [])
        before: list[Exchange] = []
        if self.question.position > 0:
            before = await in_database(
                rewriting.exchanges, self.conversation, self.question.position
            )
        wanted = Conversation.Rewriting(self.conversation.query_rewriting)
        searches = await rewriting.write(self.question.content, before, wanted)
        return await in_database(self._search, searches)

    def _search(self, searches: Searches) -> Plan:
        """The plan for what these searches find, which is kept as the answer's trace."""
        scope = list(self.conversation.searched_documents().values_list("pk", flat=True))
        limit = settings.PASSAGES
        found = evidence.find(searches, scope, limit)
        plan = self._plan(searches.query, found.passages)
        self.retrieval = evidence.keep_trace(
            self.answer,
            self.question.content,
            wanted=self.conversation.query_rewriting,
            limit=limit,
            searches=searches,
            evidence=found,
            kept=plan.passages,
        )
        return plan

    def _plan(self, query: str, found: Sequence[Passage]) -> Plan:
        """Fits the prompt. Raises QuestionTooLong where it leaves no passage any room."""
        model = catalogue.find(self.conversation.model)
        fitted = context.fit(
            system=prompts.system(self._base_prompt(found), self.conversation.system_prompt),
            history=self._history(),
            question=self.question.content,
            passages=[prompts.passage(number, one) for number, one in enumerate(found, start=1)],
            with_passages=prompts.grounded_question,
            budget=min(model.context_window, settings.CONTEXT_TOKENS) - settings.ANSWER_TOKENS,
            count=lambda text: tokens.estimate(text, model),
        )
        if found and not fitted.passages_kept:
            raise context.QuestionTooLong("The question leaves no passage any room.")
        self.passages = tuple(found[: fitted.passages_kept])
        left_out = {
            "prompt_tokens_estimated": fitted.tokens,
            "history_kept": fitted.history_kept,
            "history_left_out": fitted.history_left_out,
            "passages_kept": fitted.passages_kept,
            "passages_left_out": fitted.passages_left_out,
        }
        responder = self._responder(query)
        return Plan(responder, model.name, fitted.messages, self.passages, query, left_out)

    def _base_prompt(self, found: Sequence[Passage]) -> str:
        if not self.grounded:
            return prompts.OPEN_CHAT
        if self.conversation.grounding == Conversation.Grounding.STRICT:
            return prompts.GROUNDED_STRICT
        return prompts.GROUNDED_PREFER if found else prompts.GENERAL_KNOWLEDGE

    def _responder(self, query: str) -> GroqClient | extractive.Fixed:
        """Who answers: the model, or a text that needs none."""
        client = provider.answering()
        strict = self.conversation.grounding == Conversation.Grounding.STRICT
        if self.grounded and not self.passages and (strict or client is None):
            return extractive.Fixed(prompts.NO_EVIDENCE)
        if client is not None:
            return client
        if self.grounded:
            return extractive.Fixed(extractive.answer(query, self.passages))
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
        text, marked = completion.text, None
        if self.grounded:
            marked = match_marks(text, len(plan.passages))
            text = marked.text
        usage, answer = completion.usage, self.answer
        answer.model, answer.finish_reason = completion.model, completion.finish_reason
        answer.prompt_tokens = usage.prompt_tokens
        answer.completion_tokens = usage.completion_tokens
        answer.cached_tokens = usage.cached_tokens
        answer.cost_usd += catalogue.find(plan.model).cost(usage)
        answer.context = plan.context | {"citations_dropped": marked.dropped if marked else 0}
        answer.grounding = marked.grounding if marked else ""
        numbers = marked.numbers if marked else ()
        answer.complete(text, cite(answer, numbers, plan.passages, plan.query))
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

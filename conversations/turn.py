"""The turn: retrieve, fit, ask, save. Its question is saved before the model is asked."""

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, transaction
from rest_framework.exceptions import NotFound

from conversations import budgets, evidence, exceptions, history, ledger, provider, rewriting
from conversations.citations import MarksInStream, NoMarks, cite
from conversations.database import in_database
from conversations.models import Citation, Conversation, Message, Retrieval, UsageEntry
from conversations.rewriting import Asked, Searches
from documents import tracing
from llm import catalogue, context, extractive, prompts, tokens
from llm.errors import LLMError, TokenLimit, Wordless
from llm.follow_up import Exchange
from llm.messages import (
    NO_USAGE,
    ChatMessage,
    Completion,
    Sampling,
    Usage,
    fingerprint,
)
from llm.passages import Passage

if TYPE_CHECKING:
    from llm.client import GroqClient

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be asked of whom."""

    responder: "GroqClient | extractive.Fixed"
    models: tuple[str, ...]
    messages: tuple[ChatMessage, ...]
    passages: tuple[Passage, ...]
    query: str
    max_tokens: int
    sampling: Sampling
    receipt: context.Receipt

    @property
    def asks_model(self) -> bool:
        """False where a fixed text answers."""
        return not isinstance(self.responder, extractive.Fixed)

    @property
    def most(self) -> Usage:
        """What the answer takes at most."""
        wanted = self.sampling.max_completion_tokens or self.max_tokens
        return Usage(self.receipt.total, min(wanted, self.max_tokens))


@dataclass(frozen=True, slots=True)
class Preview:
    """What a question would be asked with; `searches` is None in open chat.

    Where `rewritten`, a model would write other searches than these.
    """

    plan: Plan
    searches: Searches | None = None
    rewritten: bool = False


class Turn:
    """One question and its answer."""

    def __init__(self, conversation: Conversation, question: Message, answer: Message) -> None:
        self.conversation, self.question, self.answer = conversation, question, answer
        self.passages: tuple[Passage, ...] = ()
        self.retrieval: Retrieval | None = None
        self.plan: Plan | None = None
        # The model that answers, known from its first word on: another one may have stood in.
        self.speaker = ""
        # What the provider reported that the answer took.
        self.reported = NO_USAGE
        self.first_words_at: datetime | None = None
        # What takes the marks that point nowhere out of the answer as it comes.
        self.marks: MarksInStream | NoMarks = NoMarks()
        self._trouble: Exception | None = None

    @property
    def grounded(self) -> bool:
        """True where the answer has to rest on documents."""
        return bool(self.conversation.mode == Conversation.Mode.GROUNDED_RAG)

    @property
    def ended_wordless(self) -> bool:
        """Whether the model ended the answer by itself, without a word."""
        failed = self.answer.status == Message.Status.FAILED
        return failed and bool(self.answer.finish_reason)

    @property
    def ids(self) -> dict[str, str]:
        """Under which the turn is kept, as problems tell them."""
        return {
            "conversation_id": str(self.conversation.pk),
            "message_id": str(self.question.pk),
            "answer_id": str(self.answer.pk),
        }

    def told(self, error: BaseException) -> BaseException:
        """The error as the API tells it, with the ids under which the turn was kept."""
        if isinstance(error, LLMError):
            return exceptions.ModelFailed(error, self.ids)
        if isinstance(error, exceptions.BudgetExceeded):
            return error.kept_as(self.ids)
        if isinstance(error, context.QuestionTooLong):
            return exceptions.QuestionTooLong(self.ids)
        if isinstance(error, Message.DoesNotExist):
            return NotFound("The conversation was deleted while the question was answered.")
        if isinstance(error, OperationalError | InterfaceError):
            return exceptions.NoDatabase(self.ids)
        return exceptions.AnsweringFailed(self.ids) if isinstance(error, Exception) else error

    def plan_at_once(self) -> None:
        """Fits the prompt where that needs no search, for a caller with the database at hand.

        What goes wrong is told by `prepare`, and so where the answer is settled.
        """
        if self.grounded:
            return
        try:
            self.plan = self._without_search()
        except Exception as error:
            self._trouble = error

    async def prepare(self) -> Plan:
        """Finds the passages and fits the prompt; holds no thread while a model is asked."""
        if self._trouble is not None:
            raise self._trouble
        if self.plan is not None:
            return self.plan
        if not self.grounded:
            self.plan = await in_database(self._without_search)
            return self.plan
        before = await in_database(self._before) if self.question.position > 0 else []
        self.plan = await in_database(self._search, await self._searches(before))
        self.marks = MarksInStream(len(self.passages))
        return self.plan

    async def _searches(self, before: Sequence[Exchange]) -> Searches:
        """What to search for; by words alone where a budget has nothing left for a model."""
        question = self.question.content
        if self.answer.limits and rewriting.is_for_model(question, before, self._rewriting):
            try:
                most = rewriting.most(question, before)
                await in_database(budgets.reserve, self.answer, [rewriting.model().name], most)
            except exceptions.BudgetExceeded as error:
                asked = Asked(failure=error.default_code)
                return rewriting.by_terms(question, before, self._rewriting, asked)
        return await rewriting.write(question, before, self._rewriting)

    def preview(self) -> Preview:
        """What `prepare` would come to if no model wrote its searches; stores nothing.

        Raises QuestionTooLong.
        """
        content = self.question.content
        if not self.grounded:
            return Preview(self._plan(content, []))
        before = self._before()
        searches = rewriting.by_terms(content, before, self._rewriting)
        plan = self._plan(searches.query, self._find(searches).passages)
        return Preview(plan, searches, rewriting.is_for_model(content, before, self._rewriting))

    def save(self, plan: Plan, completion: Completion, said: str) -> None:
        """Saves the whole answer with its usage, its context and its citations."""
        answer = self.answer
        answer.status = Message.Status.COMPLETED
        answer.model, answer.finish_reason = completion.model, completion.finish_reason
        self.reported = completion.usage
        self._settle(plan, said, self._took(plan, said))
        logger.info(
            "answer completed",
            extra=self._log_ids()
            | {
                "model": answer.model,
                "duration_ms": answer.duration_ms,
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
                "dropped_citations": answer.context["citations_dropped"],
            },
        )

    def stop(self, status: Message.Status, said: str) -> None:
        """Saves an answer that was stopped, with what was said of it and what that took."""
        answer = self.answer
        answer.status = status
        if status == Message.Status.INTERRUPTED:
            answer.error_code, answer.error = exceptions.INTERRUPTED
        else:
            answer.finish_reason = "cancelled"
        plan, usage = self.plan, NO_USAGE
        if plan is not None:
            answer.model = self._model(plan) if plan.asks_model else catalogue.EXTRACTIVE
            usage = self._took(plan, said)
        self._settle(plan, said, usage)
        logger.info("answer stopped", extra=self._log_ids() | {"status": str(status)})

    def fail(self, error: BaseException, said: str) -> None:
        """Marks the answer failed, for a reason that the user can read; what it took is entered."""
        if isinstance(error, LLMError):
            code, detail = error.code, error.detail
            self.reported, self.speaker = error.usage, error.model or self.speaker
        elif isinstance(error, exceptions.BudgetExceeded):
            code, detail = error.default_code, str(error.detail)
        elif isinstance(error, context.QuestionTooLong):
            code, detail = "question_too_long", exceptions.QuestionTooLong.default_detail
        elif isinstance(error, OperationalError | InterfaceError):
            code = exceptions.NoDatabase.default_code
            detail = exceptions.NoDatabase.default_detail
        else:
            code, detail = "internal_error", exceptions.AnsweringFailed.default_detail
        logger.warning("answer failed", extra=self._log_ids() | {"code": code})
        # As it is stored: what an attempt to save left in the fields may be why it failed.
        kept = Message.objects.select_related("parent").filter(pk=self.answer.pk).first()
        plan = self.plan
        usage = self._took_of_failed(error, said)
        if kept is None:
            # Deleted: `save` has charged it where it came to that.
            saving = isinstance(error, Message.DoesNotExist)
            self._charge(self._entry(NO_USAGE if saving else usage))
            return
        kept.status, kept.error_code, kept.error = Message.Status.FAILED, code, detail
        if isinstance(error, Wordless):
            kept.model, kept.finish_reason = error.model, error.finish_reason
        if plan is not None:
            _note_prompt(kept, plan, 0)
        self.answer = kept
        self._settle(None, said, usage)

    def _settle(self, plan: Plan | None, said: str, usage: Usage) -> None:
        """Saves the answer with its citations and writes down what it took, in one transaction."""
        answer = self.answer
        answer.prompt_tokens = usage.prompt_tokens
        answer.completion_tokens = usage.completion_tokens
        answer.cached_tokens = usage.cached_tokens
        if self.first_words_at is not None:
            answer.first_token_ms = answer.elapsed(self.first_words_at)
        citations: list[Citation] = []
        marked = self.marks.marked(said)
        if plan is not None:
            _note_prompt(answer, plan, marked.dropped if marked else 0)
        if plan is not None and marked is not None:
            answer.grounding = marked.grounding
            citations = cite(answer, marked.numbers, plan.passages, plan.query)
        entry, former_cost = self._entry(usage), answer.cost_usd
        answer.cost_usd += entry.cost_usd
        outgrown = plan is not None and plan.receipt.history.left_out
        try:
            with transaction.atomic() if outgrown else nullcontext():
                if outgrown:
                    Conversation.objects.filter(pk=self.conversation.pk).update(summary_due=True)
                answer.settle(said, citations, entry)
        except Message.DoesNotExist:
            self._charge(entry)
            raise
        except Error:
            answer.cost_usd = former_cost  # saving is tried again
            raise

    def take_as_stored(self) -> None:
        """Takes the answer as the database has it. Raises Message.DoesNotExist."""
        self.answer = Message.objects.select_related("conversation", "parent").get(
            pk=self.answer.pk
        )

    def _charge(self, entry: UsageEntry) -> None:
        """Writes down what an answer took that is gone, in place of what was reserved for it."""
        with transaction.atomic():
            entry.enter(self.answer.began_at, self.answer.reserved)
        self.answer.reserved_tokens, self.answer.reserved_usd = 0, Decimal(0)

    def _entry(self, usage: Usage) -> UsageEntry:
        return ledger.entry(
            self.conversation,
            ledger.Purpose.ANSWER,
            self._charged_model(),
            usage,
            message_id=self.answer.pk,
            charged_to=self.answer.charged_to,
            estimated=usage != self.reported,
        )

    def _charged_model(self) -> str:
        """Who answered or was to; empty where that is not known yet."""
        return self.answer.model or (self._model(self.plan) if self.plan else "")

    def _model(self, plan: Plan) -> str:
        """Who answers; until a word is said, who was asked first."""
        return self.speaker or plan.models[0]

    def _took_of_failed(self, error: BaseException, said: str) -> Usage:
        """The same of an answer that failed; nothing where no model may have been asked."""
        if self.plan and isinstance(error, TokenLimit) and not error.usage.prompt_tokens:
            return self.plan.most
        if self.plan and (said or self.reported.prompt_tokens):
            return self._took(self.plan, said)
        return NO_USAGE

    def _took(self, plan: Plan, said: str) -> Usage:
        """What the answer took: as reported, or an estimate for one that ended before that."""
        if self.reported.prompt_tokens:
            return self.reported
        if not plan.asks_model:
            return NO_USAGE
        model = catalogue.find(self._model(plan))
        return Usage(plan.receipt.total, tokens.estimate(said, model))

    @property
    def _rewriting(self) -> Conversation.Rewriting:
        return Conversation.Rewriting(self.conversation.query_rewriting)

    def _before(self) -> list[Exchange]:
        return rewriting.exchanges(self.question)

    def _find(self, searches: Searches) -> evidence.Evidence:
        scope = list(self.conversation.searched_documents().values_list("pk", flat=True))
        return evidence.find(searches, scope, settings.PASSAGES)

    def _search(self, searches: Searches) -> Plan:
        """The plan for what these searches find, which is kept as the answer's trace."""
        if searches.asked.model or self.answer.reserved_tokens:
            evidence.enter_rewriting(self.answer, searches.asked)
        with tracing.span("retrieve", searches=len(searches.queries)):
            found = self._find(searches)
            tracing.note(passages=len(found.passages))
        plan = self._plan(searches.query, found.passages)
        self.retrieval = evidence.keep_trace(
            self.question,
            self.answer,
            wanted=self._rewriting,
            limit=settings.PASSAGES,
            searches=searches,
            evidence=found,
            kept=plan.passages,
        )
        self._reserve(plan)
        return plan

    def _without_search(self) -> Plan:
        plan = self._plan(self.question.content, [])
        self._reserve(plan)
        return plan

    def _reserve(self, plan: Plan) -> None:
        """Raises BudgetExceeded where there is not enough left of a budget for the answer."""
        if plan.asks_model:
            budgets.reserve(self.answer, plan.models, plan.most)

    def _plan(self, query: str, found: Sequence[Passage]) -> Plan:
        """Fits the prompt. Raises QuestionTooLong where it leaves no passage any room."""
        options = dict(self.answer.sampling)
        models = self._models(options.pop("model", "") or self.conversation.model)
        options["stop"] = tuple(options.get("stop", ()))
        model = catalogue.find(models[0])
        max_tokens = model.answer_tokens(settings.ANSWER_TOKENS)
        with tracing.span("fit"):
            past = history.read(self.conversation, self.question.position)
            fitted = context.fit(
                system=prompts.system(self._base_prompt(), self.conversation.system_prompt),
                summary=past.summary,
                history=past.said,
                unread=past.unread,
                question=self.question.content,
                passages=[prompts.passage(number, one) for number, one in enumerate(found, 1)],
                with_passages=prompts.grounded_question,
                budget=min(model.context_window, settings.CONTEXT_TOKENS) - max_tokens,
                answer_reserve=max_tokens,
                count=lambda text: tokens.estimate(text, model),
            )
        receipt = fitted.receipt
        if found and not receipt.passages.kept:
            raise context.QuestionTooLong("The question leaves no passage any room.")
        self.passages = tuple(found[: receipt.passages.kept])
        return Plan(
            responder=self._responder(query),
            models=models,
            messages=fitted.messages,
            passages=self.passages,
            query=query,
            max_tokens=max_tokens,
            sampling=Sampling(**options),
            receipt=receipt,
        )

    def _models(self, wanted: str) -> tuple[str, ...]:
        """The model to ask, then those to ask where it cannot answer; each once."""
        fallbacks = self.conversation.fallback_models
        if fallbacks is None:
            fallbacks = settings.GROQ_FALLBACK_MODELS
        names = [catalogue.find(name).name for name in (wanted, *fallbacks)]
        return tuple(dict.fromkeys(names))

    def _base_prompt(self) -> str:
        if not self.grounded:
            return prompts.OPEN_CHAT
        if self.conversation.grounding == Conversation.Grounding.STRICT:
            return prompts.GROUNDED_STRICT
        return prompts.GROUNDED_PREFER

    def _responder(self, query: str) -> "GroqClient | extractive.Fixed":
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

    def _log_ids(self) -> dict[str, Any]:
        return {"conversation": self.conversation.pk, "answer": self.answer.pk}


def _note_prompt(answer: Message, plan: Plan, citations_dropped: int) -> None:
    answer.context = plan.receipt.as_json() | {"citations_dropped": citations_dropped}
    if plan.asks_model:
        # The prompt itself takes many times what was said. It can be made again, and this tells
        # whether that is what was sent.
        answer.prompt_sha256 = fingerprint(plan.messages)

"""What the calls have in common that end in an answer of the model."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import budgets, exceptions, live, provider
from conversations.asynchronous import AsyncAPIView, EventStreamRenderer
from conversations.bodies import told_turn
from conversations.live import LiveAnswer, Stop
from conversations.models import Conversation, Message
from conversations.models.conversation import Asking
from conversations.serializers import AskingSerializer
from conversations.streaming import event_stream, resumed_stream, stored_turn
from conversations.turn import Turn
from documents.exceptions import CallUnderWay, DocumentsNotReady, MadeAndDeleted
from documents.models import Document
from documents.repeats import REPLAYED
from documents.views import Scoped

# How many of the documents that cannot be read a refusal names.
FAILED_NAMED = 3
POLL_SECONDS = 0.2
# Of staff: an answer quotes documents, and rests on what was said before.
ASKING = {
    "POST": (
        "conversations.add_message",
        "conversations.view_conversation",
        "documents.view_document",
    )
}


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn whose question is saved and whose answer is still to come."""

    turn: Turn
    stream: bool
    opened: bool = False


class Answering(Scoped, AsyncAPIView):
    """A call that ends in an answer of the model.

    Its handler saves question and answer to come, and returns a Begun. It is called again for a
    while where it raises that the documents are still being read.
    """

    resource = "conversations"
    # Whether the call was counted to its key and user: it may be admitted more than once.
    is_counted = False
    # The answer under way; None where there is no turn, or an earlier call has begun it.
    live_answer: LiveAnswer | None = None

    def check_throttles(self, request: Request) -> None:
        """Raises what the throttles do, the first time."""
        if not self.is_counted:
            self.is_counted = True
            super().check_throttles(request)

    def counted_user(self) -> UUID | None:
        """Where nobody is named, the user of the conversation that the call is about."""
        named = super().counted_user()
        if named is None and "pk" in self.kwargs:
            users = Conversation.objects.filter(pk=self.kwargs["pk"]).values_list("user_id")
            return next((pk for (pk,) in users), None)
        return named

    async def handle(self) -> Any:
        """What the handler returns, once the documents are read. A turn is answered from now on."""
        result = await self._once_read()
        if isinstance(result, Begun) and not (self.call is not None and self.call.begun):
            self.live_answer = live.answers().start(result.turn)
        return result

    async def _once_read(self) -> Any:
        deadline = time.monotonic() + settings.DOCUMENT_WAIT_SECONDS
        while True:
            try:
                with live.answers().beginning():
                    return await super().handle()
            except DocumentsNotReady as error:
                if not error.may_pass or time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(POLL_SECONDS)

    async def respond(self, result: Any) -> HttpResponseBase:
        """The answer as one body, or as events where the client asked for them."""
        if not isinstance(result, Begun):
            return await super().respond(result)
        stream = result.stream or isinstance(self.request.accepted_renderer, EventStreamRenderer)
        # What becomes of the call is told by its answer from now on.
        self.call, answer = None, self.live_answer
        if answer is None:
            return await self._respond_again(result, stream)
        if stream:
            return event_stream(answer, opened=result.opened)
        await heard(answer, answer.wait())
        return Response(await told_turn(answer.turn, result.opened), 201)

    async def _respond_again(self, result: Begun, stream: bool) -> HttpResponseBase:
        """The same of an answer that was asked for before, which may have ended by now."""
        answer = result.turn.answer
        if answer.status == Message.Status.PENDING and not stream:
            raise CallUnderWay()
        self.headers[REPLAYED] = "true"
        if stream:
            here = live.answers().find(answer.pk)
            return resumed_stream(answer.pk, here, opened=result.opened, after=0)
        if problem := exceptions.of_ended(answer):
            raise problem
        return Response(await told_turn(result.turn, result.opened), 201)

    def begin(
        self,
        asked: AskingSerializer,
        ask: Callable[[Conversation, Asking], tuple[Message, Message]],
    ) -> Begun:
        """A turn of an existing conversation. `ask` may raise Message.DoesNotExist."""
        asked.is_valid(raise_exception=True)
        if before := self.asked_before():
            return Begun(before, asked.validated_data["stream"])
        conversation = self.find_conversation(self.kwargs["pk"])
        if conversation.mode == Conversation.Mode.GROUNDED_RAG:
            require_read(conversation.searched_documents())
        try:
            asking = self.asking(conversation.user, asked.options(conversation))
            question, answer = ask(conversation, asking)
        except Message.DoesNotExist as error:
            raise NotFound() from error
        return begun(Turn(conversation, question, answer), asked.validated_data["stream"])

    def asking(self, user: Any, options: dict[str, Any] | None = None) -> Asking:
        """How the caller asks: with these options, by this process, and who pays.

        Raises BudgetExceeded where a budget of the user or of the key is used up.
        """
        limits = (*user.limits(), *self.caller.limits)
        if provider.answering() is not None:
            budgets.require_open(limits)
        payers = (self.caller.key_id,) if self.caller.key_id else ()
        call_id = self.call.pk if self.call else None
        actor = self.caller.actor
        return Asking(options, live.sign_of_life(), payers, call_id, limits, actor)

    def asked_before(self) -> Turn | None:
        """The turn that the first call with the same key saved, if this one is not the first.

        Raises MadeAndDeleted where it is gone.
        """
        if self.call is None or self.call.answer_id is None:
            return None
        try:
            turn = stored_turn(self.call.answer_id)
            if turn.answer.status == Message.Status.PENDING and turn.conversation.settle_orphans():
                turn = stored_turn(self.call.answer_id)
        except Message.DoesNotExist as error:
            raise MadeAndDeleted() from error
        if turn.question.role != Message.Role.USER:
            raise MadeAndDeleted()
        return turn

    def find_conversation(self, pk: UUID) -> Conversation:
        """One that the caller may see, else a 404."""
        visible = Conversation.objects.visible_to(self.user_scope()).select_related("user")
        found: Conversation = get_object_or_404(visible, pk=pk)
        return found


def begun(turn: Turn, stream: bool, opened: bool = False) -> Begun:
    """The turn with all that can be done for it here, where the database is at hand."""
    turn.plan_at_once()
    return Begun(turn, stream, opened)


def require_read(documents: QuerySet[Document]) -> None:
    """Raises DocumentsNotReady where one is still being read, or none can be answered from."""
    there = list(documents.values_list("status", "name", "error"))
    failed = [f"{name}: {why}" for status, name, why in there if status == Document.Status.FAILED]
    if len(failed) == len(there):
        more = [f"And {len(failed) - FAILED_NAMED} more."] if len(failed) > FAILED_NAMED else []
        advice = "There is no document to answer from: upload one that can be read, then ask."
        raise DocumentsNotReady(" ".join([advice, *failed[:FAILED_NAMED], *more]))
    unfinished = (Document.Status.PENDING, Document.Status.PROCESSING)
    if any(status in unfinished for status, _, _ in there):
        raise DocumentsNotReady(
            "The documents are still being read: try again in a moment.", may_pass=True
        )


async def heard(answer: LiveAnswer, waiting: Awaitable[None]) -> None:
    """Waits for the answer. Where the client leaves meanwhile, it goes on or ends, as is set."""
    try:
        await waiting
    except asyncio.CancelledError:
        if settings.ON_DISCONNECT == "stop":
            answer.stop(Stop.CANCELLED)
        raise

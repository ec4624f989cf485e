"""Answers given anew, questions in other words, and the branches that come of it."""

from typing import ClassVar
from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import examples, live
from conversations.answer_views import OfMessage
from conversations.answering import ASKING, Answering, Begun
from conversations.bodies import answer_body
from conversations.database import in_database
from conversations.exceptions import NothingToCancel
from conversations.live import Stop
from conversations.models import Message
from conversations.serializers import (
    AskingSerializer,
    ConversationWithMessagesSerializer,
    MessageSerializer,
    NewMessageSerializer,
    TurnSerializer,
)
from conversations.streaming import number_after, resumed_stream, until_ended
from conversations.views import ConversationDetail
from documents.views import USER_ID

LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID",
    str,
    OpenApiParameter.HEADER,
    description="The id of the last event that was received; only later ones are sent.",
)
# How long a call that stops an answer waits for what was said of it to be saved.
STOPPED_WITHIN_SECONDS = 5


class OfAnswering(OfMessage, Answering):
    """A call on one message that waits on a model, or on the process that does."""

    serializer_class = TurnSerializer

    def find_answer(self) -> Message:
        """The message of the address; a 404 where it is a question, or another's."""
        message = self.find_message()
        if message.role != Message.Role.ASSISTANT:
            raise NotFound("This is a question: name the id of its answer.")
        return message


class MessageRetry(OfAnswering):
    """Asking again where an answer was broken off."""

    permissions: ClassVar = ASKING

    @extend_schema(
        operation_id="retry_answer",
        summary="Ask again for an answer that failed, was stopped or interrupted",
        description=(
            "The answer keeps its id and place. Only the newest message can be retried; "
            "`regenerate` keeps the former answer. " + examples.STREAMED
        ),
        parameters=[USER_ID],
        request=AskingSerializer,
        responses=examples.answered(TurnSerializer),
        examples=[examples.RETRY, examples.TURN, examples.EVENTS],
    )
    def post(self, request: Request, pk: UUID, message_id: UUID) -> Begun:
        """The same question, once more."""
        self.find_message()
        return self.begin(
            AskingSerializer(data=request.data or {}),
            lambda conversation, asking: conversation.ask_again(message_id, asking),
        )


class MessageRegenerate(OfAnswering):
    """Another answer to the same question."""

    permissions: ClassVar = ASKING

    @extend_schema(
        operation_id="regenerate_answer",
        summary="Get another answer to the same question",
        description=(
            "The former answer stays as a branch of its own, with all that followed it. "
            + examples.STREAMED
        ),
        parameters=[USER_ID],
        request=AskingSerializer,
        responses=examples.answered(TurnSerializer),
        examples=[examples.RETRY, examples.TURN, examples.EVENTS],
    )
    def post(self, request: Request, pk: UUID, message_id: UUID) -> Begun:
        """On the active path from now on."""
        return self.begin(
            AskingSerializer(data=request.data or {}),
            lambda conversation, asking: conversation.regenerate(message_id, asking),
        )


class MessageEdit(OfAnswering):
    """A question in other words."""

    permissions: ClassVar = ASKING

    @extend_schema(
        operation_id="edit_question",
        summary="Ask an earlier question in other words",
        description=(
            "The former question stays as a branch of its own, with all that followed it. "
            + examples.STREAMED
        ),
        parameters=[USER_ID],
        request=NewMessageSerializer,
        responses=examples.answered(TurnSerializer),
        examples=[examples.NEW_MESSAGE, examples.TURN, examples.EVENTS],
    )
    def post(self, request: Request, pk: UUID, message_id: UUID) -> Begun:
        """On the active path from now on."""
        new = NewMessageSerializer(data=request.data)
        return self.begin(
            new,
            lambda conversation, asking: conversation.edit(
                message_id, new.validated_data["content"], asking
            ),
        )


class MessageActivate(ConversationDetail):
    """Going to another branch."""

    http_method_names = ("post", "options")

    @extend_schema(
        operation_id="activate_branch",
        summary="Make the branch of a message the active path",
        description="From the message the path goes on by the newest messages below it.",
        parameters=[USER_ID],
        request=None,
        responses=ConversationWithMessagesSerializer,
        examples=[examples.CONVERSATION_WITH_MESSAGES],
    )
    def post(self, request: Request, pk: UUID, message_id: UUID) -> Response:
        """200 with the conversation as it is shown now."""
        try:
            self.get_object().activate(message_id)
        except Message.DoesNotExist as error:
            raise NotFound() from error
        return Response(self.shown())


class MessageDetail(OfAnswering):
    """One message."""

    permissions: ClassVar = {"DELETE": ("conversations.delete_message",)}

    @extend_schema(
        operation_id="get_message",
        summary="One message with its citations",
        parameters=[USER_ID],
        responses=MessageSerializer,
        examples=[examples.ANSWER],
    )
    def get(self, request: Request, pk: UUID, message_id: UUID) -> Response:
        """On whichever branch it is."""
        message = self.read_message()
        if message.status == Message.Status.PENDING:
            message.conversation.settle_orphans()
        return Response(answer_body(message.pk))

    @extend_schema(
        operation_id="delete_message",
        summary="Delete a message; what follows it moves up",
        parameters=[USER_ID],
        responses={204: None},
    )
    def delete(self, request: Request, pk: UUID, message_id: UUID) -> Response:
        """With its citations and its trace."""
        message = self.find_message()
        message.conversation.delete_message(message.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MessageCancel(OfAnswering):
    """Stopping an answer."""

    permissions: ClassVar = {
        "POST": ("conversations.change_message", "conversations.view_conversation"),
    }

    @extend_schema(
        operation_id="cancel_answer",
        summary="Stop an answer at once; what was said of it is kept",
        parameters=[USER_ID],
        request=None,
        responses=MessageSerializer,
        examples=[examples.ANSWER],
    )
    async def post(self, request: Request, pk: UUID, message_id: UUID) -> HttpResponseBase:
        """200 with the answer as it was kept. It may be under way in another process."""
        answer = await in_database(self._request_cancel)
        if here := live.answers().find(answer.pk):
            here.stop(Stop.CANCELLED)
        await until_ended(answer.pk, STOPPED_WITHIN_SECONDS)
        return Response(await in_database(answer_body, answer.pk))

    def _request_cancel(self) -> Message:
        answer = self.find_answer()
        waiting = Message.objects.filter(pk=answer.pk, status=Message.Status.PENDING)
        if not waiting.update(cancel_requested=True):
            raise NothingToCancel()
        return answer


class MessageStream(OfAnswering):
    """The events of an answer, for a client that lost them or comes later."""

    streams = frozenset({"GET"})

    @extend_schema(
        operation_id="stream_answer",
        summary="The events of an answer under way or ended, from any event on",
        description=(
            "With `Last-Event-ID` only what came after that event is sent; without, all. "
            + examples.STREAMED
        ),
        parameters=[USER_ID, LAST_EVENT_ID],
        responses={(200, "text/event-stream"): examples.EVENT},
        examples=[examples.EVENTS],
    )
    async def get(self, request: Request, pk: UUID, message_id: UUID) -> HttpResponseBase:
        """Goes on until the answer has ended."""
        answer = await in_database(self._read_answer)
        after = number_after(request.headers.get("Last-Event-ID", ""), answer.pk)
        here = live.answers().find(answer.pk)
        return resumed_stream(answer.pk, here, opened=False, after=after)

    def _read_answer(self) -> Message:
        answer = self.find_answer()
        self.note_reading(answer)
        return answer

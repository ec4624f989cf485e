"""The conversations' part of the API."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from conversations import examples
from conversations.asynchronous import AsyncAPIView, EventStreamRenderer
from conversations.models import Conversation, Message
from conversations.serializers import (
    ConversationChangeSerializer,
    ConversationSerializer,
    ConversationWithMessagesSerializer,
    MessageSerializer,
    ModelSerializer,
    NewConversationAnswerSerializer,
    NewConversationSerializer,
    NewMessageSerializer,
    RetrySerializer,
    TurnSerializer,
    turn_body,
)
from conversations.streaming import event_stream
from conversations.turn import Turn, in_database, wait_until_read
from documents.exceptions import DocumentsNotReady
from documents.models import Document
from documents.serializers import find_documents
from documents.views import USER_ID, Scoped
from llm import catalogue

# How many of the documents that cannot be read a refusal names.
FAILED_NAMED = 3


class Answering(Scoped, AsyncAPIView):
    """A call that ends in an answer of the model."""

    async def answer(self, turn: Turn, *, stream: bool, opened: bool = False) -> HttpResponseBase:
        """The answer as one body, or as events where the client asked for them."""
        if stream or isinstance(self.request.accepted_renderer, EventStreamRenderer):
            return event_stream(turn, opened=opened)
        await turn.complete()
        return Response(await in_database(turn_body, turn, opened), 201)

    def find_conversation(self, pk: UUID) -> Conversation:
        """One that the caller may see, else a 404."""
        visible = Conversation.objects.visible_to(self.user_scope())
        found: Conversation = get_object_or_404(visible, pk=pk)
        return found

    def readable_ids(self, conversation: Conversation) -> list[UUID]:
        """The documents that have to be read before a question. Raises DocumentsNotReady."""
        if conversation.mode == Conversation.Mode.OPEN_CHAT:
            return []
        return readable_ids(conversation.searched_documents())


def readable_ids(documents: QuerySet[Document]) -> list[UUID]:
    """Ids of those not failed. Raises DocumentsNotReady where there is none."""
    ids = list(documents.exclude(status=Document.Status.FAILED).values_list("pk", flat=True))
    if not ids:
        failed = [f"{name}: {why}" for name, why in documents.values_list("name", "error")]
        more = [f"And {len(failed) - FAILED_NAMED} more."] if len(failed) > FAILED_NAMED else []
        advice = "There is no document to answer from: upload one that can be read, then ask."
        raise DocumentsNotReady(" ".join([advice, *failed[:FAILED_NAMED], *more]))
    return ids


class ConversationList(generics.ListAPIView[Conversation], Answering):
    """Conversations, latest first; opening a new one."""

    serializer_class = ConversationSerializer

    def get_queryset(self) -> QuerySet[Conversation]:
        """Those not archived, unless `archived=true`."""
        archived = serializers.BooleanField().run_validation(
            self.request.query_params.get("archived", "false")
        )
        visible = Conversation.objects.visible_to(self.user_scope()).filter(archived=archived)
        found: QuerySet[Conversation] = visible.with_message_count().prefetch_related("documents")
        return found

    @extend_schema(
        operation_id="list_conversations",
        summary="List conversations, latest first",
        parameters=[USER_ID, OpenApiParameter("archived", bool, description="The archived ones.")],
        responses={(200, "application/json"): ConversationSerializer(many=True)},
        examples=[examples.CONVERSATION],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A page of them."""
        return self.list(request, *args, **kwargs)

    @extend_schema(
        operation_id="create_conversation",
        summary="Open a conversation and get the first answer",
        description=examples.STREAMED,
        request=NewConversationSerializer,
        responses=examples.answered(NewConversationAnswerSerializer),
        examples=[
            examples.NEW_CONVERSATION,
            examples.NEW_GROUNDED_CONVERSATION,
            examples.NEW_CONVERSATION_ANSWER,
            examples.EVENTS,
        ],
    )
    async def post(self, request: Request) -> HttpResponseBase:
        """Nothing is kept where the documents cannot be searched."""
        new = NewConversationSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        fields: dict[str, Any] = dict(new.validated_data)
        stream = fields.pop("stream")
        content = fields.pop("first_message")
        user = await in_database(self.caller.creating_for, fields.pop("user_id", None))
        ids = fields.pop("document_ids")
        documents = await in_database(find_documents, user, ids)
        if fields["mode"] == Conversation.Mode.GROUNDED_RAG:
            searched = Document.objects.filter(user=user)
            searched = searched.filter(pk__in=ids) if ids else searched
            await wait_until_read(await in_database(readable_ids, searched))

        def begin() -> Turn:
            opened = Conversation.objects.open(
                user=user, content=content, documents=documents, **fields
            )
            return Turn(*opened)

        return await self.answer(await in_database(begin), stream=stream, opened=True)


@extend_schema_view(
    get=extend_schema(
        operation_id="get_conversation",
        summary="One conversation with its newest messages",
        parameters=[USER_ID],
        responses=ConversationWithMessagesSerializer,
        examples=[examples.CONVERSATION_WITH_MESSAGES],
    ),
    delete=extend_schema(
        operation_id="delete_conversation",
        summary="Delete a conversation with its messages",
        parameters=[USER_ID],
    ),
)
class ConversationDetail(Scoped, generics.RetrieveDestroyAPIView[Conversation]):
    """One conversation."""

    serializer_class = ConversationWithMessagesSerializer

    def get_queryset(self) -> QuerySet[Conversation]:
        """What the caller may see."""
        visible = Conversation.objects.visible_to(self.user_scope())
        found: QuerySet[Conversation] = visible.with_message_count().prefetch_related("documents")
        return found

    @extend_schema(
        operation_id="change_conversation",
        summary="Change title, model, documents, system prompt or archived",
        parameters=[USER_ID],
        request=ConversationChangeSerializer,
        responses=ConversationSerializer,
        examples=[examples.CHANGE, examples.CONVERSATION],
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        """Fields left out stay as they are."""
        change = ConversationChangeSerializer(self.get_object(), data=request.data, partial=True)
        change.is_valid(raise_exception=True)
        change.save()
        return Response(ConversationSerializer(self.get_object()).data)


class MessageList(generics.ListAPIView[Message], Answering):
    """The messages of one conversation; asking the next question."""

    serializer_class = MessageSerializer
    queryset = Message.objects.none()

    def get_queryset(self) -> QuerySet[Message]:
        """Oldest first, with their citations."""
        conversation = self.find_conversation(self.kwargs["pk"])
        return conversation.messages.with_all_it_rests_on().order_by("position")

    @extend_schema(
        operation_id="list_messages",
        summary="A conversation's messages, oldest first",
        parameters=[USER_ID],
        responses={(200, "application/json"): MessageSerializer(many=True)},
        examples=[examples.ANSWER],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A page of them."""
        return self.list(request, *args, **kwargs)

    @extend_schema(
        operation_id="create_message",
        summary="Ask the next question and get its answer",
        description=examples.STREAMED,
        parameters=[USER_ID],
        request=NewMessageSerializer,
        responses=examples.answered(TurnSerializer),
        examples=[examples.NEW_MESSAGE, examples.TURN, examples.EVENTS],
    )
    async def post(self, request: Request, pk: UUID) -> HttpResponseBase:
        """The question is kept even where the model fails."""
        new = NewMessageSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        conversation = await in_database(self.find_conversation, pk)
        await wait_until_read(await in_database(self.readable_ids, conversation))
        question, answer = await in_database(conversation.ask, new.validated_data["content"])
        turn = Turn(conversation, question, answer)
        return await self.answer(turn, stream=new.validated_data["stream"])


class MessageRetry(Answering):
    """Asking again where an answer failed."""

    serializer_class = TurnSerializer

    @extend_schema(
        operation_id="retry_answer",
        summary="Ask again for a failed answer",
        description=(
            "The answer keeps its id and place. Only the newest message can be retried. "
            + examples.STREAMED
        ),
        parameters=[USER_ID],
        request=RetrySerializer,
        responses=examples.answered(TurnSerializer),
        examples=[examples.RETRY, examples.TURN, examples.EVENTS],
    )
    async def post(self, request: Request, pk: UUID, message_id: UUID) -> HttpResponseBase:
        """The same question, once more."""
        again = RetrySerializer(data=request.data or {})
        again.is_valid(raise_exception=True)
        conversation = await in_database(self.find_conversation, pk)
        await in_database(lambda: get_object_or_404(conversation.messages, pk=message_id))
        await wait_until_read(await in_database(self.readable_ids, conversation))
        question, answer = await in_database(conversation.ask_again, message_id)
        turn = Turn(conversation, question, answer)
        return await self.answer(turn, stream=again.validated_data["stream"])


class ModelList(APIView):
    """The models that conversations can name."""

    @extend_schema(
        operation_id="list_models",
        summary="The models that conversations can name",
        responses=ModelSerializer(many=True),
        examples=[examples.MODEL],
    )
    def get(self, request: Request) -> Response:
        """All on one page, in the shape of the other lists."""
        default = catalogue.find(settings.GROQ_MODEL).name
        rows = [
            {
                "name": model.name,
                "aliases": [a for a, name in catalogue.ALIASES.items() if name == model.name],
                "default": model.name == default,
                "context_window": model.context_window,
                "max_output": model.max_output,
                "prompt_price": model.prompt_price,
                "completion_price": model.completion_price,
            }
            for model in catalogue.MODELS.values()
        ]
        results = ModelSerializer(rows, many=True).data
        return Response({"count": len(rows), "next": None, "previous": None, "results": results})

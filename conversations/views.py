"""The conversations' part of the API."""

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils.functional import cached_property
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import examples, provider
from conversations.answering import ASKING, Answering, Begun, begun, require_read
from conversations.models import AuditEntry, Conversation, Message
from conversations.search_serializers import ArchivedSerializer, BranchesSerializer
from conversations.serializers import (
    ConversationChangeSerializer,
    ConversationSerializer,
    ConversationWithMessagesSerializer,
    MessageSerializer,
    ModelListSerializer,
    ModelSerializer,
    NewConversationAnswerSerializer,
    NewConversationSerializer,
    NewMessageSerializer,
    TurnSerializer,
)
from conversations.turn import Turn
from documents.models import Document
from documents.serializers import find_documents
from documents.views import USER_ID, Scoped
from llm import catalogue

BRANCHES = OpenApiParameter(
    "branches",
    str,
    enum=["active", "all"],
    description="`active`, unless told, lists the active path; `all` the whole tree.",
)


# Made once: a serializer copies all its fields when it is made, which takes longer than its work.
_new_conversation = NewConversationSerializer()


class ConversationList(generics.ListAPIView[Conversation], Answering):
    """Conversations, latest first; opening a new one."""

    permissions: ClassVar = {
        "POST": ("conversations.add_conversation", "documents.view_document"),
    }
    serializer_class = ConversationSerializer

    def get_queryset(self) -> QuerySet[Conversation]:
        """Those not archived, unless `archived=true`."""
        asked = ArchivedSerializer(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        visible = Conversation.objects.visible_to(self.user_scope())
        there = visible.filter(archived=asked.validated_data["archived"])
        found: QuerySet[Conversation] = there.with_message_count().prefetch_related("documents")
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
    def post(self, request: Request) -> Begun:
        """Nothing is kept where the documents cannot be searched."""
        fields = _new_conversation.fields_to_open(request.data)
        stream, ids = fields.pop("stream"), fields.pop("document_ids")
        content, user_id = fields.pop("first_message"), fields.pop("user_id", None)
        if before := self.asked_before():
            return Begun(before, stream, opened=True)
        user = self.caller.creating_for(user_id)
        documents = find_documents(user.pk, ids) if ids else []
        if fields["mode"] == Conversation.Mode.GROUNDED_RAG:
            searched = Document.objects.visible_to(user.pk)
            require_read(searched.filter(pk__in=ids) if ids else searched)
        opened = Conversation.objects.open(
            user=user, content=content, documents=documents, asking=self.asking(user), **fields
        )
        return begun(Turn(*opened), stream, opened=True)


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

    resource = "conversations"
    serializer_class = ConversationWithMessagesSerializer

    def get_queryset(self) -> QuerySet[Conversation]:
        """What the caller may see."""
        visible = Conversation.objects.visible_to(self.user_scope())
        found: QuerySet[Conversation] = visible.with_message_count().prefetch_related("documents")
        return found

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """As the audit trail tells."""
        return Response(self.shown())

    def shown(self) -> Any:
        """The conversation with its messages, which the audit trail tells that the caller reads."""
        conversation = self.get_object()
        conversation.note(AuditEntry.Action.VIEWED, self.caller.actor)
        return self.get_serializer(conversation).data

    def perform_destroy(self, instance: Conversation) -> None:
        """And who deletes it is told."""
        instance.remove(self.caller.actor)

    @extend_schema(
        operation_id="change_conversation",
        summary="Change title, model, documents, options or archived",
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

    permissions: ClassVar = ASKING
    serializer_class = MessageSerializer
    queryset = Message.objects.none()

    @cached_property
    def conversation(self) -> Conversation:
        """The one of the address."""
        return self.find_conversation(self.kwargs["pk"])

    def get_queryset(self) -> QuerySet[Message]:
        """The active path, or with `branches=all` the whole tree; with their citations."""
        asked = BranchesSerializer(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        messages = self.conversation.messages.with_all_it_rests_on()
        if asked.validated_data["branches"] == "active":
            return messages.shown()
        return messages.order_by("position", "pk")

    @extend_schema(
        operation_id="list_messages",
        summary="A conversation's messages, oldest first",
        parameters=[USER_ID, BRANCHES],
        responses={(200, "application/json"): MessageSerializer(many=True)},
        examples=[examples.ANSWER],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A page of them; none is shown as still to come that nobody answers."""
        page = self.list(request, *args, **kwargs)
        self.conversation.note(AuditEntry.Action.VIEWED, self.caller.actor)
        if any(one["status"] == Message.Status.PENDING for one in page.data["results"]):
            if self.conversation.settle_orphans():
                return self.list(request, *args, **kwargs)
        return page

    @extend_schema(
        operation_id="create_message",
        summary="Ask the next question and get its answer",
        description=examples.STREAMED,
        parameters=[USER_ID],
        request=NewMessageSerializer,
        responses=examples.answered(TurnSerializer),
        examples=[examples.NEW_MESSAGE, examples.TURN, examples.EVENTS],
    )
    def post(self, request: Request, pk: UUID) -> Begun:
        """The question is kept even where the model fails."""
        new = NewMessageSerializer(data=request.data)
        return self.begin(
            new,
            lambda conversation, asking: conversation.ask(new.validated_data["content"], asking),
        )


class ModelList(Scoped):
    """The models that conversations can name."""

    resource = "conversations"

    @extend_schema(
        operation_id="list_models",
        summary="The models that conversations can name",
        responses=ModelListSerializer,
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
                "available": provider.answering() is not None,
                "context_window": model.context_window,
                "max_output": model.max_output,
                "prompt_price": model.prompt_price,
                "cached_price": model.cached_price,
                "completion_price": model.completion_price,
                "prices_as_of": model.prices_as_of,
                "efforts": model.efforts,
                "input_modalities": model.input_modalities,
                "successor": model.successor or None,
            }
            for model in catalogue.MODELS.values()
        ]
        results = ModelSerializer(rows, many=True).data
        return Response({"count": len(rows), "next": None, "previous": None, "results": results})

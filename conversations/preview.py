"""The prompt that a question would get, shown without asking it."""

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import evidence, examples, exceptions
from conversations.answer_serializers import ReceiptSerializer, RetrievalSerializer
from conversations.answer_views import WITH_DOCUMENTS
from conversations.answering import Answering, require_read
from conversations.models import AuditEntry, Conversation, Message
from conversations.models.conversation import Asking
from conversations.serializers import NewMessageSerializer, PassageSerializer
from conversations.turn import Preview, Turn
from documents.views import USER_ID
from llm.context import QuestionTooLong


class PromptMessageSerializer(serializers.Serializer[Any]):
    """A message of the prompt."""

    role = serializers.ChoiceField(["system", *Message.Role.values])
    content = serializers.CharField()


class PreviewedRetrievalSerializer(RetrievalSerializer):
    """What would be searched for, and the passages found that the prompt holds."""

    model_would_rewrite = serializers.BooleanField(
        help_text=(
            "Once it is asked, a small model writes the searches of this question, so its passages "
            "may be others. Here they are by the words of the turns before."
        )
    )
    passages = PassageSerializer(many=True)


class PreviewSerializer(serializers.Serializer[Any]):
    """The prompt of a question."""

    model = serializers.CharField()
    fallback_models = serializers.ListField(child=serializers.CharField())
    asks_model = serializers.BooleanField(
        help_text="False where a fixed text or quotes answer, and this prompt is sent to nobody."
    )
    max_completion_tokens = serializers.IntegerField()
    messages = PromptMessageSerializer(many=True)
    # The framework takes fields out of the class, so its own `context` stays.
    context = ReceiptSerializer()  # type: ignore[assignment]
    retrieval = PreviewedRetrievalSerializer(
        allow_null=True, help_text="Null in open chat, which searches nothing."
    )


class ConversationContext(Answering):
    """The prompt of a question that is not asked."""

    reads = Answering.reads | {"POST"}
    permissions: ClassVar = {"POST": (*WITH_DOCUMENTS, "conversations.view_prompt")}

    @extend_schema(
        operation_id="preview_prompt",
        summary="Show the exact prompt that a question would get, without asking it",
        description=(
            "Takes the body of a question. No model is called and nothing is stored. `context` "
            "tells the tokens of each part, and what was left out and why."
        ),
        parameters=[USER_ID],
        request=NewMessageSerializer,
        responses=PreviewSerializer,
        examples=[examples.NEW_MESSAGE, examples.PREVIEW],
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """200: nothing is made. Refused as the question itself would be."""
        new = NewMessageSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        conversation = self.find_conversation(pk)
        conversation.note(AuditEntry.Action.VIEWED, self.caller.actor)
        if conversation.mode == Conversation.Mode.GROUNDED_RAG:
            require_read(conversation.searched_documents())
        turn = conversation.next_turn(
            new.validated_data["content"], Asking(new.options(conversation))
        )
        try:
            preview = Turn(conversation, *turn).preview()
        except QuestionTooLong as error:
            raise exceptions.QuestionTooLong({}) from error
        return Response(PreviewSerializer(_as_data(preview)).data)


def _as_data(preview: Preview) -> dict[str, Any]:
    plan = preview.plan
    most = plan.sampling.max_completion_tokens or plan.max_tokens
    return {
        "model": plan.models[0],
        "fallback_models": plan.models[1:],
        "asks_model": plan.asks_model,
        "max_completion_tokens": min(most, plan.max_tokens),
        "messages": plan.messages,
        "context": plan.receipt.as_json(),
        "retrieval": _searched(preview),
    }


def _searched(preview: Preview) -> dict[str, Any] | None:
    searches = preview.searches
    if searches is None:
        return None
    return {
        "query": searches.query,
        "searches": evidence.searches_as_data(searches),
        "rewriting": searches.rewriting,
        "model_would_rewrite": preview.rewritten,
        "passages": preview.plan.passages,
    }

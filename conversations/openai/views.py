"""Chat completions and models, as OpenAI's clients call them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.answering import Answering, Begun, heard, require_read
from conversations.bodies import told_message
from conversations.exceptions import ModelFailed
from conversations.models import Message
from conversations.openai import examples, exchanges
from conversations.openai.callers import USER_HEADER, OpenAIView
from conversations.openai.chunks import Chunks
from conversations.openai.errors import UnknownModel
from conversations.openai.serializers import ALL_DOCUMENTS, Asked, ChatSerializer
from conversations.openai.shapes import Head, model_body
from conversations.streaming import stream_response
from documents.models import Document
from llm import catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunChat(Begun):
    """A turn of a chat that the client keeps."""

    asked: Asked

    @property
    def head(self) -> Head:
        """What the answer begins with."""
        answer = self.turn.answer
        created = int(answer.created_at.timestamp())
        conversation_id = str(self.turn.conversation.pk)
        # Another than the one that was asked for may answer, which is known from its first word on.
        model = self.turn.speaker or self.asked.model
        return Head(f"chatcmpl-{answer.pk}", created, model, conversation_id)


class ChatCompletions(OpenAIView, Answering):
    """One question of a chat that the client keeps."""

    permissions: ClassVar = {
        "POST": (
            "conversations.add_conversation",
            "conversations.add_message",
            "documents.view_document",
        )
    }

    @extend_schema(
        operation_id="openai_chat_completion",
        summary="Answer a chat, as OpenAI's API does",
        description=(
            "With `stream: true` the answer comes as chunks. It rests on documents where "
            "`documents`, `file_ids` or a `file` part names uploaded files, or where the model's "
            "name ends in `:documents`. `annotations` of the message, or of the last chunk's "
            "delta, then tell for each [n] the file, the page and the quote.\n\n"
            "Each exchange is kept in an ordinary conversation (`conversation_id`): the one of "
            "the user's latest that says just what the request says was said, else a new one."
        ),
        parameters=[USER_HEADER],
        request=ChatSerializer,
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "text/event-stream"): examples.CHUNK,
        },
        examples=[examples.CHAT, examples.GROUNDED_CHAT, examples.COMPLETION, examples.CHUNKS],
    )
    def post(self, request: Request) -> BegunChat:
        """Nothing is kept where the documents cannot be searched."""
        chat = ChatSerializer(data=request.data)
        chat.is_valid(raise_exception=True)
        asked = chat.asked()
        user = self.caller.creating_for(self.user_id(asked.user))
        files = exchanges.find_files(user, asked.file_ids)
        if asked.grounded:
            searched = Document.objects.visible_to(user.pk)
            ids = [document.pk for document in files]
            require_read(searched.filter(pk__in=ids) if ids else searched)
        turn = exchanges.begin(user, asked, files, self.asking(user, asked.options))
        turn.plan_at_once()
        return BegunChat(turn=turn, stream=asked.stream, asked=asked)

    async def respond(self, result: Any) -> HttpResponseBase:
        """An error before the first words is an error of the call, streamed or not."""
        if not isinstance(result, BegunChat):
            return await super().respond(result)
        turn, asked, answer = result.turn, result.asked, self.live_answer
        assert answer is not None  # there is no key by which the call could have been made before
        base_url = self.request.build_absolute_uri("/").rstrip("/")
        try:
            await heard(answer, answer.first_words() if asked.stream else answer.wait())
        except ModelFailed:
            if not turn.ended_wordless:  # which is an empty choice here, as OpenAI has it
                raise
        if asked.stream:
            chunks = Chunks(result.head, base_url, asked.usage_in_stream)
            return stream_response(chunks.of(answer))
        try:
            body = await told_message(turn.answer)
        except Message.DoesNotExist as error:  # deleted meanwhile
            raise turn.told(error) from error
        return Response(result.head.completion(body, base_url))


class ModelList(OpenAIView):
    """The models that requests can name."""

    resource = "conversations"

    @extend_schema(
        operation_id="openai_list_models",
        summary="The models, each by itself and grounded in all documents",
        responses={(200, "application/json"): OpenApiTypes.OBJECT},
        examples=[examples.MODELS],
    )
    def get(self, request: Request) -> Response:
        """`name:documents` is for clients that can choose nothing but a model."""
        names = [name + suffix for name in catalogue.MODELS for suffix in ("", ALL_DOCUMENTS)]
        return Response({"object": "list", "data": [model_body(name) for name in names]})


class ModelDetail(OpenAIView):
    """One of them."""

    resource = "conversations"

    @extend_schema(
        operation_id="openai_get_model",
        summary="One model",
        responses={(200, "application/json"): OpenApiTypes.OBJECT},
        examples=[examples.MODEL],
    )
    def get(self, request: Request, name: str) -> Response:
        """Raises UnknownModel."""
        try:
            return Response(model_body(name))
        except catalogue.UnknownModel as error:
            raise UnknownModel(f"The model {name!r} does not exist. {error}") from error

"""What the conversations' part of the API takes and gives."""

from typing import Any, ClassVar, get_args

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from conversations.answer_serializers import (
    AnswerReceiptSerializer,
    CitationSerializer,
    FeedbackSerializer,
    RetrievalSerializer,
)
from conversations.models import Conversation, Message
from conversations.representation import QuickReading, related_rows
from documents.serializers import (
    BoundedListField,
    DocumentIdsField,
    FlagField,
    StrictSerializer,
    TextField,
    UserIdField,
    WholeNumberField,
    find_documents,
)
from llm import catalogue
from llm.messages import Effort

MESSAGE_CHARS: int = settings.MESSAGE_CHARS
MOST_TOKENS = 131_072
MOST_STOPS, STOP_CHARS = 4, 200
SEED_LIMIT = 2**63
SYSTEM_PROMPT_CHARS = 8_000
# How many of a conversation's newest messages come with it; all are at its `messages`.
MESSAGES_SHOWN = 50
GROUNDING = (
    "What becomes of a grounded question that the documents do not answer: `strict` refuses it, "
    "`prefer` answers it from general knowledge and says so."
)
REWRITING = (
    "How the search of a follow-up learns what the conversation is about: `model` lets a small "
    "model write it (`terms` where there is none), `terms` carries words of the turns before."
)


@extend_schema_field({"type": "string", "enum": [*catalogue.MODELS, *catalogue.ALIASES]})
class ModelNameField(TextField):
    """A model of the catalogue; an alias becomes the model it stands for."""

    def to_internal_value(self, data: Any) -> str:
        """Raises ValidationError with the names that are known."""
        try:
            return catalogue.find(super().to_internal_value(data)).name
        except catalogue.UnknownModel as error:
            raise serializers.ValidationError(str(error)) from error


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "minLength": 1, "maxLength": STOP_CHARS},
            {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": STOP_CHARS},
                "maxItems": MOST_STOPS,
            },
        ]
    }
)
class StopField(BoundedListField):
    """Texts that end an answer; one may be given alone, as other APIs take it."""

    child = TextField(max_length=STOP_CHARS, trim_whitespace=False)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MOST_STOPS, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        """Raises ValidationError."""
        return super().to_internal_value([data] if isinstance(data, str) else data)


class NumberField(serializers.FloatField):
    """A number: neither `true` nor text stands for one."""

    def to_internal_value(self, data: Any) -> float:
        """Raises ValidationError."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        try:
            return super().to_internal_value(data)
        except OverflowError:
            self.fail("invalid")


def require_effort(effort: str | None, model: str) -> None:
    """Raises ValidationError where the model reasons, but has no such effort."""
    efforts: tuple[str, ...] = catalogue.find(model).efforts
    if effort and efforts and effort not in efforts:
        text = f"{model} takes one of: {', '.join(efforts)}."
        raise serializers.ValidationError({"reasoning_effort": [text]})


class SamplingSerializer(StrictSerializer):
    """Options of an answer; one that is left out is as the conversation, or the model, has it."""

    temperature = NumberField(
        required=False, allow_null=True, min_value=0, max_value=2, help_text="0 to 2."
    )
    top_p = NumberField(
        required=False, allow_null=True, min_value=0, max_value=1, help_text="0 to 1."
    )
    max_completion_tokens = WholeNumberField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MOST_TOKENS,
        help_text="The most that the answer may take; the server's own limit holds too.",
    )
    stop = StopField(required=False, allow_null=True, help_text="Up to four texts that end it.")
    seed = WholeNumberField(
        required=False, allow_null=True, min_value=-SEED_LIMIT, max_value=SEED_LIMIT - 1
    )
    reasoning_effort = serializers.ChoiceField(
        get_args(Effort),
        required=False,
        allow_null=True,
        help_text=(
            "How long a model thinks that reasons first, among its `reasoning_efforts` in the list "
            "of models; others ignore it."
        ),
    )

    def to_representation(self, instance: dict[str, Any]) -> dict[str, Any]:
        """All options as they are stored: null where nothing is set."""
        return {name: instance.get(name) for name, _ in self.fields.items()}

    def take_sampling(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Takes these options out of validated fields; null ones too."""
        return {name: fields.pop(name) for name in SAMPLING if name in fields}


SAMPLING = tuple(SamplingSerializer().fields)


class AskingSerializer(SamplingSerializer):
    """How an answer is asked for."""

    model = ModelNameField(required=False, help_text="For this answer alone.")
    stream = FlagField(
        default=False, help_text="Answer as server-sent events while the model speaks."
    )

    def options(self, conversation: Conversation) -> dict[str, Any]:
        """What differs from the conversation's own options. Raises ValidationError."""
        given: dict[str, Any] = dict(self.validated_data)
        require_effort(given.get("reasoning_effort"), given.get("model") or conversation.model)
        options = {
            name: value for name, value in self.take_sampling(given).items() if value is not None
        }
        return options | ({"model": given["model"]} if "model" in given else {})


class FallbackModelsField(BoundedListField):
    """Models of the catalogue, in the order in which they are asked."""

    child = ModelNameField()

    def __init__(self, **kwargs: Any) -> None:
        text = "Asked in this order where the model is over capacity or gone; null: the server's."
        super().__init__(max_length=8, help_text=text, **kwargs)


class NewMessageSerializer(AskingSerializer):
    """A question."""

    content = TextField(max_length=MESSAGE_CHARS, trim_whitespace=False)

    def validate_content(self, content: str) -> str:
        """White space alone is no question."""
        if not content.strip():
            raise serializers.ValidationError("This field may not be blank.")
        return content


class NewConversationSerializer(SamplingSerializer):
    """A conversation with its first question."""

    user_id = UserIdField(required=False, help_text="Who owns the conversation.")
    first_message = TextField(max_length=MESSAGE_CHARS, trim_whitespace=False)
    mode = serializers.ChoiceField(Conversation.Mode.choices, default=Conversation.Mode.OPEN_CHAT)
    document_ids = DocumentIdsField(
        default=list,
        help_text="What grounded_rag answers from; empty means all of the user's documents.",
    )
    model = ModelNameField(default=lambda: catalogue.find(settings.GROQ_MODEL).name)
    title = TextField(max_length=200, required=False)
    system_prompt = TextField(max_length=SYSTEM_PROMPT_CHARS, required=False, allow_blank=True)
    grounding = serializers.ChoiceField(
        Conversation.Grounding.choices,
        default=Conversation.Grounding.STRICT,
        help_text=GROUNDING,
    )
    query_rewriting = serializers.ChoiceField(
        Conversation.Rewriting.choices,
        default=Conversation.Rewriting.MODEL,
        help_text=REWRITING,
    )
    fallback_models = FallbackModelsField(required=False, allow_null=True)
    stream = FlagField(default=False)

    validate_first_message = NewMessageSerializer.validate_content

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Documents belong to grounded conversations only, and each effort to some models."""
        require_effort(attrs.get("reasoning_effort"), attrs["model"])
        if attrs["document_ids"] and attrs["mode"] == Conversation.Mode.OPEN_CHAT:
            text = "Only grounded_rag reads documents: set mode to grounded_rag."
            raise serializers.ValidationError({"document_ids": [text]})
        return attrs

    def fields_to_open(self, data: Any) -> dict[str, Any]:
        """The fields of a conversation as the model takes them. Raises ValidationError."""
        fields: dict[str, Any] = dict(self.run_validation(data))
        given = self.take_sampling(fields)
        sampling = {name: value for name, value in given.items() if value is not None}
        return fields | {"sampling": sampling}


class ConversationChangeSerializer(SamplingSerializer):
    """What of a conversation can be changed."""

    title = TextField(max_length=200, required=False)
    model = ModelNameField(required=False)
    document_ids = DocumentIdsField(required=False)
    system_prompt = TextField(max_length=SYSTEM_PROMPT_CHARS, required=False, allow_blank=True)
    grounding = serializers.ChoiceField(
        Conversation.Grounding.choices, required=False, help_text=GROUNDING
    )
    query_rewriting = serializers.ChoiceField(
        Conversation.Rewriting.choices, required=False, help_text=REWRITING
    )
    fallback_models = FallbackModelsField(required=False, allow_null=True)
    archived = FlagField(required=False)

    def update(self, instance: Conversation, validated_data: dict[str, Any]) -> Conversation:
        """Saves the fields given. Raises ValidationError for what does not go with the rest."""
        require_effort(
            validated_data.get("reasoning_effort"), validated_data.get("model") or instance.model
        )
        ids = validated_data.pop("document_ids", None)
        documents = None if ids is None else find_documents(instance.user_id, ids)
        if documents and instance.mode == Conversation.Mode.OPEN_CHAT:
            text = "This conversation is open_chat, which reads no documents."
            raise serializers.ValidationError({"document_ids": [text]})
        given = self.take_sampling(validated_data)
        sampling = (instance.sampling | given).items()
        changed = validated_data | {"sampling": {k: v for k, v in sampling if v is not None}}
        if "title" in changed:
            changed["title_due"] = False
        if documents is not None:
            changed["all_documents"] = not documents
        for name, value in changed.items():
            setattr(instance, name, value)
        # Nothing else: a title or a summary may be written at this moment.
        instance.save(update_fields=[*changed, "updated_at"])
        if documents is not None:
            instance.documents.set(documents)
        return instance


class UsageSerializer(QuickReading, serializers.Serializer[Any]):
    """What an answer took."""

    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    rewrite_tokens = serializers.IntegerField(help_text="For writing the searches.")
    total_tokens = serializers.IntegerField()
    cost_usd = serializers.DecimalField(max_digits=14, decimal_places=8)


class MessageErrorSerializer(serializers.Serializer[Any]):
    """Why an answer failed."""

    code = serializers.CharField()
    detail = serializers.CharField()


# Made once: a serializer copies all its fields when it is made, which takes longer than its work.
_usage, _retrieval, _feedback = UsageSerializer(), RetrievalSerializer(), FeedbackSerializer()


class MessageSerializer(QuickReading, serializers.ModelSerializer[Message]):
    """A message as the API shows it."""

    error = serializers.SerializerMethodField()
    usage = serializers.SerializerMethodField()
    citations = CitationSerializer(many=True, read_only=True)
    grounding = serializers.SerializerMethodField()
    retrieval = serializers.SerializerMethodField()
    feedback = serializers.SerializerMethodField()
    # The framework takes fields out of the class, so its own `context` stays.
    context = serializers.SerializerMethodField()  # type: ignore[assignment]
    parent_id = serializers.UUIDField(read_only=True, allow_null=True)
    sibling_ids = serializers.ListField(
        child=serializers.UUIDField(),
        read_only=True,
        help_text="It and what stands in its place on other branches, oldest first.",
    )
    sampling = SamplingSerializer(read_only=True)

    class Meta:
        model = Message
        fields: ClassVar = [
            "id",
            "parent_id",
            "sibling_ids",
            "active",
            "role",
            "status",
            "content",
            "model",
            "sampling",
            "finish_reason",
            "error",
            "citations",
            "grounding",
            "retrieval",
            "feedback",
            "usage",
            "context",
            "duration_ms",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field(MessageErrorSerializer(allow_null=True))
    def get_error(self, message: Message) -> dict[str, str] | None:
        """None unless the answer failed or was interrupted."""
        if not message.error_code:
            return None
        return {"code": message.error_code, "detail": message.error}

    @extend_schema_field(UsageSerializer(allow_null=True))
    def get_usage(self, message: Message) -> Any:
        """None for the user's own messages."""
        if message.role == Message.Role.USER:
            return None
        return _usage.to_representation(message)

    @extend_schema_field(serializers.ChoiceField(Message.Grounding.choices, allow_null=True))
    def get_grounding(self, message: Message) -> str | None:
        """None in open chat, for questions, and until the answer is there."""
        return message.grounding or None

    @extend_schema_field(RetrievalSerializer(allow_null=True))
    def get_retrieval(self, message: Message) -> Any:
        """None where nothing was searched."""
        retrieval = getattr(message, "retrieval", None)
        return _retrieval.to_representation(retrieval) if retrieval else None

    @extend_schema_field(FeedbackSerializer(allow_null=True))
    def get_feedback(self, message: Message) -> Any:
        """None until there is some."""
        feedback = getattr(message, "feedback", None)
        return _feedback.to_representation(feedback) if feedback else None

    @extend_schema_field(AnswerReceiptSerializer(allow_null=True))
    def get_context(self, message: Message) -> Any:
        """What the prompt held; None for questions, and where no prompt was made."""
        return message.context or None


class ConversationSerializer(QuickReading, serializers.ModelSerializer[Conversation]):
    """A conversation as lists show it."""

    user_id = serializers.UUIDField(read_only=True)
    document_ids = serializers.SerializerMethodField()
    message_count = serializers.IntegerField(read_only=True, help_text="Those on the active path.")
    sampling = SamplingSerializer(read_only=True)

    class Meta:
        model = Conversation
        fields: ClassVar = [
            "id",
            "user_id",
            "mode",
            "title",
            "model",
            "system_prompt",
            "grounding",
            "query_rewriting",
            "sampling",
            "fallback_models",
            "archived",
            "document_ids",
            "message_count",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.UUIDField()))
    def get_document_ids(self, conversation: Conversation) -> list[str]:
        """From the prefetched documents."""
        return [str(document.pk) for document in related_rows(conversation, "documents")]


class ConversationWithMessagesSerializer(ConversationSerializer):
    """A conversation with its newest messages, oldest of them first."""

    messages = serializers.SerializerMethodField()

    class Meta(ConversationSerializer.Meta):
        fields: ClassVar = [*ConversationSerializer.Meta.fields, "messages"]

    @extend_schema_field(MessageSerializer(many=True))
    def get_messages(self, conversation: Conversation) -> Any:
        """At most MESSAGES_SHOWN, in two queries."""
        shown = conversation.messages.filter(active=True)
        newest = shown.with_all_it_rests_on().order_by("-position")
        return MessageSerializer(list(newest[:MESSAGES_SHOWN])[::-1], many=True).data


class TurnSerializer(serializers.Serializer[Any]):
    """A question and its answer."""

    message = MessageSerializer()
    answer = MessageSerializer()


class NewConversationAnswerSerializer(ConversationSerializer):
    """A new conversation with its first question and answer."""

    message = MessageSerializer(read_only=True)
    answer = MessageSerializer(read_only=True)

    class Meta(ConversationSerializer.Meta):
        fields: ClassVar = [*ConversationSerializer.Meta.fields, "message", "answer"]


class PassageSerializer(serializers.Serializer[Any]):
    """A passage that the prompt holds."""

    chunk_id = serializers.UUIDField()
    document_id = serializers.UUIDField()
    document_name = serializers.CharField()
    page_start = serializers.IntegerField()
    page_end = serializers.IntegerField()
    section = serializers.CharField(allow_blank=True)
    score = serializers.FloatField()
    text = serializers.CharField()


class ModelSerializer(serializers.Serializer[Any]):
    """A model of the catalogue."""

    name = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField())
    default = serializers.BooleanField()
    available = serializers.BooleanField(
        help_text=(
            "False where the server has no key for it: grounded questions are answered with "
            "quotes then, and open chat says what is missing."
        )
    )
    context_window = serializers.IntegerField(help_text="In tokens.")
    max_output = serializers.IntegerField(help_text="In tokens.")
    prompt_price = serializers.DecimalField(
        max_digits=10, decimal_places=4, help_text="USD per million tokens."
    )
    cached_price = serializers.DecimalField(
        max_digits=10,
        decimal_places=4,
        help_text="USD per million tokens of the prompt that the provider had in its cache.",
    )
    completion_price = serializers.DecimalField(
        max_digits=10, decimal_places=4, help_text="USD per million tokens."
    )
    prices_as_of = serializers.DateField(help_text="When the provider's prices were read.")
    reasoning_efforts = serializers.ListField(
        child=serializers.CharField(),
        source="efforts",
        help_text="Values of `reasoning_effort`, least first; none where it does not reason.",
    )
    input_modalities = serializers.ListField(
        child=serializers.CharField(),
        help_text="What the model itself can read; questions are text alone.",
    )
    successor = serializers.CharField(
        allow_null=True, help_text="Answers where the server's key is not served the model."
    )


class WholeListSerializer(serializers.Serializer[Any]):
    """A list that is all on one page, in the shape of the others."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class ModelListSerializer(WholeListSerializer):
    """The models."""

    results = ModelSerializer(many=True)

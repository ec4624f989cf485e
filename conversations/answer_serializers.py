"""What the API takes and gives of what an answer rests on."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from conversations.evidence import BUDGET
from conversations.models import Citation, Conversation, Feedback, Retrieval
from documents.serializers import (
    DocumentIdsField,
    DocumentSerializer,
    IdField,
    StrictSerializer,
    TextField,
    WholeNumberField,
)
from llm.context import Reason
from llm.ranking import Outcome

COMMENT_CHARS = 4_000
# More than this fills no window.
MOST_PASSAGES = 50
# What can be replayed without asking a model.
REPLAYED = [
    (one.value, one.label) for one in (Conversation.Rewriting.OFF, Conversation.Rewriting.TERMS)
]


class CitationSerializer(serializers.ModelSerializer[Citation]):
    """A citation as the API shows it: in a reply, in a stream and in the history alike."""

    document_id = serializers.UUIDField(
        read_only=True, allow_null=True, help_text="Null once the document is deleted."
    )

    class Meta:
        model = Citation
        fields: ClassVar = [
            "id",
            "number",
            "document_id",
            "document_name",
            "chunk_id",
            "section",
            "page",
            "char_start",
            "char_end",
            "quote",
            "score",
            "verified",
        ]
        read_only_fields = fields


class CitationInContextSerializer(CitationSerializer):
    """A citation with the text around it, and its document as it is now."""

    message_id = serializers.UUIDField(read_only=True)
    before = serializers.CharField(
        read_only=True, help_text="What stands before the quote on its page; empty once deleted."
    )
    after = serializers.CharField(read_only=True, help_text="What stands after it.")
    document = DocumentSerializer(read_only=True, allow_null=True)

    class Meta(CitationSerializer.Meta):
        fields: ClassVar = [
            *CitationSerializer.Meta.fields,
            "message_id",
            "before",
            "after",
            "document",
        ]
        read_only_fields = fields


class WeightedTextSerializer(serializers.Serializer[Any]):
    """A text that is searched for, and how much its words count."""

    text = serializers.CharField()
    weight = serializers.FloatField()


class CandidateSerializer(serializers.Serializer[Any]):
    """A chunk that was considered, and what became of it."""

    chunk_id = serializers.UUIDField()
    document_id = serializers.UUIDField()
    document_name = serializers.CharField()
    section = serializers.CharField(allow_blank=True)
    page_start = serializers.IntegerField()
    page_end = serializers.IntegerField()
    score = serializers.FloatField()
    outcome = serializers.ChoiceField([*(outcome.value for outcome in Outcome), BUDGET])


class SearchesField(serializers.ListField):
    """Searches, each of weighted texts; their results are fused."""

    child = WeightedTextSerializer(many=True)


class RetrievalSerializer(serializers.Serializer[Any]):
    """What was searched for before an answer; candidates are in its trace."""

    query = serializers.CharField(help_text="In one text.")
    searches = SearchesField()
    rewriting = serializers.ChoiceField(
        Conversation.Rewriting.choices,
        help_text="What came to the question.",
    )


class SectionSerializer(serializers.Serializer[Any]):
    """A part of the prompt."""

    tokens = serializers.IntegerField(help_text="That it takes.")
    kept = serializers.IntegerField(help_text="Pieces (messages, passages) that it holds.")
    left_out = serializers.IntegerField(help_text="Pieces for which there was no room.")
    reason = serializers.ChoiceField(
        [reason.value for reason in Reason],
        allow_null=True,
        help_text="Why: `over_budget`, or `without_question` for an answer whose question is out.",
    )


class ReceiptSerializer(serializers.Serializer[Any]):
    """What a prompt is made of. The sections' tokens add up to `total`."""

    budget = serializers.IntegerField(help_text="Tokens that the prompt may take.")
    answer_reserve = serializers.IntegerField(help_text="Tokens kept for the answer besides.")
    total = serializers.IntegerField(help_text="As counted here; `usage` has the provider's count.")
    system = SectionSerializer()
    summary = SectionSerializer(
        help_text="Of the turns that left the window, in the system prompt."
    )
    history = SectionSerializer()
    passages = SectionSerializer(help_text="In the question's message.")
    question = SectionSerializer()


class AnswerReceiptSerializer(ReceiptSerializer):
    """The receipt of an answer's prompt."""

    citations_dropped = serializers.IntegerField(
        help_text="Marks in the answer that pointed at no passage and were taken out."
    )


class RewritingSerializer(serializers.Serializer[Any]):
    """How the searches came about, and what that took."""

    used = serializers.ChoiceField(Conversation.Rewriting.choices)
    model = serializers.CharField(allow_blank=True)
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    failure = serializers.CharField(
        allow_null=True, help_text="Code of why the model's searches could not be used."
    )
    duration_ms = serializers.IntegerField()


class TraceSettingsSerializer(serializers.Serializer[Any]):
    """What the search was told."""

    limit = serializers.IntegerField(help_text="Passages wanted.")
    query_rewriting = serializers.ChoiceField(Conversation.Rewriting.choices)


class TraceSerializer(serializers.ModelSerializer[Retrieval]):
    """The retrieval trace of an answer."""

    message_id = serializers.UUIDField(read_only=True)
    searches = SearchesField(read_only=True)
    settings = serializers.SerializerMethodField()
    rewriting = serializers.SerializerMethodField()
    candidates = CandidateSerializer(many=True, read_only=True)

    class Meta:
        model = Retrieval
        fields: ClassVar = [
            "message_id",
            "question",
            "query",
            "searches",
            "settings",
            "rewriting",
            "candidates",
            "duration_ms",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field(TraceSettingsSerializer)
    def get_settings(self, retrieval: Retrieval) -> dict[str, Any]:
        """As they were then."""
        return {"limit": retrieval.limit, "query_rewriting": retrieval.query_rewriting}

    @extend_schema_field(RewritingSerializer)
    def get_rewriting(self, retrieval: Retrieval) -> dict[str, Any]:
        """`used` is never more than the question needed, and `terms` where the model failed."""
        return {
            "used": retrieval.rewriting,
            "model": retrieval.rewrite_model,
            "prompt_tokens": retrieval.rewrite_prompt_tokens,
            "completion_tokens": retrieval.rewrite_completion_tokens,
            "failure": retrieval.rewrite_failure or None,
            "duration_ms": retrieval.rewrite_ms,
        }


class ReplaySerializer(StrictSerializer):
    """How to search anew; what is left out is as it was."""

    limit = WholeNumberField(required=False, min_value=1, max_value=MOST_PASSAGES)
    query_rewriting = serializers.ChoiceField(REPLAYED, required=False)
    document_ids = DocumentIdsField(
        required=False,
        min_length=1,
        help_text="Documents of the same user; else those of the conversation.",
    )


class FoundSerializer(serializers.Serializer[Any]):
    """One of the two sides of a replay."""

    query = serializers.CharField()
    searches = SearchesField()
    rewriting = serializers.ChoiceField(Conversation.Rewriting.choices)
    limit = serializers.IntegerField()
    candidates = CandidateSerializer(many=True)
    duration_ms = serializers.IntegerField()


class MovedSerializer(serializers.Serializer[Any]):
    """A chunk that both sides have, at different ranks."""

    chunk_id = serializers.UUIDField()
    rank_before = serializers.IntegerField()
    rank_after = serializers.IntegerField()


class ReplayedSerializer(serializers.Serializer[Any]):
    """A search as it was and as it is now, and what differs among what a prompt would hold."""

    before = FoundSerializer()
    after = FoundSerializer()
    gained = CandidateSerializer(many=True)
    lost = CandidateSerializer(many=True)
    moved = MovedSerializer(many=True)


class FeedbackSerializer(serializers.ModelSerializer[Feedback]):
    """What the user thought of an answer."""

    document_id = serializers.UUIDField(read_only=True, allow_null=True)

    class Meta:
        model = Feedback
        fields: ClassVar = [
            "rating",
            "comment",
            "document_id",
            "page",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class NewFeedbackSerializer(StrictSerializer):
    """Thumbs up or down; `document_id` and `page` say where the right answer stands."""

    rating = serializers.ChoiceField(Feedback.Rating.choices)
    comment = TextField(default="", allow_blank=True, max_length=COMMENT_CHARS)
    document_id = IdField(default=None, allow_null=True)
    page = WholeNumberField(default=None, allow_null=True, min_value=1)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A page is one of a document."""
        if attrs["page"] is not None and attrs["document_id"] is None:
            raise serializers.ValidationError({"page": ["Name its document_id too."]})
        return attrs

"""What the documents' part of the API takes and gives."""

import re
from collections.abc import Collection, Iterable
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from documents.exceptions import FileTooLarge, UnsupportedFile
from documents.extraction.kind import sniff
from documents.models import Chunk, Document
from llm.retrieval import QUERY_CHARS

Upload = UploadedFile[bytes]
NOT_EMPTY = "Give a value, or leave this out."
SEND_FILE = "Send the file as a multipart part named file, with a filename."
EXAMPLE_USER_ID = "5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11"
_UUID = re.compile("[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
IDS_AT_ONCE: int = settings.CONVERSATION_DOCUMENTS
RESULTS_AT_ONCE = 50
# How much of what is unknown a refusal repeats.
NAMES_REPEATED, NAME_CHARS = 10, 100


def as_uuid(text: str) -> UUID | None:
    """The UUID written in ASCII's hexadecimal digits, with its hyphens or without; else None.

    Python reads more than that: digits of any script, `urn:uuid:`, braces, hyphens anywhere.
    """
    return UUID(text) if _UUID.fullmatch(text) else None


def require_known(names: Iterable[Any], known: Collection[str], kind: str = "field") -> None:
    """Raises ValidationError that names those that are not known, and those that are."""
    unknown = sorted(set(map(str, names)) - set(known))[:NAMES_REPEATED]
    if unknown:
        advice = f"Known ones: {', '.join(known)}." if known else "This call takes none."
        text = f"Unknown {kind}. {advice}"
        raise serializers.ValidationError({name[:NAME_CHARS]: [text] for name in unknown})


def require_one_value(given: "MultiValueDict[str, Any]", names: Iterable[str]) -> None:
    """Raises ValidationError for a name given twice, where the last would win unseen, or empty.

    REST framework would take an empty value for one left out: everyone's instead of a user's.
    """
    values = dict(given.lists())
    if repeated := [name for name, each in values.items() if len(each) > 1]:
        raise serializers.ValidationError({name: ["Give this once."] for name in repeated})
    if empty := [name for name in names if values.get(name) == [""]]:
        raise serializers.ValidationError({name: [NOT_EMPTY] for name in empty})


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know, by name, and those that a form gives twice or empty."""

    # What the schema says of a body; False where a subclass leaves the unknown aside.
    refuses_unknown: ClassVar[bool] = True

    def to_internal_value(self, data: Any) -> Any:
        """Raises ValidationError."""
        if isinstance(data, MultiValueDict):
            require_one_value(data, self.fields)
        values = super().to_internal_value(data)
        require_known(data, self.fields)
        return values


class StrictBodies(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Says in the schema that unknown fields are refused."""

    target_class = StrictSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Of what is sent; what is answered may grow."""
        mapped: dict[str, Any] = auto_schema._map_serializer(
            self.target, direction, bypass_extensions=True
        )
        if direction == "request" and self.target.refuses_unknown:
            mapped["additionalProperties"] = False
        return mapped


class TextField(serializers.CharField):
    """Text: a number is refused, not written out."""

    def to_internal_value(self, data: Any) -> str:
        """Raises ValidationError."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class IdField(serializers.UUIDField):
    """A UUID as text: a number is refused, not turned into one."""

    def to_internal_value(self, data: Any) -> UUID:
        """Raises ValidationError."""
        found = as_uuid(data) if isinstance(data, str) else None
        if found is None:
            self.fail("invalid", value=data)
        return found


class FlagField(serializers.BooleanField):
    """`true` or `false`: neither text nor a number stands for one."""

    def to_internal_value(self, data: Any) -> bool:
        """Raises ValidationError."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class WholeNumberField(serializers.IntegerField):
    """A whole number: text does not stand for one."""

    def to_internal_value(self, data: Any) -> int:
        """Raises ValidationError."""
        if isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class UserQuerySerializer(serializers.Serializer[Any]):
    """The `user_id` of a query string."""

    user_id = IdField(required=False)


class DeletionSerializer(UserQuerySerializer):
    """The query string of a document's deletion."""

    quotes = serializers.ChoiceField(["keep", "erase"], default="keep")


@extend_schema_field({"type": "string", "format": "uuid", "example": EXAMPLE_USER_ID})
class UserIdField(IdField):
    """A user as the caller names them; one example, so that calls tried out fit together."""


class BoundedListField(serializers.ListField):
    """A list whose length is checked before its items: too long a one costs next to nothing."""

    def run_child_validation(self, data: Any) -> Any:
        """Raises ValidationError."""
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().run_child_validation(data)


class DocumentIdsField(BoundedListField):
    """Ids of documents."""

    child = IdField()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=IDS_AT_ONCE, **kwargs)


class UploadSerializer(StrictSerializer):
    """An upload; its `kind` is found from its content, never from its name."""

    file = serializers.FileField(
        help_text="PDF or plain text, at most 10 MB unless set otherwise.",
        error_messages=dict.fromkeys(("required", "invalid", "no_name"), SEND_FILE),
    )
    user_id = UserIdField(required=False, help_text="Who owns the document.")

    def validate_file(self, file: Upload) -> Upload:
        """Raises FileTooLarge."""
        if (file.size or 0) > settings.MAX_UPLOAD_BYTES:
            raise FileTooLarge.beyond(settings.MAX_UPLOAD_BYTES)
        return file

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Adds the kind. Raises UnsupportedFile."""
        file: Upload = attrs["file"]
        kind = sniff(file.read(64 * 1024))
        file.seek(0)
        if kind is None:
            raise UnsupportedFile()
        return attrs | {"kind": kind}


class DocumentErrorSerializer(serializers.Serializer[Any]):
    """Why a document could not be read."""

    code = serializers.CharField()
    detail = serializers.CharField()


class DocumentSerializer(serializers.ModelSerializer[Document]):
    """A document as the API shows it."""

    user_id = serializers.UUIDField(read_only=True)
    error = serializers.SerializerMethodField()

    class Meta:
        model = Document
        fields: ClassVar = [
            "id",
            "user_id",
            "name",
            "kind",
            "size",
            "sha256",
            "status",
            "error",
            "title",
            "language",
            "page_count",
            "pages_done",
            "chunk_count",
            "token_count",
            "created_at",
            "processed_at",
        ]
        read_only_fields = fields

    @extend_schema_field(DocumentErrorSerializer(allow_null=True))
    def get_error(self, document: Document) -> dict[str, str] | None:
        """None unless the last reading failed."""
        if not document.error_code:
            return None
        return {"code": document.error_code, "detail": document.error}


class ChunkSerializer(serializers.ModelSerializer[Chunk]):
    """A chunk as the API shows it."""

    class Meta:
        model = Chunk
        fields: ClassVar = ["id", "ordinal", "text", "token_count", "page_start", "page_end"]
        read_only_fields = fields


class SearchSerializer(StrictSerializer):
    """What to search for, and where."""

    query = TextField(max_length=QUERY_CHARS)
    user_id = UserIdField(required=False, help_text="Whose documents.")
    document_ids = DocumentIdsField(
        default=list, help_text="Where to search; empty means all of the user's documents."
    )
    limit = WholeNumberField(default=10, min_value=1, max_value=RESULTS_AT_ONCE)


class SearchResultSerializer(serializers.Serializer[Any]):
    """A passage that matches."""

    chunk_id = serializers.UUIDField()
    document_id = serializers.UUIDField()
    document_name = serializers.CharField()
    page_start = serializers.IntegerField()
    page_end = serializers.IntegerField()
    section = serializers.CharField(help_text="The heading that it stands under, where known.")
    score = serializers.FloatField(help_text="Higher is better; comparable within one search.")
    text = serializers.CharField()
    highlights = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField(), min_length=2, max_length=2),
        help_text=(
            "[start, end] of each word of `text` that matches, in characters (code points), "
            "end exclusive."
        ),
    )


class SearchResultsSerializer(serializers.Serializer[Any]):
    """The passages, best first."""

    query = serializers.CharField()
    results = SearchResultSerializer(many=True)


def find_documents(user_id: UUID, ids: list[Any]) -> list[Document]:
    """That user's documents of these ids. Raises ValidationError naming those that are not."""
    found = list(Document.objects.visible_to(user_id).filter(pk__in=ids))
    missing = sorted({str(one) for one in ids} - {str(document.pk) for document in found})
    if missing:
        text = f"This user has no such document: {', '.join(missing[:5])}."
        raise serializers.ValidationError({"document_ids": [text]})
    return found

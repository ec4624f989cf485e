"""Documents as the files of OpenAI's API."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.openai import examples
from conversations.openai.callers import USER_HEADER, OpenAIView
from conversations.openai.errors import UnknownFile
from conversations.openai.shapes import PURPOSE, file_body
from documents.models import Document
from documents.serializers import DocumentSerializer, IdField, UploadSerializer
from documents.uploads import accept
from documents.views import UPLOADING, DocumentFile

FILES_AT_ONCE = 1_000
MOST_AT_ONCE = 10_000
PAGE = [
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MOST_AT_ONCE},
        description="1 to 10,000; 1,000 unless told.",
    ),
    OpenApiParameter("after", OpenApiTypes.UUID, description="The last id of the page before."),
    OpenApiParameter("order", str, enum=["asc", "desc"], description="By age; newest first."),
    OpenApiParameter("purpose", str, enum=[PURPOSE], description="Every file has this one."),
]


class FileSerializer(serializers.Serializer[Any]):
    """An upload."""

    file = serializers.FileField(help_text="PDF or plain text.")
    purpose = serializers.CharField(
        required=False, allow_blank=True, help_text="Any: it makes no difference."
    )


class PageSerializer(serializers.Serializer[Any]):
    """Which files to list."""

    limit = serializers.IntegerField(default=FILES_AT_ONCE, min_value=1, max_value=MOST_AT_ONCE)
    after = IdField(required=False)
    order = serializers.ChoiceField(["asc", "desc"], default="desc")
    purpose = serializers.ChoiceField([PURPOSE], required=False)


class OfFiles(OpenAIView, GenericAPIView[Document]):
    """What is done to the files of one user."""

    resource = "documents"
    serializer_class = DocumentSerializer

    def get_queryset(self) -> QuerySet[Document]:
        """Theirs."""
        found: QuerySet[Document] = Document.objects.visible_to(self.user_scope())
        return found

    def find_file(self) -> Document:
        """The one of the address. Raises UnknownFile."""
        document = self.get_queryset().filter(pk=self.kwargs["pk"]).first()
        if document is None:
            raise UnknownFile(f"There is no such file: {self.kwargs['pk']}.")
        return document


class FileList(OfFiles):
    """Files, newest first; upload of a new one."""

    permissions: ClassVar = UPLOADING
    parser_classes = (MultiPartParser,)
    pagination_class = None

    @extend_schema(
        operation_id="openai_list_files",
        summary="List files",
        parameters=[USER_HEADER, *PAGE],
        responses={(200, "application/json"): OpenApiTypes.OBJECT},
        examples=[examples.FILES],
    )
    def get(self, request: Request) -> Response:
        """A page of them, as ids tell their age."""
        page = PageSerializer(data=request.query_params)
        page.is_valid(raise_exception=True)
        limit, rising = page.validated_data["limit"], page.validated_data["order"] == "asc"
        files = self.get_queryset().order_by("pk" if rising else "-pk")
        if after := page.validated_data.get("after"):
            files = files.filter(pk__gt=after) if rising else files.filter(pk__lt=after)
        found = [file_body(document) for document in files[: limit + 1]]
        data = found[:limit]
        return Response(
            {
                "object": "list",
                "data": data,
                "first_id": data[0]["id"] if data else None,
                "last_id": data[-1]["id"] if data else None,
                "has_more": len(found) > limit,
            }
        )

    @extend_schema(
        operation_id="openai_upload_file",
        summary="Upload a PDF or text file",
        description="Its status is `processed` once answers can rest on it.",
        parameters=[USER_HEADER],
        request={"multipart/form-data": FileSerializer},
        responses={(200, "application/json"): OpenApiTypes.OBJECT},
        examples=[examples.FILE],
    )
    def post(self, request: Request) -> Response:
        """The same bytes again are the same file."""
        # Parts that other APIs have a use for are left aside.
        form: Any = request.data
        given = {name: form[name] for name in ("file",) if name in form}
        upload = UploadSerializer(data=given)
        upload.is_valid(raise_exception=True)
        file, kind = upload.validated_data["file"], upload.validated_data["kind"]
        user = self.caller.creating_for(self.user_scope())
        document, _ = Document.objects.keep(user, file.name, kind, file, accept)
        return Response(file_body(document))


class FileDetail(OfFiles):
    """One file."""

    @extend_schema(
        operation_id="openai_get_file",
        summary="One file",
        parameters=[USER_HEADER],
        responses={(200, "application/json"): OpenApiTypes.OBJECT},
        examples=[examples.FILE],
    )
    def get(self, request: Request, pk: UUID) -> Response:
        """With its status."""
        return Response(file_body(self.find_file()))

    @extend_schema(
        operation_id="openai_delete_file",
        summary="Delete a file",
        parameters=[USER_HEADER],
        responses={(200, "application/json"): OpenApiTypes.OBJECT},
        examples=[examples.DELETED],
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        """Answers that cited it keep their quotes."""
        self.find_file().remove()
        return Response({"id": str(pk), "object": "file", "deleted": True})


@extend_schema_view(
    get=extend_schema(
        operation_id="openai_download_file",
        parameters=[USER_HEADER, OpenApiParameter("user_id", exclude=True)],
    )
)
class FileContent(OpenAIView, DocumentFile):
    """The file as it was uploaded."""

"""The documents' part of the API."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_view,
)
from rest_framework import generics, serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from documents.connections import give_connection_back
from documents.exceptions import DocumentUnderWay, FileLost
from documents.highlights import find_highlights
from documents.models import Chunk, Document
from documents.repeats import Repeatable
from documents.search import search
from documents.serializers import (
    EXAMPLE_USER_ID,
    ChunkSerializer,
    DeletionSerializer,
    DocumentSerializer,
    SearchResultsSerializer,
    SearchSerializer,
    UploadSerializer,
    UserQuerySerializer,
    find_documents,
)
from documents.tasks import defer_ingestion
from documents.uploads import accept
from llm.retrieval import Query

USER_ID = OpenApiParameter(
    "user_id",
    OpenApiTypes.UUID,
    description="Whose objects. A user's own key needs none; a service key sees all without it.",
)
UPLOADING = {"POST": ("documents.add_document",)}
CONTENT_TYPES = {"pdf": "application/pdf", "txt": "text/plain"}
EXAMPLE = OpenApiExample(
    "Document",
    value={
        "id": "0199f0c2-a1b2-7d3e-8f4a-5b6c7d8e9f00",
        "user_id": EXAMPLE_USER_ID,
        "name": "annual-report.pdf",
        "kind": "pdf",
        "size": 796040,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "status": "ready",
        "error": None,
        "title": "Annual report",
        "language": "english",
        "page_count": 107,
        "pages_done": 107,
        "chunk_count": 349,
        "token_count": 101220,
        "created_at": "2026-11-24T09:30:00Z",
        "processed_at": "2026-11-24T09:30:02Z",
    },
    response_only=True,
)


class Scoped(Repeatable):
    """A view whose objects are those that its caller may see.

    A subclass says by `resource` and `reads` which right on what its calls need. There is no
    default: a view that does not say so answers nobody.
    """

    resource: str
    # What staff need for a method, where that is not what `resource` and the method say.
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    # Methods that change nothing; some searches are POSTs, for what they search with is long.
    reads = frozenset({"GET", "HEAD", "OPTIONS"})

    @property
    def caller(self) -> Any:
        """Whom the request may act for, as the authentication class found."""
        return self.request.auth

    def user_scope(self) -> UUID | None:
        """The id of the one user whose objects may be seen; None for everyone's."""
        query = UserQuerySerializer(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        scope: UUID | None = self.caller.scope(query.validated_data.get("user_id"))
        return scope

    def counted_user(self) -> UUID | None:
        """The id of the user whose requests this one counts to: the key's owner, or who is named.

        None where nobody is.
        """
        if self.caller.owner is not None:
            owner_id: UUID = self.caller.owner.pk
            return owner_id
        body = self.request.data if self.request.method == "POST" else None
        named = self.request.query_params.get("user_id")
        if named is None and isinstance(body, Mapping):
            named = body.get("user_id")
        try:
            return UUID(named) if isinstance(named, str) else None
        except ValueError:
            return None


@extend_schema_view(
    get=extend_schema(
        operation_id="list_documents",
        summary="List documents, newest first",
        parameters=[USER_ID],
        examples=[EXAMPLE],
    )
)
class DocumentList(Scoped, generics.ListAPIView[Document]):
    """Documents, newest first; upload of a new one."""

    resource = "documents"
    permissions: ClassVar = UPLOADING
    serializer_class = DocumentSerializer
    parser_classes = (MultiPartParser,)

    def get_queryset(self) -> QuerySet[Document]:
        """What the caller may see."""
        queryset: QuerySet[Document] = Document.objects.visible_to(self.user_scope())
        return queryset

    @extend_schema(
        operation_id="upload_document",
        summary="Upload a PDF or text file",
        description=(
            "The file is kept and read by a worker: poll the document until its status is "
            "`ready` or `failed`. The same bytes again answer 200 with the document they became."
        ),
        request={"multipart/form-data": UploadSerializer},
        responses={201: DocumentSerializer, 200: DocumentSerializer},
        examples=[EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Keeps the file and defers its reading."""
        upload = UploadSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        file, kind = upload.validated_data["file"], upload.validated_data["kind"]
        user = self.caller.creating_for(upload.validated_data.get("user_id"))
        document, created = Document.objects.keep(user, file.name, kind, file, accept)
        code = status.HTTP_201_CREATED if created else status.HTTP_200_OK
        headers = {"Location": f"{request.path}/{document.pk}"}
        return Response(DocumentSerializer(document).data, code, headers=headers)


@extend_schema_view(
    get=extend_schema(
        operation_id="get_document",
        summary="One document",
        parameters=[USER_ID],
        examples=[EXAMPLE],
    ),
    delete=extend_schema(
        operation_id="delete_document",
        summary="Delete a document with its file and all that was read from it",
        description=(
            "Answers that cited it keep their quotes, with `document_id` null. With "
            "`quotes=erase` citations and traces lose its words, headings and name too. What the "
            "answers themselves say stays: delete their messages or conversations for that."
        ),
        parameters=[USER_ID, OpenApiParameter("quotes", str, enum=["keep", "erase"])],
    ),
)
class DocumentDetail(Scoped, generics.RetrieveDestroyAPIView[Document]):
    """One document."""

    resource = "documents"
    serializer_class = DocumentSerializer

    def get_queryset(self) -> QuerySet[Document]:
        """What the caller may see."""
        queryset: QuerySet[Document] = Document.objects.visible_to(self.user_scope())
        return queryset

    def perform_destroy(self, instance: Document) -> None:
        """Removes the file too, and quotes where that is asked for."""
        asked = DeletionSerializer(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        document = Document.objects.filter(pk=instance.pk)
        if asked.validated_data["quotes"] == "erase":
            document.remove_with_quotes()
        else:
            document.remove()


@extend_schema_view(
    get=extend_schema(
        operation_id="list_chunks",
        summary="A document's chunks, in reading order",
        parameters=[USER_ID],
        examples=[
            OpenApiExample(
                "Chunk",
                value={
                    "id": "0199f0c2-b7c4-7a51-9d55-0d3f9a2b4c6d",
                    "ordinal": 0,
                    "text": "Net sales rose by four percent in the third quarter …",
                    "token_count": 287,
                    "page_start": 1,
                    "page_end": 2,
                },
                response_only=True,
            )
        ],
    )
)
class ChunkList(Scoped, generics.ListAPIView[Chunk]):
    """The chunks of one document."""

    resource = "documents"
    permissions: ClassVar = {"GET": ("documents.view_document", "documents.view_chunk")}
    serializer_class = ChunkSerializer
    queryset = Chunk.objects.none()

    def get_queryset(self) -> QuerySet[Chunk]:
        """Those of a document that the caller may see, else a 404."""
        documents = Document.objects.visible_to(self.user_scope())
        document: Document = generics.get_object_or_404(documents, pk=self.kwargs["pk"])
        return document.chunks.order_by("ordinal")


class DocumentFile(Scoped, generics.GenericAPIView[Document]):
    """The file as it was uploaded."""

    resource = "documents"
    serializer_class = DocumentSerializer

    def get_queryset(self) -> QuerySet[Document]:
        """What the caller may see."""
        queryset: QuerySet[Document] = Document.objects.visible_to(self.user_scope())
        return queryset

    @extend_schema(
        operation_id="download_document",
        summary="Download the file",
        parameters=[USER_ID],
        responses={(200, kind): OpenApiTypes.BINARY for kind in CONTENT_TYPES.values()},
    )
    def get(self, request: Request, **kwargs: Any) -> FileResponse:
        """Always as a download: a stored file is never shown as a page of ours.

        Its type is what we took it for. Where a browser shows it even so, it can do nothing.
        """
        document = self.get_object()
        give_connection_back()
        try:
            file = document.file.open("rb")
        except FileNotFoundError:
            raise FileLost() from None
        return FileResponse(
            file,
            as_attachment=True,
            filename=document.name,
            content_type=CONTENT_TYPES[document.kind],
            headers={"Content-Security-Policy": "sandbox; default-src 'none'"},
        )


class DocumentReprocess(Scoped, generics.GenericAPIView[Document]):
    """The order to read a document anew."""

    resource = "documents"
    serializer_class = DocumentSerializer

    def get_queryset(self) -> QuerySet[Document]:
        """What the caller may see."""
        queryset: QuerySet[Document] = Document.objects.visible_to(self.user_scope())
        return queryset

    @extend_schema(
        operation_id="reprocess_document",
        summary="Read a document again",
        description=(
            "The document is `pending` again, and is not searched until it is `ready`: its new "
            "chunks replace the old ones, with new ids, in one step. If this reading fails, a "
            "document that was `ready` before is `ready` again with its old chunks, and `error` "
            "says why. Answers that cited it keep their quotes. 409 while it is `pending` or "
            "`processing`."
        ),
        parameters=[USER_ID],
        request=None,
        responses={202: DocumentSerializer},
        examples=[EXAMPLE],
    )
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Defers its reading. Raises DocumentUnderWay."""
        document = self.get_object()
        if not document.read_again(defer_ingestion):
            raise DocumentUnderWay()
        headers = {"Location": request.path.removesuffix("/reprocess")}
        return Response(
            self.get_serializer(document).data, status.HTTP_202_ACCEPTED, headers=headers
        )


SEARCH_EXAMPLES = [
    OpenApiExample(
        "Search",
        value={"user_id": EXAMPLE_USER_ID, "query": "net sales of iPhone", "limit": 5},
        request_only=True,
    ),
    OpenApiExample(
        "Passages",
        value={
            "query": "net sales of iPhone",
            "results": [
                {
                    "chunk_id": "0199f0c2-b7c4-7a51-9d55-0d3f9a2b4c6d",
                    "document_id": "0199f0c2-a1b2-7d3e-8f4a-5b6c7d8e9f00",
                    "document_name": "annual-report.pdf",
                    "page_start": 24,
                    "page_end": 24,
                    "section": "Products and Services Performance",
                    "score": 11.7,
                    "text": "Net sales of iPhone fell in 2019 …",
                    "highlights": [[0, 3], [4, 9], [13, 19]],
                }
            ],
        },
        response_only=True,
    ),
]


class DocumentSearch(Scoped):
    """Search without a conversation."""

    resource = "documents"
    reads = Scoped.reads | {"POST"}

    @extend_schema(
        operation_id="search",
        summary="Search documents for passages",
        description=(
            "The passages that a grounded conversation would answer from, best first, without an "
            "answer. Documents that are not `ready` are not searched. Keeps nothing."
        ),
        request=SearchSerializer,
        responses=SearchResultsSerializer,
        examples=SEARCH_EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        """Four queries, however much is found."""
        asked = SearchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        text, limit = asked.validated_data["query"], asked.validated_data["limit"]
        query = Query(((text, 1.0),))
        ids = self._document_ids(asked.validated_data)
        passages = search([query], ids, limit).passages
        highlights = find_highlights(query, passages)
        found = [
            {**asdict(passage), "highlights": spans}
            for passage, spans in zip(passages, highlights, strict=True)
        ]
        return Response(SearchResultsSerializer({"query": text, "results": found}).data)

    def _document_ids(self, asked: dict[str, Any]) -> list[UUID]:
        """Where to search. Raises ValidationError for an unnamed user or others' documents."""
        user_id = self.caller.scope(asked.get("user_id"))
        if user_id is None:
            raise serializers.ValidationError({"user_id": ["Say whose documents to search."]})
        if asked["document_ids"]:
            return [document.pk for document in find_documents(user_id, asked["document_ids"])]
        return list(Document.objects.visible_to(user_id).ready().values_list("pk", flat=True))

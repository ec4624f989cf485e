"""The text of a document's pages, which citations point into."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from documents.models import Document, Page
from documents.views import USER_ID, Scoped

EXAMPLE = OpenApiExample(
    "Page",
    value={
        "document_id": "0199f0c2-a1b2-7d3e-8f4a-5b6c7d8e9f00",
        "document_name": "annual-report.pdf",
        "number": 24,
        "page_count": 107,
        "text": "Products and Services Performance\n2019 Change 2018 Change 2017\n…",
    },
    response_only=True,
)


class PageSerializer(serializers.Serializer[Any]):
    """One page as it was read."""

    document_id = serializers.UUIDField()
    document_name = serializers.CharField(source="document.name")
    number = serializers.IntegerField(help_text="From 1.")
    page_count = serializers.IntegerField(
        source="document.page_count", help_text="Pages of the document."
    )
    text = serializers.CharField(
        help_text="What `char_start` and `char_end` of citations count in, by code points."
    )


class PageDetail(Scoped):
    """One page of a document."""

    resource = "documents"

    @extend_schema(
        operation_id="get_page",
        summary="The text of one page",
        description=(
            "As it was read last. A citation's quote stands at its `char_start` to `char_end`, "
            "unless the document was read anew since."
        ),
        parameters=[USER_ID],
        responses=PageSerializer,
        examples=[EXAMPLE],
    )
    def get(self, request: Request, pk: UUID, number: int) -> Response:
        """One query."""
        documents = Document.objects.visible_to(self.user_scope())
        pages = Page.objects.filter(document__in=documents).select_related("document")
        page: Page = get_object_or_404(pages, document_id=pk, number=number)
        return Response(PageSerializer(page).data)

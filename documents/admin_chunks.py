"""Chunks in the admin: those of one document, or the first of all."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from documents.admin_lists import LongList, ReadOnly
from documents.admin_pages import page_address
from documents.models import Chunk, Document
from documents.ownership import as_uuid

OF_DOCUMENT = "document__id__exact"
DOCUMENTS_SEARCHED = 1_000


@admin.register(Chunk)
class ChunkAdmin(LongList, ReadOnly, admin.ModelAdmin[Chunk]):
    """Chunks with their places; a document's own list searches its text."""

    list_display = ("ordinal", "source", "places", "section", "token_count", "beginning")
    list_select_related = ("document",)
    sortable_by = ()
    search_fields = ("text",)
    search_help_text = "Words of the text, within one document; else of the document's name."
    ordering: ClassVar = ["document", "ordinal"]
    fields = ("source", "ordinal", "places", "section", "token_count", "text")

    class Media:
        css: ClassVar = {"all": ["documents/document.css"]}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: the posting lists count on every chunk. Documents go as a whole."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Says whose chunks they are, and leads back there."""
        document = _document_of(request)
        named = {"title": f"Chunks of {document.name}", "document": document} if document else {}
        return super().changelist_view(request, {**named, **(extra_context or {})})

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Without the document where it is the same for all."""
        shown = super().get_list_display(request)
        return [one for one in shown if one != "source" or OF_DOCUMENT not in request.GET]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Chunk], search_term: str
    ) -> tuple[QuerySet[Chunk], bool]:
        """No search reads the text of every document."""
        if not search_term:
            return queryset, False
        if OF_DOCUMENT in request.GET:
            return queryset.filter(text__icontains=search_term), False
        named = Document.objects.filter(name__icontains=search_term)
        newest = list(named.values_list("pk", flat=True)[:DOCUMENTS_SEARCHED])
        return queryset.filter(document__in=newest), False

    @admin.display(description="document")
    def source(self, chunk: Chunk) -> SafeString:
        """A link to the document."""
        address = reverse("admin:documents_document_change", args=[chunk.document_id])
        return format_html('<a href="{}">{}</a>', address, chunk.document.name)

    @admin.display(description="page, characters")
    def places(self, chunk: Chunk) -> SafeString:
        """Links to its pages, with the chunk marked there."""
        return place_links(chunk)

    @admin.display
    def beginning(self, chunk: Chunk) -> str:
        """The first words."""
        return chunk.text[:120]


def place_links(chunk: Chunk) -> SafeString:
    """A link for each page that the chunk stands on, where it is marked."""
    places = [
        (page_address(chunk.document_id, one), one.page, one.start, one.end)
        for one in chunk.stretches()
    ]
    text = '<span class="place"><a href="{}">page {}</a>, {}-{}</span>'
    return format_html_join(" ", text, places)


def chunks_address(document: Document) -> str:
    """Where the chunks of a document are listed."""
    return f"{reverse('admin:documents_chunk_changelist')}?{OF_DOCUMENT}={document.pk}"


def _document_of(request: HttpRequest) -> Document | None:
    """The document that the list is narrowed to."""
    pk = as_uuid(request.GET.get(OF_DOCUMENT, ""))
    found: Document | None = Document.objects.filter(pk=pk).first() if pk else None
    return found

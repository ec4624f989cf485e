"""Documents and their chunks in the admin."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from documents.models import Chunk, Document

CHUNKS_SHOWN = 20


class ReadOnly:
    """Rows that the product writes and staff only read."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: they come from ingestion."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


@admin.register(Document)
class DocumentAdmin(ReadOnly, admin.ModelAdmin[Document]):
    """Documents with status, sizes, first chunks, and the conversations that use them."""

    list_display = (
        "name",
        "user",
        "kind",
        "status",
        "progress",
        "chunk_count",
        "conversations",
        "created_at",
    )
    list_filter = ("status", "kind", "language", "created_at")
    list_select_related = ("user",)
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("name", "title", "id", "user__username", "sha256")
    fieldsets = (
        (None, {"fields": ("name", "title", "user", "kind", "file_size", "sha256")}),
        ("Reading", {"fields": ("status", "progress", "error_code", "error", "language")}),
        ("Size", {"fields": ("chunk_count", "token_count", "term_count")}),
        ("Dates", {"fields": ("created_at", "processed_at")}),
        ("Used by", {"fields": ("used_by",)}),
        ("Text", {"fields": ("first_chunks",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        """With the number of conversations in the one query."""
        return super().get_queryset(request).annotate(conversation_count=Count("conversations"))

    def delete_model(self, request: HttpRequest, obj: Document) -> None:
        """Removes the file too."""
        obj.remove()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        """Removes the files too."""
        for document in queryset:
            document.remove()

    @admin.display(description="size", ordering="size")
    def file_size(self, document: Document) -> str:
        """In KB or MB."""
        return filesizeformat(document.size)

    @admin.display(description="pages")
    def progress(self, document: Document) -> str:
        """Pages read, of all."""
        if document.status == Document.Status.READY:
            return str(document.page_count)
        return f"{document.pages_done} of {document.page_count or '?'}"

    @admin.display(ordering="conversation_count")
    def conversations(self, document: Any) -> int:
        """How many conversations use it."""
        return int(document.conversation_count)

    @admin.display(description="conversations")
    def used_by(self, document: Any) -> SafeString | str:
        """Links to the newest ones."""
        newest = document.conversations.order_by("-id")[:CHUNKS_SHOWN]
        links = [
            (reverse("admin:conversations_conversation_change", args=[one.pk]), str(one))
            for one in newest
        ]
        return format_html_join("", '<div><a href="{}">{}</a></div>', links) or "none"

    @admin.display(description="first chunks")
    def first_chunks(self, document: Document) -> SafeString | str:
        """The first chunks, and where all of them are."""
        rows = [
            (chunk.ordinal, _pages(chunk), chunk.text)
            for chunk in document.chunks.order_by("ordinal")[:CHUNKS_SHOWN]
        ]
        row = (
            '<details><summary>{}, {}</summary><div style="white-space:pre-wrap">{}</div></details>'
        )
        address = reverse("admin:documents_chunk_changelist")
        link = format_html('<a href="{}?document__id__exact={}">all</a>', address, document.pk)
        return format_html("{}{}", format_html_join("", row, rows), link) if rows else "none"


@admin.register(Chunk)
class ChunkAdmin(ReadOnly, admin.ModelAdmin[Chunk]):
    """Chunks, found by their document."""

    list_display = ("ordinal", "document", "pages", "token_count", "beginning")
    list_select_related = ("document",)
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("document__name",)
    ordering: ClassVar = ["document", "ordinal"]
    fields = ("document", "ordinal", "pages", "token_count", "text")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Documents link here with their id."""
        return lookup == "document__id__exact" or super().lookup_allowed(lookup, value, request)

    @admin.display
    def pages(self, chunk: Chunk) -> str:
        """`page 3` or `pages 3-4`."""
        return _pages(chunk)

    @admin.display
    def beginning(self, chunk: Chunk) -> str:
        """The first words."""
        return chunk.text[:120]


def _pages(chunk: Chunk) -> str:
    if chunk.page_start == chunk.page_end:
        return f"page {chunk.page_start}"
    return f"pages {chunk.page_start}-{chunk.page_end}"

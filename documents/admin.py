"""Documents and their chunks in the admin."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from documents.models import Chunk, Document
from documents.playground import playground
from documents.tasks import defer_ingestion

CHUNKS_SHOWN = 20
USED_BY = "Those that chose it. A grounded conversation that chose none searches all its user has."


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
        "owner",
        "outcome",
        "progress",
        "chunk_count",
        "created_at",
    )
    list_filter = ("status", "kind", "language", "created_at")
    list_select_related = ("user",)
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("name", "title", "id", "user__username", "sha256")
    actions = ("reprocess",)
    fieldsets = (
        (None, {"fields": ("name", "id", "title", "user", "kind", "file_size", "sha256")}),
        ("Reading", {"fields": ("status", "progress", "error_code", "error", "language")}),
        ("Size", {"fields": ("chunk_count", "token_count")}),
        ("Dates", {"fields": ("created_at", "processed_at")}),
        ("Used by", {"fields": ("used_by",), "description": USED_BY}),
        ("Text", {"fields": ("first_chunks",)}),
    )

    class Media:
        css: ClassVar = {"all": ["documents/document.css"]}

    def get_urls(self) -> list[URLPattern]:
        """With the search playground."""
        view = self.admin_site.admin_view(playground)
        extra = {"model_admin": self}
        return [path("search/", view, extra, name="documents_search"), *super().get_urls()]

    def delete_model(self, request: HttpRequest, obj: Document) -> None:
        """Removes the file too."""
        obj.remove()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        """Removes the files too."""
        Document.objects.filter(pk__in=queryset.values("pk")).remove()

    def get_deleted_objects(
        self, objs: Sequence[Document] | QuerySet[Document], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """The documents alone: what goes with each is thousands of rows."""
        return [str(document) for document in objs], {"documents": len(objs)}, set(), []

    def has_reprocess_permission(self, request: HttpRequest) -> bool:
        """For staff who may change documents, though only so."""
        return request.user.has_perm("documents.change_document")

    @admin.action(description="Reprocess", permissions=["reprocess"])
    def reprocess(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        """Has them read again; those under way are left alone."""
        deferred = sum(document.read_again(defer_ingestion) for document in queryset)
        under_way = len(queryset) - deferred
        text = f"{deferred} documents will be read again"
        text += f"; {under_way} are being read already." if under_way else "."
        self.message_user(request, text, messages.WARNING if under_way else messages.SUCCESS)

    @admin.display(ordering="user")
    def owner(self, document: Document) -> SafeString:
        """A link to the user."""
        return user_link(document.user)

    @admin.display(description="status", ordering="status")
    def outcome(self, document: Document) -> str:
        """The status, with the reason of a failure."""
        label = document.get_status_display()
        return f"{label}: {document.error_code}" if document.error_code else label

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
        row = '<details><summary>chunk {}, {}</summary><div class="chunk">{}</div></details>'
        address = reverse("admin:documents_chunk_changelist")
        link = format_html(
            '<a href="{}?document__id__exact={}">all {} chunks</a>',
            address,
            document.pk,
            document.chunk_count,
        )
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

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: the posting lists count on every chunk. Documents go as a whole."""
        return False

    @admin.display
    def pages(self, chunk: Chunk) -> str:
        """`page 3` or `pages 3-4`."""
        return _pages(chunk)

    @admin.display
    def beginning(self, chunk: Chunk) -> str:
        """The first words."""
        return chunk.text[:120]


def user_link(user: Any) -> SafeString:
    """A link to the user; the UUID that names most of them is cut to its beginning."""
    name = str(user)
    address = reverse("admin:accounts_user_change", args=[user.pk])
    short = name if len(name) < len(str(user.pk)) else f"{name[:8]}…"
    return format_html('<a href="{}" title="{}">{}</a>', address, name, short)


def _pages(chunk: Chunk) -> str:
    if chunk.page_start == chunk.page_end:
        return f"page {chunk.page_start}"
    return f"pages {chunk.page_start}-{chunk.page_end}"

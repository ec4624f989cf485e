"""Documents in the admin: what became of them, their text, and what staff can do about it."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from documents import admin_chunks, admin_jobs, admin_pages, admin_progress, admin_uploads
from documents.admin_lists import LongList
from documents.admin_lists import ReadOnly as ReadOnly
from documents.models import Document
from documents.ownership import as_uuid, user_called
from documents.playground import playground
from documents.tasks import defer_ingestion

__all__ = ["DocumentAdmin", "ReadOnly", "admin_chunks", "admin_jobs", "user_link"]

CHUNKS_SHOWN = 20
HEX_OF_SHA256 = 64
USED_BY = "Those that chose it. A grounded conversation that chose none searches all its user has."


@admin.register(Document)
class DocumentAdmin(LongList, ReadOnly, admin.ModelAdmin[Document]):
    """Documents with status, sizes, first chunks, and the conversations that use them."""

    list_display = ("name", "outcome", "progress", "file_size", "owner", "uploaded")
    list_filter = ("status", "kind", "created_at")
    list_select_related = ("user",)
    sortable_by = ("uploaded",)
    search_fields = ("name", "title")
    search_help_text = (
        "Words of the file's name or title; or the whole id or SHA-256 of a document, or the id "
        "or name of its user."
    )
    actions = ("reprocess",)
    fieldsets = (
        (None, {"fields": ("name", "id", "title", "user", "kind", "file_size", "sha256")}),
        ("Reading", {"fields": ("outcome", "progress", "language")}),
        ("Size", {"fields": ("chunk_count", "token_count")}),
        ("Dates", {"fields": ("created_at", "processed_at")}),
        ("Used by", {"fields": ("used_by",), "description": USED_BY}),
        ("Text", {"fields": ("first_chunks",)}),
    )

    class Media:
        css: ClassVar = {"all": ["documents/document.css"]}
        js: ClassVar = [Script("documents/progress.js", type="module")]

    def get_urls(self) -> list[URLPattern]:
        """With the search playground, the pages, and what the buttons and scripts call."""
        of_one = "<uuid:document_id>"
        views: list[tuple[str, Any, str]] = [
            ("search/", playground, "documents_search"),
            ("progress/", admin_progress.progress, "documents_document_progress"),
            (f"{of_one}/pages/", admin_pages.find_page, "documents_document_pages"),
            (f"{of_one}/pages/<int:number>/", admin_pages.show_page, "documents_document_page"),
            (f"{of_one}/reprocess/", reprocess_one, "documents_document_reprocess"),
        ]
        own = [
            path(route, self.admin_site.admin_view(view), {"model_admin": self}, name=name)
            for route, view, name in views
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For staff who may add documents, which they do by upload."""
        return request.user.has_perm("documents.add_document")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The upload, in the place of a form for every field."""
        return admin_uploads.upload(request, model_admin=self)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Tells the buttons what may be done."""
        context["may_reprocess"] = self.has_reprocess_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Document], search_term: str
    ) -> tuple[QuerySet[Document], bool]:
        """By what has an index where the term can be that, else by name and title."""
        if not search_term:
            return queryset, False
        if pk := as_uuid(search_term):
            return queryset.filter(Q(pk=pk) | Q(user=pk)), False
        if len(search_term) == HEX_OF_SHA256:
            return queryset.filter(sha256=search_term.lower()), False
        found = Q(name__icontains=search_term) | Q(title__icontains=search_term)
        if user := user_called(search_term):
            found |= Q(user=user)
        return queryset.filter(found), False

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

    @admin.action(description="Retry or reprocess: read again", permissions=["reprocess"])
    def reprocess(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        """Has them read again; those under way are left alone."""
        documents = list(queryset)
        deferred = [one for one in documents if one.read_again(defer_ingestion)]
        by: Any = request.user.pk
        LogEntry.objects.log_actions(by, deferred, CHANGE, "Reprocessed.")
        under_way = len(documents) - len(deferred)
        noun = "document" if len(deferred) == 1 else "documents"
        text = f"{len(deferred)} {noun} will be read again"
        text += f"; {under_way} being read already." if under_way else "."
        self.message_user(request, text, messages.WARNING if under_way else messages.SUCCESS)

    @admin.display
    def owner(self, document: Document) -> SafeString:
        """A link to the user."""
        return user_link(document.user)

    @admin.display(description="status")
    def outcome(self, document: Document) -> SafeString:
        """The status, with the reason of a failure."""
        return admin_progress.status_cell(document)

    @admin.display(description="size")
    def file_size(self, document: Document) -> str:
        """In KB or MB."""
        return filesizeformat(document.size)

    @admin.display(description="pages, chunks")
    def progress(self, document: Document) -> SafeString:
        """Pages read, of all; and the chunks they became."""
        return admin_progress.pages_cell(document)

    @admin.display(ordering="id", description="uploaded")
    def uploaded(self, document: Document) -> str:
        """When it came; ids grow with time and have an index."""
        return f"{document.created_at:%Y-%m-%d}"

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
            (chunk.ordinal, admin_chunks.place_links(chunk), chunk.text)
            for chunk in document.chunks.order_by("ordinal")[:CHUNKS_SHOWN]
        ]
        row = '<details><summary>chunk {}: {}</summary><div class="chunk">{}</div></details>'
        address = admin_chunks.chunks_address(document)
        link = format_html('<a href="{}">all {} chunks</a>', address, document.chunk_count)
        return format_html("{}{}", format_html_join("", row, rows), link) if rows else "none"


@require_POST
def reprocess_one(request: HttpRequest, document_id: Any, *, model_admin: Any) -> HttpResponse:
    """The button of a document: has it read again."""
    if not model_admin.has_reprocess_permission(request):
        raise PermissionDenied
    document = get_object_or_404(Document, pk=document_id)
    model_admin.reprocess(request, Document.objects.filter(pk=document.pk))
    address = reverse("admin:documents_document_change", args=[document.pk])
    return HttpResponseRedirect(address)


def user_link(user: Any) -> SafeString:
    """A link to the user; the UUID that names most of them is cut to its beginning."""
    name = str(user)
    address = reverse("admin:accounts_user_change", args=[user.pk])
    short = name if len(name) < len(str(user.pk)) else f"{name[:8]}…"
    return format_html('<a href="{}" title="{}">{}</a>', address, name, short)

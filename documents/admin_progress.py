"""How far the reading of documents is, on the pages of the admin and kept up to date there."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from documents.models import Document
from documents.ownership import as_uuid

ASKED_AT_ONCE = 200
UNFINISHED = (Document.Status.PENDING, Document.Status.PROCESSING)


def status_cell(document: Document) -> SafeString:
    """The status, with the reason of a failure; `progress.js` keeps it up to date."""
    seen = _seen(document)
    watched = SafeString("")
    if not seen["finished"]:
        watched = format_html(
            ' data-reading="{}" data-address="{}"',
            document.pk,
            reverse("admin:documents_document_progress"),
        )
    return format_html(
        '<div class="reading is-{}"{}><span class="label">{}</span>'
        '<span class="reason">{}</span></div>',
        document.status,
        watched,
        seen["label"],
        seen["reason"],
    )


def pages_cell(document: Document) -> SafeString:
    """Pages read, of all, with a bar while it is read; and the chunks they became."""
    seen = _seen(document)
    if seen["finished"]:
        return format_html("{}", seen["pages"])
    return format_html(
        '<div class="reading" data-reading-pages="{}"><progress max="{}" value="{}"></progress> '
        "<span>{}</span></div>",
        document.pk,
        seen["total"] or 1,
        seen["done"],
        seen["pages"],
    )


def progress(request: HttpRequest, *, model_admin: admin.ModelAdmin[Document]) -> JsonResponse:
    """How the documents of `?id=…&id=…` stand; those that are gone are left out. One query."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    ids = filter(None, map(as_uuid, request.GET.getlist("id")[:ASKED_AT_ONCE]))
    documents = Document.objects.filter(pk__in=list(ids)).defer("name_terms")
    response = JsonResponse({"documents": {str(one.pk): _seen(one) for one in documents}})
    response.headers["Cache-Control"] = "no-store"
    return response


def _seen(document: Document) -> dict[str, Any]:
    finished = document.status not in UNFINISHED
    label, of = document.get_status_display(), document.page_count or "?"
    if document.error_code:
        has_text = document.status == Document.Status.READY
        label += ", but not read anew" if has_text else ""
        label = f"{label}: {document.error_code}"
    pages = f"{document.pages_done} of {of} pages"
    if document.status == Document.Status.READY:
        counts = ((document.page_count, "page"), (document.chunk_count, "chunk"))
        pages = ", ".join(f"{number} {noun}{pluralize(number)}" for number, noun in counts)
    return {
        "status": document.status,
        "label": label,
        "reason": document.error,
        "finished": finished,
        "done": document.pages_done,
        "total": document.page_count,
        "pages": pages,
    }

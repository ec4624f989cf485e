"""The text of a document's pages in the admin, where citations and chunks lead to."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode

from documents.models import Document, Page
from llm.passages import Stretch

# A text file may be one page of megabytes, which no browser shows gladly.
CHARS_SHOWN = 50_000
# So much stands before what is marked on such a page.
CHARS_BEFORE = 5_000
# PostgreSQL's largest integer: no page has a higher number.
LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A page's text, or the part of it around what is marked."""

    before: str
    marked: str
    after: str
    left_out_before: int
    left_out_after: int


def page_address(document_id: UUID, place: Stretch) -> str:
    """Where a page is shown with a part of it marked."""
    address = reverse("admin:documents_document_page", args=[document_id, place.page])
    return f"{address}?{urlencode({'from': place.start, 'to': place.end})}"


def mark(text: str, start: int, end: int) -> MarkedText:
    """The text with what stands from `start` to `end` marked, as far as it is there."""
    length = len(text)
    start = min(max(0, start), length)
    end = min(max(start, end), length)
    first = 0 if length <= CHARS_SHOWN else max(0, min(start - CHARS_BEFORE, length - CHARS_SHOWN))
    last = min(length, first + CHARS_SHOWN)
    return MarkedText(
        before=text[first:start],
        marked=text[start : min(end, last)],
        after=text[min(end, last) : last],
        left_out_before=first,
        left_out_after=length - last,
    )


def show_page(
    request: HttpRequest,
    document_id: UUID,
    number: int,
    *,
    model_admin: admin.ModelAdmin[Document],
) -> HttpResponse:
    """One page; `?from=START&to=END` marks these characters of it. Needs no script."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    document: Document = get_object_or_404(Document, pk=document_id)
    page = None
    if number <= LARGEST:
        page = Page.objects.filter(document=document, number=number).first()
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "title": f"Page {number}",
        "subtitle": document.name,
        "opts": Document._meta,
        "document": document,
        "number": number,
        "previous": number - 1 if 1 < number <= document.page_count else None,
        "next": number + 1 if 0 < number < document.page_count else None,
        "missing": page is None,
    }
    if page is not None:
        start, end = _asked(request, "from"), _asked(request, "to")
        context["text"] = mark(page.text, start, end)
        context["characters"] = len(page.text)
        context["nothing_there"] = end > start >= len(page.text)
    return render(request, "documents/page.html", context, status=404 if page is None else 200)


def find_page(
    request: HttpRequest, document_id: UUID, *, model_admin: admin.ModelAdmin[Document]
) -> HttpResponse:
    """Leads to the page of the number that was typed in; to the first where it is none."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    number = _asked(request, "number")
    address = reverse("admin:documents_document_page", args=[document_id, number or 1])
    return HttpResponseRedirect(address)


def _asked(request: HttpRequest, name: str) -> int:
    """A number of the query string; 0 where it is none, or none that can be."""
    text = request.GET.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST))):
        return 0
    return int(text)

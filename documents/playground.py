"""The search playground of the admin: what a query finds, and why it ranks as it does."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from documents.admin_pages import page_address
from documents.highlights import Span, find_highlights
from documents.models import Document
from documents.ownership import as_uuid, user_called
from documents.search import explain, search
from llm.passages import Passage, stretches
from llm.retrieval import QUERY_CHARS, Query, TermScore

DOCUMENTS_OFFERED = 200
RESULTS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Row:
    """A passage with its words marked, and what each term adds to its score."""

    passage: Passage
    text: SafeString
    terms: Sequence[TermScore]

    @property
    def places(self) -> list[tuple[int, str]]:
        """Each page that the passage stands on, and where it is shown with the passage marked."""
        passage = self.passage
        return [
            (one.page, page_address(passage.document_id, one))
            for one in stretches(
                passage.text, passage.page_start, passage.char_start, passage.page_breaks
            )
        ]

    @property
    def total(self) -> float:
        """What the terms add up to."""
        return sum(term.score for term in self.terms)


class PlaygroundForm(forms.Form):
    """What to search for, and where. The documents of a user can be chosen once one is named."""

    query = forms.CharField(
        label="Question",
        max_length=QUERY_CHARS,
        help_text="As somebody would ask it.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    user = forms.CharField(
        label="Owner",
        required=False,
        help_text="Whose documents are searched: the id or name of a user.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    documents = forms.TypedMultipleChoiceField(
        coerce=UUID, required=False, help_text="None chosen: all that can be searched."
    )
    limit = forms.IntegerField(label="Passages", min_value=1, max_value=RESULTS_AT_ONCE, initial=10)

    def __init__(self, given: QueryDict) -> None:
        chosen = _uuids(given.getlist("documents"))
        self.owner = _owner(given.get("user", ""), chosen)
        initial = {"user": self.owner and self.owner.username, "documents": chosen}
        super().__init__(given if "query" in given else None, initial=initial)
        if self.owner is None:
            del self.fields["documents"]
        else:
            self.fields["documents"].choices = _offered(self.owner, chosen)  # type: ignore[attr-defined]

    def clean_user(self) -> str:
        """Raises ValidationError where nobody is named who exists."""
        named: str = self.cleaned_data["user"]
        if self.owner is None:
            text = "There is no such user." if named else "Say whose documents to search."
            raise forms.ValidationError(text)
        return named

    def searched(self) -> list[UUID]:
        """The documents to search."""
        chosen: list[UUID] = self.cleaned_data["documents"]
        if chosen:
            return chosen
        return list(Document.objects.filter(user=self.owner).ready().values_list("pk", flat=True))


def playground(request: HttpRequest, model_admin: admin.ModelAdmin[Document]) -> HttpResponse:
    """The page; a search is an address, so that it can be kept and sent. Needs no script."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    form = PlaygroundForm(request.GET)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Search playground",
        "opts": Document._meta,
        "form": form,
    }
    if form.is_valid():
        context |= _found(form)
    return render(request, "documents/playground.html", context)


def _found(form: PlaygroundForm) -> dict[str, Any]:
    text, ids = form.cleaned_data["query"], form.searched()
    query = Query(((text, 1.0),))
    started = time.perf_counter()
    passages = search([query], ids, form.cleaned_data["limit"]).passages
    milliseconds = (time.perf_counter() - started) * 1000
    highlights = find_highlights(query, passages)
    terms = explain(query, ids, passages)
    rows = [
        Row(passage, _marked(passage.text, spans), terms.get(passage.chunk_id, []))
        for passage, spans in zip(passages, highlights, strict=True)
    ]
    return {"rows": rows, "searched": len(ids), "milliseconds": milliseconds}


def _marked(text: str, spans: Sequence[Span]) -> SafeString:
    """The text, escaped, with the spans marked."""
    pieces: list[str] = []
    done = 0
    for start, end in spans:
        pieces += [
            conditional_escape(text[done:start]),
            format_html("<mark>{}</mark>", text[start:end]),
        ]
        done = end
    return mark_safe("".join([*pieces, conditional_escape(text[done:])]))  # noqa: S308 - escaped


def _owner(named: str, chosen: Sequence[UUID]) -> Any:
    """The user named, else whose the first document is; None where there is none."""
    if named.strip():
        return user_called(named)
    return get_user_model().objects.filter(documents__in=chosen[:1]).first()


def _offered(owner: Any, chosen: Sequence[UUID]) -> list[tuple[UUID, str]]:
    """The newest documents of a user, and those chosen already."""
    documents = Document.objects.filter(user=owner).ready()
    newest = documents.values("pk")[:DOCUMENTS_OFFERED]
    offered = documents.filter(Q(pk__in=newest) | Q(pk__in=chosen))
    return list(offered.values_list("pk", "name"))


def _uuids(texts: Sequence[str]) -> list[UUID]:
    """Those of the texts that are UUIDs."""
    return [pk for pk in map(as_uuid, texts) if pk]

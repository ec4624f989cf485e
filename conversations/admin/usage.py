"""What models were paid for, in the admin: call by call, and by user."""

import csv
from datetime import date, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString

from conversations.admin.lists import ModelFilter, Newest, OfUser, by, user_id_of
from conversations.models import UsageEntry
from conversations.usage_serializers import MOST_DAYS
from documents.admin import user_link
from documents.admin_lists import ReadOnly

# Adding up takes about half a second for each million calls.
DAYS_UNLESS_TOLD = 7
USERS_A_PAGE = 50
MOST_PAGES = 10_000
# Users in one file, those who cost most.
USERS_IN_FILE = 50_000
SUMS = (
    "calls",
    "answers",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "total_tokens",
    "cost_usd",
)
# What spreadsheets take for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class DaysForm(forms.Form):
    """Which days, whose, and which page."""

    first = forms.DateField(
        required=False, label="From", widget=forms.DateInput(attrs={"type": "date"})
    )
    last = forms.DateField(
        required=False, label="To", widget=forms.DateInput(attrs={"type": "date"})
    )
    user = forms.CharField(
        required=False, label="User", widget=forms.TextInput(attrs={"placeholder": "Id or name"})
    )
    page = forms.IntegerField(
        required=False, min_value=1, max_value=MOST_PAGES, widget=forms.HiddenInput
    )

    def clean(self) -> dict[str, Any]:
        """Adds the days that were left out. Raises ValidationError."""
        told: dict[str, Any] = super().clean() or {}
        last: date = told.get("last") or timezone.now().date()
        if not 2000 < last.year < 3000:
            raise forms.ValidationError("Give days from 2001-01-01 to 2999-12-31.")
        first = told.get("first") or last - timedelta(days=DAYS_UNLESS_TOLD - 1)
        if first > last:
            raise forms.ValidationError("The first day is after the last.")
        if (last - first).days >= MOST_DAYS:
            raise forms.ValidationError(f"Ask for {MOST_DAYS} days at most.")
        return told | {"first": first, "last": last}


@admin.register(UsageEntry)
class UsageEntryAdmin(ReadOnly, Newest, admin.ModelAdmin[UsageEntry]):
    """Calls of models, the newest first."""

    list_display = (
        "created_at",
        "owner",
        "purpose",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "cost_usd",
        "estimated",
    )
    list_filter = (OfUser, "created_at", by("purpose", UsageEntry.Purpose.choices), ModelFilter)
    list_select_related = ("user",)
    # As the indexes have it.
    ordering = ("-created_at",)

    def get_urls(self) -> list[URLPattern]:
        """With usage by user."""
        page = self.admin_site.admin_view(self.by_user)
        file = self.admin_site.admin_view(self.by_user_as_csv)
        return [
            path("by-user/", page, name="conversations_usage_by_user"),
            path("by-user.csv", file, name="conversations_usage_by_user_csv"),
            *super().get_urls(),
        ]

    def by_user(self, request: HttpRequest) -> HttpResponse:
        """A page of users, those who cost most first."""
        form = self._asked(request)
        rows, more, page, told = [], False, 1, None
        if form.is_valid():
            page = form.cleaned_data["page"] or 1
            start = (page - 1) * USERS_A_PAGE
            rows = _named(_rows(form)[start : start + USERS_A_PAGE + 1])
            rows, more = rows[:USERS_A_PAGE], len(rows) > USERS_A_PAGE
            told = form.cleaned_data
        context = {
            **self.admin_site.each_context(request),
            "title": "Usage by user",
            "opts": self.opts,
            "media": self.media,
            # With the days that were left out.
            "form": DaysForm(initial=told) if told else form,
            "days": told,
            "rows": rows,
            "page": page,
            "more": more,
        }
        return TemplateResponse(request, "conversations/usage_by_user.html", context)

    def by_user_as_csv(self, request: HttpRequest) -> HttpResponse:
        """The same as a file, with the first USERS_IN_FILE users. 400 for days that cannot be."""
        form = self._asked(request)
        if not form.is_valid():
            return HttpResponse(form.errors.as_text(), "text/plain; charset=utf-8", status=400)
        told = form.cleaned_data
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        name = f"usage-{told['first']}-{told['last']}.csv"
        response.headers["Content-Disposition"] = content_disposition_header(True, name)
        file = csv.writer(response)
        file.writerow(["user_id", "user", *SUMS])
        for row in _named(_rows(form)[:USERS_IN_FILE]):
            user = _no_formula(row["user"].username) if row["user"] else ""
            file.writerow([row["user_id"] or "", user, *(row[name] for name in SUMS)])
        return response

    def _asked(self, request: HttpRequest) -> DaysForm:
        """What the address asks for. Raises PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return DaysForm(request.GET)

    @admin.display
    def owner(self, entry: UsageEntry) -> SafeString | str:
        """A link to the user."""
        return user_link(entry.user) if entry.user else "forgotten"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: budgets rest on them."""
        return False


def _rows(form: DaysForm) -> Any:
    """Sums by user, for the days of a form that is valid."""
    told = form.cleaned_data
    entries = UsageEntry.objects.on_days(told["first"], told["last"])
    if named := told["user"].strip():
        user_id = user_id_of(named)
        entries = entries.none() if user_id is None else entries.filter(user_id=user_id)
    return entries.grouped(["user"])


def _named(rows: Any) -> list[dict[str, Any]]:
    """The rows with their users, who may be forgotten; two queries."""
    found = list(rows)
    ids = [row["user_id"] for row in found if row["user_id"]]
    users = get_user_model().objects.in_bulk(ids)
    return [row | {"user": users.get(row["user_id"])} for row in found]


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text

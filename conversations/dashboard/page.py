"""The dashboard's page, and its key figures for the admin's index. Neither needs a script."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from conversations.dashboard.figures import FIRST, PERIODS, Figures, figures
from conversations.dashboard.sections import SECTIONS, KeyFigure, key_figures

# Hours are counted every half minute.
STALE = timedelta(minutes=3)


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """Plots of a period, each for staff who may see what it counts."""
    allowed = permissions(request.user)
    if not allowed:
        raise PermissionDenied
    found = figures(PERIODS.get(request.GET.get("period", ""), FIRST), timezone.now())
    sections = [
        (section.title, section.now(), section.plots(found))
        for section in SECTIONS
        if section.permission in allowed
    ]
    context = {
        **admin.site.each_context(request),
        "title": "Dashboard",
        "periods": PERIODS.values(),
        "figures": found,
        "stale": is_stale(found),
        "sections": sections,
    }
    return render(request, "conversations/dashboard.html", context)


def permissions(user: Any) -> set[str]:
    """Those of the sections that the user has."""
    return {section.permission for section in SECTIONS if user.has_perm(section.permission)}


def for_index(user: Any) -> list[KeyFigure]:
    """Of the last 24 hours; none for staff who may see nothing of it."""
    if not (allowed := permissions(user)):
        return []
    return key_figures(figures(FIRST, timezone.now()), allowed)


def is_stale(found: Figures) -> bool:
    """Whether nothing was counted lately, because no worker runs."""
    return found.counted_at is None or timezone.now() - found.counted_at > STALE

"""The dashboard on pages of the admin."""

from typing import Any

from django import template

from conversations.dashboard.page import for_index

register = template.Library()


@register.inclusion_tag("conversations/key_figures.html", takes_context=True)
def key_figures(context: dict[str, Any]) -> dict[str, Any]:
    """A row of numbers, each with a link to its plot."""
    return {"key_figures": for_index(context["request"].user)}

"""What users thought of answers, in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from conversations.admin.lists import LISTED, Newest, by, link, newest
from conversations.models import Feedback
from documents.admin_lists import ReadOnly


@admin.register(Feedback)
class FeedbackAdmin(ReadOnly, Newest, admin.ModelAdmin[Feedback]):
    """Ratings, latest first; each leads to its answer."""

    list_display = ("rating", "comment", "answered_in", "document", "page", "updated_at")
    list_filter = ("updated_at", by("rating", Feedback.Rating.choices))
    list_select_related = ("message__conversation", "document")
    search_fields = ("comment",)
    search_help_text = f"Part of a comment; of the newest {LISTED:,}."
    fields = ("rating", "comment", "answered_in", "document", "page", "created_at", "updated_at")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Feedback], search_term: str
    ) -> tuple[QuerySet[Feedback], bool]:
        """Among the newest: no index tells parts of words."""
        if not (term := search_term.strip()):
            return queryset, False
        return newest(queryset, "-updated_at").filter(comment__icontains=term), False

    @admin.display(description="answer to")
    def answered_in(self, feedback: Any) -> SafeString:
        """A link to the answer in its transcript."""
        title = feedback.message.conversation.title
        return link("conversations_message", feedback.message_id, title)

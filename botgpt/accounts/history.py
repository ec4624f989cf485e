"""What staff did in the admin, also to what is deleted by now."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from documents.admin import user_link
from documents.admin_lists import LongList, ReadOnly

DONE = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}


@admin.register(LogEntry)
class HistoryAdmin(LongList, ReadOnly, admin.ModelAdmin[LogEntry]):
    """The admin's history, newest first. Of what is deleted it keeps the id alone."""

    list_display = ("id", "action_time", "who", "done", "kind", "what", "change")
    list_display_links = None
    list_filter = ("action_flag",)
    list_select_related = ("user", "content_type")
    sortable_by = ()
    ordering: ClassVar = ["-id"]
    search_fields = ("object_id",)
    search_help_text = "The whole id of what was changed."

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: nothing is taken out of it by hand."""
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """By whole ids."""
        return (queryset.filter(object_id=search_term) if search_term else queryset), False

    @admin.display(description="by")
    def who(self, entry: LogEntry) -> SafeString:
        """A link to the member of staff."""
        return user_link(entry.user)

    @admin.display
    def done(self, entry: LogEntry) -> str:
        """Added, changed or deleted."""
        return DONE.get(entry.action_flag, "-")

    @admin.display
    def kind(self, entry: LogEntry) -> str:
        """What kind of object it is."""
        return entry.content_type.name if entry.content_type else "-"

    @admin.display
    def what(self, entry: LogEntry) -> SafeString | str:
        """Its name, with a link while it is there; of one that is deleted the id."""
        address = None if entry.is_deletion() else entry.get_admin_url()
        if address is None:
            return entry.object_repr
        return format_html('<a href="{}">{}</a>', address, entry.object_repr)

    @admin.display
    def change(self, entry: LogEntry) -> str:
        """What was changed of it."""
        return entry.get_change_message()

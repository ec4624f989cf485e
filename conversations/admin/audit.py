"""The audit trail in the admin."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from conversations.admin.lists import LISTED, Newest, OfUser, by, link
from conversations.models import ActorKind, AuditEntry
from documents.admin_lists import ReadOnly

Action = AuditEntry.Action
RARE = (Action.EXPORTED, Action.DELETED, Action.PROMPT, Action.USER_DELETED)
SEARCHED = ("conversation_id", "user_id", "actor_id")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, Newest, admin.ModelAdmin[AuditEntry]):
    """Who did what to which conversation or user, latest first."""

    list_display = ("created_at", "who", "action", "conversation", "owner", "request_id")
    list_filter = (
        OfUser,
        by("action", Action.choices, RARE),
        by("actor_kind", ActorKind.choices, [ActorKind.STAFF]),
    )
    search_fields = SEARCHED
    search_help_text = "The whole id of a conversation, a user, a key or of staff."
    fields = ("created_at", "who", "action", "conversation", "owner", "request_id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """By whole ids, which have indexes: the newest of each."""
        if not (term := search_term.strip()):
            return queryset, False
        try:
            pk = UUID(term)
        except ValueError:
            return queryset.none(), False
        first, *others = (
            queryset.filter(**{name: pk}).order_by("-id").values("pk")[:LISTED] for name in SEARCHED
        )
        return queryset.filter(pk__in=first.union(*others, all=True)), False

    @admin.display(description="by")
    def who(self, entry: AuditEntry) -> SafeString | str:
        """What they are, with a link where they have a page."""
        kind = entry.get_actor_kind_display()
        if entry.actor_id is None:
            return kind
        page = "apikey" if entry.actor_kind == ActorKind.KEY else "user"
        return format_html("{} {}", kind, link(f"accounts_{page}", entry.actor_id))

    @admin.display
    def conversation(self, entry: AuditEntry) -> SafeString | str:
        """A link to the transcript, which may be deleted."""
        if entry.conversation_id is None:
            return "-"
        return link("conversations_conversation", entry.conversation_id)

    @admin.display(description="user")
    def owner(self, entry: AuditEntry) -> SafeString | str:
        """A link to whose conversation it is; the id of one who was deleted."""
        if entry.action == Action.USER_DELETED:
            return str(entry.user_id)
        return link("accounts_user", entry.user_id) if entry.user_id else "forgotten"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: nothing is taken out of it."""
        return False

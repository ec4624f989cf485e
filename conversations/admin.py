"""Conversations in the admin, each as a readable transcript."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from conversations import transcript
from conversations.models import Actor, ActorKind, AuditEntry, Conversation, Feedback, UsageEntry
from documents.admin import ReadOnly, user_link
from llm import catalogue

DOCUMENTS_SHOWN = 200
ENTRIES_LISTED = 10_000
SETTINGS = (
    "id",
    "user",
    "mode",
    "model",
    "system_prompt",
    "grounding",
    "query_rewriting",
    "sampling",
    "fallback_models",
    "archived",
    "sources",
    "summary",
)


@admin.register(Conversation)
class ConversationAdmin(ReadOnly, admin.ModelAdmin[Conversation]):
    """Conversations with the number of their messages; each opens as a transcript."""

    list_display = ("title", "owner", "mode", "model", "messages", "updated_at")
    list_filter = ("mode", "model", "archived", "updated_at")
    list_select_related = ("user",)
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("title", "id", "user__username")
    fieldsets = (
        (None, {"fields": ("transcript",)}),
        ("Settings", {"fields": SETTINGS}),
        ("Dates", {"fields": ("created_at", "updated_at")}),
    )

    class Media:
        css: ClassVar = {"all": ["conversations/transcript.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        """With the number of messages in the one query."""
        found: QuerySet[Conversation] = Conversation.objects.with_message_count()
        return found

    @admin.display(ordering="user")
    def owner(self, conversation: Conversation) -> SafeString:
        """A link to the user."""
        return user_link(conversation.user)

    @admin.display(ordering="message_count")
    def messages(self, conversation: Any) -> int:
        """How many messages it has."""
        return int(conversation.message_count)

    @admin.display(description="documents")
    def sources(self, conversation: Conversation) -> SafeString | str:
        """Links to what it is grounded in."""
        links = [
            (reverse("admin:documents_document_change", args=[document.pk]), document.name)
            for document in conversation.documents.all()[:DOCUMENTS_SHOWN]
        ]
        everything = conversation.mode == Conversation.Mode.GROUNDED_RAG
        otherwise = "none chosen: all of the user's" if everything else "none"
        return format_html_join("", '<div><a href="{}">{}</a></div>', links) or otherwise

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Conversation | None:
        """With the wish to see every branch, which the address tells."""
        conversation: Any = super().get_object(request, object_id, from_field)
        if conversation is not None:
            conversation.every_branch = request.GET.get("branches") == "all"
        found: Conversation | None = conversation
        return found

    def render_change_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Which the audit trail tells."""
        kwargs["obj"].note(AuditEntry.Action.VIEWED, Actor.staff(request))
        return super().render_change_form(request, *args, **kwargs)

    def delete_model(self, request: HttpRequest, obj: Conversation) -> None:
        """Which the audit trail tells too."""
        obj.remove(Actor.staff(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> None:
        """The same of several."""
        Conversation.objects.filter(pk__in=queryset.values("pk")).remove(Actor.staff(request))

    @admin.display
    def transcript(self, conversation: Any) -> SafeString:
        """The newest messages, oldest of them first, of the active path or of every branch."""
        return render_to_string("conversations/transcript.html", transcript.of(conversation))


@admin.register(Feedback)
class FeedbackAdmin(ReadOnly, admin.ModelAdmin[Feedback]):
    """What users thought of answers, latest first; each leads to its conversation."""

    list_display = ("rating", "comment", "answered_in", "document", "page", "updated_at")
    list_filter = ("rating", "updated_at")
    list_select_related = ("message__conversation", "document")
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("comment", "document__name", "message__conversation__title")
    fields = ("rating", "comment", "answered_in", "document", "page", "created_at", "updated_at")

    @admin.display(description="conversation")
    def answered_in(self, feedback: Feedback) -> SafeString:
        """A link to the transcript."""
        conversation = feedback.message.conversation
        address = reverse("admin:conversations_conversation_change", args=[conversation.pk])
        return format_html('<a href="{}">{}</a>', address, conversation.title)


class NewestPages(Paginator):  # type: ignore[type-arg]
    """Pages of the newest rows: counting all of a long table takes long."""

    @cached_property
    def count(self) -> int:
        """How many are listed."""
        listed: Any = self.object_list[:ENTRIES_LISTED]
        return int(listed.count())


class ModelFilter(admin.SimpleListFilter):
    """By model of the catalogue, without looking through all rows for names."""

    title = parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All there are."""
        return [(name, name) for name in catalogue.MODELS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the one chosen."""
        return queryset.filter(model=self.value()) if self.value() else queryset


@admin.register(UsageEntry)
class UsageEntryAdmin(ReadOnly, admin.ModelAdmin[UsageEntry]):
    """Calls of models, the newest ten thousand."""

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
    list_filter = ("purpose", ModelFilter, "created_at")
    list_select_related = ("user",)
    list_per_page = 50
    show_full_result_count = False
    paginator = NewestPages
    sortable_by = ()

    @admin.display
    def owner(self, entry: UsageEntry) -> SafeString | str:
        """A link to the user."""
        return user_link(entry.user) if entry.user else "forgotten"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: budgets rest on them."""
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, admin.ModelAdmin[AuditEntry]):
    """The audit trail, the newest ten thousand of what is looked for."""

    list_display = ("created_at", "who", "action", "conversation", "owner", "request_id")
    list_filter = ("action", "actor_kind")
    list_per_page = 50
    show_full_result_count = False
    paginator = NewestPages
    sortable_by = ()
    search_fields = ("conversation_id", "user_id", "actor_id")
    search_help_text = "The whole id of a conversation, a user, a key or of staff."
    fields = ("created_at", "who", "action", "conversation", "owner", "request_id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """By whole ids, which have indexes."""
        if not search_term:
            return queryset, False
        try:
            pk = UUID(search_term.strip())
        except ValueError:
            return queryset.none(), False
        found = queryset.filter(Q(conversation_id=pk) | Q(user_id=pk) | Q(actor_id=pk))
        return found, False

    @admin.display(description="by")
    def who(self, entry: AuditEntry) -> SafeString | str:
        """What they are, with a link where they have a page."""
        kind = entry.get_actor_kind_display()
        if entry.actor_id is None:
            return kind
        page = "apikey" if entry.actor_kind == ActorKind.KEY else "user"
        return format_html("{} {}", kind, _link(f"accounts_{page}", entry.actor_id))

    @admin.display
    def conversation(self, entry: AuditEntry) -> SafeString:
        """A link to the transcript, which may be deleted."""
        return _link("conversations_conversation", entry.conversation_id)

    @admin.display(description="user")
    def owner(self, entry: AuditEntry) -> SafeString | str:
        """A link to whose conversation it is."""
        return _link("accounts_user", entry.user_id) if entry.user_id else "forgotten"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: nothing is taken out of it."""
        return False


def _link(page: str, pk: UUID) -> SafeString:
    """By id alone: names would cost a query a row."""
    address = reverse(f"admin:{page}_change", args=[pk])
    return format_html('<a href="{}">{}</a>', address, pk)

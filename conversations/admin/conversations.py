"""Conversations in the admin, each as a readable transcript."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString

from conversations import bundle, export, transcript
from conversations.admin.lists import LISTED, ModelFilter, Newest, OfUser, by, user_id_of
from conversations.database import one_by_one
from conversations.models import Actor, AuditEntry, Conversation, Message
from conversations.models.match import Words
from documents.admin import user_link
from documents.admin_lists import ReadOnly
from documents.connections import give_connection_back

DOCUMENTS_SHOWN = 200
# Of words that more titles have, some of those are found.
TITLES_FOUND = 1_000
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
class ConversationAdmin(ReadOnly, Newest, admin.ModelAdmin[Conversation]):
    """Conversations with the number of their messages; each opens as a transcript."""

    list_display = ("title", "owner", "mode", "model", "messages", "updated_at")
    list_filter = (
        OfUser,
        "updated_at",
        by("mode", Conversation.Mode.choices),
        ModelFilter,
        by("archived", [(1, "yes"), (0, "no")]),
    )
    list_select_related = ("user",)
    search_fields = ("title", "id", "user__username")
    search_help_text = (
        "Words of a title; the whole id of a conversation, message or user; or a user's name."
    )
    actions = ("export_as_json", "export_as_markdown")
    fieldsets = (
        (None, {"fields": ("transcript",)}),
        ("Settings", {"fields": SETTINGS}),
        ("Dates", {"fields": ("created_at", "updated_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        """With the number of messages in the one query."""
        found: QuerySet[Conversation] = Conversation.objects.with_message_count()
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Conversation], search_term: str
    ) -> tuple[QuerySet[Conversation], bool]:
        """By indexes alone."""
        if not (term := search_term.strip()):
            return queryset, False
        if (pk := user_id_of(term)) is not None:
            of_message = Message.objects.filter(pk=pk).values("conversation_id")
            owned = queryset.filter(user_id=pk).values("pk")[:LISTED]
            ids = queryset.filter(pk=pk).values("pk").union(of_message, owned, all=True)
            return queryset.filter(pk__in=ids), False
        # Once, for the count and for the page.
        titled = list(Conversation.objects.titled(Words.read(term))[:TITLES_FOUND])
        return queryset.filter(pk__in=titled), False

    def get_urls(self) -> list[URLPattern]:
        """With downloads."""
        view = self.admin_site.admin_view(self.download)
        address = "<uuid:pk>/export.<str:kind>"
        return [
            path(address, view, name="conversations_conversation_export"),
            *super().get_urls(),
        ]

    def download(self, request: HttpRequest, pk: UUID, kind: str) -> StreamingHttpResponse:
        """All of it, every branch, sent while it is read; the audit trail tells."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_queryset(request).prefetch_related("documents")
        conversation = found.filter(pk=pk).first()
        if conversation is None or kind not in bundle.WRITERS:
            raise Http404
        conversation.note(AuditEntry.Action.EXPORTED, Actor.staff(request))
        ids = export.order(conversation, every_branch=True)
        write, media_type = bundle.WRITERS[kind]
        parts = one_by_one(write(conversation, ids))
        return _file(parts, f"{export.file_name(conversation.title)}.{kind}", media_type)

    @admin.action(description="Export as JSON", permissions=["view"])
    def export_as_json(
        self, request: HttpRequest, queryset: QuerySet[Conversation]
    ) -> StreamingHttpResponse | None:
        """A file each, in one ZIP file."""
        return self._export(request, queryset, "json")

    @admin.action(description="Export as Markdown", permissions=["view"])
    def export_as_markdown(
        self, request: HttpRequest, queryset: QuerySet[Conversation]
    ) -> StreamingHttpResponse | None:
        """The same for people."""
        return self._export(request, queryset, "md")

    def _export(
        self, request: HttpRequest, queryset: QuerySet[Conversation], kind: str
    ) -> StreamingHttpResponse | None:
        chosen = list(queryset.prefetch_related("documents")[: bundle.MOST + 1])
        if len(chosen) > bundle.MOST:
            text = f"Choose {bundle.MOST} conversations at most: nothing was exported."
            self.message_user(request, text, messages.ERROR)
            return None
        for conversation in chosen:
            conversation.note(AuditEntry.Action.EXPORTED, Actor.staff(request))
        parts = one_by_one(bundle.of(chosen, kind))
        return _file(parts, "conversations.zip", "application/zip")

    @admin.display
    def owner(self, conversation: Conversation) -> SafeString:
        """A link to the user."""
        return user_link(conversation.user)

    @admin.display
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
        """With what of it is to be shown, and to whom."""
        conversation: Any = super().get_object(request, object_id, from_field)
        if conversation is not None:
            conversation.view = transcript.View.asked(request.GET)
            conversation.may_see_prompts = request.user.has_perm("conversations.view_prompt")
        found: Conversation | None = conversation
        return found

    def render_change_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Which the audit trail tells."""
        kwargs["obj"].note(AuditEntry.Action.VIEWED, Actor.staff(request))
        return super().render_change_form(request, *args, **kwargs)

    def get_deleted_objects(
        self, objs: Sequence[Conversation] | QuerySet[Conversation], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """The conversations alone: what goes with one may be thousands of rows."""
        return [str(one) for one in objs], {"conversations": len(objs)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Conversation) -> None:
        """Which the audit trail tells too."""
        obj.remove(Actor.staff(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> None:
        """The same of several."""
        Conversation.objects.filter(pk__in=queryset.values("pk")).remove(Actor.staff(request))

    @admin.display
    def transcript(self, conversation: Any) -> SafeString:
        """A part of the messages, oldest of them first, of the active path or of every branch."""
        shown = transcript.of(conversation, conversation.view)
        shown["may_see_prompts"] = conversation.may_see_prompts
        return render_to_string("conversations/transcript.html", shown)


def _file(parts: Any, name: str, media_type: str) -> StreamingHttpResponse:
    give_connection_back()
    response = StreamingHttpResponse(parts, content_type=media_type)
    response.headers["Content-Disposition"] = content_disposition_header(True, name)
    return response

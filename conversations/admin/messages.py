"""Messages in the admin: their list, and the prompts of answers."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from conversations import reconstruction, transcript
from conversations.admin.lists import LISTED, ModelFilter, Newest, OfUser, by, user_id_of
from conversations.models import Actor, AuditEntry, Conversation, Message
from documents.admin import user_link
from documents.admin_lists import ReadOnly

BEGINNING_CHARS = 100
# Of a user who has more, the messages of those last spoken in are listed.
CONVERSATIONS_LISTED = 1_000


class OfUsersConversations(OfUser):
    """Those of one user."""

    def owned(self, queryset: QuerySet[Message], user_id: UUID) -> QuerySet[Message]:
        """In the conversations last spoken in."""
        return queryset.filter(conversation__in=_last_of(user_id))


@admin.register(Message)
class MessageAdmin(ReadOnly, Newest, admin.ModelAdmin[Message]):
    """Messages of all conversations, the newest first; each leads to its place in a transcript."""

    list_display = (
        "created_at",
        "role",
        "beginning",
        "owner",
        "outcome",
        "model",
        "tokens",
        "cost_usd",
        "first_token_ms",
        "duration_ms",
    )
    list_filter = (
        OfUsersConversations,
        by("status", Message.Status.choices, Message.BROKEN_OFF),
        by("role", Message.Role.choices),
        ModelFilter,
    )
    list_select_related = ("conversation__user",)
    ordering = ("-id",)
    search_fields = ("id", "conversation_id", "conversation__user__username")
    search_help_text = "The whole id of a message, conversation or user; or a user's name."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        """Without the long texts, of which the beginning is shown."""
        rows = super().get_queryset(request).defer("content", "error", "context")
        return rows.annotate(start=Left("content", BEGINNING_CHARS))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        """By indexes alone."""
        if not (term := search_term.strip()):
            return queryset, False
        if (pk := user_id_of(term)) is None:
            return queryset.none(), False
        of_user = queryset.filter(conversation__in=_last_of(pk)).values("pk")[:LISTED]
        in_conversation = queryset.filter(conversation=pk).values("pk")[:LISTED]
        alone = queryset.filter(pk=pk).values("pk")
        return queryset.filter(pk__in=alone.union(in_conversation, of_user, all=True)), False

    def get_urls(self) -> list[URLPattern]:
        """With prompts."""
        view = self.admin_site.admin_view(self.prompt)
        return [
            path("<uuid:pk>/prompt/", view, name="conversations_message_prompt"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """A message is read where it was said."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            pk = UUID(object_id)
        except ValueError as error:
            raise Http404 from error
        message = get_object_or_404(Message.objects.only("conversation_id", "active"), pk=pk)
        place = reverse("admin:conversations_conversation_change", args=[message.conversation_id])
        branches = "" if message.active else "branches=all&"
        return redirect(f"{place}?{branches}message={message.pk}#message-{message.pk}")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: conversations go as a whole, and single messages by the API."""
        return False

    def prompt(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """What a model was sent, for those who may see it; the audit trail tells who did."""
        allowed = request.user.has_perm("conversations.view_prompt")
        if not (allowed and self.has_view_permission(request)):
            raise PermissionDenied
        rows = Message.objects.select_related("conversation__user", "parent", "retrieval")
        answer = get_object_or_404(rows, pk=pk, role=Message.Role.ASSISTANT)
        answer.conversation.note(AuditEntry.Action.PROMPT, Actor.staff(request))
        candidates = answer.retrieval.candidates if hasattr(answer, "retrieval") else []
        context = {
            **self.admin_site.each_context(request),
            "title": "Prompt of an answer",
            "opts": self.opts,
            "answer": answer,
            "prompt": reconstruction.of(answer),
            "sections": [
                (name, answer.context[name])
                for name in transcript.SECTIONS
                if name in answer.context
            ],
            "passages_out": [one for one in candidates if one["outcome"] not in ("kept", "joined")],
        }
        return TemplateResponse(request, "conversations/prompt.html", context)

    @admin.display
    def beginning(self, message: Any) -> SafeString | str:
        """The first words."""
        return message.start or "-"

    @admin.display
    def owner(self, message: Message) -> SafeString:
        """A link to the user."""
        return user_link(message.conversation.user)

    @admin.display(description="status")
    def outcome(self, message: Message) -> str:
        """With the reason of a failure."""
        label = message.get_status_display()
        return f"{label}: {message.error_code}" if message.error_code else label

    @admin.display
    def tokens(self, message: Message) -> SafeString | str:
        """Of prompt and answer."""
        if not message.total_tokens:
            return "-"
        return format_html("{} + {}", message.prompt_tokens, message.completion_tokens)


def _last_of(user_id: UUID) -> Any:
    """The conversations of a user that were last spoken in."""
    rows = Conversation.objects.filter(user=user_id).order_by("-updated_at", "-id")
    return rows.values("pk")[:CONVERSATIONS_LISTED]

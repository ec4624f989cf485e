"""Conversations as downloads."""

from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from conversations import examples, export
from conversations.asynchronous import AsyncAPIView
from conversations.database import in_database, one_by_one
from conversations.models import AuditEntry, Conversation
from conversations.search_serializers import BranchesSerializer
from conversations.serializers import ConversationWithMessagesSerializer
from conversations.views import BRANCHES
from documents.views import USER_ID, Scoped

FORMATS = {
    "json": (export.as_json, "application/json", "json"),
    "markdown": (export.as_markdown, "text/markdown; charset=utf-8", "md"),
}


class MarkdownRenderer(JSONRenderer):
    """Lets a client ask for `text/markdown`."""

    media_type = "text/markdown"
    format = "markdown"


class ExportSerializer(BranchesSerializer):
    """The query string of an export."""

    format = serializers.ChoiceField(["json", "markdown"], required=False)


class ConversationExport(Scoped, AsyncAPIView):
    """A conversation with all its messages, to keep."""

    resource = "conversations"

    def get_renderers(self) -> list[BaseRenderer]:
        """Either."""
        return [JSONRenderer(), MarkdownRenderer()]

    @extend_schema(
        operation_id="export_conversation",
        summary="Download a conversation as JSON or Markdown",
        description=(
            "With every message, its citations, usage, feedback and search. `format` chooses, or "
            "the Accept header; JSON unless told. With `branches=all` each branch is told whole, "
            "and in Markdown named, before the next."
        ),
        parameters=[
            USER_ID,
            OpenApiParameter("format", str, enum=["json", "markdown"]),
            BRANCHES,
        ],
        responses={
            (200, "application/json"): ConversationWithMessagesSerializer,
            (200, "text/markdown"): OpenApiTypes.STR,
        },
        examples=[examples.EXPORT, examples.EXPORT_AS_MARKDOWN],
    )
    async def get(self, request: Request, pk: UUID) -> StreamingHttpResponse:
        """Sent while it is read, so that a long one takes no more memory than a short one."""
        asked = ExportSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        every_branch = asked.validated_data["branches"] == "all"
        conversation, ids = await in_database(self._find, pk, every_branch)
        accepted: Any = request.accepted_renderer
        kind = asked.validated_data.get("format", accepted.format)
        write, media_type, ending = FORMATS[kind]
        parts = one_by_one(write(conversation, ids))
        response = StreamingHttpResponse(parts, content_type=media_type)
        name = f"{export.file_name(conversation.title)}.{ending}"
        response.headers["Content-Disposition"] = content_disposition_header(True, name)
        return response

    def _find(self, pk: UUID, every_branch: bool) -> tuple[Conversation, list[UUID]]:
        visible = Conversation.objects.visible_to(self.user_scope()).with_message_count()
        conversation = get_object_or_404(visible.prefetch_related("documents"), pk=pk)
        conversation.note(AuditEntry.Action.EXPORTED, self.caller.actor)
        return conversation, export.order(conversation, every_branch=every_branch)

"""Search through conversations."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import examples
from conversations.models import AuditEntry, Conversation
from conversations.models.match import MOST_CONVERSATIONS, MOST_MATCHES, Match, Words
from conversations.search_serializers import (
    QUERY_CHARS,
    ConversationSearchSerializer,
    MatchSerializer,
)
from conversations.snippets import snippet
from conversations.views import BRANCHES
from documents.views import USER_ID, Scoped

QUERY = {"type": "string", "maxLength": QUERY_CHARS, "pattern": r"\S"}


class ConversationSearch(Scoped, generics.GenericAPIView[Any]):
    """What a user and the models said, found by its words."""

    resource = "conversations"
    serializer_class = MatchSerializer

    @extend_schema(
        operation_id="search_conversations",
        summary="Search a user's conversations by words",
        description=(
            "Finds titles, then messages, newest first, that have all words; `or`, `-without` and "
            '`"a phrase"` work as in a web search, and of a last word the beginning is enough. '
            f"At most {MOST_MATCHES:,} matches in the {MOST_CONVERSATIONS:,} conversations last "
            "spoken in are told."
        ),
        parameters=[
            USER_ID,
            OpenApiParameter("query", QUERY, required=True, description="The words."),
            BRANCHES,
            OpenApiParameter("archived", bool, description="In the archived ones."),
        ],
        responses={(200, "application/json"): MatchSerializer(many=True)},
        examples=[examples.MATCH],
    )
    def get(self, request: Request) -> Response:
        """A page of matches, in five queries however many there are."""
        asked = ConversationSearchSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        user_id = self.user_scope()
        if user_id is None:
            raise serializers.ValidationError({"user_id": ["Say whose conversations to search."]})
        words = Words.read(asked.validated_data["query"])
        there = Conversation.objects.filter(archived=asked.validated_data["archived"])
        every_branch = asked.validated_data["branches"] == "all"
        matches: Any = there.matches(words, user_id, every_branch=every_branch)
        page: list[Match] = self.paginate_queryset(matches) or []
        seen = dict.fromkeys(match.conversation_id for match in page)
        AuditEntry.objects.record(self.caller.actor, AuditEntry.Action.VIEWED, user_id, seen)
        pattern = words.pattern()
        found = [asdict(match) | asdict(snippet(match.text, pattern)) for match in page]
        return self.get_paginated_response(MatchSerializer(found, many=True).data)

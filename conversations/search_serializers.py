"""What the search through conversations takes and gives."""

from typing import Any

from rest_framework import serializers

from conversations.models import Message
from documents.serializers import TextField

QUERY_CHARS = 200


class ArchivedSerializer(serializers.Serializer[Any]):
    """The `archived` of a query string."""

    archived = serializers.BooleanField(default=False)


class BranchesSerializer(serializers.Serializer[Any]):
    """The `branches` of a query string."""

    branches = serializers.ChoiceField(["active", "all"], default="active")


class ConversationSearchSerializer(ArchivedSerializer, BranchesSerializer):
    """The query string of a search, but for its user and page."""

    query = TextField(max_length=QUERY_CHARS, trim_whitespace=False)


class MatchSerializer(serializers.Serializer[Any]):
    """A title or message that matches."""

    conversation_id = serializers.UUIDField()
    title = serializers.CharField()
    message_id = serializers.UUIDField(allow_null=True, help_text="Null where the title matches.")
    role = serializers.ChoiceField(Message.Role.choices, allow_null=True)
    active = serializers.BooleanField(
        allow_null=True, help_text="Whether the message is on the active path."
    )
    snippet = serializers.CharField(help_text="The part of the text where the words stand.")
    highlights = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField(), min_length=2, max_length=2),
        help_text=(
            "[start, end] of each word of `snippet` that matches, in characters (code points), "
            "end exclusive."
        ),
    )
    created_at = serializers.DateTimeField()

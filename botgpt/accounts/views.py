"""The users' part of the API."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from botgpt.accounts.models import User
from botgpt.accounts.tasks import defer_forgetting
from documents.views import Scoped


class BelongingsSerializer(serializers.Serializer[Any]):
    """How much there is of a user."""

    conversations = serializers.IntegerField()
    messages = serializers.IntegerField()
    documents = serializers.IntegerField()
    document_bytes = serializers.IntegerField()
    api_keys = serializers.IntegerField()
    usage_entries = serializers.IntegerField(help_text="Kept as sums that are nobody's.")


BELONGINGS = OpenApiExample(
    "What will be deleted",
    value={
        "conversations": 12,
        "messages": 240,
        "documents": 5,
        "document_bytes": 3980200,
        "api_keys": 1,
        "usage_entries": 130,
    },
    response_only=True,
)


class UserDetail(Scoped):
    """One user."""

    resource = "users"

    @extend_schema(
        operation_id="forget_user",
        summary="Forget a user",
        description=(
            "For service keys. The user's own keys end at once; a worker then deletes "
            "conversations, documents with their files, keys, and the user. Usage stays in the "
            "sums and is nobody's. Done once the user's lists are empty and this call answers 404; "
            "what is saved for the same `user_id` after that belongs to a new user. Only a "
            "superuser, signed in to the admin, deletes a staff account."
        ),
        responses={202: BelongingsSerializer},
        examples=[BELONGINGS],
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        """Says what there is to delete."""
        self.caller.scope(pk)
        if self.caller.owner is not None:
            raise PermissionDenied("A service key forgets users; this is a key of the user's own.")
        there_is = defer_forgetting(get_object_or_404(User, pk=pk), self.caller.actor)
        return Response(BelongingsSerializer(there_is).data, status.HTTP_202_ACCEPTED)

"""All of a user's data as a download."""

from typing import ClassVar

from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from botgpt.accounts import archive
from botgpt.accounts.models import User
from conversations.asynchronous import AsyncAPIView
from conversations.database import in_database, one_by_one
from documents.views import USER_ID, Scoped


class Export(Scoped, AsyncAPIView):
    """All there is of one user, to keep."""

    resource = "users"
    permissions: ClassVar = {
        "GET": (
            "accounts.view_user",
            "accounts.view_apikey",
            "conversations.view_conversation",
            "conversations.view_usageentry",
            "documents.view_document",
        )
    }

    @extend_schema(
        operation_id="export_user",
        summary="Download all data of a user",
        description=(
            "A ZIP file: the profile, keys (without their secrets), usage, every conversation with "
            "all its branches, citations and feedback, and the documents as they were uploaded. "
            "Its README says what is where."
        ),
        parameters=[USER_ID],
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    async def get(self, request: Request) -> StreamingHttpResponse:
        """Sent while it is read, so that it takes little memory however much there is."""
        user = await in_database(self._find)
        response = StreamingHttpResponse(
            one_by_one(archive.of(user)), content_type="application/zip"
        )
        response.headers["Content-Disposition"] = f'attachment; filename="{user.pk}.zip"'
        return response

    def _find(self) -> User:
        user_id = self.user_scope()
        if user_id is None:
            raise serializers.ValidationError({"user_id": ["Say whose data to export."]})
        return get_object_or_404(User, pk=user_id)

"""What an API key may be used for, and what each call needs of it."""

from typing import Any

from django.db import models
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from botgpt.accounts.permissions import needed_permissions, require_permissions


class Scope(models.TextChoices):
    """A right on a kind of objects. Answers rest on documents whatever the key may do to those."""

    CONVERSATIONS_READ = "conversations:read", "read, search and export conversations"
    CONVERSATIONS_WRITE = "conversations:write", "ask, edit, rate and delete"
    DOCUMENTS_READ = "documents:read", "list, search and download documents"
    DOCUMENTS_WRITE = "documents:write", "upload, reprocess and delete documents"
    USAGE_READ = "usage:read", "read usage and budgets"
    USERS_READ = "users:read", "download all data of a user"
    USERS_WRITE = "users:write", "forget users"


def every_scope() -> list[str]:
    """All there are, which is what a key has unless told."""
    return [str(scope) for scope in Scope]


def needed(view: Any, method: str) -> Scope:
    """The scope that a call needs, by the view's `resource` and by whether the method reads.

    Raises ValueError or AttributeError for a view that does not say it: nobody may call that.
    """
    return Scope(f"{view.resource}:{'read' if method.upper() in view.reads else 'write'}")


class MissingScope(PermissionDenied):
    """The key is good, but not for this."""

    default_code = "missing_scope"

    def __init__(self, scope: Scope) -> None:
        """`extra` tells the scope to programs."""
        super().__init__(f"This API key lacks the scope {scope}: use one that has it.")
        self.extra = {"scope": str(scope)}


class HasScope(BasePermission):
    """Lets in keys with the scope that the call needs, and staff with the permissions."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Raises MissingScope or MissingPermission."""
        method = request.method or ""
        if not hasattr(view, method.lower()):
            return True  # nobody may: a 405 follows
        scope = needed(view, method)
        if scope not in request.auth.scopes:  # type: ignore[union-attr]
            raise MissingScope(scope)
        if request.auth.is_staff:  # type: ignore[union-attr]
            require_permissions(request.user, needed_permissions(view, method))
        return True

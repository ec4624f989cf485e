"""What a member of staff may do through the API: what their permissions allow in the admin."""

from collections.abc import Iterable
from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS

# By resource of a view, the model whose permissions its calls need unless the view names others.
MODELS = {
    "conversations": ("conversations", "conversation"),
    "documents": ("documents", "document"),
    "usage": ("conversations", "usageentry"),
    "users": ("accounts", "user"),
}
ACTIONS = {"POST": "change", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


class MissingPermission(PermissionDenied):
    """The account is known, but may not do this."""

    default_code = "missing_permission"

    def __init__(self, missing: Iterable[str]) -> None:
        """`extra` names the permissions for programs."""
        names = sorted(missing)
        noun, them = ("permission", "it") if len(names) == 1 else ("permissions", "them")
        text = f"Your account lacks the {noun} {' and '.join(names)}: ask a superuser for {them}."
        super().__init__(text)
        self.extra = {"permissions": names}


def needed_permissions(view: Any, method: str) -> tuple[str, ...]:
    """The permissions that a call needs, each as `app.action_model`.

    The view names them by `permissions`; else the method and the view's `resource` do.
    """
    named: tuple[str, ...] | None = view.permissions.get(
        "GET" if method in SAFE_METHODS else method
    )
    if named is not None:
        return named
    app, model = MODELS[view.resource]
    action = "view" if method in view.reads else ACTIONS[method]
    return (f"{app}.{action}_{model}",)


def missing_permissions(user: Any, needed: Iterable[str]) -> list[str]:
    """Those that the user lacks. As in the admin, who may change may view."""
    return [
        one
        for one in needed
        if not (user.has_perm(one) or user.has_perm(one.replace(".view_", ".change_")))
    ]


def require_permissions(user: Any, needed: Iterable[str]) -> None:
    """Raises MissingPermission."""
    if missing := missing_permissions(user, needed):
        raise MissingPermission(missing)

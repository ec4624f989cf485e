"""Who calls: a user's key, a service key, a staff session, or anyone where access is open."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import (
    AuthenticationFailed,
    NotAuthenticated,
    NotFound,
    ValidationError,
)
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from botgpt.accounts.models import KEY_PREFIX, APIKey, User
from botgpt.accounts.permissions import MissingPermission
from botgpt.accounts.scopes import every_scope, needed
from botgpt.api import request_id
from conversations.models import Actor, ActorKind, Limit

# The code of the problem that tells of an expired key.
EXPIRED = "key_expired"
EVERY_SCOPE = frozenset(every_scope())
ADD_USER = "accounts.add_user"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a request may act for: its owner, or any user where `owner` is None.

    `limits` and `scopes` are those of the API key, where the caller showed one. What staff may do
    is for their permissions to say; `adds_users` is one of these.
    """

    owner: User | None
    actor: Actor
    limits: tuple[Limit, ...] = ()
    scopes: Collection[str] = EVERY_SCOPE
    adds_users: bool = True

    @property
    def key_id(self) -> UUID | None:
        """Of the API key, where the caller showed one."""
        return self.actor.id if self.actor.kind == ActorKind.KEY else None

    @property
    def identity(self) -> str:
        """Keeps callers apart."""
        kind, pk = self.actor.kind.value, self.actor.id
        return f"{kind}:{pk}" if pk else kind

    @property
    def is_staff(self) -> bool:
        """Somebody who is signed in to the admin."""
        return self.actor.kind == ActorKind.STAFF

    def acting_for(self, user_id: UUID) -> User:
        """The user to act for, made on first use.

        Raises NotFound for another's key, MissingPermission for staff who may not add users.
        """
        if self.owner is None:
            if not (self.adds_users or User.objects.filter(pk=user_id).exists()):
                raise MissingPermission([ADD_USER])
            return User.objects.known_as(user_id)
        if user_id != self.owner.pk:
            raise NotFound("This key acts for its owner only: leave user_id out.")
        return self.owner

    def creating_for(self, user_id: UUID | None) -> User:
        """The user that will own a new object. Raises ValidationError where none is named."""
        if user_id is not None:
            return self.acting_for(user_id)
        if self.owner is None:
            raise ValidationError({"user_id": ["Say for which user: give a UUID of your choice."]})
        return self.owner

    def scope(self, user_id: UUID | None) -> UUID | None:
        """The id of the one user whose objects may be seen; None for everyone's."""
        if self.owner is None:
            return user_id
        if user_id not in (None, self.owner.pk):
            raise NotFound("This key acts for its owner only: leave user_id out.")
        return self.owner.pk


class CallerAuthentication(BaseAuthentication):
    """Sets `request.auth` to the Caller."""

    def authenticate(self, request: Request) -> tuple[User | AnonymousUser, Caller]:
        """Key first, then a staff session, then open access. Raises NotAuthenticated.

        Clients that cannot do without a key may send any where none is asked for.
        """
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        is_ours = secret.strip().startswith(KEY_PREFIX)
        if scheme.lower() == "bearer" and (is_ours or not settings.OPEN_ACCESS):
            return self._by_key(secret.strip(), request)
        session = SessionAuthentication().authenticate(request)
        if session is not None and session[0].is_staff:
            user, actor = session[0], _actor(request, ActorKind.STAFF, session[0].pk)
            return user, Caller(None, actor, adds_users=user.has_perm(ADD_USER))
        if settings.OPEN_ACCESS:
            return AnonymousUser(), Caller(None, _actor(request, ActorKind.OPEN))
        raise NotAuthenticated("Send an API key: `Authorization: Bearer <key>`.")

    def _by_key(self, secret: str, request: Request) -> tuple[User | AnonymousUser, Caller]:
        key = APIKey.objects.usable(secret)
        if key is None:
            raise AuthenticationFailed("This API key is unknown or revoked: ask for a new one.")
        if key.expired:
            text = f"This API key expired on {key.expires_at:%Y-%m-%d}: ask for a new one."
            raise AuthenticationFailed(text, EXPIRED)
        key.touch()
        actor = _actor(request, ActorKind.KEY, key.pk)
        caller = Caller(key.owner, actor, key.limits(), key.scopes)
        return key.owner or AnonymousUser(), caller

    def authenticate_header(self, request: Request) -> str:
        """Makes an unknown caller a 401 instead of a 403."""
        return "Bearer"


def _actor(request: Request, kind: ActorKind, pk: UUID | None = None) -> Actor:
    return Actor(kind, pk, request.headers.get(request_id.HEADER, ""))


class IsCaller(BasePermission):
    """Lets in whoever CallerAuthentication knows."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """True where there is a Caller."""
        return isinstance(request.auth, Caller)


class CallerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Shows the key in the OpenAPI schema."""

    target_class = CallerAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """A bearer token; none is needed where access is open."""
        return {"type": "http", "scheme": "bearer"}

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[str]]:
        """The scope that the key needs, as OpenAPI 3.1 has it for any kind of security."""
        return {self.name: [str(needed(auto_schema.view, auto_schema.method))]}

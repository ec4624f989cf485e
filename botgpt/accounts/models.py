"""Users, and the API keys that act for them."""

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from botgpt.accounts.scopes import Scope, every_scope
from conversations.models.insertion import insert_unless_there
from conversations.models.usage import Limit, Spending, Unit
from documents.connections import give_connection_back
from documents.prepared import prepared_cursor

# What each secret begins with, so that it is known where it is found.
KEY_PREFIX = "bot_"
# So much of a secret is kept to tell keys apart by.
PREFIX_CHARS = 10


class UserManager(DjangoUserManager["User"]):
    """Finds users by the UUID that the calling product chose for them."""

    def known_as(self, user_id: UUID) -> "User":
        """The user of that id, made on first use, without a password.

        With what each call needs of a user; the rest is read when it is asked for.
        """
        with prepared_cursor() as cursor:
            cursor.execute(KNOWN, [user_id])
            row = cursor.fetchone()
        if row is not None:
            return User.from_db(connection.alias, USER_READ, row)
        fields: dict[str, Any] = {"username": str(user_id), "password": "!"}
        made = User(pk=user_id, **fields)
        if insert_unless_there(made):
            return made
        # Another call has made the user meanwhile.
        return self.get_or_create(pk=user_id, defaults=fields)[0]

    def called(self, name: str) -> "User":
        """The user of that UUID, or else of that username. Raises User.DoesNotExist."""
        with suppress(ValueError, User.DoesNotExist):
            return self.get(pk=UUID(name))
        return self.get(username=name)

    def limits_of(self, user_id: UUID, key_ids: Sequence[UUID]) -> tuple[Limit, ...]:
        """The budgets of a user and of these API keys."""
        keys = APIKey.objects.filter(pk__in=key_ids) if key_ids else ()
        return tuple(limit for one in (*self.filter(pk=user_id), *keys) for limit in one.limits())


class Budgeted(models.Model):
    """Whoever may spend so much; an empty budget is none."""

    whose: ClassVar[str]

    daily_tokens = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Tokens a day (UTC), prompts and answers together."
    )
    monthly_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    daily_usd = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)
    monthly_usd = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)

    BUDGETS = ("daily_tokens", "monthly_tokens", "daily_usd", "monthly_usd")

    class Meta:
        abstract = True

    def limits(self) -> tuple[Limit, ...]:
        """The budgets that are set."""
        given = (
            (period, unit, getattr(self, f"{span}_{unit}"))
            for period, span in ((Spending.Period.DAY, "daily"), (Spending.Period.MONTH, "monthly"))
            for unit in Unit
        )
        return tuple(
            Limit(self.pk, self.whose, period, unit, Decimal(amount))
            for period, unit, amount in given
            if amount is not None
        )


class User(Budgeted, AbstractUser):
    """A person: staff of the admin, or a user of the calling product known by UUID."""

    whose = "user"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    def may_manage(self, other: "User") -> bool:
        """Whether this account may change or delete that one: those of staff are for superusers."""
        return self.is_superuser or not (other.is_staff or other.is_superuser)

    def set_password(self, raw_password: str | None) -> None:
        """As Django's. Hashing takes up to a second, in which others can use the connection."""
        give_connection_back()
        super().set_password(raw_password)

    def check_password(self, raw_password: str | None) -> bool:
        """As Django's, without a connection meanwhile."""
        give_connection_back()
        return super().check_password(raw_password)


class APIKeyManager(models.Manager["APIKey"]):
    """Makes keys, and finds the one that a caller shows."""

    def issue(self, name: str, owner: User | None = None, **fields: Any) -> tuple["APIKey", str]:
        """A new key and its secret, which is kept nowhere and shown only here.

        `fields` are its scopes, when it expires, and its budgets.
        """
        secret = f"{KEY_PREFIX}{secrets.token_urlsafe(32)}"
        key = self.create(
            name=name,
            owner=owner,
            prefix=secret[:PREFIX_CHARS],
            digest=_digest(secret),
            **fields,
        )
        return key, secret

    def revoke(self, keys: models.QuerySet["APIKey"]) -> int:
        """From the next call on these are refused; how many were not before."""
        return keys.filter(revoked_at=None).update(revoked_at=timezone.now())

    def usable(self, secret: str) -> "APIKey | None":
        """The key of that secret unless it is revoked or its owner is inactive; it may be expired.

        Key and owner have what each call needs of them; the rest is read when it is asked for.
        """
        with prepared_cursor() as cursor:
            cursor.execute(USABLE, [_digest(secret)])
            row = cursor.fetchone()
        if row is None:
            return None
        key = APIKey.from_db(connection.alias, KEY_READ, row[: len(KEY_READ)])
        if key.owner_id is not None:
            key.owner = User.from_db(connection.alias, USER_READ, row[len(KEY_READ) :])
        return key


def _digest(secret: str) -> str:
    """SHA-256 suffices: the secret has 256 random bits, so it cannot be guessed from it."""
    return hashlib.sha256(secret.encode()).hexdigest()


class APIKey(Budgeted):
    """A secret that acts for its owner; a service key has none and may act for any user."""

    whose = "key"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    owner = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="api_keys",
        help_text="Empty makes a service key, which may act for any user.",
    )
    prefix = models.CharField(max_length=PREFIX_CHARS, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=40, choices=Scope),
        default=every_scope,
        help_text="What the key may be used for.",
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on it is refused; empty means never."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[APIKeyManager] = APIKeyManager()

    class Meta:
        verbose_name = "API key"
        ordering: ClassVar = ["-id"]
        permissions: ClassVar = [("issue_service_key", "Can make and change service keys")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= timezone.now()

    def touch(self) -> None:
        """Notes the use, at most once a minute so that a busy key costs no write a call."""
        now = timezone.now()
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - timedelta(minutes=1))
        if self.last_used_at is None or self.last_used_at < now - timedelta(minutes=1):
            APIKey.objects.filter(stale, pk=self.pk).update(last_used_at=now)


def _read(model: type[Budgeted], *names: str) -> list[str]:
    """Of these columns and the budgets, in the order in which `from_db` takes them."""
    wanted = {"id", *names, *Budgeted.BUDGETS}
    return [field.attname for field in model._meta.concrete_fields if field.attname in wanted]


# What each call needs of its key, and of whom that acts for.
KEY_READ = _read(APIKey, "owner_id", "scopes", "expires_at", "last_used_at")
USER_READ = _read(User)
# By hand: of the ORM's time for these queries, which calls make all the time, most went into
# writing them.
KNOWN = f"SELECT {', '.join(USER_READ)} FROM accounts_user WHERE id = %s"  # noqa: S608
USABLE = f"""
SELECT {", ".join(f"key.{name}" for name in KEY_READ)},
    {", ".join(f"owner.{name}" for name in USER_READ)}
FROM accounts_apikey AS key LEFT JOIN accounts_user AS owner ON owner.id = key.owner_id
WHERE key.digest = %s AND key.revoked_at IS NULL AND owner.is_active IS NOT FALSE
"""  # noqa: S608 - names of columns alone

"""The audit trail: who created, read, exported or deleted what. Ids, never words."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Case, F, Q, When
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from conversations.models.insertion import insert_together

FORGOTTEN_AT_ONCE = 10_000
# A trigger refuses every change, unless the transaction says that it is one of these two.
ALLOW = "SELECT set_config('botgpt.audit', %s, true)"
RETENTION, ERASURE = "retention", "erasure"


class ActorKind(models.TextChoices):
    """What `Actor.id` is the id of."""

    KEY = "key", "API key"
    USER = "user"
    STAFF = "staff"
    OPEN = "open", "anyone"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and by which request; the system itself, unless told."""

    kind: ActorKind = ActorKind.SYSTEM
    id: UUID | None = None
    request_id: str = ""

    @classmethod
    def staff(cls, request: Any) -> "Actor":
        """Who is signed in to the admin."""
        return cls(ActorKind.STAFF, request.user.pk, request.headers.get("X-Request-ID", ""))


SYSTEM = Actor()


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    """Sets of entries."""

    def record(self, actor: Actor, action: str, user_id: UUID, ids: Iterable[UUID]) -> None:
        """Adds an entry for each of these conversations of a user; in one statement."""
        if rows := [AuditEntry.of(actor, action, user_id, one) for one in ids]:
            insert_together(rows)

    def record_user_deletion(self, actor: Actor, user_id: UUID, joined: datetime) -> None:
        """Adds that a user is deleted, once: unless that was told since they joined."""
        action = AuditEntry.Action.USER_DELETED
        if not self.filter(user_id=user_id, action=action, created_at__gte=joined).exists():
            AuditEntry.of(actor, action, user_id).save(force_insert=True)

    def erase(self, ids: Collection[UUID]) -> int:
        """Takes the ids of a user and their keys out, for when the user is forgotten; how many.

        That something was done, and when, stays; so does which staff did it. The entry that the
        user was deleted keeps the id, which proves it.
        """
        of_user = Q(user_id__in=ids) & ~Q(action=AuditEntry.Action.USER_DELETED)
        by_user = Q(actor_id__in=ids) & ~Q(actor_kind=ActorKind.STAFF)
        with _allowed(ERASURE):
            return self.filter(of_user | by_user).update(
                user_id=Case(When(of_user, then=None), default=F("user_id")),
                actor_id=Case(When(by_user, then=None), default=F("actor_id")),
            )

    def forget_old(self) -> int:
        """Removes entries older than AUDIT_DAYS, FORGOTTEN_AT_ONCE at most; how many."""
        oldest = self.order_by("pk")[:FORGOTTEN_AT_ONCE].values("pk")
        old = self.filter(created_at__lt=Now() - timedelta(days=settings.AUDIT_DAYS))
        with _allowed(RETENTION):
            return old.filter(pk__in=oldest).delete()[0]


@contextmanager
def _allowed(reason: str) -> Iterator[None]:
    """A transaction, or a part of one, in which that may be done."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(ALLOW, [reason])
        yield
        cursor.execute(ALLOW, [""])


class AuditEntry(models.Model):
    """One thing that somebody did to a conversation or a user. It outlives all that it names."""

    class Action(models.TextChoices):
        """What was done."""

        CREATED = "created"
        VIEWED = "viewed"
        EXPORTED = "exported"
        DELETED = "deleted"
        PROMPT = "prompt", "prompt seen"
        USER_DELETED = "user_deleted", "user deleted"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    actor_kind = models.CharField("by", max_length=6, choices=ActorKind)
    actor_id = models.UUIDField(null=True, blank=True)
    action = models.CharField(max_length=12, choices=Action)
    conversation_id = models.UUIDField(
        null=True, blank=True, help_text="Empty where a user was deleted."
    )
    user_id = models.UUIDField(
        null=True,
        blank=True,
        help_text="Whose conversation, empty once they are forgotten; or who was deleted.",
    )
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField("at", auto_now_add=True)

    objects: ClassVar[Any] = AuditEntryQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "audit trail"
        # Rows are written on most calls: what is common has no index by kind.
        indexes: ClassVar = [
            models.Index(fields=["conversation_id", "id"], name="audit_of_conversation"),
            models.Index(fields=["user_id", "id"], name="audit_of_user"),
            models.Index(fields=["actor_id", "id"], name="audit_by_actor"),
            models.Index(
                fields=["action", "id"],
                name="audit_rare_actions",
                condition=Q(action__in=["exported", "deleted", "prompt"]),
            ),
            models.Index(fields=["id"], name="audit_by_staff", condition=Q(actor_kind="staff")),
            models.Index(
                fields=["id"], name="audit_deleted_users", condition=Q(action="user_deleted")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_kind}"

    @classmethod
    def of(
        cls, actor: Actor, action: str, user_id: UUID, conversation_id: UUID | None = None
    ) -> "AuditEntry":
        """One that is not saved yet."""
        return cls(
            actor_kind=actor.kind,
            actor_id=actor.id,
            action=action,
            conversation_id=conversation_id,
            user_id=user_id,
            request_id=actor.request_id,
        )

"""Calls that may be sent twice and are done once: the `Idempotency-Key` header."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from documents.exceptions import CallUnderWay, KeyReused

KEPT = timedelta(hours=24)
# A call that saved nothing for so long belonged to a process that died.
GIVEN_UP_AFTER = timedelta(seconds=60)
FORGOTTEN_AT_ONCE = 1_000

# One statement, so that one of many that come at once wins. The row of a call that died, or that is
# due to be forgotten, is taken over under a new id: whoever held the old one finds it gone.
CLAIM = """
INSERT INTO documents_idempotentcall AS earlier (caller, key, digest, about, created_at)
VALUES (%(caller)s, %(key)s, %(digest)s, '{}', statement_timestamp())
ON CONFLICT (caller, key) DO UPDATE
SET id = EXCLUDED.id, digest = EXCLUDED.digest, created_at = EXCLUDED.created_at,
    answer_id = NULL, status = NULL, body = NULL, about = '{}'
WHERE earlier.created_at < statement_timestamp() - %(kept)s
   OR (earlier.created_at < statement_timestamp() - %(given_up_after)s
       AND earlier.digest = EXCLUDED.digest
       AND earlier.answer_id IS NULL AND earlier.status IS NULL)
RETURNING earlier.*
"""


class IdempotentCallQuerySet(models.QuerySet["IdempotentCall"]):
    """Sets of calls."""

    def claim(self, caller: str, key: str, digest: str) -> "IdempotentCall":
        """The call to make now, or the one that was made with this key and has `begun`.

        Raises KeyReused or CallUnderWay.
        """
        bounds = {"kept": KEPT, "given_up_after": GIVEN_UP_AFTER}
        for claimed in self.raw(CLAIM, {"caller": caller, "key": key, "digest": digest, **bounds}):
            return claimed
        earlier = self.filter(caller=caller, key=key).first()
        if earlier is None:  # given up a moment ago
            raise CallUnderWay()
        if earlier.digest != digest:
            raise KeyReused()
        if not earlier.begun:
            raise CallUnderWay()
        return earlier

    def tie(self, call_id: int, answer_id: UUID, about: Collection[UUID]) -> None:
        """Says in the transaction that saves a question which answer the call asked for.

        Raises CallUnderWay where another took the call over meanwhile.
        """
        if not self.filter(pk=call_id).update(answer_id=answer_id, about=list(about)):
            raise CallUnderWay()

    def wipe(self, ids: Collection[UUID]) -> int:
        """Takes out what calls were answered with that name one of these; how many there were.

        They stay made, so that a late repetition does not bring back what was deleted.
        """
        told = self.filter(about__overlap=list(ids), body__isnull=False)
        return told.update(body=None, about=[])

    def of_user(self, user_id: UUID, callers: Collection[str]) -> "IdempotentCallQuerySet":
        """Those that name a user, even in the key that was chosen, or were sent by one of these."""
        named = Q(about__overlap=[user_id]) | Q(key__icontains=str(user_id))
        return self.filter(named | Q(caller__in=callers))

    def forget_old(self) -> int:
        """Removes calls whose keys have had their time, FORGOTTEN_AT_ONCE at most; how many."""
        old = self.filter(created_at__lt=Now() - KEPT).order_by("created_at")
        return self.filter(pk__in=old.values("pk")[:FORGOTTEN_AT_ONCE]).delete()[0]


class IdempotentCall(models.Model):
    """A call that was sent with a key: what it was, and what it was answered with."""

    caller = models.CharField(max_length=64, help_text="Who sent it; keys of others are others.")
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, help_text="Of method, address and body.")
    # Set in the transaction that saves the question, so that no question is asked twice.
    answer_id = models.UUIDField(null=True, blank=True, help_text="The answer that it asked for.")
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    body = models.JSONField(null=True, blank=True, help_text="Null once that was deleted.")
    about = ArrayField(
        models.UUIDField(), default=list, blank=True, help_text="All that call and answer name."
    )
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    objects: ClassVar[Any] = IdempotentCallQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["caller", "key"], name="call_once_a_key")
        ]
        indexes: ClassVar = [GinIndex(fields=["about"], name="call_about")]

    def __str__(self) -> str:
        return self.key

    @property
    def begun(self) -> bool:
        """Whether something was saved of it: the answer to come, or what it was answered with."""
        return self.answer_id is not None or self.status is not None

    def keep(self, status: int, body: Any, about: Collection[UUID]) -> None:
        """Saves what it was answered with, and the ids of all that this may hold text of."""
        kept = {"status": status, "body": body, "about": list(about)}
        IdempotentCall.objects.filter(pk=self.pk).update(**kept)

    def give_up(self) -> None:
        """Lets its key be used again, unless a question was saved."""
        IdempotentCall.objects.filter(pk=self.pk, answer_id=None).delete()

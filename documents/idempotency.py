"""Calls that may be sent twice and are done once: the `Idempotency-Key` header."""

from typing import ClassVar

from django.db import models


class IdempotentCall(models.Model):
    """A call that was sent with a key: what it was, and what it was answered with."""

    caller = models.CharField(max_length=64, help_text="Who sent it; keys of others are others.")
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, help_text="Of method, address and body.")
    # Set in the transaction that saves the question, so that no question is asked twice.
    answer_id = models.UUIDField(null=True, blank=True, help_text="The answer that it asked for.")
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    body = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["caller", "key"], name="call_once_a_key")
        ]

    def __str__(self) -> str:
        return self.key

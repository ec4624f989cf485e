"""What models were paid for, and the budgets that this counts to."""

from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7


class UsageEntryQuerySet(models.QuerySet["UsageEntry"]):
    """Sets of usage entries."""

    def visible_to(self, user_id: UUID | None) -> "UsageEntryQuerySet":
        """One user's usage; everyone's where no user is named."""
        return self if user_id is None else self.filter(user_id=user_id)


class UsageEntry(models.Model):
    """One call of a model. Entries are only ever added, and outlive their conversations."""

    class Purpose(models.TextChoices):
        """What the model was asked for."""

        ANSWER = "answer"
        REWRITE = "rewrite", "searches"
        TITLE = "title"
        SUMMARY = "summary"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="usage", db_index=False
    )
    key_id = models.UUIDField(null=True, blank=True, help_text="The API key, where one was used.")
    conversation_id = models.UUIDField(null=True, blank=True)
    message_id = models.UUIDField(null=True, blank=True)
    purpose = models.CharField(max_length=10, choices=Purpose)
    model = models.CharField(max_length=100)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, default=Decimal(0))
    estimated = models.BooleanField(
        default=False, help_text="Counted here: the provider told no usage of an answer cut short."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[Any] = UsageEntryQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "usage"
        indexes: ClassVar = [
            models.Index(fields=["user", "created_at"], name="usage_of_user"),
            models.Index(
                fields=["key_id", "created_at"],
                name="usage_of_key",
                condition=Q(key_id__isnull=False),
            ),
            models.Index(fields=["created_at"], name="usage_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose}: {self.prompt_tokens} + {self.completion_tokens}"


class Spending(models.Model):
    """What a user or key has spent of a budget in one period, reservations included.

    Kept for those with a budget alone. The row is what parallel requests queue for.
    """

    class Period(models.TextChoices):
        """How long a budget lasts, by UTC."""

        DAY = "day"
        MONTH = "month"

    holder = models.UUIDField(help_text="The user or API key.")
    period = models.CharField(max_length=5, choices=Period)
    starts = models.DateField()
    tokens = models.BigIntegerField(default=0)
    usd = models.DecimalField(max_digits=16, decimal_places=8, default=Decimal(0))

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["holder", "period", "starts"], name="spending_once_a_period"
            )
        ]

    def __str__(self) -> str:
        return f"{self.holder}: {self.tokens} tokens, {self.usd} USD"

"""What models were paid for, and the budgets that this counts to."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Case, Count, F, Q, Sum, When
from django.db.models.functions import TruncDate
from uuid_utils.compat import uuid7

from conversations import metrics
from documents.ownership import OwnedQuerySet

# Whoever changes what a holder has spent shares this lock until the end of the transaction; who
# adds up the ledger for a new row has it alone, so that no change falls between sum and row.
SHARE = """
SELECT pg_advisory_xact_lock_shared('conversations_spending'::regclass::oid::int, hashtext(holder))
FROM unnest(%(holders)s::text[]) AS holder
"""
ALONE = """
SELECT pg_advisory_xact_lock('conversations_spending'::regclass::oid::int, hashtext(%(holder)s))
"""
# Rows are locked in one order, so that no two transactions wait for each other.
ADD = """
WITH counted AS (
    SELECT id FROM conversations_spending
    WHERE holder = ANY(%(holders)s::uuid[])
    AND (period, starts) IN (('day', %(day)s::date), ('month', %(month)s::date))
    ORDER BY holder, period
    FOR NO KEY UPDATE
)
UPDATE conversations_spending SET tokens = tokens + %(tokens)s, usd = usd + %(usd)s
WHERE id IN (SELECT id FROM counted)
"""
# Two statements in one query: the second has to see what is there once the lock is had.
COUNT = ";".join((SHARE, ADD))


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens, prompts and answers together, and what they cost in USD."""

    tokens: int = 0
    usd: Decimal = Decimal(0)


NOTHING = Amount()


# What usage can be added up by, and the columns that tell it.
GROUPS = {"day": "day", "model": "model", "user": "user_id", "purpose": "purpose", "key": "key_id"}


class UsageEntryQuerySet(OwnedQuerySet["UsageEntry"]):
    """Sets of usage entries."""

    def of_holder(self, holder: UUID) -> "UsageEntryQuerySet":
        """What a user, or an API key, was charged."""
        return self.filter(Q(user_id=holder) | Q(key_id=holder))

    def between(self, begins: datetime, ends: datetime) -> "UsageEntryQuerySet":
        """From the one moment on, before the other."""
        return self.filter(created_at__gte=begins, created_at__lt=ends)

    def on_days(self, first: date, last: date) -> "UsageEntryQuerySet":
        """Of these UTC days and all between."""
        return self.between(_midnight(first), _midnight(last + timedelta(days=1)))

    def grouped(self, names: Iterable[str]) -> Any:
        """Rows of sums for each day, model and so on, as GROUPS names them; latest day first."""
        columns = [GROUPS[name] for name in names]
        order = [f"-{one}" for one in columns if one == "day"] + ["-cost_usd", "-total_tokens"]
        days = self.annotate(day=TruncDate("created_at", tzinfo=UTC))
        return days.values(*columns).annotate(**_sums()).order_by(*order, *columns)

    def summed(self) -> dict[str, Any]:
        """The same sums of all of them."""
        return self.aggregate(**_sums())

    def disown(self, keys: Collection[UUID]) -> int:
        """Takes out whose these were, and what for; sums stay. How many there were.

        `keys` are the user's own: what a service key paid stays with its budget.
        """
        key_id = Case(When(key_id__in=keys, then=None), default="key_id")
        return self.update(user=None, conversation_id=None, message_id=None, key_id=key_id)

    def total(self) -> Amount:
        """All of it added up."""
        tokens = Sum(F("prompt_tokens") + F("completion_tokens"), default=0)
        return Amount(**self.aggregate(tokens=tokens, usd=Sum("cost_usd", default=Decimal(0))))


def _sums() -> dict[str, Any]:
    # First what is made of columns that later sums are named like.
    sums: dict[str, Any] = {
        "total_tokens": Sum(F("prompt_tokens") + F("completion_tokens"), default=0)
    }
    counted = {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
    sums |= {name: Sum(name, default=nothing) for name, nothing in counted.items()}
    sums["cost_usd"] = Sum("cost_usd", default=Decimal(0))
    sums["calls"] = Count("pk")
    sums["answers"] = Count("pk", filter=Q(purpose=UsageEntry.Purpose.ANSWER))
    return sums


class UsageEntry(models.Model):
    """One call of a model. Entries are only ever added, and outlive conversations and users."""

    class Purpose(models.TextChoices):
        """What the model was asked for."""

        ANSWER = "answer"
        REWRITE = "rewrite", "searches"
        TITLE = "title"
        SUMMARY = "summary"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="usage",
        db_index=False,
        help_text="Empty once that user was forgotten.",
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
    # When the call's answer was begun: its day and month are those of the budgets it counts to.
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

    @property
    def amount(self) -> Amount:
        """What it counts to budgets."""
        return Amount(self.prompt_tokens + self.completion_tokens, self.cost_usd)

    @property
    def payers(self) -> list[UUID]:
        """Whose budgets it counts to."""
        return [one for one in (self.user_id, self.key_id) if one]

    def stored_at(self, at: datetime) -> dict[str, Any]:
        """Its row in the ledger, as of that moment."""
        self.created_at = at
        return {field.attname: getattr(self, field.attname) for field in self._meta.concrete_fields}

    def enter(self, at: datetime, released: Amount = NOTHING) -> None:
        """Adds it to the ledger and counts it to budgets, instead of what was reserved for it.

        Within a transaction. `at` is when the answer was begun. A call that took nothing leaves no
        entry, and only releases what was reserved.
        """
        took = self.amount
        if took.tokens:
            self.created_at = at
            # Raw, that is with the time given: Django would put the present one.
            self.save_base(raw=True, force_insert=True)
            self.tell_operators()
        if took.tokens or released != NOTHING:
            more = Amount(took.tokens - released.tokens, took.usd - released.usd)
            Spending.objects.count_in(self.payers, at, more)

    def tell_operators(self) -> None:
        """Counts it among the metrics, once the transaction under way has come to its end."""
        transaction.on_commit(self._count)

    def _count(self) -> None:
        kinds = {
            "prompt": self.prompt_tokens,
            "cached": self.cached_tokens,
            "completion": self.completion_tokens,
        }
        for kind, number in kinds.items():
            if number:
                metrics.TOKENS.labels(self.model, str(self.purpose), kind).inc(number)
        if self.cost_usd:
            metrics.COST.labels(self.model, str(self.purpose)).inc(float(self.cost_usd))


class SpendingQuerySet(models.QuerySet["Spending"]):
    """Sets of rows of spending."""

    def at(self, at: datetime) -> "SpendingQuerySet":
        """Those of the day and of the month that this moment is in."""
        places = [Q(period=period, starts=period.starts(at)) for period in Spending.Period]
        return self.filter(reduce(or_, places))

    def share(self, holders: Collection[UUID]) -> None:
        """Keeps rows of these from being made until the transaction ends."""
        with connection.cursor() as cursor:
            cursor.execute(SHARE, {"holders": [str(one) for one in holders]})

    def count_in(self, holders: Collection[UUID], at: datetime, amount: Amount) -> None:
        """Adds what was spent, or reserved, at a time to the rows there are; in one query."""
        values: dict[str, Any] = {
            "holders": [str(one) for one in holders],
            "day": Spending.Period.DAY.starts(at),
            "month": Spending.Period.MONTH.starts(at),
            "tokens": amount.tokens,
            "usd": amount.usd,
        }
        with connection.cursor() as cursor:
            cursor.execute(COUNT, values)

    def alone(self, holder: UUID) -> None:
        """Waits until nothing is being counted to this holder, and keeps it so."""
        with connection.cursor() as cursor:
            cursor.execute(ALONE, {"holder": str(holder)})


class Spending(models.Model):
    """What a user or key has spent of a budget in one period, reservations included.

    Kept for those with a budget alone. The row is what parallel requests queue for.
    """

    class Period(models.TextChoices):
        """How long a budget lasts, by UTC."""

        DAY = "day"
        MONTH = "month"

        def starts(self, at: datetime) -> date:
            """The first day of the period that this moment is in."""
            day = at.astimezone(UTC).date()
            return day if self == Spending.Period.DAY else day.replace(day=1)

        def bounds(self, at: datetime) -> tuple[datetime, datetime]:
            """When the period of this moment begins, and when the next one does."""
            first = self.starts(at)
            next_month = (first + timedelta(days=31)).replace(day=1)
            after = first + timedelta(days=1) if self == Spending.Period.DAY else next_month
            return _midnight(first), _midnight(after)

    holder = models.UUIDField(help_text="The user or API key.")
    period = models.CharField(max_length=5, choices=Period)
    starts = models.DateField()
    tokens = models.BigIntegerField(default=0)
    usd = models.DecimalField(max_digits=16, decimal_places=8, default=Decimal(0))

    objects: ClassVar[Any] = SpendingQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["holder", "period", "starts"], name="spending_once_a_period"
            )
        ]

    def __str__(self) -> str:
        return f"{self.holder}: {self.tokens} tokens, {self.usd} USD"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


class Unit(models.TextChoices):
    """What a budget is counted in."""

    TOKENS = "tokens"
    USD = "usd"

    def of(self, counted: Amount) -> Decimal:
        """So much of it."""
        return Decimal(counted.tokens if self == Unit.TOKENS else counted.usd)

    def show(self, amount: Decimal) -> str:
        """For people: `12,000 tokens` or `1.50 USD`."""
        if self == Unit.TOKENS:
            return f"{amount:,.0f} tokens"
        digits = f"{amount:,.8f}".rstrip("0")
        whole, _, cents = digits.partition(".")
        return f"{whole}.{cents:0<2} USD"


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget: so many tokens or USD a period for one user or API key, whose id is `holder`."""

    holder: UUID
    whose: str
    period: Spending.Period
    unit: Unit
    amount: Decimal

    @property
    def span(self) -> str:
        """Daily or monthly."""
        return "daily" if self.period == Spending.Period.DAY else "monthly"

"""Budgets: what an answer may take is reserved before a model is asked, and settled at its end.

So requests at the same time never spend more than there is. A user or key with a budget has a row
for its day and one for its month (Spending), of what is spent and what is reserved, which all who
want to spend queue for. A new row begins with what the ledger has of its period.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_UP, Decimal
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from conversations.exceptions import BudgetExceeded
from conversations.ledger import CENT
from conversations.models import Conversation, Limit, Message, Spending, UsageEntry
from conversations.models.usage import NOTHING, Amount
from llm import catalogue
from llm.messages import Usage

Place = tuple[UUID, Spending.Period]


@dataclass(frozen=True, slots=True)
class Spent:
    """A budget, and how much of it is spent or reserved; `resets_at` is when the next begins."""

    limit: Limit
    amount: Decimal
    resets_at: datetime

    @property
    def remaining(self) -> Decimal:
        """Never below nothing: a budget may have been lowered."""
        return max(Decimal(0), self.limit.amount - self.amount)


@dataclass(frozen=True, slots=True)
class Held:
    """What is reserved for a call beside answers, and when that was."""

    at: datetime
    amount: Amount = NOTHING


def spent(limits: Sequence[Limit], at: datetime | None = None) -> list[Spent]:
    """How far each is used in the period of that time: now, unless told."""
    at = at or timezone.now()
    amounts = _amounts(Spending.objects.at(at).filter(holder__in={one.holder for one in limits}))
    for place in _places(limits) - amounts.keys():
        amounts[place] = _known(place, at)
    return [_spent(limit, amounts[limit.holder, limit.period], at) for limit in limits]


def require_open(limits: Sequence[Limit]) -> None:
    """Raises BudgetExceeded where one is used up. Where there are none, nothing is looked up."""
    if limits:
        _refuse([one for one in spent(limits) if not one.remaining])


def reserve(answer: Message, models: Sequence[str], most: Usage) -> None:
    """Reserves what an answer takes at most, whichever of these models gives it.

    Raises BudgetExceeded, and reserves nothing, where one of its limits has not so much left;
    Message.DoesNotExist where the answer has ended or was deleted meanwhile. It can have one
    reservation at a time. Where it has no limits there is nothing to do.
    """
    if not answer.limits:
        return
    at, wanted = answer.began_at, bound(models, most)
    _make_missing(answer.limits, at)
    with transaction.atomic():
        pending = Message.objects.filter(pk=answer.pk, status=Message.Status.PENDING)
        if not pending.update(
            prompt_tokens=most.prompt_tokens,
            cached_tokens=0,
            reserved_tokens=wanted.tokens,
            reserved_usd=wanted.usd,
        ):
            raise Message.DoesNotExist
        _take(answer.limits, [answer.conversation.user_id, *answer.charged_to], at, wanted)
    answer.reserved_tokens, answer.reserved_usd = wanted.tokens, wanted.usd


def hold(conversation: Conversation, charged_to: Sequence[UUID], model: str, most: Usage) -> Held:
    """Reserves what a call beside answers takes at most. Raises BudgetExceeded.

    What is held is given to `UsageEntry.enter`, also where the call took nothing.
    """
    at, users = timezone.now(), get_user_model().objects
    limits: Sequence[Limit] = users.limits_of(conversation.user_id, charged_to)
    if not limits:
        return Held(at)
    wanted = bound([model], most)
    _make_missing(limits, at)
    with transaction.atomic():
        _take(limits, [conversation.user_id, *charged_to], at, wanted)
    return Held(at, wanted)


def bound(models: Sequence[str], most: Usage) -> Amount:
    """What the dearest of these models takes for a prompt counted for the first of them."""
    asked = catalogue.find_all(models)
    amounts = []
    for model in asked:
        margin = max(1.0, model.token_margin / asked[0].token_margin)
        prompt = math.ceil(most.prompt_tokens * margin)
        usage = Usage(prompt, model.answer_tokens(most.completion_tokens))
        usd = model.cost(usage).quantize(CENT, ROUND_UP)
        amounts.append(Amount(usage.prompt_tokens + usage.completion_tokens, usd))
    return Amount(max(one.tokens for one in amounts), max(one.usd for one in amounts))


def _take(limits: Sequence[Limit], payers: Sequence[UUID], at: datetime, wanted: Amount) -> None:
    """Counts so much as reserved, within a transaction. Raises BudgetExceeded."""
    Spending.objects.share(payers)
    rows = Spending.objects.at(at).filter(holder__in=payers)
    amounts = _amounts(rows.order_by("holder", "period").select_for_update(no_key=True))
    so_far = [_spent(one, amounts[one.holder, one.period], at) for one in limits]
    _refuse([one for one in so_far if one.limit.unit.of(wanted) > one.remaining], wanted)
    Spending.objects.count_in(payers, at, wanted)


def _refuse(exceeded: Sequence[Spent], wanted: Amount | None = None) -> None:
    """Raises BudgetExceeded for the one of these that resets last; nothing where there is none."""
    if not exceeded:
        return
    one = max(exceeded, key=lambda each: each.resets_at)
    unit, whose = one.limit.unit, "API key" if one.limit.whose == "key" else one.limit.whose
    more = f", and this answer may take {unit.show(unit.of(wanted))}" if wanted else ""
    raise BudgetExceeded(
        f"The {one.limit.span} budget of this {whose} is {unit.show(one.limit.amount)}: "
        f"{unit.show(one.amount)} are spent or reserved{more}. "
        f"It resets at {one.resets_at:%Y-%m-%dT%H:%M:%SZ}.",
        one.resets_at,
    )


def _make_missing(limits: Sequence[Limit], at: datetime) -> None:
    """Makes the rows of spending that these limits have not yet."""
    rows = Spending.objects.at(at).filter(holder__in={one.holder for one in limits})
    for holder, period in _places(limits) - _amounts(rows).keys():
        with transaction.atomic():
            Spending.objects.alone(holder)
            known = _known((holder, period), at)
            row = Spending(
                holder=holder,
                period=period,
                starts=period.starts(at),
                tokens=known.tokens,
                usd=known.usd,
            )
            Spending.objects.bulk_create([row], ignore_conflicts=True)


def _known(place: Place, at: datetime) -> Amount:
    """What a holder has spent and reserved in a period, as ledger and answers under way tell."""
    holder, period = place
    begins, ends = period.bounds(at)
    entered = UsageEntry.objects.of_holder(holder).between(begins, ends).total()
    under_way = Message.objects.filter(
        Q(conversation__user_id=holder) | Q(charged_to__contains=[holder]),
        status=Message.Status.PENDING,
        started_at__gte=begins,
        started_at__lt=ends,
    ).aggregate(tokens=Sum("reserved_tokens", default=0), usd=Sum("reserved_usd", default=0))
    return Amount(entered.tokens + under_way["tokens"], entered.usd + under_way["usd"])


def _places(limits: Iterable[Limit]) -> set[Place]:
    return {(one.holder, one.period) for one in limits}


def _amounts(rows: Iterable[Spending]) -> dict[Place, Amount]:
    return {(row.holder, Spending.Period(row.period)): Amount(row.tokens, row.usd) for row in rows}


def _spent(limit: Limit, amount: Amount, at: datetime) -> Spent:
    return Spent(limit, limit.unit.of(amount), limit.period.bounds(at)[1])

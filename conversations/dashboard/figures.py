"""The numbers of the dashboard: tallies added up by the span of time that a point stands for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from conversations.models.tally import DAY, HOUR, KINDS, RANGES_A_DOUBLING, SUMS, Tally

EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """How far back the dashboard looks, and how long its points are."""

    name: str
    label: str
    length: Tally.Length
    step: timedelta
    points: int


PERIODS = {
    one.name: one
    for one in (
        Period("24h", "24 hours", Tally.Length.HOUR, HOUR, 24),
        Period("7d", "7 days", Tally.Length.HOUR, 6 * HOUR, 28),
        Period("30d", "30 days", Tally.Length.DAY, DAY, 30),
        Period("90d", "90 days", Tally.Length.DAY, DAY, 90),
    )
}
FIRST = PERIODS["24h"]


@dataclass(frozen=True, slots=True)
class Sums:
    """Tallies added up; counts by error code, and by range of milliseconds."""

    conversations: int
    messages: int
    answers: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_usd: Decimal
    documents_ready: int
    documents_waiting: int
    pages: int
    failures: Mapping[str, int]
    first_token_ms: Mapping[str, int]
    duration_ms: Mapping[str, int]
    document_failures: Mapping[str, int]

    @property
    def tokens(self) -> int:
        """Those of prompts, cached or not, and of answers."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def failed(self) -> int:
        """Answers that failed."""
        return sum(self.failures.values())

    @property
    def documents_failed(self) -> int:
        """Documents that could not be read."""
        return sum(self.document_failures.values())


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened in a period, point by point and in all, and in the period before."""

    period: Period
    starts: tuple[datetime, ...]
    points: tuple[Sums, ...]
    total: Sums
    before: Sums
    counted_at: datetime | None


def figures(period: Period, now: datetime) -> Figures:
    """Of the period that ends now; the last point is of what is over of it. One database query.

    The period before is the same time earlier, up to the end of the hour or day that goes on.
    """
    unit = HOUR if period.length == Tally.Length.HOUR else DAY
    whole = period.step * period.points
    begins = _floor(now, period.step) - period.step * (period.points - 1)
    ends = _floor(now, unit) + unit
    rows: list[Any] = list(Tally.objects.of(period.length, begins - whole, ends))
    starts = tuple(begins + period.step * n for n in range(period.points))
    by_point: dict[datetime, list[Any]] = {}
    for row in rows:
        by_point.setdefault(begins + (row.starts - begins) // period.step * period.step, []).append(
            row
        )
    current = [row for row in rows if row.starts >= begins]
    return Figures(
        period,
        starts,
        tuple(add_up(by_point.get(one, [])) for one in starts),
        add_up(current),
        add_up([row for row in rows if row.starts < min(begins, ends - whole)]),
        max((row.counted_at for row in current), default=None),
    )


def add_up(tallies: Sequence[Any]) -> Sums:
    """All of them together."""
    sums: dict[str, Any] = {name: sum(getattr(one, name) for one in tallies) for name in SUMS}
    for name in KINDS:
        counts: Counter[str] = Counter()
        for one in tallies:
            counts.update(getattr(one, name))
        sums[name] = counts
    return Sums(**sums)


def percentile(counts: Mapping[str, int], share: float) -> float | None:
    """Milliseconds that this share of answers stayed under, to within a tenth; None of none."""
    wanted = share * sum(counts.values())
    for part in sorted(counts, key=int):
        if wanted <= counts[part]:
            doublings = (int(part) + wanted / counts[part]) / RANGES_A_DOUBLING
            return float(2**doublings)
        wanted -= counts[part]
    return None


def _floor(moment: datetime, step: timedelta) -> datetime:
    """The last multiple of the step, by UTC."""
    return EPOCH + (moment - EPOCH) // step * step

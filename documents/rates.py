"""How often something is done in a minute, a day or so, counted for all processes together.

A fixed window: what is counted starts again with each minute, or UTC day, of the database's clock.
A process takes several requests of a busy holder at once out of the holder's row (a lease), so that
most requests ask nothing of the database, and a thousand at once do not queue for one row. Leases
grow with use and shrink with what is left: in all never more is given than the limit, and the last
ones are given one by one.
"""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from documents.prepared import prepared_cursor

# At once a process takes at most one in so many of what is left, and of the limit.
PART_OF_REST = 16
PART_OF_LIMIT = 64
# From so many holders on, a process forgets those whose minute is over.
HOLDERS_KNOWN = 10_000
# Rows that were not counted in for so long are removed.
KEPT = timedelta(days=2)
# In seconds. Two ends of windows that are nearer than this are the same one's.
SAME_WINDOW = 1.0

# `used` may pass the limit: who takes knows by the sum before how much was left. Rows are locked in
# one order, so that no two statements wait for each other.
TAKE = """
INSERT INTO documents_rate AS rate (holder, what, starts, used)
SELECT key::uuid, %(what)s, date_bin(%(span)s::interval, statement_timestamp(), 'epoch'),
    value::bigint
FROM jsonb_each_text(%(many)s)
ORDER BY key::uuid
ON CONFLICT (holder, what) DO UPDATE
SET used = EXCLUDED.used + CASE WHEN rate.starts = EXCLUDED.starts THEN rate.used ELSE 0 END,
    starts = EXCLUDED.starts
RETURNING holder, used,
    extract(epoch FROM starts + %(span)s::interval - statement_timestamp())::float
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a holder stands: what remains of its limit, for so many seconds.

    Of what remains others may be using some at the same time.
    """

    limit: int
    remaining: int
    seconds: float
    is_refused: bool = False

    @property
    def resets_at(self) -> datetime:
        """When the next window begins."""
        return datetime.now(UTC) + timedelta(seconds=self.seconds)


class Rate(models.Model):
    """What a holder has used of a minute, a day or another window.

    The table is not logged (see the migration): writing it waits for no disk, and after a crash of
    the database it is empty, so that all begin anew.
    """

    class What(models.TextChoices):
        """What is counted, each in windows of its own length."""

        REQUESTS = "requests"
        UPLOADS = "uploads"
        LOGINS = "logins"

        @property
        def span(self) -> str:
            """How long a window is, as PostgreSQL writes it."""
            if self == Rate.What.LOGINS:
                return f"{settings.LOGIN_PAUSE_SECONDS} seconds"
            return "1 minute" if self == Rate.What.REQUESTS else "1 day"

    pk = models.CompositePrimaryKey("holder", "what")
    holder = models.UUIDField(help_text="The user or API key; of logins, a digest.")
    what = models.CharField(max_length=10, choices=What)
    starts = models.DateTimeField(help_text="When the window began.")
    used = models.BigIntegerField()

    objects: ClassVar[Any] = models.Manager()

    def __str__(self) -> str:
        return f"{self.holder}: {self.used} {self.what}"


def count_upload(holder: UUID, limit: int) -> Standing:
    """Counts an upload of the day, in the transaction under way, which others wait for."""
    used, seconds = _take(Rate.What.UPLOADS, {holder: 1})[holder]
    return Standing(limit, max(0, limit - used), seconds, is_refused=used > limit)


def forget_old() -> None:
    """Removes rows of windows that are long over."""
    Rate.objects.filter(starts__lt=Now() - KEPT).delete()


def _take(what: Rate.What, many: Mapping[UUID, int]) -> dict[UUID, tuple[int, float]]:
    """Counts so many for each holder: what is used by then, and the seconds left."""
    values = {"what": what.value, "span": what.span}
    values["many"] = json.dumps({str(holder): wanted for holder, wanted in many.items()})
    with prepared_cursor() as cursor:
        cursor.execute(TAKE, values)
        return {holder: (used, seconds) for holder, used, seconds in cursor.fetchall()}


class Requests:
    """The requests of a minute, or the logins of a while, that this process may give."""

    def __init__(self, what: Rate.What = Rate.What.REQUESTS) -> None:
        self._what = what
        self._leases: dict[UUID, _Lease] = {}
        self._forget_from = HOLDERS_KNOWN
        # Never held while the database is asked.
        self._lock = threading.Lock()

    def take(self, limits: Sequence[tuple[UUID, int]]) -> list[Standing]:
        """Counts a request for each of these holders, unless one is refused; how they stand.

        One statement where a lease is used up; none for a holder whose refusal is known.
        """
        with self._lock:
            leases = [self._lease(holder, limit) for holder, limit in limits]
            if any(lease.is_spent for lease in leases):
                return [lease.standing(is_refused=lease.is_spent) for lease in leases]
            wanting = [lease for lease in leases if not lease.take()]
            sizes = {lease.holder: lease.next_size() for lease in wanting}
        told = _take(self._what, sizes) if sizes else {}
        with self._lock:
            refused = [
                lease
                for lease in wanting
                if not lease.receive(sizes[lease.holder], *told[lease.holder])
            ]
            if refused:
                for lease in leases:
                    lease.left += lease not in refused
            return [lease.standing(is_refused=lease in refused) for lease in leases]

    def give_back(self, *holders: UUID) -> None:
        """One for each of these, to those who come to this process next."""
        with self._lock:
            for lease in filter(None, map(self._leases.get, holders)):
                lease.left += 1

    def forget(self, holder: UUID) -> None:
        """Counts for the holder from zero again."""
        Rate.objects.filter(holder=holder, what=self._what).delete()
        with self._lock:
            self._leases.pop(holder, None)

    def _lease(self, holder: UUID, limit: int) -> "_Lease":
        lease = self._leases.get(holder)
        if lease is None or lease.limit != limit or lease.ends <= time.monotonic():
            if len(self._leases) >= self._forget_from:
                self._forget_ended()
            lease = self._leases[holder] = _Lease(holder, limit)
        return lease

    def _forget_ended(self) -> None:
        now = time.monotonic()
        self._leases = {one.holder: one for one in self._leases.values() if one.ends > now}
        self._forget_from = max(HOLDERS_KNOWN, 2 * len(self._leases))


@dataclass(slots=True, eq=False)
class _Lease:
    """What this process has taken of a holder's window, and how that stands."""

    holder: UUID
    limit: int
    # By the monotonic clock; the database tells it.
    ends: float = field(default_factory=lambda: time.monotonic() + 60)
    left: int = 0
    used: int = 0
    size: int = 0

    @property
    def is_spent(self) -> bool:
        """Nothing is left here or elsewhere, as far as is known."""
        return self.left == 0 and self.used >= self.limit

    def take(self) -> bool:
        """Takes one of what is left; False where there is none."""
        if self.left == 0:
            return False
        self.left -= 1
        return True

    def next_size(self) -> int:
        """How many to ask for: one at first, then more and more."""
        rest = self.limit - self.used
        most = min(2 * self.size, rest // PART_OF_REST, self.limit // PART_OF_LIMIT)
        self.size = max(1, most)
        return self.size

    def receive(self, asked: int, used: int, seconds: float) -> bool:
        """Takes one of so many that were asked for; False where none of them was to be had.

        `used` counts those asked for too.
        """
        granted = min(asked, max(0, self.limit - (used - asked)))
        ends = time.monotonic() + seconds
        if abs(ends - self.ends) > SAME_WINDOW:
            self.ends, self.left, self.used = ends, 0, 0
        self.used = max(self.used, used)
        self.left += max(0, granted - 1)
        return granted > 0

    def standing(self, *, is_refused: bool = False) -> Standing:
        """As it is known here."""
        remaining = max(0, self.limit - self.used) + self.left
        return Standing(self.limit, remaining, max(0.0, self.ends - time.monotonic()), is_refused)


requests = Requests()
logins = Requests(Rate.What.LOGINS)

"""Web processes, each with a sign of life by which their answers under way are known to live."""

import os
import socket
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import psutil
from django.db import models
from django.db.models import DateTimeField, F, Func, Q
from django.db.models.functions import Now

BURIED = datetime.fromtimestamp(0, UTC)


class DatabaseStart(Func):
    """When the database server was started, by its own clock."""

    function = "pg_postmaster_start_time"
    output_field = DateTimeField()


class WebProcessQuerySet(models.QuerySet["WebProcess"]):
    """Sets of web processes."""

    def alive(self) -> "WebProcessQuerySet":
        """Those heard of within their lease, by the database's clock.

        While the database was away nobody could be heard of: after its start each has a new lease.
        """
        heard = Q(seen_at__gt=Now() - WebProcess.LEASE)
        unheard = Q(seen_at__gt=F("database_start") - WebProcess.LONGEST_OUTAGE)
        unheard &= Q(database_start__gt=Now() - WebProcess.LEASE)
        return self.alias(database_start=DatabaseStart()).filter(heard | unheard)

    def bury_the_dead(self) -> int:
        """Ends the leases of this host's processes that have ended; how many there were."""
        here = self.alive().filter(host=socket.gethostname())
        gone = [one.pk for one in here if not one.runs_here()]
        return self.filter(pk__in=gone).update(seen_at=BURIED)


class WebProcess(models.Model):
    """A process that answers."""

    LEASE = timedelta(seconds=10)
    # Of the database, through which the leases last.
    LONGEST_OUTAGE = timedelta(minutes=10)

    id = models.UUIDField(primary_key=True, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    # Process ids are used again: with its start it is the very same process.
    began = models.FloatField(help_text="Seconds since 1970, as the system tells.")
    seen_at = models.DateTimeField()

    objects: ClassVar[Any] = WebProcessQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "web processes"

    def __str__(self) -> str:
        return f"{self.host} {self.pid}"

    def runs_here(self) -> bool:
        """Whether this host runs it still."""
        try:
            return bool(abs(psutil.Process(self.pid).create_time() - self.began) < 1)
        except psutil.NoSuchProcess:
            return False

    @classmethod
    def sign_of_life(cls, process_id: Any) -> None:
        """Says that this very process lives, under that id."""
        cls.objects.update_or_create(
            pk=process_id,
            defaults={"seen_at": Now()},
            create_defaults={
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "began": psutil.Process().create_time(),
                "seen_at": Now(),
            },
        )

"""What happened in each hour and day: a dashboard reads hundreds of rows, not millions."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.db import connection, models
from django.utils import timezone

from conversations.ids import first_id
from conversations.models.conversation import Conversation
from conversations.models.usage import UsageEntry
from documents.models import Document

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# How much is counted of what was there before the first count.
LONGEST = timedelta(days=180)
# Ranges of milliseconds in which answers are counted, so many to a doubling: each is 19% wide.
RANGES_A_DOUBLING = 4

SUMS = (
    *("conversations", "messages", "answers"),
    *("prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd"),
    *("documents_ready", "documents_waiting", "pages"),
)
KINDS = ("failures", "first_token_ms", "duration_ms", "document_failures")
COLUMNS = ", ".join((*SUMS, *KINDS))

INSERT = f"INSERT INTO conversations_tally (length, starts, counted_at, {COLUMNS})"
# What is counted again takes the place of what was counted before.
INSTEAD = f"""
ON CONFLICT (length, starts) DO UPDATE SET (counted_at, {COLUMNS})
    = (EXCLUDED.counted_at, {", ".join(f"EXCLUDED.{one}" for one in (*SUMS, *KINDS))})
"""

# By when rows were made, which their keys tell; usage by when its answer was begun.
COUNT_HOUR = f"""
WITH message AS MATERIALIZED (
    SELECT role, status, error_code, first_token_ms, duration_ms
    FROM conversations_message WHERE id >= %(first)s AND id < %(past)s
), document AS MATERIALIZED (
    SELECT status, error_code, page_count
    FROM documents_document WHERE id >= %(first)s AND id < %(past)s
), sums AS (
    SELECT (
        SELECT count(*) FROM conversations_conversation WHERE id >= %(first)s AND id < %(past)s
    ) AS conversations, *
    FROM (
        SELECT count(*) AS messages, count(*) FILTER (WHERE role = 'assistant') AS answers
        FROM message
    ) AS said, (
        SELECT coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
            coalesce(sum(cached_tokens), 0) AS cached_tokens,
            coalesce(sum(completion_tokens), 0) AS completion_tokens,
            coalesce(sum(cost_usd), 0) AS cost_usd
        FROM conversations_usageentry WHERE created_at >= %(starts)s AND created_at < %(ends)s
    ) AS took, (
        SELECT count(*) FILTER (WHERE status = 'ready') AS documents_ready,
            count(*) FILTER (WHERE status IN ('pending', 'processing')) AS documents_waiting,
            coalesce(sum(page_count) FILTER (WHERE status = 'ready'), 0) AS pages
        FROM document
    ) AS uploaded
), counted (kind, name, n) AS (
    SELECT 'failures', error_code, count(*)
    FROM message WHERE role = 'assistant' AND status IN ('failed', 'interrupted') GROUP BY 2
    UNION ALL
    SELECT 'document_failures', error_code, count(*)
    FROM document WHERE status = 'failed' GROUP BY 2
    UNION ALL
    SELECT timed.kind, floor(%(ranges)s * ln(greatest(ms, 1)) / ln(2))::int::text, count(*)
    FROM message, LATERAL (
        VALUES ('first_token_ms', first_token_ms), ('duration_ms', duration_ms)
    ) AS timed(kind, ms)
    WHERE role = 'assistant' AND status = 'completed' AND ms IS NOT NULL GROUP BY 1, 2
), kinds AS (
    SELECT jsonb_object_agg(kind, amounts) AS of
    FROM (SELECT kind, jsonb_object_agg(name, n) AS amounts FROM counted GROUP BY kind) AS each
)
{INSERT}
SELECT 'hour', %(starts)s, clock_timestamp(), {", ".join(SUMS)},
    {", ".join(f"coalesce(kinds.of -> '{one}', '{{}}')" for one in KINDS)}
FROM sums, kinds
{INSTEAD}
"""  # noqa: S608 - names of columns alone are formatted in

MERGED = ", ".join(
    f"""
    (
        SELECT coalesce(jsonb_object_agg(name, n), '{{}}') FROM (
            SELECT key AS name, sum(value::int) AS n
            FROM hours, jsonb_each_text({one}) GROUP BY key
        ) AS named
    )
    """  # noqa: S608 - the same
    for one in KINDS
)
ADD_UP_DAY = f"""
WITH hours AS MATERIALIZED (
    SELECT * FROM conversations_tally
    WHERE length = 'hour' AND starts >= %(starts)s AND starts < %(ends)s
)
{INSERT}
SELECT 'day', %(starts)s, max(counted_at), {", ".join(f"sum({one})" for one in SUMS)}, {MERGED}
FROM hours
{INSTEAD}
"""  # noqa: S608 - the same


class TallyQuerySet(models.QuerySet["Tally"]):
    """Sets of tallies."""

    def count_since(self, moment: datetime) -> int:
        """Counts the hours from then to now, and earlier ones never counted; how many.

        Oldest first, each in one statement, so that it goes on where it was cut off. Then the days.
        """
        now = timezone.now()
        last = self.filter(length=Tally.Length.HOUR).order_by("starts").last()
        starts = begun = full_hour(min(moment, last.starts if last else _oldest() or now))
        while starts <= now:
            ids = {"first": first_id(starts), "past": first_id(starts + HOUR)}
            _run(COUNT_HOUR, starts, starts + HOUR, ranges=RANGES_A_DOUBLING, **ids)
            starts += HOUR
        day = begun.replace(hour=0)
        while day <= now:
            _run(ADD_UP_DAY, day, day + DAY)
            day += DAY
        return (starts - begun) // HOUR

    def of(self, length: "Tally.Length", begins: datetime, ends: datetime) -> "TallyQuerySet":
        """Those that start from the one moment on, before the other; in order."""
        found = self.filter(length=length, starts__gte=begins, starts__lt=ends)
        return found.order_by("starts")


class Tally(models.Model):
    """Sums of one hour or day, by UTC, kept by a worker.

    They outlive what they count, and tell nothing of whose it was.
    """

    class Length(models.TextChoices):
        """How long it is."""

        HOUR = "hour"
        DAY = "day"

    pk = models.CompositePrimaryKey("length", "starts")
    length = models.CharField(max_length=4, choices=Length)
    starts = models.DateTimeField()
    conversations = models.PositiveIntegerField(help_text="Begun.")
    messages = models.PositiveIntegerField()
    answers = models.PositiveIntegerField(help_text="The failed ones too.")
    prompt_tokens = models.PositiveBigIntegerField()
    cached_tokens = models.PositiveBigIntegerField(help_text="Of those of prompts.")
    completion_tokens = models.PositiveBigIntegerField()
    cost_usd = models.DecimalField(max_digits=16, decimal_places=8)
    documents_ready = models.PositiveIntegerField(help_text="Of those uploaded meanwhile.")
    documents_waiting = models.PositiveIntegerField(help_text="The same, when it was counted.")
    pages = models.PositiveIntegerField(help_text="Of the documents that are ready.")
    failures = models.JSONField(help_text="Answers that failed, by error code.")
    first_token_ms = models.JSONField(help_text="Answers by range of milliseconds.")
    duration_ms = models.JSONField(help_text="The same of their whole time.")
    document_failures = models.JSONField(help_text="Documents that failed, by error code.")
    counted_at = models.DateTimeField()

    objects: ClassVar[Any] = TallyQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        verbose_name_plural = "tallies"

    def __str__(self) -> str:
        return f"{self.length} of {self.starts:%Y-%m-%d %H:%M}"


def full_hour(moment: datetime) -> datetime:
    """The one that this moment is in, by UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _run(statement: str, starts: datetime, ends: datetime, **values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"starts": starts, "ends": ends, **values})


def _oldest() -> datetime | None:
    """When the first of the rows was made that are counted; LONGEST ago at most."""
    rows = (
        Conversation.objects.order_by("pk"),
        Document.objects.order_by("pk"),
        UsageEntry.objects.order_by("created_at"),
    )
    made = [one for row in rows if (one := row.values_list("created_at", flat=True).first())]
    return max(min(made), timezone.now() - LONGEST) if made else None

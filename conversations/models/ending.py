"""The end of an answer, in one query: it is saved and paid for, and its pieces are forgotten."""

from typing import TYPE_CHECKING, Any

from django.db import connection

from conversations.models.insertion import as_json
from conversations.models.usage import SHARE, Amount, Spending, UsageEntry

if TYPE_CHECKING:
    from conversations.models.message import Message

# What an answer's end decides. Not its place in the tree, which may have changed while the model
# spoke.
DECIDED = (
    "status",
    "content",
    "model",
    "finish_reason",
    "error_code",
    "error",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cost_usd",
    "grounding",
    "duration_ms",
    "first_token_ms",
    "context",
    "prompt_sha256",
)

# The third statement sees what is there once the locks of the first two are had; they are taken in
# the order in which reservations take theirs. Where the answer has ended it finds nothing to do.
END = f"""
SELECT FROM conversations_message WHERE id = %(id)s FOR NO KEY UPDATE;
{SHARE};
WITH ending AS MATERIALIZED (
    SELECT id, reserved_tokens, reserved_usd FROM conversations_message
    WHERE id = %(id)s AND status = ANY(%(to_come)s)
    AND started_at IS NOT DISTINCT FROM %(started_at)s
), saved AS (
    UPDATE conversations_message SET reserved_tokens = 0, reserved_usd = 0,
    ({", ".join(DECIDED)}) = (
        SELECT {", ".join(DECIDED)}
        FROM jsonb_populate_record(NULL::conversations_message, %(decided)s)
    )
    WHERE id = (SELECT id FROM ending)
), forgotten AS (
    DELETE FROM conversations_streamedtext WHERE message_id = (SELECT id FROM ending)
), entered AS (
    INSERT INTO conversations_usageentry
    SELECT entry.* FROM ending,
    jsonb_populate_recordset(NULL::conversations_usageentry, %(entries)s) AS entry
), counted AS (
    SELECT id FROM conversations_spending
    WHERE EXISTS (SELECT FROM ending) AND holder = ANY(%(holders)s::uuid[])
    AND (period, starts) IN (('day', %(day)s::date), ('month', %(month)s::date))
    ORDER BY holder, period
    FOR NO KEY UPDATE
), spent AS (
    UPDATE conversations_spending
    SET tokens = tokens + %(tokens)s - reserved_tokens, usd = usd + %(usd)s - reserved_usd
    FROM ending
    WHERE conversations_spending.id IN (SELECT id FROM counted)
)
SELECT FROM ending
"""  # noqa: S608  names of columns alone


def end(answer: "Message", entry: UsageEntry | None) -> bool:
    """Saves how an answer to come ended, and enters what it took instead of what was reserved.

    A transaction by itself. False, and nothing is done, where it has ended before or is gone.
    """
    took = entry.amount if entry else Amount()
    holders = entry.payers if entry else []
    values: dict[str, Any] = {
        "id": answer.pk,
        "to_come": list({answer.Status.PENDING, answer.Status.INTERRUPTED} - {answer.status}),
        "started_at": answer.started_at,
        "decided": as_json({name: getattr(answer, name) for name in DECIDED}),
        "entries": as_json([entry.stored_at(answer.began_at)] if entry and took.tokens else []),
        "holders": [str(one) for one in holders],
        "day": Spending.Period.DAY.starts(answer.began_at),
        "month": Spending.Period.MONTH.starts(answer.began_at),
        "tokens": took.tokens,
        "usd": took.usd,
    }
    with connection.cursor() as cursor:
        cursor.execute(END, values)
        while cursor.nextset():
            pass
        ended = bool(cursor.rowcount)
    if ended and entry and took.tokens:
        entry.tell_operators()
    return ended

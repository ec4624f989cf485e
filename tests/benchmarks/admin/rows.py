"""A million messages and what belongs to them, made by SQL within the database."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction

from botgpt.accounts.models import APIKey, User
from conversations.models import AuditEntry, Conversation, Feedback, Message, UsageEntry
from documents.models import Chunk, Document, Page

USERS = 1_000
CONVERSATIONS = 50_000
MESSAGES_EACH = 20
AUDITED_EACH = 5
DOCUMENTS = 100_000
CHUNKS_EACH = 3
FAILED_JOBS = 50_000
WAITING_JOBS = 500
DAYS = 90
TEXTS = 2_000
WORDS_EACH = 40
SEED = 1
ERRORS = "(ARRAY['rate_limited', 'model_timeout'])[1 + (r * 50)::int]"
ACTION = """
CASE WHEN position = 0 THEN 'created' WHEN r < 0.001 THEN 'exported' ELSE 'viewed' END
"""

# What the rows are made from: the moment `at` goes evenly through all days, and `r` is random.
# Few users have many conversations.
SOURCES = f"""
CREATE TEMP TABLE who AS
SELECT n, uuidv7(interval '-{DAYS} days') AS id FROM generate_series(0, {USERS - 1}) AS n;

CREATE TEMP TABLE talk AS
SELECT one.*, uuidv7(at - clock_timestamp()) AS id, random() AS r, who.id AS user_id
FROM (
    SELECT n, floor({USERS} * random() ^ 3)::int AS owner,
        now() - interval '{DAYS} days' * (1 - n::float / {CONVERSATIONS}) AS at
    FROM generate_series(1, {CONVERSATIONS}) AS n
) AS one JOIN who ON who.n = owner;

CREATE TEMP TABLE said AS
SELECT talk.n, position, talk.id AS conversation_id, talk.user_id, random() AS r,
    talk.at + interval '20 seconds' * position AS at,
    uuidv7(talk.at + interval '20 seconds' * position - clock_timestamp()) AS id
FROM talk, generate_series(0, {MESSAGES_EACH - 1}) AS position;

CREATE TEMP TABLE file AS
SELECT one.*, uuidv7(at - clock_timestamp()) AS id, random() AS r, who.id AS user_id
FROM (
    SELECT n, floor({USERS} * random() ^ 3)::int AS owner,
        now() - interval '{DAYS} days' * (1 - n::float / {DOCUMENTS}) AS at
    FROM generate_series(1, {DOCUMENTS}) AS n
) AS one JOIN who ON who.n = owner;
ANALYZE who; ANALYZE talk; ANALYZE said; ANALYZE file;
"""


def fill() -> None:
    """Makes all rows, unless they are there. Prints what it took."""
    if Message.objects.count() >= CONVERSATIONS * MESSAGES_EACH:
        return
    begun = time.perf_counter()
    with transaction.atomic(), _without(Message, "message_words"), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no look at foreign keys
        cursor.execute("SET LOCAL work_mem = '256MB'")
        cursor.execute(SOURCES)
        _texts()
        _people()
        _conversations()
        _documents()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    print(f"filled in {time.perf_counter() - begun:.0f} s")


def common_word() -> str:
    """One that many texts have."""
    return _word(random.Random(SEED))


def _texts() -> None:
    """Texts of words that are common or rare as words are."""
    chance = random.Random(SEED)
    vocabulary = [_word(chance) for _ in range(20_000)]
    weights = [1 / (rank + 3) for rank in range(len(vocabulary))]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE words (n int PRIMARY KEY, text text)")
        for n in range(TEXTS):
            text = " ".join(chance.choices(vocabulary, weights, k=WORDS_EACH))
            cursor.execute("INSERT INTO words VALUES (%s, %s)", [n, text])


def _word(chance: random.Random) -> str:
    return "".join(chance.choice("bdfgklmnprst") + chance.choice("aeiou") for _ in range(3))


def _people() -> None:
    named = {
        "username": "id::text",
        "password": "'!'",
        "date_joined": f"now() - interval '{DAYS} days'",
    }
    _insert(User, "who", id="id", **named)
    key = {
        "name": "'key ' || n",
        "owner": "id",
        "prefix": "left(id::text, 8)",
        "digest": "id::text",
    }
    _insert(APIKey, "who", id="id", created_at="now()", **key)
    edited = {"user": "id", "action_time": "now()", "action_flag": "2", "object_id": "id::text"}
    kind = str(ContentType.objects.get_for_model(User).pk)
    source = "who, generate_series(1, 10)"
    _insert(LogEntry, source, object_repr="'user'", content_type=kind, **edited)


def _conversations() -> None:
    model = "(ARRAY['llama-3.3-70b-versatile', 'openai/gpt-oss-20b'])[1 + (r * 1.3)::int]"
    text = f"(SELECT text FROM words WHERE words.n = floor(r * {TEXTS})::int)"
    _insert(
        Conversation,
        "talk",
        id="id",
        user="user_id",
        mode="CASE WHEN r < 0.5 THEN 'grounded_rag' ELSE 'open_chat' END",
        title=f"left({text}, 60)",
        model=model,
        created_at="at",
        updated_at=f"at + interval '20 seconds' * {MESSAGES_EACH}",
    )
    answer, failed = "mod(position, 2) = 1", "mod(position, 2) = 1 AND r < 0.02"
    _insert(
        Message,
        "(SELECT *, lag(id) OVER (PARTITION BY n ORDER BY position) AS above FROM said) AS said",
        id="id",
        conversation="conversation_id",
        user="user_id",
        parent="above",
        position="position",
        role=f"CASE WHEN {answer} THEN 'assistant' ELSE 'user' END",
        status=f"CASE WHEN {failed} THEN 'failed' ELSE 'completed' END",
        error_code=f"CASE WHEN {failed} THEN {ERRORS} ELSE '' END",
        content=f"{text} || ' ' || n || '-' || position",
        model=f"CASE WHEN {answer} THEN {model} ELSE '' END",
        prompt_tokens="300",
        completion_tokens="100",
        duration_ms=f"CASE WHEN {answer} THEN (400 * exp(2 * r))::int END",
        first_token_ms=f"CASE WHEN {answer} THEN (100 * exp(2 * r))::int END",
        started_at=f"CASE WHEN {answer} THEN at END",
        created_at="at",
    )
    _insert(
        UsageEntry,
        "said",
        id="id",
        user="user_id",
        conversation_id="conversation_id",
        message_id="id",
        purpose="CASE WHEN mod(position, 2) = 1 THEN 'answer' ELSE 'rewrite' END",
        model=model,
        prompt_tokens="300 + (r * 1000)::int",
        completion_tokens="50 + (r * 200)::int",
        cached_tokens="(r * 200)::int",
        cost_usd="0.0001 * (1 + r)",
        created_at="at",
    )
    _insert(
        AuditEntry,
        f"(SELECT * FROM said WHERE position < {AUDITED_EACH}) AS said",
        id="id",
        actor_kind="CASE WHEN r < 0.001 THEN 'staff' ELSE 'key' END",
        actor_id="user_id",
        action=ACTION,
        conversation_id="conversation_id",
        user_id="user_id",
        created_at="at",
    )
    _insert(
        Feedback,
        "(SELECT * FROM said WHERE position = 1) AS said",
        message="id",
        rating="CASE WHEN r < 0.5 THEN 'up' ELSE 'down' END",
        comment=f"left({text}, 80)",
        created_at="at",
        updated_at="at",
    )


def _documents() -> None:
    text = f"(SELECT text FROM words WHERE words.n = floor(r * {TEXTS})::int)"
    status = "CASE WHEN r < 0.03 THEN 'failed' WHEN n > {0} - {1} THEN 'pending' ELSE 'ready' END"
    status = status.format(DOCUMENTS, WAITING_JOBS)
    _insert(
        Document,
        "file",
        id="id",
        user="user_id",
        name="'report ' || n || '.pdf'",
        kind="CASE WHEN r < 0.8 THEN 'pdf' ELSE 'txt' END",
        file="'documents/' || id",
        size="(r * 1000000)::int",
        sha256="id::text",
        status=status,
        error_code="CASE WHEN r < 0.03 THEN 'encrypted' ELSE '' END",
        title=f"left({text}, 60)",
        language="CASE WHEN r < 0.7 THEN 'english' ELSE 'simple' END",
        page_count="1 + (r * 40)::int",
        pages_done="1 + (r * 40)::int",
        chunk_count=str(CHUNKS_EACH),
        token_count="900",
        created_at="at",
        processed_at="at + interval '3 seconds'",
    )
    several = f"file, generate_series(0, {CHUNKS_EACH - 1}) AS ordinal"
    where = {"page_start": "ordinal + 1", "page_end": "ordinal + 1", "char_start": "0"}
    chunk = {"document": "id", "ordinal": "ordinal", "token_count": "300", "text": text, **where}
    _insert(Chunk, several, id="uuidv7()", **chunk)
    _insert(Page, several, document="id", number="ordinal + 1", text=text)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, attempts)
            SELECT 'documents', 'documents.tasks.ingest_document',
                jsonb_build_object('document_id', id),
                (CASE WHEN n > %(waiting)s THEN 'todo' ELSE 'failed' END)::procrastinate_job_status,
                0
            FROM file WHERE n > %(waiting)s OR n <= %(failed)s
            """,
            {"waiting": DOCUMENTS - WAITING_JOBS, "failed": FAILED_JOBS},
        )
        cursor.execute(
            """
            INSERT INTO procrastinate_events (job_id, type, at)
            SELECT id, type::procrastinate_job_event_type, now() - interval '10 minutes'
            FROM procrastinate_jobs,
                unnest(CASE WHEN status = 'todo' THEN ARRAY['deferred']
                    ELSE ARRAY['deferred', 'started', 'failed'] END) AS type
            """
        )


def _insert(model: type[models.Model], source: str, /, **expressions: str) -> None:
    """A row for each of the source; fields that are not told have their defaults."""
    begun = time.perf_counter()
    columns, values, parameters = [], [], []
    for field in model._meta.concrete_fields:
        told = expressions.get(field.name)
        if told is None and field.primary_key:
            continue
        columns.append(f'"{field.column}"')
        values.append(told or "%s")
        if told is None:
            parameters.append(field.get_db_prep_save(field.get_default(), connection))
    sql = f"INSERT INTO {model._meta.db_table} ({', '.join(columns)})"
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} SELECT {', '.join(values)} FROM {source}", parameters or None)
        print(f"{cursor.rowcount:>9,} {model.__name__} {time.perf_counter() - begun:.1f} s")


@contextmanager
def _without(model: type[models.Model], name: str) -> Iterator[None]:
    """An index that is made at the end, which is quicker."""
    [index] = [one for one in model._meta.indexes if one.name == name]
    with connection.schema_editor(atomic=False) as editor:
        editor.remove_index(model, index)
    try:
        yield
    finally:
        with connection.schema_editor(atomic=False) as editor:
            editor.add_index(model, index)

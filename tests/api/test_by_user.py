"""What docs/scaling.md promises for the day when users live on many database servers.

Every table has its user in itself or one step away, and no statement of the API goes by anything
else: it names a user or a row of theirs, and from there follows keys alone.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection, models, transaction

from botgpt.accounts.models import User
from conversations import live
from conversations.models import Message
from tests.api.test_tenancy import OPERATIONS, Call, Somebody
from tests.factories import make_conversation

pytestmark = pytest.mark.django_db

# Tables that are no user's, and why.
NOBODYS = {
    "auth_group": "rights of staff",
    "auth_group_permissions": "rights of staff",
    "auth_permission": "rights of staff",
    "accounts_user_groups": "rights of staff",
    "accounts_user_user_permissions": "rights of staff",
    "django_admin_log": "what staff did, found by staff or by what they did it to",
    "django_content_type": "kinds of rows",
    "django_session": "sessions of staff, found by their key",
    "conversations_webprocess": "processes of the product",
    "conversations_tally": "sums of hours and days, over all users",
    "documents_idempotentcall": "calls of a key in the last day, found by the key that made them",
    "documents_rate": "counts by the id of a key or of a user, which no other table joins",
    "conversations_spending": "sums by the id of a key or of a user, which no other table joins",
    "procrastinate_workers": "processes of the product",
    "procrastinate_jobs": "the queue: jobs that name a document or a user",
    "procrastinate_events": "the queue",
    "procrastinate_periodic_defers": "the queue",
}
# Whose rows are not found by their user, so that no index begins with it: by what they are found.
FOUND_BY = {"conversations_message": "conversation"}
# Calls that look at the whole product.
OF_ALL = {"health", "ready"}
# What else than a key may lead to a row: secrets, before anybody knows whose they are.
SECRETS = {"accounts_apikey": {"digest"}}

ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
TRANSACTIONS = re.compile(r"SAVEPOINT|RELEASE|ROLLBACK|BEGIN|COMMIT")
# What would outlive the transaction in which a pooler lends a connection.
OF_SESSIONS = re.compile(
    r"^\s*(SET (?!LOCAL|CONSTRAINTS)|LISTEN|UNLISTEN|DECLARE|PREPARE|DISCARD|LOAD|CREATE TEMP)"
    r"|pg_(try_)?advisory_lock|set_config\([^)]*false\)",
    re.IGNORECASE,
)


def tables() -> dict[str, type[models.Model]]:
    """Every table and its model."""
    found = apps.get_models(include_auto_created=True)
    return {model._meta.db_table: model for model in found}


OURS = {name: model for name, model in tables().items() if name not in NOBODYS}


def columns_of_user(model: type[models.Model]) -> list[Any]:
    """Where a row tells whose it is."""
    if model is User:
        return [model._meta.pk]
    fields = model._meta.concrete_fields
    return [one for one in fields if one.related_model is User or one.column == "user_id"]


def steps(model: type[models.Model]) -> list[Any]:
    """Foreign keys by which a row is one step from its user; none where it bears it."""
    if columns_of_user(model):
        return []
    fields = [one for one in model._meta.concrete_fields if one.many_to_one or one.one_to_one]
    return [
        one
        for one in fields
        if one.related_model in OURS.values() and columns_of_user(one.related_model)
    ]


def keys(model: type[models.Model]) -> set[str]:
    """Columns by which rows are found: ids, and those of others' rows."""
    found = {"id"} | {one.column for one in model._meta.pk_fields}
    found |= {one.column for one in model._meta.concrete_fields if one.is_relation}
    found |= {one.column for one in columns_of_user(model)}
    # The audit trail has ids without references: it outlives what they name.
    found |= {one.column for one in model._meta.concrete_fields if one.column.endswith("_id")}
    return found | SECRETS.get(model._meta.db_table, set())


def first_columns_of_indexes(table: str) -> set[str]:
    with connection.cursor() as cursor:
        there = connection.introspection.get_constraints(cursor, table)
    led = [one for one in there.values() if one["index"] or one["unique"]]
    return {one["columns"][0] for one in led if one["columns"]}


def test_every_table_is_known_to_be_a_users_or_nobodys():
    assert not NOBODYS.keys() - tables().keys()
    lost = [name for name, one in OURS.items() if not columns_of_user(one) and not steps(one)]
    assert lost == [], "give it its user, or tell in NOBODYS why it has none"


def test_rows_are_found_by_their_user_or_their_step_in_an_index():
    missing = {}
    for name, model in OURS.items():
        leading = first_columns_of_indexes(name)
        ways = [FOUND_BY[name] + "_id"] if name in FOUND_BY else []
        ways = ways or [one.column for one in columns_of_user(model) or steps(model)]
        if not leading.intersection(ways):
            missing[name] = ways
    assert missing == {}


def test_a_message_bears_the_user_of_its_conversation(user):
    conversation = make_conversation(user)
    conversation.ask("And then?")

    assert {one.user_id for one in conversation.messages.all()} == {user.pk}
    assert not Message.objects.exclude(user_id=models.F("conversation__user_id")).exists()


# --- Statements -----------------------------------------------------------------------------------


class Watch:
    """Looks at each statement before it is run: what is wrong with it is in `wrong`."""

    def __init__(self, others: set[str]) -> None:
        self.others, self.wrong, self.seen = others, [], 0
        self.looking = False

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if self.looking or TRANSACTIONS.match(str(sql)):
            return execute(sql, params, many, context)
        self.looking = True
        try:
            for reason in self.reasons(str(sql), params):
                self.wrong.append(f"{reason}: {' '.join(str(sql).split())[:600]}")
        finally:
            self.looking = False
        return execute(sql, params, many, context)

    def reasons(self, sql: str, params: Any) -> list[str]:
        """Why it would not do."""
        found = ["leaves something behind in its session"] if OF_SESSIONS.search(sql) else []
        if not any(name in sql for name in OURS):
            return found
        self.seen += 1
        scans = [one for one in plan_of(sql, params) if one["table"] in OURS]
        ids = set(ID.findall(str(params)))
        if ids & self.others:
            found.append("names another user's row")
        if not ids and not {one["table"] for one in scans} <= {*SECRETS, User._meta.db_table}:
            found.append("names nobody")
        loose = [one["table"] for one in scans if not one["bound"]]
        return found + [f"goes through all of {name}" for name in loose]


# How full the tables happen to be has no part in it: where a key leads, it is followed.
BY_KEYS = "; ".join(f"SET LOCAL enable_{one} = off" for one in ("seqscan", "hashjoin", "mergejoin"))


def plan_of(sql: str, params: Any) -> list[dict[str, Any]]:
    """Each look into a table that the statement takes, and whether a key leads there."""
    with connection.cursor() as cursor:
        cursor.execute(BY_KEYS)
        cursor.execute(f"EXPLAIN (VERBOSE, FORMAT JSON, COSTS OFF) {sql}", params)
        [[plans]] = cursor.fetchall()
    plans = json.loads(plans) if isinstance(plans, str) else plans
    return list(scans(plans[0]["Plan"], []))


CONDITIONS = ("Index Cond", "Recheck Cond", "Filter", "Hash Cond", "Merge Cond", "Join Filter")


def conditions(plan: dict[str, Any]) -> list[str]:
    return [str(plan[name]) for name in CONDITIONS if name in plan]


def scans(plan: dict[str, Any], above: list[str]) -> Iterator[dict[str, Any]]:
    """Those of a plan. What binds one stands at itself, below it or at a join above it."""
    here, parts = above + conditions(plan), plan.get("Plans", [])
    if "Relation Name" in plan and plan["Node Type"] != "ModifyTable":
        table, alias = plan["Relation Name"], re.escape(plan["Alias"])
        column = "|".join(keys(OURS[table])) if table in OURS else ""
        place = rf'\(*\b{alias}\."?({column})"?\)*(::\w+)?'
        led = re.compile(rf"{place} = |= {place}")
        below = [text for one in parts for text in conditions(one)]
        yield {"table": table, "bound": any(led.search(text) for text in here + below)}
    for one in parts:
        # Which of two comes first in a loop is for the planner to say: the key stands at the other.
        beside = [text for other in parts if other is not one for text in conditions(other)]
        yield from scans(one, here + beside)


def test_every_statement_names_a_user_or_a_row_of_theirs_and_follows_keys(settings, monkeypatch):
    settings.OPEN_ACCESS = False
    # Between the calls a process saves its answers together, whosever they are.
    monkeypatch.setattr(live, "SAVE_SECONDS", 3600)
    owner, other = Somebody("Quokkadale"), Somebody("Wombatville")
    wrong, seen = [], 0
    for method, path, operation in OPERATIONS:
        call, watch = Call(method, path, operation), Watch(set(other.ids.values()))
        with transaction.atomic():
            ids = call.ids(owner)
            with connection.execute_wrapper(watch):
                call.send(owner, lambda _, ids=ids: ids)
            transaction.set_rollback(True)
        if call.name not in OF_ALL:
            wrong += [f"{call.name} {one}" for one in watch.wrong]
        seen += watch.seen

    assert not wrong, "\n\n".join(sorted(wrong))
    assert seen > 200


@pytest.mark.parametrize(
    ("reason", "sql"),
    [
        ("goes through all of documents_document", "SELECT name FROM documents_document"),
        (
            "goes through all of documents_document",
            "SELECT m.id FROM conversations_message m, documents_document d "
            "WHERE m.conversation_id = %(id)s AND m.content LIKE d.name",
        ),
        (
            "names nobody",
            "SELECT p.text FROM documents_page p JOIN documents_document d ON d.id = p.document_id",
        ),
        (
            "names another user's row",
            "SELECT text FROM documents_page WHERE document_id = %(other)s",
        ),
        ("leaves something behind in its session", "SELECT pg_advisory_lock(1)"),
    ],
)
def test_what_goes_by_anything_else_is_told(reason, sql):
    params = {name: uuid4() for name in ("id", "other") if f"%({name})s" in sql}
    others = {str(one) for name, one in params.items() if name == "other"}

    assert reason in Watch(others).reasons(sql, params)

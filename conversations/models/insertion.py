"""New rows of several tables in one statement: one round trip, and a transaction by itself.

Rows travel as JSON, one parameter a table: Django's compiler and psycopg's quoting of each value
by itself take longer than the database does over the insertion.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from django.db import connection, models

from documents.prepared import prepared_cursor


def insert_together(*batches: Sequence[models.Model]) -> None:
    """Inserts new rows, each batch of one model, as `bulk_create` of each in turn would."""
    *first, last = [_insertion(batch[0]) for batch in batches]
    named = [f"batch_{number} AS ({sql})" for number, sql in enumerate(first)]
    statement = f"WITH {', '.join(named)} {last}" if named else last
    with prepared_cursor() as cursor:
        cursor.execute(statement, [as_json([_saved(row) for row in batch]) for batch in batches])
    for batch in batches:
        _note_inserted(*batch)


def insert_unless_there(row: models.Model) -> bool:
    """Inserts a new row; False where one with the same key, or what else is unique, is there."""
    with prepared_cursor() as cursor:
        cursor.execute(f"{_insertion(row)} ON CONFLICT DO NOTHING", [as_json([_saved(row)])])
        if not cursor.rowcount:
            return False
    _note_inserted(row)
    return True


def _note_inserted(*rows: models.Model) -> None:
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


def _insertion(row: models.Model) -> str:
    table = row._meta.db_table
    return f"INSERT INTO {table} SELECT * FROM jsonb_populate_recordset(NULL::{table}, %s)"  # noqa: S608


def _saved(row: models.Model) -> dict[str, Any]:
    """What each column of a new row holds."""
    return {field.attname: field.pre_save(row, True) for field in row._meta.concrete_fields}


def as_json(value: Any) -> str:
    """As PostgreSQL reads values of any column: ids, times and amounts as they are written."""
    return orjson.dumps(value, default=str).decode()

"""New rows of several tables in one statement: one round trip, and a transaction by itself."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection, models
from django.db.models.sql import InsertQuery


def insert_together(*batches: Sequence[models.Model]) -> None:
    """Inserts new rows, each batch of one model, as `bulk_create` of each in turn would."""
    *first, last = [_insertion(batch) for batch in batches]
    named = [f"batch_{number} AS ({sql})" for number, sql in enumerate(first)]
    statement = f"WITH {', '.join(named)} {last}" if named else last
    rows = [row for batch in batches for row in batch]
    values = [value for row in rows for value in _values(row)]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


def _insertion(rows: Sequence[models.Model]) -> str:
    head, row = _insertion_of_one(type(rows[0]))
    return head + ", ".join([row] * len(rows))


@cache
def _insertion_of_one(model: type[models.Model]) -> tuple[str, str]:
    """The statement up to its rows, and the placeholders of one.

    By Django's own compiler, which takes longer over it than the database does over the insertion.
    """
    query = InsertQuery(model)
    query.insert_values(model._meta.concrete_fields, [model()])
    [(sql, _)] = query.get_compiler(connection=connection).as_sql()
    head, values, row = sql.partition(" VALUES ")
    return head + values, row


def _values(row: models.Model) -> list[Any]:
    """Of each field, as the compiler would give it."""
    return [
        field.get_db_prep_save(field.pre_save(row, True), connection=connection)
        for field in row._meta.concrete_fields
    ]

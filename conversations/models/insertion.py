"""New rows of several tables in one statement: one round trip, and a transaction by itself."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, models
from django.db.models.sql import InsertQuery


def insert_together(*batches: Sequence[models.Model]) -> None:
    """Inserts new rows, each batch of one model, as `bulk_create` of each in turn would."""
    compiled = [_insertion(batch) for batch in batches]
    *first, (last, last_values) = compiled
    named = [f"batch_{number} AS ({sql})" for number, (sql, _) in enumerate(first)]
    statement = f"WITH {', '.join(named)} {last}" if named else last
    values = [value for _, values in first for value in values] + [*last_values]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
    for row in (row for batch in batches for row in batch):
        row._state.adding, row._state.db = False, connection.alias


def _insertion(rows: Sequence[models.Model]) -> tuple[str, Sequence[Any]]:
    """The statement of Django's own compiler, and its values."""
    model = type(rows[0])
    query = InsertQuery(model)
    query.insert_values(model._meta.concrete_fields, list(rows))
    [(sql, values)] = query.get_compiler(connection=connection).as_sql()
    return sql, values

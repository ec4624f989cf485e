"""Looks for words and ids in every table that there is, and in every file.

A table that is new is looked into by itself. Where it has to do with users, the test that forgets
one fills it; where not, it is named here with the reason.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection

# Tables that keep ids of users who were forgotten, on purpose, and why.
PSEUDONYMOUS: dict[str, str] = {
    "conversations_auditentry": (
        "what was done to which conversation, and by which staff; that the user was deleted"
    ),
}

# Tables that hold nothing of any user, and why.
IMPERSONAL = {
    "auth_group": "groups of rights",
    "auth_group_permissions": "groups of rights",
    "auth_permission": "kinds of rights",
    "conversations_tally": "sums of hours and days, and error codes",
    "conversations_webprocess": "processes of the product",
    "django_content_type": "kinds of rows",
    "django_migrations": "the schema's history",
    "procrastinate_events": "times of jobs, deleted with them by the database",
    "procrastinate_periodic_defers": "times of periodic jobs",
    "procrastinate_workers": "processes of the product",
}


def tables() -> list[str]:
    """All tables, by name."""
    return sorted(connection.introspection.table_names())


def found_in_tables(marks: Iterable[Any]) -> dict[str, set[str]]:
    """By table, which of these stand in any of its columns."""
    wanted = {str(mark): (str(mark), str(mark).encode().hex()) for mark in marks}
    found = {}
    for table in tables():
        content = _content(table)
        if there := {mark for mark, ways in wanted.items() if any(way in content for way in ways)}:
            found[table] = there
    return found


def found_in_files(marks: Iterable[Any]) -> set[str]:
    """Which of these stand in the name or the content of any stored file."""
    root = Path(settings.MEDIA_ROOT)
    files = [path for path in root.rglob("*") if path.is_file()]
    content = b"\n".join(str(path.relative_to(root)).encode() + path.read_bytes() for path in files)
    return {str(mark) for mark in marks if str(mark).encode() in content}


def _content(table: str) -> str:
    """All columns of all rows as text; bytes as hexadecimal digits."""
    if table == Session._meta.db_table:  # packed, and signed
        return str([one.get_decoded() for one in Session.objects.all()])
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT row::text FROM "{table}" AS row')
        return "\n".join(text for (text,) in cursor.fetchall())

"""A database for each service, on the server that the bench's environment names."""

from urllib.parse import quote, urlencode

import psycopg
from django.db import connection
from psycopg import sql


def fresh(name: str) -> str:
    """Make the database anew; its address, as DATABASE_URL takes it."""
    with psycopg.connect(address("postgres"), autocommit=True) as server:
        named = sql.Identifier(name)
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(named))
        server.execute(sql.SQL("CREATE DATABASE {}").format(named))
    return address(name)


def address(name: str) -> str:
    """The address of a database of that name; a socket's folder is given as `host`."""
    settings = connection.settings_dict
    account = quote(settings["USER"], safe="")
    if settings["PASSWORD"]:
        account += ":" + quote(settings["PASSWORD"], safe="")
    place = urlencode({"host": settings["HOST"], "port": settings["PORT"] or 5432})
    return f"postgresql://{account}@/{name}?{place}"


def count(url: str, statement: str) -> int:
    """The one number that the statement gives."""
    with psycopg.connect(url) as server:
        row = server.execute(statement.encode()).fetchone()
    return int(row[0]) if row else 0

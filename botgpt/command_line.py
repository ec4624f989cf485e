"""How commands end: what an operator can mend is one line, never a traceback."""

import os
import signal
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import InterfaceError, OperationalError, ProgrammingError
from psycopg import errors

INTERRUPTED = 128 + signal.SIGINT
# As of a program that the system ends because nobody reads what it says.
UNREAD = 128 + signal.SIGPIPE
NOT_MIGRATED = (errors.UndefinedTable, errors.UndefinedColumn)


def main(arguments: list[str]) -> int:
    """Runs a command of manage.py; its exit code.

    1 where it failed, 2 where its arguments are wrong, 130 after Ctrl-C, 141 where its output was
    closed.
    """
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Or the interpreter would try again at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD


def _run(arguments: list[str]) -> int:
    try:
        execute_from_command_line(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except ImproperlyConfigured as error:
        return _failed(f"{error} Settings are environment variables: see .env.example.")
    except (OperationalError, InterfaceError) as error:
        return _failed(f"The database does not answer ({_first_line(error)}). {_where()}")
    except ProgrammingError as error:
        if not isinstance(error.__cause__, NOT_MIGRATED):
            raise
        return _failed("The database is not migrated: run manage.py migrate.")
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None:
            raise
        return _failed(f"{error.filename}: {error.strerror}.")
    return 0


def _failed(reason: str) -> int:
    print(f"CommandError: {reason}", file=sys.stderr)
    return 1


def _where() -> str:
    from django.conf import settings  # readable only where they are well-formed

    if settings.DATABASE_URL:
        return "See that it runs and that DATABASE_URL is right; manage.py doctor tells more."
    return "Start it with make run, in another terminal."


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".:")

"""Log lines: time, level, logger, event, then key=value pairs; one event a line.

No line holds the text of a message, a document or a key. An exception's own words may quote one,
those of the database above all; so of an exception the log tells its class and where it was raised.
"""

import json
import logging
import time
import traceback
from collections.abc import Iterator
from types import TracebackType

import psycopg

from botgpt.api.request_id import current

# What every record carries by itself; whatever else is on it was given as `extra`.
STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "request"}

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LineFormatter(logging.Formatter):
    """Writes `extra` values after the message, and the request id where there is one."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback, where there is one, follows on lines of its own."""
        pairs = {key: value for key, value in vars(record).items() if key not in STANDARD}
        if request_id := current.get():
            pairs["request_id"] = request_id
        head = f"{self.formatTime(record)} {record.levelname} {record.name} {_event(record)}"
        line = " ".join([*head.splitlines(), *(f"{k}={_value(v)}" for k, v in pairs.items())])
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line

    def formatException(self, ei: ExcInfo) -> str:
        """The traceback of an exception and of those that led to it, without their words."""
        return "\n".join(_traces(ei[1])) if ei[1] else ""


class ClientMistakes(logging.Filter):
    """Makes warnings of what Django logs as security errors: a wrong host, an oversized form."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True: what is changed is the level, and that there is no traceback."""
        if record.name.startswith("django.security."):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = None
        return True


def _event(record: logging.LogRecord) -> str:
    """The message, its exceptions without their words."""
    if record.name == "asyncio":
        # Its further lines show tasks, and what they raised.
        return record.getMessage().partition("\n")[0]
    if not isinstance(record.args, tuple):
        return record.getMessage()
    args = tuple(_name(one) if isinstance(one, BaseException) else one for one in record.args)
    event = _name(record.msg) if isinstance(record.msg, BaseException) else str(record.msg)
    return event % args if args else event


def _traces(error: BaseException) -> Iterator[str]:
    chain: list[BaseException] = []
    before: BaseException | None = error
    while before is not None and before not in chain:
        chain.append(before)
        hidden = before.__suppress_context__
        before = before.__cause__ or (None if hidden else before.__context__)
    yield "Traceback (most recent call last):"
    for one in reversed(chain):
        if one is not chain[-1]:
            yield "which led to:"
        yield "".join(traceback.format_tb(one.__traceback__)) + _name(one)
        if isinstance(one, BaseExceptionGroup):
            for member in one.exceptions:
                yield from _traces(member)


def _name(error: BaseException) -> str:
    """Its class, with the words of the system or of a database that cannot serve."""
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, psycopg.Error) and error.sqlstate:
        name += f" {error.sqlstate}"
    if isinstance(error, psycopg.OperationalError):
        return f"{name}: {error.diag.message_primary or error}"
    if isinstance(error, OSError) and error.errno:
        return f"{name}: {error.strerror}"
    return name


def _value(value: object) -> str:
    """Plain where it has no space, else quoted so that a line stays one line."""
    text = _name(value) if isinstance(value, BaseException) else str(value)
    return text if text.isprintable() and " " not in text and '"' not in text else json.dumps(text)

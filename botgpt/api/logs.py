"""Log lines, one event a line: as text for people, or as JSON for what collects them.

Text is time, level, logger, event, then key=value pairs. JSON has the same as members, the event
as `message`, and a traceback, where there is one, as `exception`.

No line holds the text of a message, a document or a key. An exception's own words may quote one,
those of the database above all; so of an exception the log tells its class and where it was raised.
"""

import io
import json
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from types import TracebackType

import psycopg

from botgpt import env
from botgpt.api.request_id import current

# What every record carries by itself; whatever else is on it was given as `extra`.
STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "request"}

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class _Formatter(logging.Formatter):
    """What both have in common: UTC, and exceptions without their words."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatException(self, ei: ExcInfo) -> str:
        """The traceback of an exception and of those that led to it, without their words."""
        return "\n".join(_traces(ei[1])) if ei[1] else ""


class LineFormatter(_Formatter):
    """Writes `extra` values after the message, and the request id where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback, where there is one, follows on lines of its own."""
        pairs = _extra(record)
        head = f"{self.formatTime(record)} {record.levelname} {record.name} {_event(record)}"
        line = " ".join([*head.splitlines(), *(f"{k}={_value(v)}" for k, v in pairs.items())])
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JSONFormatter(_Formatter):
    """Writes each event as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Its `extra` values are members as they are, ids and the like as text."""
        told: dict[str, object] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _event(record),
        }
        told |= {key: value for key, value in _extra(record).items() if key not in told}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, default=_text)


def chosen() -> logging.Formatter:
    """As LOG_FORMAT says, for what logs without Django's settings, which refuse a wrong one."""
    return JSONFormatter() if is_json() else LineFormatter()


def is_json() -> bool:
    """Whether lines are for programs."""
    return env.text("LOG_FORMAT").lower() == "json"


class Lines(io.TextIOBase):
    """Takes what is printed to it, and logs each line."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger, self._rest = logger, ""

    def write(self, text: str) -> int:
        """Ends in the log where a line ends."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(None, lines):
            self._logger.info(line)
        return len(text)


def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """For `sys.excepthook`: what ends a process is logged as all else is."""
    if not issubclass(kind, Exception):
        return sys.__excepthook__(kind, error, trace)
    logging.getLogger("botgpt").critical("ended by an error", exc_info=(kind, error, trace))


class ClientMistakes(logging.Filter):
    """Makes warnings of what Django logs as security errors: a wrong host, an oversized form."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True: what is changed is the level, and that there is no traceback."""
        if record.name.startswith("django.security."):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = None
        return True


def _extra(record: logging.LogRecord) -> dict[str, object]:
    """What the event was given as `extra`, and the request that it belongs to."""
    extra = {key: value for key, value in vars(record).items() if key not in STANDARD}
    if request_id := current.get():
        extra["request_id"] = request_id
    return extra


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


def _text(value: object) -> str:
    return _name(value) if isinstance(value, BaseException) else str(value)


def _value(value: object) -> str:
    """Plain where it has no space, else quoted so that a line stays one line."""
    text = _text(value)
    return text if text.isprintable() and " " not in text and '"' not in text else json.dumps(text)

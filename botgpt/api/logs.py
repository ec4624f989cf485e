"""Log lines: time, level, logger, event, then key=value pairs; one event a line."""

import json
import logging
import time

from botgpt.api.request_id import current

# What every record carries by itself; whatever else is on it was given as `extra`.
STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "request"}


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
        head = f"{self.formatTime(record)} {record.levelname} {record.name} {record.getMessage()}"
        line = " ".join([head.replace("\n", " "), *(f"{k}={_value(v)}" for k, v in pairs.items())])
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class ClientMistakes(logging.Filter):
    """Makes warnings of what Django logs as security errors: a wrong host, an oversized form."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True: what is changed is the level, and that there is no traceback."""
        if record.name.startswith("django.security."):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = None
        return True


def _value(value: object) -> str:
    """Plain where it has no space, else quoted so that a line stays one line."""
    text = str(value)
    return text if text.isprintable() and " " not in text and '"' not in text else json.dumps(text)

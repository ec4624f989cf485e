"""What the launcher says: plain words to people, or lines like the log's where that is JSON."""

import logging
import sys
from contextlib import suppress

from botgpt.api import logs

logger = "botgpt.launch"


def notice(text: str) -> None:
    """One line on what went wrong, or was put right."""
    _print(_as_json(logging.WARNING, text, {}) if logs.is_json() else f"botgpt: {text}")


def banner(title: str, facts: dict[str, str]) -> None:
    """What is running, and where; in JSON without the `Login`, which is a secret."""
    if logs.is_json():
        told = {name.lower(): value for name, value in facts.items() if name != "Login"}
        _print(_as_json(logging.INFO, title, told))
        return
    width = max(map(len, facts))
    rows = [f"  {name:<{width}}  {value}" for name, value in facts.items()]
    with suppress(OSError):  # the terminal may be gone
        print("\n".join(["", title, *rows, ""]), flush=True)


def _as_json(level: int, text: str, extra: dict[str, str]) -> str:
    record = logging.makeLogRecord(
        {"name": logger, "levelno": level, "levelname": logging.getLevelName(level), "msg": text}
    )
    vars(record).update(extra)
    return logs.JSONFormatter().format(record)


def _print(line: str) -> None:
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)

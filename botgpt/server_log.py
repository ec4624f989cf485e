"""The log file of the embedded PostgreSQL."""

from pathlib import Path

MOST_BYTES = 5_000_000


def trim(log: Path) -> None:
    """Keeps the log and the one before it."""
    if log.exists() and log.stat().st_size > MOST_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


def last_words(log: Path, start: int) -> str:
    """The last fatal line that the log got since the offset, or just its last line."""
    lines = log.read_bytes()[start:].decode(errors="replace").strip().splitlines()
    fatal = [line for line in lines if "FATAL:" in line]
    return (fatal or lines or ["no message"])[-1].rpartition("FATAL:")[2].strip()

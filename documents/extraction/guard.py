"""Runs the reader in a process of its own, with bounds on memory, time and output."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from documents.extraction import DETAILS, ExtractionError
from documents.extraction.kind import Kind
from documents.extraction.outline import MAX_ITEMS, MAX_TITLE_CHARS, OutlineItem

MAX_CHARS: Final = 20_000_000
MAX_PAGES: Final = 3_000

_ROOT: Final = Path(__file__).resolve().parents[2]

# What an interpreter needs to start (SYSTEMROOT: on Windows); keys and database addresses stay out.
_PASSED_ON: Final = ("PATH", "SYSTEMROOT")

# A character takes at most four bytes in UTF-8, also when JSON escapes it; a line has its braces
# and perhaps a title besides.
_BYTES_PER_CHAR: Final = 4
_LINE_EXTRA: Final = 65_536

_LOG_BYTES: Final = 500

# A process ended by a signal has its negative number as status. PDFium aborts when it is refused
# memory, and the kernel kills the process that fills the machine's; Windows has only SIGABRT.
_CPU_LIMIT: Final = -getattr(signal, "SIGXCPU", 24)
_TOLD_TO_STOP: Final = (-signal.SIGINT, -signal.SIGTERM, -getattr(signal, "SIGHUP", 1))
_OUT_OF_MEMORY: Final = (-signal.SIGABRT, -getattr(signal, "SIGKILL", 9))

# What Python and the loader of shared libraries say when they are refused memory.
_MEMORY_SIGNS: Final = ("MemoryError", "annot allocate memory", "failed to map segment")


@dataclass(frozen=True, slots=True)
class Extraction:
    """A document's title ("" if it has none), the clean text of each page, and its sections."""

    title: str
    pages: list[str]
    outline: list[OutlineItem] = field(default_factory=list)


def extract(
    path: Path,
    kind: Kind,
    *,
    memory_bytes: int,
    seconds: float,
    max_chars: int = MAX_CHARS,
    max_pages: int = MAX_PAGES,
    on_page: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Read a file's text within `memory_bytes` of address space and `seconds` by the wall clock.

    `on_page(done, total)` is called as pages are read. Raises ExtractionError; InterruptedError
    where somebody stopped the reader, as Ctrl-C in a terminal does, which says nothing of the file.
    """
    limits = (memory_bytes, seconds, max_chars, max_pages)
    command = [sys.executable, "-m", "documents.extraction.reader", kind, str(path.resolve())]
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [*command, *map(str, limits)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=_ROOT,
            env=_environment(),
        )
        with _killed_after(seconds, process) as time_over:
            try:
                return _collect(
                    _lines(process, _BYTES_PER_CHAR * max_chars + _LINE_EXTRA), max_chars, on_page
                )
            except _EndedEarlyError:
                process.wait()
                raise _reason(process.returncode, time_over, _last_line(stderr)) from None
            except ExtractionError as error:
                error.log = _last_line(stderr)
                raise


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | {"PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8"}


@contextmanager
def _killed_after(seconds: float, process: subprocess.Popen[bytes]) -> Iterator[threading.Event]:
    """Kills the process when its time is over, which the event tells, and at the end anyway."""
    time_over = threading.Event()

    def expire() -> None:
        time_over.set()
        process.kill()

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    with process:
        try:
            yield time_over
        finally:
            timer.cancel()
            process.kill()


class _EndedEarlyError(Exception):
    """The reader stopped before its last line."""


def _collect(
    lines: Iterator[dict[str, Any]],
    max_chars: int,
    on_page: Callable[[int, int], None] | None,
) -> Extraction:
    """The reader's lines put together, and checked again: a hostile file may have it in hand."""
    title, total, room = "", 0, max_chars
    pages: list[str] = []
    sections: list[OutlineItem] = []
    for line in lines:
        match line:
            case {"error": str(code)}:
                raise ExtractionError(
                    next((known for known in DETAILS if known == code), "damaged")
                )
            case {"pages": int(total), "title": str(title)}:
                pass
            case {"read": int(number)}:
                if on_page is not None:
                    on_page(number, total)
            case {"page": int(), "text": str(text)}:
                room -= len(text)
                pages.append(text)
                if room < 0 or len(pages) > total:
                    raise ExtractionError("too_large")
            case {"section": str(name), "page": int(page), "level": int(), "offset": int()}:
                if len(sections) < MAX_ITEMS and 0 < page <= len(pages):
                    name = name[:MAX_TITLE_CHARS]
                    offset = min(max(line["offset"], 0), len(pages[page - 1]))
                    sections.append(OutlineItem(name, page, line["level"], offset))
            case {"done": True} if len(pages) == total:
                return Extraction(title, pages, sections)
    raise _EndedEarlyError


def _lines(process: subprocess.Popen[bytes], longest: int) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    while line := process.stdout.readline(longest):
        if len(line) == longest:
            raise ExtractionError("too_large")
        if not line.endswith(b"\n"):
            return
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            raise ExtractionError("damaged") from None


def _reason(status: int, time_over: threading.Event, log: str) -> Exception:
    """Why the reader ended early, from the way it ended."""
    if status in _TOLD_TO_STOP:
        return InterruptedError("the reader was stopped")
    log = log or f"reader ended with status {status}"
    if time_over.is_set() or status == _CPU_LIMIT:
        return ExtractionError("too_slow", log=log)
    if status in _OUT_OF_MEMORY or any(sign in log for sign in _MEMORY_SIGNS):
        return ExtractionError("too_large", log=log)
    return ExtractionError("damaged", log=log)


def _last_line(stderr: IO[bytes]) -> str:
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - _LOG_BYTES))
    lines = stderr.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

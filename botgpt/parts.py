"""The processes of the product on one machine: watched, started again, stopped together."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from botgpt.embedded import EmbeddedError
from botgpt.notices import notice

# One that ends so soon after its start, so often in a row, will not stay up at the next try.
SOON_SECONDS = 10
MOST_IN_A_ROW = 5
PAUSE_SECONDS = 0.5

Child = subprocess.Popen[bytes]


class PartsError(Exception):
    """A part does not stay up; the message says which."""


@dataclass(slots=True)
class Part:
    """One of them: its process now, and how to start another."""

    name: str
    process: Child
    start: Callable[[], Child]
    started: float = field(default_factory=time.monotonic)
    in_a_row: int = 0

    def keep_up(self) -> None:
        """Starts it again where it has ended. Raises PartsError where it does not stay up."""
        code = self.process.poll()
        if code is None:
            return
        soon = time.monotonic() - self.started < SOON_SECONDS
        self.in_a_row = self.in_a_row + 1 if soon else 1
        ended = f"{self.name} ended by itself (exit code {code})"
        if self.in_a_row == MOST_IN_A_ROW:
            raise PartsError(f"{ended}, {MOST_IN_A_ROW} times in a row: stopped")
        notice(f"{ended}: started again")
        kill([self])  # what is left of its session would hold its port
        if soon:
            time.sleep(PAUSE_SECONDS)
        self.started = time.monotonic()
        try:
            self.process = self.start()
        except EmbeddedError as error:  # tried again, as its process has ended still
            notice(str(error))


def stop(parts: Iterable[Part], seconds: float) -> None:
    """Asks them all, waits for them all, then kills what is left of their sessions."""
    parts = list(parts)
    for part in parts:
        part.process.terminate()
    deadline = time.monotonic() + seconds
    for part in parts:
        with suppress(subprocess.TimeoutExpired):
            part.process.wait(max(0.0, deadline - time.monotonic()))
    kill(parts)


def kill(parts: Iterable[Part]) -> None:
    """Kills them with all of their sessions."""
    for part in parts:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(part.process.pid, signal.SIGKILL)

"""What a check finds, and how checks are run: side by side, each with a time limit."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.db import connections

# Seconds for all that a check does. What a check waits for has shorter limits of its own.
LIMIT = 10.0


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen and, unless all is well, how to mend it. Holds no secret."""

    status: Status
    seen: str
    mend: str = ""


Check = Callable[[], Iterable[Finding]]


def ok(seen: str) -> Finding:
    """All is well."""
    return Finding(Status.OK, seen)


def warn(seen: str, mend: str) -> Finding:
    """It works, but not as it might be meant."""
    return Finding(Status.WARN, seen, mend)


def fail(seen: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(Status.FAIL, seen, mend)


def examine(checks: Mapping[str, Check], limit: float = LIMIT) -> Iterator[tuple[str, Finding]]:
    """What the checks find, with their names, in their order; never raises.

    A check that hangs or breaks is a finding, and keeps no other from being made.
    """
    deadline = time.monotonic() + limit
    running = {name: _Running(name, check) for name, check in checks.items()}
    for name, one in running.items():
        one.thread.join(max(0.0, deadline - time.monotonic()))
        found = list(one.found)
        if one.thread.is_alive():
            late = f"no end within {limit:.0f} seconds"
            found.append(fail(late, "see whether what it asks hangs or the machine is overloaded"))
        for finding in found:
            yield name, finding


class _Running:
    """A check under way in a thread that the process does not wait for."""

    def __init__(self, name: str, check: Check) -> None:
        self.found: list[Finding] = []
        self.thread = threading.Thread(target=self._run, args=[check], name=name, daemon=True)
        self.thread.start()

    def _run(self, check: Check) -> None:
        try:
            for finding in check():
                self.found.append(finding)
        except Exception as error:
            # Its message may hold what nobody should read over a shoulder.
            broken = f"the check broke: {type(error).__name__}"
            self.found.append(fail(broken, "run it alone with --only, and report this"))
        finally:
            connections.close_all()  # this thread's own

"""What the bench needs of the machine: open files, ports, the fast event loop, memory."""

import asyncio
import resource
import socket
from collections.abc import Iterable
from pathlib import Path


def allow_open_files() -> None:
    """Raise our limit of open files, and that of what we start, as far as the system lets us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def event_loop() -> asyncio.AbstractEventLoop:
    """libuv's loop, so that the bench's own processes leave the cores to what is measured."""
    import uvloop  # only what `make bench` installs has it; tests of the bench run without

    return uvloop.new_event_loop()


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def memory(pids: Iterable[int]) -> int:
    """What the processes hold, in KB; pages that several share are counted once in all (PSS)."""
    return sum(_proportional(pid) for pid in pids)


def _proportional(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0

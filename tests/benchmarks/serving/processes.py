"""Services as the bench runs them: started, waited for, and stopped with all their processes."""

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from botgpt import embedded
from tests.benchmarks.serving import machine
from tests.benchmarks.serving.dialects import Dialect

START_SECONDS = 120
STOP_SECONDS = 20


class DidNotStart(Exception):
    """A service ended or did not answer; the message names its log."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running service that answers with streams."""

    name: str
    url: str
    dialect: Dialect
    pid: int
    token: str = ""
    part: str = ""  # in the command lines of those of its processes that carry streams
    stored: str = ""  # the SQL that counts the whole answers it has stored
    database: str = ""

    def memory(self) -> int:
        """What the processes that carry streams hold, in KB."""
        return machine.memory(process.pid for process in self._carriers())

    def worked(self) -> float:
        """The seconds of a core that those processes have taken so far."""
        times = [process.cpu_times() for process in self._carriers()]
        return float(sum(each.user + each.system for each in times))

    def _carriers(self) -> list[psutil.Process]:
        tree = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        return [process for process in tree if self.part in " ".join(process.cmdline())]


@contextmanager
def running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[int]:
    """Run the command in a session of its own, until we end; its process's number."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            embedded.dying_with_us(command, "TERM"),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    family = psutil.Process(process.pid)
    try:
        yield process.pid
    finally:
        everyone = [family, *family.children(recursive=True)] if process.poll() is None else []
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        for each in everyone:  # busy ones may not have heard; psutil knows a number used anew
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
        process.wait()


def wait_for(url: str, pid: int, log: Path) -> None:
    """Wait until a GET of the address answers with 200. Raises DidNotStart."""
    host, _, path = url.removeprefix("http://").partition("/")
    deadline = time.monotonic() + START_SECONDS
    while not _answers(host, f"/{path}"):
        dead = psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        if dead or time.monotonic() > deadline:
            raise DidNotStart(f"no answer from {url}: read {log}")
        time.sleep(0.1)


def _answers(host: str, path: str) -> bool:
    client = http.client.HTTPConnection(host, timeout=2)
    try:
        client.request("GET", path)
        return client.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()

"""Runs the product on one machine: database, web and worker, as one foreground command.

    python -m botgpt.launch                  serve until Ctrl-C
    python -m botgpt.launch exec -- COMMAND  run a command with the embedded database up

With DATABASE_URL set, no embedded database is started.
"""

import errno
import http.client
import ipaddress
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import OperationalError, connections

from botgpt import embedded, env, parts
from botgpt.notices import banner, notice
from botgpt.parts import Child, Part

ROOT = Path(__file__).resolve().parent.parent
GRACE_SECONDS = 10
HEALTHY_SECONDS = 60
OPEN_FILES = 65_536
_started: list[Part] = []  # whom a second Ctrl-C kills; signals know only the whole process


class LaunchError(Exception):
    """The product cannot start or go on; the message is all that the reader needs."""


class Stopped(BaseException):
    """Somebody asked us to stop. No Exception: nothing on the way may swallow it."""


def main(arguments: list[str]) -> int:
    """Serve, or run one command; known failures become one line and exit code 1."""
    os.environ["BOTGPT_DATA_DIR"] = str(_data_dir())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop_once)
    try:
        match arguments:
            case []:
                return serve()
            case ["exec", "--", _, *_]:
                return execute(arguments[2:])
        raise LaunchError("usage: python -m botgpt.launch [exec -- COMMAND ...]")
    except Stopped:
        return 0 if not arguments else 128 + signal.SIGINT
    except (LaunchError, parts.PartsError, embedded.EmbeddedError, ImproperlyConfigured) as error:
        notice(str(error))
    except OperationalError as error:
        notice(f"the database does not answer: {_one_line(error)}")
    return 1


def serve() -> int:
    """Start everything, wait, stop everything in the opposite order."""
    address = _address()
    workers = env.integer("WEB_WORKERS", 2, minimum=1)
    _require_free(address)
    if address.loopback:
        os.environ.setdefault("DEBUG", "true")
    _allow_open_files()
    with ExitStack() as stack:
        watched: list[Part] = []
        if not env.text("DATABASE_URL"):
            server = stack.enter_context(embedded.running(_data_dir()))
            watched.append(Part("PostgreSQL", server.process, server.start_again))
        _started.extend(watched)
        password = _prepare_database()
        _forget_metrics()
        watched += stack.enter_context(_children(_commands(address, workers)))
        _wait_healthy(address, watched)
        banner("BOT GPT is running. Ctrl-C stops.", _facts(address, password))
        _watch(watched)


def execute(command: list[str]) -> int:
    """Run the command with the database up; its exit code becomes ours."""
    if shutil.which(command[0]) is None:
        raise LaunchError(f"{command[0]}: no such command")
    unneeded = bool(env.text("DATABASE_URL"))
    with nullcontext() if unneeded else embedded.running(_data_dir()):
        child = subprocess.Popen(embedded.dying_with_us(command, "TERM"))

        def forward(number: int, _frame: FrameType | None) -> None:
            child.send_signal(number)

        # The terminal has sent Ctrl-C to the child as well, which decides what it means.
        signal.signal(signal.SIGINT, _ignore)
        signal.signal(signal.SIGTERM, forward)
        signal.signal(signal.SIGHUP, forward)
        code = child.wait()
    return code if code >= 0 else 128 - code


# --- Before the start ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """Where the web listens."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return False

    @property
    def reachable(self) -> str:
        """A host that reaches it from this machine."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104

    @property
    def bind(self) -> str:
        """As gunicorn takes it."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """As a browser on this machine takes it."""
        return f"http://{_bracketed(self.reachable)}:{self.port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _data_dir() -> Path:
    return Path(env.text("BOTGPT_DATA_DIR", str(ROOT / ".data"))).resolve()


def _address() -> Address:
    port = env.integer("PORT", 8000, minimum=1)
    if port > 65_535:
        raise LaunchError(f"PORT must be at most 65535, not {port}.")
    return Address(env.text("HOST", "127.0.0.1").strip("[]"), port)


def _require_free(address: Address) -> None:
    """Refuse a taken port now: later it would be a long trace in the log of the web."""
    try:
        family, kind, *_, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as probe:
            # As gunicorn does: connections still closing are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        reason = f"cannot listen on {address.bind}: {error.strerror}"
        if error.errno == errno.EADDRINUSE:
            advice = f"stop what listens there or run PORT={address.port + 1} make run"
            reason = f"port {address.port} is taken: {advice}"
        raise LaunchError(reason) from None


def _allow_open_files() -> None:
    """Each stream takes two: shells start with 1,024 for all of a process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _prepare_database() -> str | None:
    """Migrate; the password of the administrator when this had to make the first one."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "botgpt.settings")
    django.setup()
    from botgpt.accounts.models import User  # models exist only after setup

    call_command("migrate", verbosity=0)
    password = None
    if not User.objects.filter(is_superuser=True).exists():
        password = secrets.token_urlsafe(12)
        User.objects.create_superuser("admin", password=password)
    connections.close_all()
    if pool := getattr(connections["default"], "pool", None):
        pool.close()  # or its threads would keep connections that nobody uses
    return password


def _forget_metrics() -> None:
    from botgpt import metrics  # needs Django, too

    metrics.forget_all()


# --- Web and worker -----------------------------------------------------------------------------


def _commands(address: Address, workers: int) -> dict[str, list[str]]:
    web = [sys.executable, "-m", "gunicorn", "botgpt.asgi:application"]
    web += [
        "--worker-class",
        "botgpt.worker.Worker",
        "--workers",
        str(workers),
        "--bind",
        address.bind,
    ]
    web += ["--graceful-timeout", str(GRACE_SECONDS - 2), "--log-level", "warning"]
    # Longer than clients and proxies keep theirs, mostly a minute: who asks on a connection that
    # is being closed gets no answer.
    web += ["--keep-alive", "75"]
    web += ["--no-control-socket", "--logger-class", "botgpt.worker.Log"]
    worker = [sys.executable, str(ROOT / "manage.py"), "procrastinate", "worker"]
    worker += ["--shutdown-graceful-timeout", str(GRACE_SECONDS - 2)]
    return {"web": web, "worker": worker}


@contextmanager
def _children(commands: dict[str, list[str]]) -> Iterator[list[Part]]:
    """Run the commands, each in a session of its own; on the way out stop them together."""
    children: list[Part] = []
    try:
        for name, command in commands.items():
            # Asked kindly, the worker would wait for a database that dies with us as well.
            tied = embedded.dying_with_us(command, "KILL" if name == "worker" else "TERM")
            start = partial(_start, tied)
            children.append(Part(name, start(), start))
            _started.append(children[-1])
        yield children
    finally:
        _expect_impatience()
        parts.stop(children, GRACE_SECONDS)


def _start(command: list[str]) -> Child:
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True)


def _wait_healthy(address: Address, watched: list[Part]) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    while not _alive(address):
        _require_all(watched)
        if time.monotonic() > deadline:
            raise LaunchError(f"the web did not answer within {HEALTHY_SECONDS} seconds")
        time.sleep(0.05)


def _alive(address: Address) -> bool:
    """Any answer short of a server error will do: a host name or HTTPS may be demanded."""
    client = http.client.HTTPConnection(address.reachable, address.port, timeout=2)
    try:
        client.request("GET", "/health/live")
        return client.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


def _watch(watched: list[Part]) -> NoReturn:
    """The database comes first: without it the others do not stay up."""
    while True:
        for part in watched:
            part.keep_up()
        time.sleep(0.2)


def _require_all(watched: list[Part]) -> None:
    for part in watched:
        if part.process.poll() is not None:
            code = part.process.returncode
            raise LaunchError(f"{part.name} ended by itself (exit code {code}): stopped")


# --- Signals ------------------------------------------------------------------------------------


def _stop_once(_number: int, _frame: FrameType | None) -> NoReturn:
    """The first signal stops everything in good order."""
    _expect_impatience()
    raise Stopped


def _expect_impatience() -> None:
    """While stopping, Ctrl-C kills. The others change nothing: make sends some of them twice."""
    signal.signal(signal.SIGINT, _kill_at_once)
    signal.signal(signal.SIGTERM, _ignore)
    signal.signal(signal.SIGHUP, _ignore)


def _kill_at_once(_number: int, _frame: FrameType | None) -> NoReturn:
    """PostgreSQL too: it repairs itself at the next start."""
    parts.kill(_started)
    os._exit(128 + signal.SIGINT)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Unlike SIG_IGN, this is not passed on to children."""


# --- Words --------------------------------------------------------------------------------------


def _facts(address: Address, password: str | None) -> dict[str, str]:
    from django.conf import settings  # readable only after setup

    model = f"Groq, {settings.GROQ_MODEL}"
    if not settings.GROQ_API_KEY:
        model = "extractive answers: no GROQ_API_KEY"
    lines = {
        "Chat": f"{address.url}/",
        "API": f"{address.url}/docs and /redoc",
        "Admin": f"{address.url}/admin/",
        "Model": model,
        "Access": "open: no key asked" if settings.OPEN_ACCESS else "API keys required",
        "Data": str(_data_dir()),
    }
    if password:
        lines["Login"] = f"admin / {password}  (shown only this once)"
    return lines


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

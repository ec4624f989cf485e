"""The launcher as its users meet it: exit codes, clear lines, and nothing left behind."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from botgpt import parts

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = [sys.executable, "-m", "botgpt.launch"]


def environment(data_dir: Path, **variables: object) -> dict[str, str]:
    ours = {"DATABASE_URL", "DATABASE_DIRECT_URL", "STORAGE_URL"}
    ours |= {"GROQ_API_KEY", "DEBUG", "HOST", "PORT", "WEB_WORKERS"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"BOTGPT_DATA_DIR": str(data_dir)} | {k: str(v) for k, v in variables.items()}


def launch(
    data_dir: Path, *arguments: str, **variables: object
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*LAUNCH, *arguments],
        cwd=ROOT,
        env=environment(data_dir, **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )


def free_port() -> int:
    """One below those that systems give to connections, so that it stays free until it is used."""
    while True:
        port = random.randrange(20_000, 32_768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def test_exec_passes_the_exit_code_on(tmp_path: Path) -> None:
    assert launch(tmp_path, "exec", "--", "sh", "-c", "exit 7").returncode == 7


def test_exec_runs_the_command_with_the_database_up(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; sys.exit(not Path(sys.argv[1]).is_socket())"
    socket_path = str(tmp_path / "run" / ".s.PGSQL.5432")

    done = launch(tmp_path, "exec", "--", sys.executable, "-c", script, socket_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert not Path(socket_path).exists()


def test_exec_starts_nothing_when_given_a_database(tmp_path: Path) -> None:
    done = launch(tmp_path, "exec", "--", "true", DATABASE_URL="postgresql://elsewhere/x")

    assert done.returncode == 0
    assert not (tmp_path / "postgres").exists()


@pytest.mark.parametrize("port", ["eight", "0", "70000"])
def test_a_malformed_port_is_one_line(tmp_path: Path, port: str) -> None:
    done = launch(tmp_path, PORT=port)

    assert done.returncode == 1
    assert done.stderr.startswith("botgpt: PORT must be")
    assert len(done.stderr.splitlines()) == 1


def test_a_taken_port_is_one_line_and_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = launch(tmp_path, PORT=port)

    advice = f"stop what listens there or run PORT={port + 1} make run"
    assert (done.returncode, done.stderr) == (1, f"botgpt: port {port} is taken: {advice}\n")
    assert list(tmp_path.iterdir()) == []


def test_exec_hands_sigterm_on_and_cleans_up(tmp_path: Path) -> None:
    script = [*LAUNCH, "exec", "--", "sh", "-c", "echo up; exec sleep 60"]
    with subprocess.Popen(
        script, cwd=ROOT, env=environment(tmp_path), stdout=subprocess.PIPE
    ) as launcher:
        assert launcher.stdout
        assert launcher.stdout.readline() == b"up\n"
        family = descendants(launcher.pid)
        launcher.terminate()
        assert launcher.wait(30) == 128 + signal.SIGTERM
    assert not [pid for pid in family if running(pid)]


def test_serve_ends_clean_and_comes_back(tmp_path: Path) -> None:
    """One folder's life: Ctrl-C, then kill -9 of the launcher."""
    port = free_port()

    with begun(tmp_path, port) as (launcher, first):
        family = descendants(launcher.pid)
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(60) == 0
    assert "admin / " in first
    assert f"  http://127.0.0.1:{port}/\n" in first, "where the chat page is"
    assert len(family) > 4
    assert not [pid for pid in family if running(pid)]

    with begun(tmp_path, port) as (launcher, second):
        family = descendants(launcher.pid)
        launcher.kill()
        launcher.wait()
        assert ended(family), "a killed launcher left processes behind"
    assert "admin / " not in second


def test_a_part_that_does_not_stay_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PAUSE_SECONDS", 0)

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(["false"], start_new_session=True)

    part = parts.Part("web", start(), start)
    for _ in range(parts.MOST_IN_A_ROW - 1):
        part.process.wait()
        part.keep_up()
    part.process.wait()
    with pytest.raises(parts.PartsError, match=r"web ended by itself \(exit code 1\), 5 times"):
        part.keep_up()


@contextmanager
def served(
    data_dir: Path, port: int, **variables: object
) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """A launcher that is up, and what it has printed so far. Its database is migrated before."""
    if not (data_dir / "postgres").exists():
        # Unlike Python's own copies these have the owner of what is copied.
        made = migrated(data_dir.parent) / "postgres"
        subprocess.run(["cp", "-a", str(made), str(data_dir)], check=True)
    with begun(data_dir, port, **variables) as (launcher, output):
        yield launcher, output


def own_end(response: httpx.Response) -> tuple[str, int]:
    """This end's address of the connection that a response came by: it tells connections apart."""
    address: tuple[str, int] = response.extensions["network_stream"].get_extra_info("client_addr")
    return address


def migrated(folder: Path) -> Path:
    """A data folder in there whose database is migrated, made once for all servers beside it."""
    data_dir = folder / "migrated"
    if not data_dir.exists():
        migrate = [sys.executable, "manage.py", "migrate"]
        done = launch(data_dir, "exec", "--", *migrate, DEBUG="true")
        assert done.returncode == 0, done.stderr
    return data_dir


@contextmanager
def begun(
    data_dir: Path, port: int, **variables: object
) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """A launcher that is up, and what it has printed so far. In an empty folder it makes all."""
    output = data_dir / "output"
    with output.open("wb") as log:
        launcher = subprocess.Popen(
            LAUNCH,
            cwd=ROOT,
            env=environment(data_dir, **{"PORT": port, "WEB_WORKERS": 1} | variables),
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 90
        while "Ctrl-C stops" not in output.read_text():
            assert launcher.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        assert healthy(port)
        yield launcher, output.read_text()
    finally:
        launcher.kill()
        launcher.wait()


def healthy(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=30) as response:
        return bool(response.status == 200)


def processes() -> dict[int, int]:
    """Every living process and its parent."""
    shown = subprocess.run(["ps", "-eo", "pid=,ppid=,stat="], capture_output=True, text=True)
    rows = [line.split() for line in shown.stdout.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if "Z" not in state}


def descendants(pid: int) -> list[int]:
    found, parents = [pid], processes()
    for ancestor in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def running(pid: int) -> bool:
    return pid in processes()


def ended(family: list[int], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(running, family)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def command_line(pid: int) -> str:
    shown = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True
    )
    return shown.stdout

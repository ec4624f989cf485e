"""Servers that are restarted while clients ask: what becomes of each answer.

In full, six restarts of two servers under 100 streams: make bench-restarts
"""

import argparse
import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import aiohttp
import httpx
import psycopg

from botgpt import embedded
from tests.launch.test_launch import environment, free_port, migrated
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
# What the image runs.
COMMAND = re.search(r'CMD \["sh", "-c", "exec (.+)"\]', (ROOT / "Dockerfile").read_text())
REFUSED = "refused"


@dataclass(slots=True)
class Server:
    """Web processes as the image runs them, on a port of their own; no launcher watches them."""

    data_dir: Path
    database: str
    model: str
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Of its conversations."""
        return f"http://127.0.0.1:{self.port}/api/v1/conversations"

    def start(self) -> None:
        """Returns when it answers."""
        assert COMMAND
        command = COMMAND[1].replace("${WEB_WORKERS:-2}", "2")
        command = command.replace("0.0.0.0:8000", f"127.0.0.1:{self.port}")
        variables = environment(
            self.data_dir,
            DATABASE_URL=self.database,
            SECRET_KEY=secrets.token_urlsafe(64),
            DEBUG="true",
            GROQ_API_KEY="gsk_test",
            GROQ_BASE_URL=self.model,
            LOG_LEVEL="WARNING",
        )
        with (self.data_dir / f"web-{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command.split()],
                cwd=ROOT,
                env=variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._is_up, 60)

    def _is_up(self) -> bool:
        try:
            address = f"http://127.0.0.1:{self.port}/health/live"
            return httpx.get(address, timeout=2).is_success
        except httpx.HTTPError:
            return False

    def stop(self) -> int:
        """SIGTERM, as a deployment sends it; the exit code."""
        assert self.process
        self.process.terminate()
        return self.process.wait(60)

    def kill(self) -> None:
        """Whatever is left of it."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


@contextmanager
def servers(folder: Path, model: str, count: int) -> Iterator[list[Server]]:
    """So many of them, up, over one database that is embedded in the folder."""
    data_dir = folder / "restarts"
    data_dir.mkdir()
    subprocess.run(["cp", "-a", str(migrated(folder) / "postgres"), str(data_dir)], check=True)
    with ExitStack() as stack:
        stack.enter_context(embedded.running(data_dir))
        place = embedded.connection(data_dir)
        database = f"postgresql:///{place['NAME']}?host={place['HOST']}&user={place['USER']}"
        made = [Server(data_dir, database, model) for _ in range(count)]
        for server in made:
            stack.callback(server.kill)
            server.start()
        yield made


@contextmanager
def scripted_model(tokens: int, rate: float) -> Iterator[str]:
    """A model whose answers have so many tokens, so many a second; its address."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.serving.upstream", "--port", str(port)]
    script = ["--tokens", str(tokens), "--rate", str(rate)]
    process = subprocess.Popen([*command, *script], cwd=ROOT)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(address), 20)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _answers(address: str) -> bool:
    try:
        httpx.get(address, timeout=1)
    except httpx.TransportError:
        return False
    return True


async def ask(session: aiohttp.ClientSession, url: str, *, stream: bool) -> str:
    """What becomes of a question: `completed`, `refused` at the door, or how it was broken."""
    body = {"user_id": str(uuid4()), "first_message": "Hello", "stream": stream}
    try:
        async with session.post(url, json=body) as response:
            text = await response.text()
    except aiohttp.ClientConnectorError:
        return REFUSED
    except aiohttp.ClientError as error:
        return f"broken: {type(error).__name__}"
    if not stream:
        return json.loads(text)["answer"]["status"] if response.status == 201 else text
    events = re.findall(r"^event: (.*)$", text, re.MULTILINE)
    return "completed" if events[-1:] == ["message.completed"] else f"broken: {events[-1:]}"


def fresh_session() -> aiohttp.ClientSession:
    """A connection for each question, as many as there are questions."""
    timeout = aiohttp.ClientTimeout(total=90)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    return aiohttp.ClientSession(connector=connector, timeout=timeout)


async def restarted(servers: list[Server], streams: int, answers: int, restarts: int) -> Counter:
    """What became of so many answers, so many at a time, while servers restart by turns."""
    outcomes: Counter[str] = Counter()
    left = answers

    async def client(number: int, session: aiohttp.ClientSession) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            turn = number
            while (outcome := await ask(session, servers[turn % 2].url, stream=True)) == REFUSED:
                turn += 1
                await asyncio.sleep(0.05)
            outcomes[outcome] += 1

    async with fresh_session() as session:
        clients = [asyncio.create_task(client(number, session)) for number in range(streams)]
        for number in range(restarts):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(servers[number % 2].stop)
            await asyncio.to_thread(servers[number % 2].start)
        await asyncio.gather(*clients)
    return outcomes


def stored(server: Server) -> Counter:
    """The answers in the database, by status."""
    statement = (
        "SELECT status, count(*) FROM conversations_message WHERE role = 'assistant' GROUP BY 1"
    )
    with psycopg.connect(server.database) as connection:
        return Counter(dict(connection.execute(statement).fetchall()))


def main() -> None:
    """Prints what became of the answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--answers", type=int, default=1_000)
    parser.add_argument("--restarts", type=int, default=6)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="botgpt-") as folder,
        scripted_model(tokens=50, rate=20) as model,
    ):
        Path(folder).chmod(0o755)
        with servers(Path(folder), model, 2) as both:
            started = time.monotonic()
            outcomes = asyncio.run(
                restarted(both, options.streams, options.answers, options.restarts)
            )
            print(f"{time.monotonic() - started:.0f} s; clients: {dict(outcomes)}")
            print(f"database: {dict(stored(both[0]))}")


if __name__ == "__main__":
    main()

"""How soon questions are answered beside wrong logins, and what the logins get.

    make bench-logins [LOGINS="--clients 100 --seconds 20 --repeats 3"]

Questions come ten a second, as streams of a scripted model, to the product as `make run` starts it,
deployed. Beside them so many clients try wrong passwords, by turns: none, each once, and each again
as soon as it is answered, all for one account or each for another.
"""

import argparse
import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from urllib.parse import urlencode, urlsplit

from django.conf import settings

from tests.benchmarks.serving import processes, product, scenarios
from tests.benchmarks.serving.load import Result
from tests.benchmarks.serving.machine import allow_open_files, free_port
from tests.benchmarks.serving.processes import Service
from tests.benchmarks.serving.upstream import Script

QUESTIONS_A_SECOND = 10
# Short, so that each run has windows in which passwords are hashed.
PAUSE_SECONDS = 20
TOKEN = "a" * 32  # a cookie and a field that say the same are all that a form needs
WAYS = ("no logins", "each once", "again and again", "again and again, each another account")


def main(options: argparse.Namespace) -> None:
    """Prints a row for each way."""
    allow_open_files()
    folder = Path(settings.DATA_DIR) / "logins"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    model, log = f"http://127.0.0.1:{port}", folder / "model.log"
    command = [sys.executable, "-m", "tests.benchmarks.serving.upstream", "--port", str(port)]
    os.environ["LOGIN_PAUSE_SECONDS"] = str(PAUSE_SECONDS)
    with processes.running(command, {}, log) as pid:
        processes.wait_for(f"{model}/script", pid, log)
        with product.running(model, folder) as service:
            scenarios.run(scenarios.WARM_UP, service, model)
            print(f"{options.clients} clients log in | first token p50, ms | p95 | errors | logins")
            turns = [
                [measured(way, service, model, options) for way in WAYS]
                for _ in range(options.repeats)
            ]
    for way, runs in zip(WAYS, zip(*turns, strict=True), strict=True):
        print(row(way, runs))


def row(way: str, runs: Sequence[tuple[Result, Counter[str]]]) -> str:
    """The medians of the times; errors and statuses added up."""
    p50, p95 = (median(getattr(r, name) for r, _ in runs) for name in ("first_p50", "first_p95"))
    errors = sum((Counter(result.errors) for result, _ in runs), Counter())
    statuses = sum((counted for _, counted in runs), Counter())
    told = ", ".join(f"{many:,} x {status}" for status, many in sorted(statuses.items()))
    return f"| {way} | {p50:.1f} | {p95:.1f} | {dict(errors) or 0} | {told} |"


def measured(
    way: str, service: Service, model: str, options: argparse.Namespace
) -> tuple[Result, Counter[str]]:
    """How the questions went, and how often logins were answered with which status."""
    asked = scenarios.Scenario(
        way, Script(50, 20), options.seconds * QUESTIONS_A_SECOND, options.seconds
    )
    over, statuses = threading.Event(), Counter[str]()
    if way == "each once":
        over.set()

    def beside() -> None:
        asyncio.run(log_in(service.url, way, options.clients, over, statuses))

    thread = threading.Thread(target=beside)
    if way != "no logins":
        thread.start()
    outcome = scenarios.run(asked, service, model)
    over.set()
    if thread.ident:
        thread.join()
    return outcome.result, statuses


async def log_in(
    url: str, way: str, clients: int, over: threading.Event, statuses: Counter[str]
) -> None:
    """So many clients at once, each of them again until it is over."""

    async def client(number: int) -> None:
        name = f"nobody{number}" if "another" in way else "admin"
        while True:
            statuses[await attempt(url, name)] += 1
            if over.is_set():
                return

    await asyncio.gather(*map(client, range(clients)))


async def attempt(url: str, name: str) -> str:
    """The status of the answer to a wrong password; what broke where there is none."""
    place = urlsplit(url)
    fields = {"username": name, "password": "wrong", "csrfmiddlewaretoken": TOKEN}
    body = urlencode(fields).encode()
    head = f"POST /admin/login/ HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n"
    head += f"Cookie: csrftoken={TOKEN}\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    try:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(head.encode() + body)
        answer = await reader.read()
        writer.close()
        return answer[9:12].decode() or "no answer"
    except OSError as error:
        return type(error).__name__


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="tests.benchmarks.logins")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=20, help="of questions, in each run")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; medians are shown")
    main(parser.parse_args())

"""The product as `make run` starts it, deployed: keys asked, DEBUG off, a database of its own."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.serving import databases, dialects, machine, processes

STORED = """
    SELECT count(*) FROM conversations_message WHERE role = 'assistant' AND status = 'completed'
"""


@contextmanager
def running(upstream: str, folder: Path) -> Iterator[processes.Service]:
    """Run the launcher, with two web processes and a worker."""
    port = machine.free_port()
    environment = {
        "DATABASE_URL": databases.fresh("bench_product"),
        "SECRET_KEY": secrets.token_urlsafe(64),
        "DEBUG": "false",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WEB_WORKERS": "2",
        "GROQ_API_KEY": "x",
        "GROQ_BASE_URL": upstream,
    }
    log = folder / "product.log"
    url = f"http://127.0.0.1:{port}"
    with processes.running([sys.executable, "-m", "botgpt.launch"], environment, log) as pid:
        processes.wait_for(f"{url}/health/live", pid, log)
        yield processes.Service(
            name="product",
            url=url,
            dialect=dialects.PRODUCT,
            token=_key(environment),
            pid=pid,
            part="gunicorn",
            stored=STORED,
            database=environment["DATABASE_URL"],
        )


def _key(environment: dict[str, str]) -> str:
    """A key that may act for any user."""
    made = subprocess.run(
        [sys.executable, "manage.py", "createkey", "bench"],
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return made.stdout.strip()

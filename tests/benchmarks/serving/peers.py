"""The peers, each with two processes, from an environment that the bench makes for them."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.serving import databases, dialects, machine, processes, upstream

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
WORKERS = "2"


def programs(folder: Path) -> Path:
    """The folder of the peers' programs; installs them on the first run, and when pins change."""
    environment, stamp = folder / "peers", folder / "peers" / "installed.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        print(f"Installing the peers into {environment} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        install = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        install += ["--disable-pip-version-check", "-r", str(REQUIREMENTS)]
        subprocess.run(install, check=True)
        stamp.write_text(REQUIREMENTS.read_text())
    return environment / "bin"


@contextmanager
def fastapi(upstream_url: str, folder: Path) -> Iterator[processes.Service]:
    """The service of `fastapi_peer.py`, which stores its rows too."""
    binaries, port, log = programs(folder), machine.free_port(), folder / "fastapi.log"
    environment = {"DATABASE_URL": databases.fresh("bench_fastapi"), "GROQ_BASE_URL": upstream_url}
    tables = [str(binaries / "python"), str(HERE / "fastapi_peer.py")]
    subprocess.run(tables, env={**os.environ, **environment}, check=True)
    command = [str(binaries / "uvicorn"), "--app-dir", str(HERE), "fastapi_peer:app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", WORKERS]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    url = f"http://127.0.0.1:{port}"
    with processes.running(command, environment, log) as pid:
        processes.wait_for(f"{url}/health", pid, log)
        yield processes.Service(
            name="FastAPI",
            url=url,
            dialect=dialects.FASTAPI,
            pid=pid,
            stored="SELECT count(*) FROM messages WHERE role = 'assistant'",
            database=environment["DATABASE_URL"],
        )


@contextmanager
def litellm(upstream_url: str, folder: Path) -> Iterator[processes.Service]:
    """LiteLLM's proxy, as its own advice for production has it; it stores nothing."""
    binaries, port, log = programs(folder), machine.free_port(), folder / "litellm.log"
    key = f"sk-{secrets.token_urlsafe(32)}"
    settings = folder / "litellm.json"  # JSON is YAML
    settings.write_text(json.dumps(_litellm_settings(upstream_url, key)))
    environment = {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the internet for prices
        # By its own default 500 streams a process, and the next one waits.
        "AIOHTTP_CONNECTOR_LIMIT": "4000",
        "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "4000",
    }
    command = [str(binaries / "litellm"), "--config", str(settings), "--telemetry", "False"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", WORKERS]
    url = f"http://127.0.0.1:{port}"
    with processes.running(command, environment, log) as pid:
        processes.wait_for(f"{url}/health/liveliness", pid, log)
        yield processes.Service(
            name="LiteLLM", url=url, dialect=dialects.OPENAI, token=key, pid=pid
        )


def _litellm_settings(upstream_url: str, key: str) -> dict[str, object]:
    place = {"api_base": f"{upstream_url}/openai/v1", "api_key": "x"}
    model = {"model_name": upstream.MODEL}
    return {
        "model_list": [model | {"litellm_params": {"model": f"groq/{upstream.MODEL}", **place}}],
        # Without it every answer of a Llama model waits for a download that cannot succeed here.
        "litellm_settings": {"disable_hf_tokenizer_download": True},
        "general_settings": {"master_key": key},
    }

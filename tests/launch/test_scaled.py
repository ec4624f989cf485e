"""As docs/scaling.md has it: web processes and a worker behind the real PgBouncer, files in S3.

PgBouncer lends its few connections for a transaction. What a process leaves behind in one (a
setting, a prepared statement, a lock, a cursor) the next would stumble over.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import psycopg
import pytest
from moto.server import ThreadedMotoServer

from botgpt import embedded
from tests import fake_groq
from tests.fake_groq import FakeGroq
from tests.launch.test_compose import COMPOSE
from tests.launch.test_launch import free_port, served
from tests.launch.test_survival import events, settled
from tests.waiting import wait_for

# Debian has it where only administrators look for programs.
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="needs pgbouncer: apt install pgbouncer")

SERVER_CONNECTIONS = 3
REQUESTS = 60
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
# As it is deployed, but for places and a pool so small that processes share connections.
INI = COMPOSE["configs"]["pgbouncer"]["content"]
USERS = COMPOSE["configs"]["pgbouncer-users"]["content"]
PASSWORD = "only-for-tests"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of a database whose clock is set to New York."""
    # Not in pytest's folder: that is root's alone, and PgBouncer does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="botgpt-"))
    folder.chmod(0o755)
    try:
        with embedded.running(folder):
            place = embedded.connection(folder)
            address = f"postgresql:///{place['NAME']}?host={place['HOST']}&user={place['USER']}"
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("ALTER DATABASE botgpt SET timezone TO 'America/New_York'")
            yield address
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def pooler(database: str) -> Iterator[str]:
    """The address of PgBouncer before it."""
    place, port = psycopg.conninfo.conninfo_to_dict(database), free_port()
    folder = Path(str(place["host"])).parent
    users = folder / "users.txt"
    users.write_text(re.sub(r"\$\{POSTGRES_PASSWORD[^}]*\}", PASSWORD, USERS))
    written = INI
    for deployed, here in {
        "host=db port=5432": f"host={place['host']} port={embedded.PORT}",
        "listen_addr = *": "listen_addr = 127.0.0.1",
        "listen_port = 6432": f"listen_port = {port}",
        "/etc/pgbouncer/users.txt": str(users),
        "default_pool_size = 20": f"default_pool_size = {SERVER_CONNECTIONS}",
        "query_wait_timeout = 5": "query_wait_timeout = 20",  # on a busy machine
    }.items():
        assert written.count(deployed) == 1, deployed
        written = written.replace(deployed, here)
    (folder / "pgbouncer.ini").write_text(written)
    account: dict[str, Any] = {}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    command = embedded.dying_with_us([str(PGBOUNCER), "-q", str(folder / "pgbouncer.ini")], "TERM")
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **account)
    address = f"postgresql://botgpt:{PASSWORD}@127.0.0.1:{port}/botgpt"
    try:
        wait_for(lambda: process.poll() is not None or answers(address), 30)
        assert process.poll() is None, (folder / "pgbouncer.log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket of a server that speaks S3."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    access = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    s3 = boto3.resource("s3", endpoint_url=f"http://{host}:{port}", **access)
    yield s3.create_bucket(Bucket="files")
    server.stop()


@pytest.fixture(scope="module")
def groq() -> Iterator[FakeGroq]:
    with FakeGroq() as groq:
        yield groq


@pytest.fixture(scope="module")
def http(
    database: str,
    pooler: str,
    bucket: Any,
    groq: FakeGroq,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx.Client]:
    """Two web processes and a worker, on all of it."""
    data_dir, port = tmp_path_factory.mktemp("scaled"), free_port()
    endpoint = bucket.meta.client.meta.endpoint_url
    kept = {"STORAGE_URL": f"s3://files/bot?endpoint_url={endpoint}", **KEYS}
    kept |= {"DATABASE_URL": pooler, "DATABASE_DIRECT_URL": database}
    model = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.url, "GROQ_MAX_RETRIES": 0}
    limits = {"WEB_WORKERS": 2, "USER_REQUESTS_A_MINUTE": REQUESTS, "DOCUMENT_WAIT_SECONDS": 0}
    secret = {"SECRET_KEY": "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz"}
    with served(data_dir, port, **kept, **model, **limits, **secret):
        # No kept connections: so both processes are asked.
        few = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        address = f"http://127.0.0.1:{port}/api/v1"
        with httpx.Client(base_url=address, timeout=30, limits=few) as client:
            yield client


def answers(address: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(address, prepare_threshold=None):
        return True
    return False


def uploaded(http: httpx.Client, user: str, text: str) -> str:
    """A document that the worker has read."""
    file = {"file": ("museum.txt", text.encode())}
    taken = http.post("/documents", files=file, data={"user_id": user})
    assert taken.status_code == 201, taken.text
    identity: str = taken.json()["id"]
    # Without the user, whose requests are counted.
    wait_for(lambda: http.get(f"/documents/{identity}").json()["status"] == "ready", 30)
    return identity


def asked(user: str, text: str, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "first_message": text, "title": "T", **more}


def test_the_few_connections_of_pgbouncer_carry_it_all(
    http: httpx.Client, database: str, bucket: Any, groq: FakeGroq
) -> None:
    users = [str(uuid4()) for _ in range(8)]
    with ThreadPoolExecutor(len(users)) as threads:
        ids = list(threads.map(lambda one: uploaded(http, one, f"Ticket {one} costs 9.50."), users))
    assert len(list(bucket.objects.filter(Prefix="bot/documents/"))) == len(users)

    def ask(place: int) -> None:
        """A search, a grounded answer as a stream, the same again by its key, and the file."""
        user, document = users[place], ids[place]
        search = {"user_id": user, "query": "What does a ticket cost?"}
        found = http.post("/search", json=search).json()["results"]
        assert [one["document_id"] for one in found] == [document]
        body = asked(user, "What does a ticket cost?", mode="grounded_rag", stream=True)
        with http.stream("POST", "/conversations", json=body) as response:
            told = list(events(response.iter_lines()))
        assert told[-1][1] == "message.completed", told[-1]
        [citation] = told[-1][2]["answer"]["citations"]
        assert (citation["document_id"], citation["verified"]) == (document, True)
        file = http.get(f"/documents/{document}/file?user_id={user}")
        assert file.text == f"Ticket {user} costs 9.50."

    rounds = 3
    groq.script(*[fake_groq.answer("It costs 9.50 [1].")] * len(users) * rounds)
    with ThreadPoolExecutor(len(users)) as threads:
        for _ in range(rounds):
            list(threads.map(ask, range(len(users))))

    with psycopg.connect(database) as connection:
        listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
        assert connection.execute(listening).fetchone() == (1,), "the worker hears of new jobs"
        kept = "SELECT count(*) FROM pg_prepared_statements"
        assert connection.execute(kept).fetchone() == (0,)


def test_an_answer_is_stopped_from_whichever_process(http: httpx.Client, groq: FakeGroq) -> None:
    user = str(uuid4())
    conversation = http.post("/conversations", json=asked(user, "Hello")).json()["id"]
    path = f"/conversations/{conversation}/messages"
    for _ in range(4):
        groq.script(fake_groq.answer("word " * 400, delay=0.05))
        with http.stream("POST", path, json={"content": "Talk", "stream": True}) as response:
            lines = events(response.iter_lines())
            answer = next(data["answer"]["id"] for _, name, data in lines if "created" in name)
            assert next(name for _, name, _ in lines if name == "delta")
            http.post(f"{path}/{answer}/cancel").raise_for_status()
        assert settled(http, path, answer)["status"] == "cancelled"


def test_the_same_call_sent_ten_times_is_made_once(http: httpx.Client) -> None:
    user = str(uuid4())

    def send(_: int) -> httpx.Response:
        key = {"Idempotency-Key": f"once-{user}"}
        return http.post("/conversations", json=asked(user, "Hello"), headers=key)

    with ThreadPoolExecutor(10) as threads:
        sent = list(threads.map(send, range(10)))

    assert {one.status_code for one in sent} <= {201, 409}
    assert len({one.json()["id"] for one in sent if one.status_code == 201}) == 1
    assert http.get(f"/conversations?user_id={user}").json()["count"] == 1


def test_limits_are_held_by_both_processes_together(http: httpx.Client) -> None:
    user = str(uuid4())

    def look(_: int) -> int:
        return http.get(f"/documents?user_id={user}").status_code

    with ThreadPoolExecutor(10) as threads:
        told = Counter(threads.map(look, range(3 * REQUESTS)))

    # A minute may have ended meanwhile.
    assert set(told) == {200, 429}
    assert REQUESTS <= told[200] <= 2 * REQUESTS


def test_what_is_deleted_goes_with_its_file(http: httpx.Client, bucket: Any) -> None:
    user = str(uuid4())
    document = uploaded(http, user, "The park opens at nine.")
    conversation = http.post("/conversations", json=asked(user, "Hello")).json()["id"]

    assert http.delete(f"/conversations/{conversation}").status_code == 204
    assert http.delete(f"/documents/{document}").status_code == 204

    assert not [one for one in bucket.objects.all() if document.replace("-", "") in one.key]

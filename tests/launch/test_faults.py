"""What breaks around the product: its database, worker, disk and clock, with real processes.

After each of these the service is well again by itself within ten seconds, and of what it had
accepted nothing is lost or doubled.
"""

import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest

from botgpt import embedded
from tests import fake_groq
from tests.fake_groq import FakeGroq
from tests.launch.test_launch import free_port, served
from tests.launch.test_survival import events, opened, settled, web_processes
from tests.waiting import wait_for

WELL_AGAIN_SECONDS = 10
WORDS = "".join(f"word{number} " for number in range(30)).strip()


class Product:
    """Two web processes and a worker over a scripted model, with what breaks them."""

    def __init__(self, data_dir: Path, port: int, groq: FakeGroq, launcher: Any) -> None:
        self.data_dir, self.groq, self.launcher = data_dir, groq, launcher
        self.root = f"http://127.0.0.1:{port}"
        # A kept connection may be closed by the server just as it is used again.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self.http = httpx.Client(base_url=f"{self.root}/api/v1", timeout=30, limits=limits)

    @property
    def postgres(self) -> int:
        return int((self.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])

    @property
    def worker(self) -> psutil.Process:
        children = psutil.Process(self.launcher.pid).children()
        return next(one for one in children if "procrastinate" in one.cmdline())

    def sql(self, statement: str) -> list[Any]:
        place = embedded.connection(self.data_dir)
        with psycopg.connect(
            host=place["HOST"], port=place["PORT"], dbname=place["NAME"], user=place["USER"]
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def well_again(self) -> float:
        """Seconds until a question is answered, which are few."""
        started = time.monotonic()
        while True:
            with suppress(httpx.HTTPError):
                ready = httpx.get(f"{self.root}/health/ready", timeout=WELL_AGAIN_SECONDS)
                asked = {"user_id": str(uuid4()), "first_message": "Hello", "title": "T"}
                answered = ready.is_success and self.http.post("/conversations", json=asked)
                if answered and answered.status_code == 201:
                    return time.monotonic() - started
            assert time.monotonic() - started < WELL_AGAIN_SECONDS
            time.sleep(0.1)

    def upload(self, user: str, text: str) -> httpx.Response:
        file = {"file": ("a.txt", text.encode())}
        return self.http.post("/documents", files=file, data={"user_id": user})

    def status(self, document: dict[str, Any]) -> str:
        found: str = self.http.get(f"/documents/{document['id']}").json()["status"]
        return found


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    data_dir, port = tmp_path_factory.mktemp("faults"), free_port()
    with FakeGroq() as groq:
        model = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.url, "GROQ_MAX_RETRIES": 0}
        with served(data_dir, port, WEB_WORKERS=2, GROQ_TIMEOUT_SECONDS=2, **model) as (started, _):
            yield Product(data_dir, port, groq, started)


@pytest.fixture(autouse=True)
def _ready(product: Product) -> None:
    """What the test before broke has been mended, in either web process.

    Each has a breaker of its own, and which of them answers is the system's choice.
    """
    product.well_again()
    for other in web_processes(product.launcher):
        other.suspend()
        try:
            product.well_again()
        finally:
            other.resume()


def stream(product: Product, path: str, begun: list[str]) -> list[tuple[str, str, dict]]:
    """Its events; notes in `begun` that the model speaks."""
    asked, told = {"content": "Talk", "stream": True}, []
    with product.http.stream("POST", path, json=asked) as response:
        assert response.status_code == 200
        for event in events(response.iter_lines()):
            told.append(event)
            if event[1] == "delta" and path not in begun:
                begun.append(path)
    return told


@contextmanager
def streaming(product: Product, many: int) -> Iterator[tuple[list[str], list[Any]]]:
    """So many streams under way; on leaving they have ended, and their events are there.

    The model says a word to each, and the others in three seconds from when all have heard it.
    """
    all_begun = threading.Event()
    words = fake_groq.paused(WORDS, 1, all_begun, delay=0.1)

    def talk(handler: Any, request: Any) -> None:
        wanted = request.body["messages"][-1]["content"] == "Talk"
        (words if wanted else fake_groq.echo)(handler, request)

    with ThreadPoolExecutor(8) as threads:
        paths = list(threads.map(lambda _: opened(product.http), range(many)))
    product.groq.script(*[talk] * 5_000)
    begun: list[str] = []
    ended: list[Any] = []
    try:
        with ThreadPoolExecutor(many) as threads:
            told = [threads.submit(stream, product, path, begun) for path in paths]
            wait_for(lambda: len(begun) == many or any(one.done() for one in told), 30)
            assert len(begun) == many, [one.result() for one in told if one.done()]
            all_begun.set()
            yield paths, ended
            ended.extend(one.result() for one in told)
    finally:
        all_begun.set()
        product.groq.server.replies.clear()


@contextmanager
def calling(product: Product) -> Iterator[list[httpx.Response]]:
    """Somebody who calls all the time, and what they are answered."""
    over, answers = threading.Event(), []

    def call() -> None:
        with httpx.Client(base_url=product.http.base_url, timeout=30) as client:
            while not over.is_set():
                body = {"user_id": str(uuid4()), "first_message": "Hello", "title": "T"}
                answers.append(client.post("/conversations", json=body))
                answers.append(client.get(f"/documents?user_id={body['user_id']}"))
                time.sleep(0.05)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


@contextmanager
def database_away(product: Product) -> Iterator[None]:
    """The database is down, and who would start it again is held."""
    product.launcher.send_signal(signal.SIGSTOP)
    try:
        server = psutil.Process(product.postgres)
        server.send_signal(signal.SIGQUIT)  # as `pg_ctl -m immediate` does
        wait_for(lambda: server.status() == psutil.STATUS_ZOMBIE)
        yield
    finally:
        product.launcher.send_signal(signal.SIGCONT)


def assert_whole(product: Product, paths: list[str], told: list[Any]) -> None:
    """Each question is there once with its whole answer, which the stream told as well."""
    for path, heard in zip(paths, told, strict=True):
        assert heard[-1][1] == "message.completed", heard[-1]
        assert "".join(data["text"] for _, name, data in heard if name == "delta") == WORDS
        rows = product.http.get(f"{path}?limit=100").json()["results"]
        assert [row["role"] for row in rows] == ["user", "assistant"] * 2
        assert (rows[-1]["status"], rows[-1]["content"]) == ("completed", WORDS)
        [[charged]] = product.sql(
            f"SELECT count(*) FROM conversations_usageentry WHERE message_id = '{rows[-1]['id']}'"
        )
        assert charged == 1


def assert_told_well(answers: list[httpx.Response]) -> None:
    """Whoever calls meanwhile is served or told when to come again."""
    for answer in answers:
        if answer.is_success:
            continue
        assert answer.status_code == 503, answer.text
        problem = answer.json()
        assert problem["code"] in {"database_unavailable", "interrupted"}
        assert "Retry-After" in answer.headers or "answer_id" in problem


def test_a_database_that_dies_under_fifty_streams_costs_none_of_them(product: Product) -> None:
    with calling(product) as answers, streaming(product, 50) as (paths, told):
        os.kill(product.postgres, signal.SIGKILL)
        product.well_again()

    assert_whole(product, paths, told)
    assert_told_well(answers)


def test_answers_wait_for_a_database_that_is_away_longer_than_they_take(product: Product) -> None:
    def look(_: int) -> httpx.Response:
        return product.http.get(f"/documents?user_id={uuid4()}")

    with streaming(product, 10) as (paths, told):
        with database_away(product):
            with ThreadPoolExecutor(8) as threads:
                answers = list(threads.map(look, range(8)))  # each waits for five seconds
            started = time.monotonic()
            soon = [look(0) for _ in range(3)]
            took = time.monotonic() - started
        product.well_again()

    assert {one.status_code for one in answers + soon} == {503}
    assert_told_well(answers + soon)
    assert took < 4
    assert_whole(product, paths, told)


def test_documents_are_read_soon_after_the_database_was_away_twice(product: Product) -> None:
    """A worker that begins anew may do so while the database is away."""
    with database_away(product):
        time.sleep(1)
    time.sleep(2)
    with database_away(product):
        time.sleep(4)
    product.well_again()
    document = product.upload(str(uuid4()), "What came afterwards.").raise_for_status().json()

    wait_for(lambda: product.status(document) == "ready", WELL_AGAIN_SECONDS)


def test_a_document_whose_worker_is_killed_is_read_by_the_next_one(product: Product) -> None:
    user = str(uuid4())
    text = "\n\n".join(f"Paragraph {n} of a long report. " * 40 for n in range(1500))
    document = product.upload(user, text).raise_for_status().json()

    def taken_up_again() -> bool:
        job = f"WHERE args->>'document_id' = '{document['id']}'"
        return product.sql(f"SELECT attempts FROM procrastinate_jobs {job}") in ([], [(1,)])

    wait_for(lambda: product.status(document) == "processing")
    product.worker.kill()
    # How long reading takes is another matter.
    wait_for(taken_up_again, WELL_AGAIN_SECONDS)
    wait_for(lambda: product.status(document) == "ready", 90)
    assert product.http.get(f"/documents?user_id={user}").json()["count"] == 1


@contextmanager
def short_files(product: Product, most: int) -> Iterator[None]:
    """No file of the web grows beyond so many bytes, as if the disk were full there."""
    processes = web_processes(product.launcher)
    before = [
        resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        for one in processes
    ]
    try:
        yield
    finally:
        for one, limits in zip(processes, before, strict=True):
            resource.prlimit(one.pid, resource.RLIMIT_FSIZE, limits)


def test_an_upload_for_which_there_is_no_room_leaves_nothing_behind(product: Product) -> None:
    user, text = str(uuid4()), "A text that fills the disk. " * 80_000
    files = product.data_dir / "files"
    before = {path for path in files.rglob("*") if path.is_file()}

    with short_files(product, 2_000_000):
        refused = [product.upload(user, text) for _ in range(4)]
        there = {path for path in files.rglob("*") if path.is_file()}
        product.well_again()
    kept = product.upload(user, text)

    assert {(one.status_code, one.json()["code"]) for one in refused} == {(503, "storage_full")}
    assert refused[0].headers["Retry-After"]
    assert there == before
    assert kept.status_code == 201
    wait_for(lambda: product.status(kept.json()) == "ready", 60)


FULL = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON conversations_message
    EXECUTE FUNCTION no_room();
CREATE TRIGGER full_disk BEFORE INSERT ON documents_document EXECUTE FUNCTION no_room();
"""
ROOM = "DROP FUNCTION no_room CASCADE"


def test_a_database_whose_disk_is_full_loses_no_answer(product: Product) -> None:
    user = str(uuid4())
    with streaming(product, 5) as (paths, told):
        product.sql(FULL)
        try:
            asked = product.http.post(paths[0], json={"content": "More?"})
            new = {"user_id": user, "first_message": "Hello"}
            refused = [product.http.post("/conversations", json=new), product.upload(user, "Text.")]
            time.sleep(3)  # the answers have ended by now, but for their saving
        finally:
            product.sql(ROOM)
        product.well_again()

    assert asked.status_code == 409  # the former question is still being answered
    assert {(one.status_code, one.json()["code"]) for one in refused} == {
        (503, "database_unavailable")
    }
    assert_whole(product, paths, told)
    assert product.upload(user, "Text.").status_code == 201


MODEL_FAULTS = {
    "hangs": (fake_groq.hang(5), {504}),
    "falls silent": (fake_groq.stall(5), {504, 502}),
    "cuts the stream": (fake_groq.cut(), {502}),
    "answers HTML": (fake_groq.html(), {502}),
    "is out of service": (fake_groq.error(503), {503}),
    "wants a minute": (fake_groq.error(429, {"Retry-After": "60"}), {429}),
}


@pytest.mark.parametrize("fault", MODEL_FAULTS)
def test_a_question_outlives_a_model_that(product: Product, fault: str) -> None:
    reply, statuses = MODEL_FAULTS[fault]
    paths = [opened(product.http) for _ in range(6)]
    product.groq.script(*[reply] * 6)

    with ThreadPoolExecutor(6) as threads:
        whole = threads.map(lambda path: product.http.post(path, json={"content": "Q"}), paths[:3])
        streams = threads.map(lambda path: stream(product, path, []), paths[3:])
        problems = [one.json() for one in whole] + [told[-1][2] for told in streams]
    product.groq.server.replies.clear()

    # 503 too, of a model that failed too often to be asked.
    assert {problem["status"] for problem in problems} <= statuses | {503}
    for path, problem in zip(paths, problems, strict=True):
        retry = f"{path}/{problem['answer_id']}/retry"
        wait_for(
            lambda retry=retry: product.http.post(retry).status_code == 201, WELL_AGAIN_SECONDS
        )
        rows = product.http.get(path).json()["results"]
        assert [row["status"] for row in rows] == ["completed"] * 4


def test_a_clock_that_jumps_takes_no_answer_for_dead(product: Product) -> None:
    with streaming(product, 10) as (paths, told):
        # What a database sees whose clock jumps an hour ahead.
        product.sql("UPDATE conversations_webprocess SET seen_at = seen_at - interval '1 hour'")
        for path in paths:
            product.http.get(path)

    assert_whole(product, paths, told)


def test_told_to_stop_while_all_of_it_breaks_it_comes_back_with_nothing_lost(
    product: Product,
) -> None:
    """The last one: it leaves the product ended."""
    user, groq, launcher = str(uuid4()), product.groq, product.launcher
    text = "\n\n".join(f"Paragraph {n} of a report. " * 40 for n in range(800))
    document = product.upload(user, text).raise_for_status().json()
    with suppress(httpx.HTTPError), streaming(product, 8) as (paths, _):
        groq.script(fake_groq.hang(20))
        product.worker.kill()
        os.kill(product.postgres, signal.SIGKILL)
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(60) == 0

    port = int(product.root.rpartition(":")[2])
    model = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.url, "GROQ_MAX_RETRIES": 0}
    with served(product.data_dir, port, WEB_WORKERS=2, **model) as (launcher, _):
        product.launcher = launcher
        product.well_again()
        for path in paths:
            rows = product.http.get(path).json()["results"]
            assert [row["role"] for row in rows] == ["user", "assistant"] * 2
            last = settled(product.http, path, rows[-1]["id"], WELL_AGAIN_SECONDS)
            assert last["status"] in {"completed", "interrupted"}
            assert WORDS.startswith(last["content"])
        wait_for(lambda: product.status(document) == "ready", 60)

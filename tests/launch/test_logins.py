"""Wrong logins in parallel, on two web processes: they cost nobody else anything."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests.launch.test_launch import free_port, served
from tests.launch.test_survival import web_processes

PAUSE_SECONDS = 15
MANY = 100
TOKEN = "a" * 32


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """Its address, the launcher, and the password that this has printed."""
    port = free_port()
    made = {"WEB_WORKERS": 2, "LOGIN_PAUSE_SECONDS": PAUSE_SECONDS}
    with served(tmp_path_factory.mktemp("logins"), port, **made) as (launcher, output):
        password = output.partition("admin / ")[2].split()[0]
        yield f"http://127.0.0.1:{port}", launcher, password


def log_in(address: str, password: str = "wrong", forwarded: str = "") -> httpx.Response:
    fields = {"username": "admin", "password": password, "csrfmiddlewaretoken": TOKEN}
    headers = {"Cookie": f"csrftoken={TOKEN}"}
    headers |= {"X-Forwarded-For": forwarded} if forwarded else {}
    return httpx.post(f"{address}/admin/login/", data=fields, headers=headers, timeout=60)


def calls(address: str, over: threading.Event) -> Iterator[int]:
    """The statuses of questions and lists, one after another."""
    with httpx.Client(base_url=f"{address}/api/v1", timeout=60) as client:
        while not over.is_set():
            asked = {"user_id": str(uuid4()), "first_message": "Hello", "title": "T"}
            yield client.post("/conversations", json=asked).status_code
            yield client.get(f"/documents?user_id={asked['user_id']}").status_code


def test_a_hundred_wrong_logins_at_once_break_nothing_and_few_are_tried(product):
    address, _, password = product
    over = threading.Event()
    with ThreadPoolExecutor(MANY + 8) as threads:
        others = [threads.submit(lambda: Counter(calls(address, over))) for _ in range(8)]
        forged = [f"198.51.100.{number}" for number in range(MANY)]
        logins = list(threads.map(lambda each: log_in(address, forwarded=each), forged))
        over.set()
        beside = sum((each.result() for each in others), Counter())

    answered = Counter(each.status_code for each in logins)
    assert answered.keys() == {200, 429}
    assert answered[200] <= 2 * 5, "five, or twice that where a window ends meanwhile"
    assert beside.keys() == {201, 200}
    refused = next(each for each in logins if each.status_code == 429)
    assert 0 < int(refused.headers["Retry-After"]) <= PAUSE_SECONDS

    while (answer := log_in(address, password)).status_code == 429:
        time.sleep(int(answer.headers["Retry-After"]))
    assert answer.status_code == 302


def test_either_process_knows_what_the_other_has_counted(product):
    address, launcher, password = product
    if (rest := -time.time() % PAUSE_SECONDS) < PAUSE_SECONDS / 2:
        time.sleep(rest)  # windows are those of the clock
    one, other = web_processes(launcher)
    answers = []
    for tries, stopped in ((3, one), (3, other)):
        stopped.suspend()
        try:
            answers += [log_in(address).status_code for _ in range(tries)]
        finally:
            stopped.resume()

    assert answers == [200] * 5 + [429]
    assert log_in(address, password).status_code == 429

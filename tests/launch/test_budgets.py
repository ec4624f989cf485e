"""Budgets under parallel requests to the served product, over real sockets and two processes."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests import fake_groq
from tests.fake_groq import FakeGroq
from tests.launch.test_launch import ROOT, environment, free_port, served

AT_ONCE = 20
# What the scripted model says that an answer took.
TOOK = 120


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """The address of a running product, its model and its data folder."""
    data_dir, port = tmp_path_factory.mktemp("budgets"), free_port()
    with FakeGroq() as groq:
        settings = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.url, "GROQ_MAX_RETRIES": 0}
        with served(data_dir, port, WEB_WORKERS=2, ANSWER_TOKENS=64, **settings):
            yield f"http://127.0.0.1:{port}/api/v1", groq, data_dir


class Caller:
    """Calls with a service key of its own, for another user each time."""

    def __init__(self, product, **budget):
        self.address, self.groq, data_dir = product
        options = [f"--{name.replace('_', '-')}={value}" for name, value in budget.items()]
        made = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "createkey", "test", *options],
            env=environment(data_dir, DEBUG="true"),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        self.headers = {"Authorization": f"Bearer {made.stdout.strip()}"}

    def ask(self, *_):
        body = {"user_id": str(uuid4()), "first_message": "Hello", "title": "Greeting"}
        return httpx.post(
            f"{self.address}/conversations", json=body, headers=self.headers, timeout=60
        )

    def ask_at_once(self):
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(self.ask, range(AT_ONCE)))

    def used(self):
        path = f"{self.address}/budgets"
        return httpx.get(path, headers=self.headers, timeout=60).json()["results"][0]


@pytest.fixture(scope="module")
def reserved(product):
    """The tokens that are reserved for an answer to what callers here ask."""
    context = Caller(product).ask().json()["answer"]["context"]
    return context["total"] + context["answer_reserve"]


def test_a_budget_for_five_answers_gives_five_however_many_ask_at_once(product, reserved):
    budget = 4 * TOOK + reserved
    caller = Caller(product, daily_tokens=budget)
    asked_before = len(caller.groq.received)

    statuses = Counter(response.status_code for response in caller.ask_at_once())
    assert statuses.keys() == {201, 429}
    assert statuses[201] <= 5
    # One after the other, until there is no more.
    while (response := caller.ask()).status_code == 201:
        statuses[201] += 1

    assert statuses[201] == 5 == len(caller.groq.received) - asked_before
    assert response.json()["code"] == "budget_exceeded"
    assert int(response.headers["Retry-After"]) <= 24 * 3600
    tokens = caller.used()["tokens"]
    assert tokens == {"limit": budget, "spent": 5 * TOOK, "remaining": budget - 5 * TOOK}


def test_never_more_answers_are_under_way_than_the_budget_could_pay_for(product, reserved):
    caller = Caller(product, daily_tokens=5 * reserved, monthly_tokens=100 * reserved)
    lock, under_way, most = threading.Lock(), 0, 0

    def slowly(handler, request):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(1)
        fake_groq.answer("Hello.")(handler, request)
        with lock:
            under_way -= 1

    caller.groq.script(*[slowly] * AT_ONCE)
    responses = caller.ask_at_once()
    caller.groq.server.replies.clear()

    answered = [one for one in responses if one.status_code == 201]
    refused = [one for one in responses if one.status_code == 429]
    assert len(answered) + len(refused) == AT_ONCE
    assert len(answered) >= 5 >= most
    assert refused
    assert caller.used()["tokens"]["spent"] == len(answered) * TOOK <= 5 * reserved


def test_an_answer_that_is_cancelled_is_charged_for_what_was_said(product, reserved):
    caller = Caller(product, daily_tokens=10 * reserved)
    caller.groq.script(fake_groq.answer("word " * 50, delay=0.2))
    body = {"user_id": str(uuid4()), "first_message": "Talk", "title": "Talk", "stream": True}

    http = httpx.Client(base_url=caller.address, headers=caller.headers, timeout=30)
    with http, http.stream("POST", "/conversations", json=body) as response:
        lines = response.iter_lines()
        created = next(json.loads(line[6:]) for line in lines if line.startswith("data: "))
        assert caller.used()["tokens"]["spent"] == reserved
        next(line for line in lines if line == "event: delta")
        path = f"/conversations/{created['id']}/messages/{created['answer']['id']}"
        answer = http.post(f"{path}/cancel").raise_for_status().json()

    assert answer["status"] == "cancelled"
    assert 0 < answer["usage"]["completion_tokens"] < 40
    assert caller.used()["tokens"]["spent"] == answer["usage"]["total_tokens"] < reserved

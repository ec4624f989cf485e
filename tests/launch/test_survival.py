"""Answers outlive whoever listens, and processes that die: with real processes and sockets."""

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from botgpt.worker import TAKEN_AT_ONCE
from tests import fake_groq
from tests.fake_groq import FakeGroq
from tests.launch.test_launch import free_port, own_end, served
from tests.waiting import wait_for

LONG = "".join(f"word{number} " for number in range(400)).strip()


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """Two web processes over a scripted model: its address, the script, the launcher."""
    data_dir, port = tmp_path_factory.mktemp("survival"), free_port()
    with FakeGroq() as groq:
        model = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.url, "GROQ_MAX_RETRIES": 0}
        with served(data_dir, port, WEB_WORKERS=2, **model) as (launcher, _):
            yield f"http://127.0.0.1:{port}/api/v1", groq, launcher


@pytest.fixture
def http(product) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=product[0], timeout=30) as client:
        yield client


def opened(http: httpx.Client, user: str | None = None) -> str:
    body = {"user_id": user or str(uuid4()), "first_message": "Hello", "title": "T"}
    identity: str = http.post("/conversations", json=body).raise_for_status().json()["id"]
    return f"/conversations/{identity}/messages"


def events(lines: Iterator[str]) -> Iterator[tuple[str, str, dict]]:
    """The (id, name, data) of a stream as they come."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line and fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def heard(address: str, path: str, deltas: int) -> tuple[str, str, str]:
    """Asks, leaves after so many deltas: the answer's id, the last event's, and the text."""
    text = ""
    asked = {"content": "Talk", "stream": True}
    with httpx.stream("POST", address + path, json=asked, timeout=30) as response:
        for identity, name, data in events(response.iter_lines()):
            if name == "delta":
                text += data["text"]
                deltas -= 1
            if deltas == 0:
                return identity.partition(":")[0], identity, text
    raise AssertionError("the answer ended too soon")


def rest(http: httpx.Client, path: str, answer: str, last: str) -> tuple[str, str, dict]:
    """What a client gets that comes back: the text, the last event's name and its data."""
    text = ""
    with http.stream("GET", f"{path}/{answer}/stream", headers={"Last-Event-ID": last}) as response:
        assert response.headers["X-Accel-Buffering"] == "no"
        for _, name, data in events(response.iter_lines()):
            text += data["text"] if name == "delta" else ""
    return text, name, data


def settled(http: httpx.Client, path: str, answer: str, seconds: float = 30) -> dict:
    def ended() -> dict | None:
        message: dict = http.get(f"{path}/{answer}").json()
        return message if message["status"] != "pending" else None

    return wait_for(ended, seconds)


def web_processes(launcher) -> list[psutil.Process]:
    web = [one for one in psutil.Process(launcher.pid).children() if "gunicorn" in one.cmdline()]
    return web[0].children()


def test_a_web_process_takes_several_connections_in_a_turn_of_its_loop(product) -> None:
    for process in web_processes(product[2]):
        sockets = []
        for number in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                sockets += re.findall(r"socket:.*", str(number.readlink()))
        [(_, times)] = Counter(sockets).most_common(1)
        # Its loop takes one connection each time that it listens to the same socket.
        assert times == TAKEN_AT_ONCE > 1


def test_a_connection_is_kept_for_who_comes_back_after_some_seconds(http) -> None:
    before = own_end(http.get("/models"))
    time.sleep(3)

    assert own_end(http.get("/models")) == before


def test_an_answer_whose_client_leaves_is_finished(product, http) -> None:
    path = opened(http)
    product[1].script(fake_groq.answer("word " * 30, delay=0.03))

    answer, _, _ = heard(product[0], path, 2)

    message = settled(http, path, answer)
    assert (message["status"], message["content"]) == ("completed", "word " * 30)


@pytest.mark.parametrize("attempt", range(4))  # either process may be the one that is asked
def test_a_stream_goes_on_where_it_was_cut(product, http, attempt) -> None:
    path = opened(http)
    product[1].script(fake_groq.answer(LONG, delay=0.004))

    answer, last, before = heard(product[0], path, 3)
    with httpx.Client(base_url=product[0], timeout=30) as another:
        after, name, data = rest(another, path, answer, last)

    assert name == "message.completed"
    assert before + after == LONG == data["answer"]["content"]


def test_the_events_of_an_ended_answer_are_told_again(product, http) -> None:
    path = opened(http)
    answer = http.post(path, json={"content": "Talk"}).json()["answer"]

    text, name, data = rest(http, path, answer["id"], "")
    nothing, name_again, _ = rest(http, path, answer["id"], f"{answer['id']}:{2 + len(text)}")

    assert (text, name) == (answer["content"], "message.completed")
    assert data["answer"] == answer
    assert (nothing, name_again) == ("", "message.completed")


@pytest.mark.parametrize("attempt", range(3))
def test_cancel_stops_the_model_at_once_and_keeps_what_was_said(product, http, attempt) -> None:
    path, groq = opened(http), product[1]
    groq.server.hung_up.clear()
    groq.script(fake_groq.answer(LONG, delay=0.05))
    answer, _, said = heard(product[0], path, 2)

    started = time.monotonic()
    with httpx.Client(base_url=product[0], timeout=30) as another:
        message = another.post(f"{path}/{answer}/cancel").raise_for_status().json()

    assert time.monotonic() - started < 3
    assert (message["status"], message["finish_reason"]) == ("cancelled", "cancelled")
    assert message["content"].startswith(said)
    assert len(message["content"]) < len(LONG)
    assert message["usage"]["completion_tokens"] > 0
    assert groq.server.hung_up.wait(10)
    assert http.post(f"{path}/{answer}/cancel").status_code == 409
    assert http.post(path, json={"content": "Next?"}).status_code == 201


def test_forgetting_a_user_stops_the_model_and_leaves_nothing_of_the_answer(product, http) -> None:
    groq, user = product[1], str(uuid4())
    path = opened(http, user)
    groq.server.hung_up.clear()
    groq.script(fake_groq.answer(LONG, delay=0.05))
    heard(product[0], path, 2)

    assert http.delete(f"/users/{user}").status_code == 202

    assert groq.server.hung_up.wait(10)
    wait_for(lambda: http.get(path).status_code == 404)
    assert http.get(f"/conversations?user_id={user}").json()["count"] == 0


def test_streams_hold_neither_threads_nor_connections(product, http) -> None:
    paths = [opened(http) for _ in range(40)]
    product[1].script(*[fake_groq.answer("word " * 40, delay=0.1)] * 40)
    threads = sum(one.num_threads() for one in web_processes(product[2]))

    with httpx.Client(timeout=30, limits=httpx.Limits(max_connections=None)) as client:
        asked = {"content": "Talk", "stream": True}
        requests = [client.build_request("POST", product[0] + path, json=asked) for path in paths]
        streams = [client.send(request, stream=True) for request in requests]
        time.sleep(1)
        more = sum(one.num_threads() for one in web_processes(product[2])) - threads
        ready = http.get(product[0].replace("/api/v1", "/health/ready"))
        endings = [list(events(stream.iter_lines()))[-1][1] for stream in streams]

    assert endings == ["message.completed"] * 40
    assert more < 20
    assert ready.status_code == 200


def test_a_killed_web_process_leaves_its_answers_interrupted(product, http) -> None:
    path = opened(http)
    product[1].script(fake_groq.answer(LONG, delay=0.05))
    answer, _, said = heard(product[0], path, 12)
    time.sleep(0.5)

    for process in web_processes(product[2]):
        process.send_signal(signal.SIGKILL)

    message = _after_restart(product[0], path, answer)
    assert (message["status"], message["error"]["code"]) == ("interrupted", "interrupted")
    # At most the last batch is lost, of a quarter of a second: it had been heard before that.
    assert message["content"].startswith(said)
    assert LONG.startswith(message["content"])
    with httpx.Client(base_url=product[0], timeout=30) as client:
        text, name, problem = rest(client, path, answer, "")
        assert (text, name, problem["code"]) == (message["content"], "error", "interrupted")
        again = client.post(f"{path}/{answer}/retry")
        assert again.status_code == 201
        assert again.json()["answer"]["status"] == "completed"


def _after_restart(address: str, path: str, answer: str) -> dict:
    """The answer as soon as the web is there again; it has to be settled by then."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with httpx.Client(base_url=address, timeout=5) as client:
                return settled(client, path, answer, seconds=deadline - time.monotonic())
        except httpx.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.parametrize(("words", "status"), [(30, "completed"), (400, "interrupted")])
def test_told_to_stop_the_server_ends_its_answers_in_good_order(
    tmp_path: Path, words, status
) -> None:
    port = free_port()
    with FakeGroq() as groq:
        model = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.url, "GROQ_MAX_RETRIES": 0}
        address = f"http://127.0.0.1:{port}/api/v1"
        text = "word " * words
        with served(tmp_path, port, **model) as (launcher, _):
            idle = HTTPConnection("127.0.0.1", port, timeout=5)
            with httpx.Client(base_url=address, timeout=30) as http, closing(idle):
                idle.request("GET", "/health/live")
                idle.getresponse().read()
                path = opened(http)
                groq.script(fake_groq.answer(text, delay=0.05))
                with http.stream("POST", path, json={"content": "Talk", "stream": True}) as stream:
                    told = events(stream.iter_lines())
                    answer = next(told)[0].partition(":")[0]
                    next(told)
                    os.kill(launcher.pid, signal.SIGTERM)
                    assert idle.sock.recv(1) == b"", "closed before the answer's end"
                    names = [name for _, name, _ in told]
            assert launcher.wait(60) == 0
        assert names[-1] == ("message.completed" if status == "completed" else "error")
        with served(tmp_path, port, **model), httpx.Client(base_url=address, timeout=30) as http:
            message = http.get(f"{path}/{answer}").json()

    assert message["status"] == status
    assert (message["content"] == text) == (status == "completed")
    assert text.startswith(message["content"])
    assert message["content"]

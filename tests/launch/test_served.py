"""The whole product as users meet it: real streams over real sockets."""

import threading
import time
from uuid import uuid4

import httpx
import pytest

from tests import fake_groq
from tests.fake_groq import FakeGroq
from tests.launch.test_launch import free_port, served


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """The address of a running product whose model is scripted, its script, its data folder."""
    data_dir = tmp_path_factory.mktemp("product")
    port = free_port()
    with FakeGroq() as groq:
        model = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.url, "GROQ_MAX_RETRIES": 0}
        with served(data_dir, port, **model):
            yield f"http://127.0.0.1:{port}/api/v1", groq, data_dir


@pytest.fixture
def http(product):
    with httpx.Client(base_url=product[0], timeout=30) as client:
        yield client


def opened(http: httpx.Client) -> str:
    body = {"user_id": str(uuid4()), "first_message": "Hello"}
    response = http.post("/conversations", json=body)
    assert response.status_code == 201, response.text
    identity: str = response.json()["id"]
    return identity


def test_a_stream_arrives_while_the_model_speaks(product, http) -> None:
    conversation = opened(http)
    product[1].script(fake_groq.answer("one two three four five six", delay=0.2))
    started, times = time.monotonic(), []

    asked = {"content": "Count", "stream": True}
    with http.stream("POST", f"/conversations/{conversation}/messages", json=asked) as response:
        for line in response.iter_lines():
            if line == "event: delta":
                times.append(time.monotonic() - started)

    assert len(times) == 6
    assert times[-1] - times[0] > 0.8


def test_questions_at_the_same_time_never_mix(product, http) -> None:
    conversation = opened(http)
    product[1].script(fake_groq.answer("slowly", delay=0.5))
    statuses: list[int] = []

    def ask() -> None:
        response = httpx.post(
            f"{product[0]}/conversations/{conversation}/messages",
            json={"content": "Now"},
            timeout=30,
        )
        statuses.append(response.status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(set(statuses)) == [201, 409]
    rows = http.get(f"/conversations/{conversation}/messages?limit=100").json()["results"]
    assert [row["role"] for row in rows] == ["user", "assistant"] * (len(rows) // 2)
    assert len(rows) == 2 + 2 * statuses.count(201)


def test_an_upload_becomes_ready_and_a_question_waits_for_it(product, http) -> None:
    user = str(uuid4())
    uploaded = http.post(
        "/documents", files={"file": ("a.txt", b"The okapi eats leaves.")}, data={"user_id": user}
    ).json()

    body = {"user_id": user, "first_message": "What does the okapi eat?", "mode": "grounded_rag"}
    answer = http.post("/conversations", json=body)

    assert answer.status_code == 201, answer.text
    assert answer.json()["answer"]["citations"][0]["document_id"] == uploaded["id"]


def test_the_log_has_ids_and_no_text(product, http) -> None:
    secret = "a very private question"
    body = {"user_id": str(uuid4()), "first_message": secret}
    response = http.post("/conversations", json=body, headers={"X-Request-ID": "trace-me-1"})

    assert response.headers["X-Request-ID"] == "trace-me-1"
    log = (product[2] / "output").read_text()
    assert "request_id=trace-me-1" in log
    assert secret not in log
    assert "gsk_test" not in log

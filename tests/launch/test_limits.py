"""What is too long or too much, over real sockets and two web processes."""

import json
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests.launch.test_launch import free_port, own_end, served

MB = 1024 * 1024
REQUESTS = 5


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    port = free_port()
    bytes_at_most = {"MAX_UPLOAD_MB": 1, "MAX_BODY_KB": 64}
    fields = {"MESSAGE_CHARS": 100, "CONVERSATION_DOCUMENTS": 2}
    rate = {"WEB_WORKERS": 2, "USER_REQUESTS_A_MINUTE": REQUESTS}
    with served(tmp_path_factory.mktemp("limits"), port, **bytes_at_most, **fields, **rate):
        yield port


@pytest.fixture
def http(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client


def in_chunks(body, size=10_000):
    return (body[start : start + size] for start in range(0, len(body), size))


def question(length):
    body = {"user_id": str(uuid4()), "first_message": "Hi", "title": "x", "system_prompt": ""}
    return json.dumps(body).encode().ljust(length)


def form(content):
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    user = b'\r\n--x\r\nContent-Disposition: form-data; name="user_id"\r\n\r\n'
    return head + content + user + str(uuid4()).encode() + b"\r\n--x--\r\n"


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def assert_refused(response, code):
    assert response.status_code == 413, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    problem = response.json()
    assert problem["code"] == code
    assert problem["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize("send", [lambda body: body, in_chunks], ids=["told", "chunked"])
def test_a_body_within_the_limit_is_taken_and_one_beyond_is_not(http, send):
    address = "/api/v1/conversations"
    assert http.post(address, content=send(question(60_000)), headers=JSON).status_code == 201

    refused = http.post(address, content=send(question(66_000)), headers=JSON)

    assert_refused(refused, "body_too_large")
    assert "65,536 bytes" in refused.json()["detail"]
    assert http.get(address).status_code == 200


@pytest.mark.parametrize("send", [lambda body: body, in_chunks], ids=["told", "chunked"])
def test_a_file_within_the_limit_is_taken_and_one_beyond_is_not(http, send):
    address = "/api/v1/documents"
    taken = http.post(address, content=send(form(b"word " * (MB // 5))), headers=FORM)
    assert taken.status_code == 201, taken.text

    for length in (MB + 1, 2 * MB):
        refused = http.post(address, content=send(form(b"w" * length)), headers=FORM)
        assert_refused(refused, "file_too_large")
        assert "larger than 1 MB" in refused.json()["detail"]


def test_a_length_that_is_too_great_is_refused_before_anything_is_sent(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(
            b"POST /api/v1/conversations HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_refused_client_may_send_the_rest_and_goes_on_with_its_connection(http):
    def slowly():
        yield b" " * 1000
        time.sleep(0.5)  # refused by now
        yield b" " * (MB - 1000)

    headers = JSON | {"Content-Length": str(MB)}
    refused = http.post("/api/v1/conversations", content=slowly(), headers=headers)
    assert_refused(refused, "body_too_large")
    before = own_end(refused)

    after = http.get("/api/v1/conversations")
    assert after.status_code == 200
    assert own_end(after) == before


def test_chunks_without_an_end_are_cut_off(port):
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(
            b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(9):
            connection.sendall(chunk)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_clients_of_openai_are_told_in_their_own_shape(http):
    address = "/openai/v1/chat/completions"
    refused = http.post(address, content=in_chunks(b" " * 66_000), headers=JSON)

    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "body_too_large"


def test_questions_and_lists_of_documents_are_as_long_as_is_set(http):
    opened = {"user_id": str(uuid4()), "first_message": "é" * 100, "title": "x"}
    assert http.post("/api/v1/conversations", json=opened).status_code == 201

    longer = http.post("/api/v1/conversations", json=opened | {"first_message": "é" * 101})
    assert longer.status_code == 400
    assert "no more than 100 characters" in longer.json()["errors"]["first_message"][0]

    ids = [str(uuid4()) for _ in range(3)]
    grounded = opened | {"mode": "grounded_rag", "document_ids": ids}
    more = http.post("/api/v1/conversations", json=grounded)
    assert more.status_code == 400
    assert "no more than 2 elements" in more.json()["errors"]["document_ids"][0]

    asked = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    asked["content"] += [{"type": "file", "file": {"file_id": one}} for one in ids]
    body = {"model": "openai/gpt-oss-20b", "messages": [asked]}
    named = http.post("/openai/v1/chat/completions", json=body)
    assert (named.status_code, named.json()["error"]["param"]) == (400, "file_ids")


def test_of_eight_requests_at_once_just_as_many_pass_as_the_limit(port):
    body = {"user_id": str(uuid4()), "first_message": "Hi"}
    if time.time() % 60 > 50:
        time.sleep(60 - time.time() % 60)

    def ask(_):
        address = f"http://127.0.0.1:{port}/api/v1/conversations"
        return httpx.post(address, json=body, timeout=30)

    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(ask, range(8)))

    assert Counter(one.status_code for one in responses) == {201: REQUESTS, 429: 8 - REQUESTS}
    refused = next(one for one in responses if one.status_code == 429)
    assert refused.json()["code"] == "rate_limit_exceeded"
    assert 0 < int(refused.headers["Retry-After"]) <= 60

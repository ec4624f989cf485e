"""Every call of the schema with whatever its schema allows, and with what it does not.

Schemathesis reads /openapi.json of the served product and checks that each answer is one that the
schema tells of, that wrong input is refused, and that nothing is an error of ours. `make fuzz`
gives it more time and another seed each run.
"""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from tests.fake_groq import FakeGroq
from tests.launch.test_launch import ROOT, environment, free_port, served

SCHEMATHESIS = [str(Path(sys.executable).with_name("st"))]
SCHEMATHESIS += ["--config-file", str(ROOT / "tests" / "schemathesis.toml"), "--no-color", "run"]
# Seconds that `make fuzz` gives it.
LONG = int(os.environ.get("FUZZ_SECONDS", "0"))


@pytest.fixture(scope="module")
def product(tmp_path_factory) -> Iterator[tuple[str, str, Path]]:
    """The address of a product that asks for keys, a service key, and the product's log."""
    data_dir, port = tmp_path_factory.mktemp("any"), free_port()
    closed = {
        "DEBUG": "false",
        "SECRET_KEY": "a-secret-of-tests-0123456789-abcdefghijklmnopqrstuvwxyz",
    }
    with FakeGroq() as groq:
        model = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.url, "GROQ_MAX_RETRIES": 0}
        with served(data_dir, port, **closed, **model):
            made = subprocess.run(
                [sys.executable, "manage.py", "createkey", "fuzz"],
                cwd=ROOT,
                env=environment(data_dir, **closed),
                capture_output=True,
                text=True,
                check=True,
            )
            [key] = re.findall(r"bot_\S+", made.stdout)
            yield f"http://127.0.0.1:{port}/openapi.json", key, data_dir / "output"


def explore(product: tuple[str, str, Path], *options: str) -> None:
    """Lets schemathesis loose. Its report is what a failure shows."""
    address, key, log = product
    who = ["--header", f"Authorization: Bearer {key}"]
    done = subprocess.run(
        [*SCHEMATHESIS, address, *who, "--checks", "all", "--continue-on-failure", *options],
        cwd=log.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = log.read_text().splitlines()
    assert [line for line in lines if " ERROR " in line or "Traceback" in line] == []


@pytest.mark.skipif(LONG > 0, reason="the long run covers it")
def test_no_input_meets_an_error_of_ours_or_an_answer_untold(product) -> None:
    explore(product, "--generation-deterministic", "--no-shrink", "--max-examples", "1")


@pytest.mark.skipif(LONG == 0, reason="make fuzz runs it")
def test_nor_does_any_input_in_a_long_run(product) -> None:
    explore(product, "--max-examples", "50", "--max-time", str(LONG))


# --- Bytes that no HTTP library sends ------------------------------------------------------------


def answer_to(product: tuple[str, str, Path], request: bytes) -> bytes:
    """What comes back for raw bytes; nothing where the server waits for more or hangs up."""
    port = int(product[0].split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        answer = b""
        with suppress(OSError):
            connection.sendall(request)
            while part := connection.recv(65_536):
                answer += part
    return answer


def statuses(product: tuple[str, str, Path], request: bytes) -> list[int]:
    """Those of the answers to raw bytes."""
    return [
        int(number) for number in re.findall(rb"HTTP/1\.1 (\d{3})", answer_to(product, request))
    ]


def request(
    line: bytes = b"GET /api/v1/models HTTP/1.1", *headers: bytes, key: str = "", body: bytes = b""
) -> bytes:
    who = (b"Authorization: Bearer " + key.encode(),) if key else ()
    size = b"Content-Length: %d" % len(body)
    head = (line, b"Host: localhost", b"Connection: close", size, *who, *headers)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "line",
    [
        *(b"GET /api/v1/%zz HTTP/1.1", b"GET /api/v1/\xff HTTP/1.1", b"GET /%00 HTTP/1.1"),
        *(b"GET /api/v1/models?%ff=\xfe HTTP/1.1", b"GET //evil.example/ HTTP/1.1", b"\0\1\2"),
        *(b"GET http://evil.example/ HTTP/1.1", b"GET * HTTP/1.1", b"GET  HTTP/1.1", b"GET /"),
        *(b"OPTIONS * HTTP/1.1", b"TRACE / HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"X" * 99_999),
        *(b"GET /docs HTTP/9.9", b"GET /" + b"a" * 99_999 + b" HTTP/1.1", b"PRI * HTTP/2.0"),
    ],
)
def test_lines_of_any_form_are_no_error_of_ours(product, line) -> None:
    assert all(status < 500 or status == 505 for status in statuses(product, request(line)))
    assert statuses(product, request(key=product[1])) == [200]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(b"GET /" + b"a" * 9_999 + b" HTTP/1.1"), 414),
        (request(b"GET / HTTP/1.1", b"X-A: " + b"a" * 200_000), 431),
        (request(b"GET / HTTP/1.1", b"no colon"), 400),
        (request(b"GET / HTTP/1.1", b"Transfer-Encoding: nope"), 501),
    ],
    ids=["a long address", "a long header", "no header", "an unknown encoding"],
)
def test_what_the_server_itself_refuses_is_told_as_all_else(product, sent, status) -> None:
    head, _, body = answer_to(product, sent).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/problem+json" in head
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert json.loads(body)["status"] == status


@pytest.mark.parametrize(
    "header",
    [
        *(b"X-A: " + b"a" * 200_000, b"Content-Length: 5", b"Content-Length: -1", b"X: \0"),
        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: nope", b" folded", b"no colon"),
        *(b"Host: evil.example", b"Host: \xff", b"Host: a:99999", b"Expect: nothing"),
        *(b"Cookie: \xff=\0", b'Cookie: sessionid="aaaaaaaa\\000"', b"X-Forwarded-Proto: \xff"),
        *(b"Upgrade: websocket", b"Accept: a*=nope''x/y;b*=zlib''x", b"Range: bytes=-1"),
        b"\r\n".join(b"X-%d: 1" % number for number in range(500)),
    ],
)
def test_headers_of_any_form_are_no_error_of_ours(product, header) -> None:
    given = statuses(product, request(b"GET /api/v1/models HTTP/1.1", header, key=product[1]))
    assert all(status < 500 or status == 501 for status in given)
    assert statuses(product, request(key=product[1])) == [200]


@pytest.mark.parametrize(
    "charset",
    [
        *(b"=zlib", b"=bz2", b"=hex", b"=base64", b"=rot13", b"=idna", b"=punycode", b"=undefined"),
        *(b"=utf-16", b"=unicode_escape", b"=utf-7", b"=latin-1", b"=\"'", b"=aliases", b"=\xff"),
        *(b"=utf-8", b"*=nope''x", b"*=idna''%ff", b"*=zlib''x", b"=" + b"x" * 5_000),
    ],
)
def test_json_is_utf_8_whatever_is_said_of_it(product, charset) -> None:
    body = json.dumps({"user_id": str(uuid4()), "query": "Öffnung"}, ensure_ascii=False).encode()
    kind = b"Content-Type: application/json; charset" + charset

    def status(query: bytes) -> int:
        line = b"POST /api/v1/search?" + query + b" HTTP/1.1"
        [found] = statuses(product, request(line, kind, key=product[1], body=body))
        return found

    # A type that cannot be read, by RFC 2231 or for its length, is no type that we take.
    read = not charset.startswith(b"*") and len(charset) < 1_000
    assert status(b"") in ((200,) if read else (200, 415))
    assert status(b"a=%C3%96") in ((400,) if read else (400, 415))
    assert status(b"a&" * 1_500) in (400, 415)

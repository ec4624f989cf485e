"""A scripted model with Groq's API, cheap enough to share two cores with what is measured.

    python -m tests.benchmarks.serving.upstream --port 9009 --tokens 50 --rate 20

answers `/openai/v1/chat/completions` (Groq's path) and `/v1/chat/completions`, as a stream or
whole: GROQ_BASE_URL=http://127.0.0.1:9009. Another script for the answers that begin from now on:

    curl -X PUT http://127.0.0.1:9009/script -d '{"tokens": 20, "rate": 2}'

`rate` is in tokens a second; 0 sends the whole answer at once. A stream's first token comes with
its head. Every byte is made beforehand, and one timer serves all streams of a rate.
"""

import argparse
import asyncio
import json
import re
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, cast

from tests.benchmarks.serving.machine import allow_open_files, event_loop

PATHS = {b"/openai/v1/chat/completions", b"/v1/chat/completions"}
MODEL = "llama-3.3-70b-versatile"
# How far apart two streams of one rate may begin and still be written together, in seconds.
TICK = 0.005
STREAMED = re.compile(rb'"stream"\s*:\s*true')  # in a string its quotes would be escaped
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Script:
    """How an answer goes: so many tokens, so many a second (0: all at once)."""

    tokens: int = 50
    rate: float = 20.0

    @property
    def seconds(self) -> float:
        """From the first token to the last."""
        return (self.tokens - 1) / self.rate if self.rate else 0.0


def text(tokens: int) -> str:
    """What an answer of so many tokens says; each token is one word."""
    return "".join(_words(tokens))


@dataclass(frozen=True, slots=True)
class _Answer:
    """The bytes of one answer: what is sent at once, the tokens after it, and all of it whole."""

    opening: bytes
    later: tuple[bytes, ...]  # the last one carries the end of the stream as well
    whole: bytes


@cache
def _answer(tokens: int) -> _Answer:
    role = _frame(_chunk({"role": "assistant", "content": ""}))
    words = [_frame(_chunk({"content": word})) for word in _words(tokens)]
    last = {**_chunk({}, "stop"), "x_groq": {"id": "req_01", "usage": _usage(tokens)}}
    words[-1] += _frame(last) + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    message = {"role": "assistant", "content": text(tokens)}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    whole = {**_body("chat.completion", choice), "usage": _usage(tokens)}
    return _Answer(HEAD + role + words[0], tuple(words[1:]), _json_response(b"200 OK", whole))


def _words(tokens: int) -> list[str]:
    return [f"token{number} " for number in range(tokens)]


def _chunk(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return _body("chat.completion.chunk", choice)


def _body(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    head = {"id": "chatcmpl-01", "object": kind, "created": 1, "model": MODEL}
    return {**head, "system_fingerprint": "fp_01", "choices": [choice]}


def _usage(tokens: int) -> dict[str, Any]:
    counts = {"prompt_tokens": 50, "completion_tokens": tokens, "total_tokens": 50 + tokens}
    return {"queue_time": 0.0, "prompt_time": 0.0, "completion_time": 0.0, **counts}


def _frame(body: dict[str, Any]) -> bytes:
    return _framed(b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n")


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _json_response(status: bytes, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    return head % (status, len(data), data)


class _Stream:
    """One answer under way."""

    __slots__ = ("later", "sent", "transport")

    def __init__(self, transport: asyncio.Transport, later: tuple[bytes, ...]) -> None:
        self.transport = transport
        self.later = later
        self.sent = 0

    def send(self) -> bool:
        """Send the next token; False after the last, or when the reader has left."""
        if self.transport.is_closing():
            return False
        self.transport.write(self.later[self.sent])
        self.sent += 1
        return self.sent < len(self.later)


class _Wheel:
    """Writes the next token of every stream of one rate when it is due, on one timer.

    A stream stays in one slot, which comes round once in the time between two tokens.
    """

    def __init__(self, rate: float) -> None:
        count = max(1, round(1 / rate / TICK))
        self._tick = 1 / rate / count
        self._slots: list[list[_Stream]] = [[] for _ in range(count)]
        self._now = 0
        self._open = 0
        self._next = 0.0

    def add(self, stream: _Stream) -> None:
        """Send the stream's next tokens, the first of them one turn from now."""
        self._slots[self._now].append(stream)
        self._open += 1
        if self._open == 1:
            loop = asyncio.get_running_loop()
            self._next = loop.time() + self._tick
            loop.call_at(self._next, self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._now = (self._now + 1) % len(self._slots)
        due = self._slots[self._now]
        going = [stream for stream in due if stream.send()]
        self._slots[self._now] = going
        self._open -= len(due) - len(going)
        if self._open:
            self._next += self._tick  # from when it was due: lateness does not add up
            loop.call_at(self._next, self._turn, loop)


class Upstream:
    """What all connections share: the script and the wheels."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self._wheels: dict[float, _Wheel] = {}

    def answer(self, transport: asyncio.Transport, body: bytes) -> None:
        """Begin to answer a request for a completion."""
        script, answer = self.script, _answer(self.script.tokens)
        if not STREAMED.search(body):
            loop = asyncio.get_running_loop()
            loop.call_later(script.seconds, transport.write, answer.whole)
        elif script.rate == 0 or not answer.later:
            transport.write(answer.opening + b"".join(answer.later))
        else:
            transport.write(answer.opening)
            if script.rate not in self._wheels:
                self._wheels[script.rate] = _Wheel(script.rate)
            self._wheels[script.rate].add(_Stream(transport, answer.later))


class Connection(asyncio.Protocol):
    """One kept connection. Requests on it come one after another."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast(asyncio.Transport, transport)  # libuv's has other ancestors

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is whole."""
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = LENGTH.search(head)
        if length and len(rest) < int(length[1]):
            return
        self._received = b""
        method, path, _ = head.split(b" ", 2)
        if path in PATHS:
            self._upstream.answer(self._transport, rest)
        elif path == b"/script":
            if method == b"PUT":
                self._upstream.script = Script(**json.loads(rest))
            self._reply(b"200 OK", asdict(self._upstream.script))
        else:
            self._reply(b"404 Not Found", {"error": {"message": "no such path"}})

    def _reply(self, status: bytes, body: dict[str, Any]) -> None:
        self._transport.write(_json_response(status, body))


async def serve(port: int, script: Script) -> asyncio.Server:
    """Listen on loopback; port 0 takes a free one."""
    upstream = Upstream(script)
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(upstream), "127.0.0.1", port, backlog=4096)


async def _main(port: int, script: Script) -> None:
    server = await serve(port, script)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--rate", type=float, default=20)
    options = parser.parse_args()
    allow_open_files()
    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(_main(options.port, Script(options.tokens, options.rate)))

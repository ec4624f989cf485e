"""A scripted Groq on loopback: speaks the real API's HTTP, so that tests use the real SDK.

By hand: `python -m tests.fake_groq 9009`, then GROQ_BASE_URL=http://127.0.0.1:9009.
"""

import json
import re
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 64},
}


@dataclass
class Received:
    """One request as it came; names of headers are found in any case."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


Reply = Callable[["Handler", Received], None]

# What an ordinary key is served, and an enterprise key.
ORDINARY = (
    "openai/gpt-oss-120b",
    "openai/gpt-oss-20b",
    "qwen/qwen3.8-27b",
    "qwen/qwen3.6-27b",
)
ENTERPRISE = (*ORDINARY, "llama-3.3-70b-versatile", "llama-3.1-8b-instant")


def answer(
    text: str,
    *,
    delay: float = 0.0,
    finish_reason: str | None = "stop",
    usage: Mapping[str, Any] = USAGE,
) -> Reply:
    """A whole answer, or one word a chunk with `delay` seconds between, as the request asks."""

    def reply(handler: "Handler", request: Received) -> None:
        if not request.body.get("stream"):
            time.sleep(delay)
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": finish_reason,
            }
            handler.send_json(200, _body(request, "chat.completion", [choice], usage=usage))
            return
        handler.start_events()
        for word in re.findall(r"\S+\s*|\s+", text):
            handler.send_event(_chunk(request, {"content": word}))
            time.sleep(delay)
        last = _chunk(request, {}, finish_reason)
        handler.send_event(last | {"x_groq": {"id": "req_1", "usage": usage}})
        handler.send_line("data: [DONE]")
        handler.end_events()

    return reply


def paused(text: str, words: int, go_on: threading.Event, *, delay: float = 0.02) -> Reply:
    """A stream that falls silent after so many words until it may go on, a minute at most."""

    def reply(handler: "Handler", request: Received) -> None:
        handler.start_events()
        for number, word in enumerate(re.findall(r"\S+\s*", text)):
            if number == words:
                go_on.wait(60)
            handler.send_event(_chunk(request, {"content": word}))
            time.sleep(delay)  # whoever hung up is not noticed at the first word
        last = _chunk(request, {}, "stop")
        handler.send_event(last | {"x_groq": {"id": "req_1", "usage": USAGE}})
        handler.send_line("data: [DONE]")
        handler.end_events()

    return reply


def empty() -> Reply:
    """An answer that says nothing."""
    return answer("")


def thoughts_alone(tokens: int = 1_900) -> Reply:
    """A reasoning model that thinks until the answer's tokens are used up."""
    usage = {"prompt_tokens": 100, "completion_tokens": tokens, "total_tokens": 100 + tokens}
    return answer("", finish_reason="length", usage=usage)


def refusal(text: str) -> Reply:
    """A refusal, in the field that OpenAI's API has for it."""

    def reply(handler: "Handler", request: Received) -> None:
        said = {"content": None, "refusal": text}
        if not request.body.get("stream"):
            message = {"role": "assistant", **said}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            handler.send_json(200, _body(request, "chat.completion", [choice], usage=USAGE))
            return
        handler.start_events()
        handler.send_event(_chunk(request, said))
        handler.send_event(_chunk(request, {}, "stop") | {"usage": USAGE})
        handler.end_events()

    return reply


def broken_after_usage(words: str = "") -> Reply:
    """A stream that reports its usage and then tells of an error."""

    def reply(handler: "Handler", request: Received) -> None:
        handler.start_events()
        handler.send_event(_chunk(request, {"content": words}) | {"usage": USAGE})
        handler.send_event({"error": {"message": "upstream secret words"}})
        handler.end_events()

    return reply


def error(status: int, headers: dict[str, str] | None = None, *, code: str = "x") -> Reply:
    """An error of the API, with a body that must not leak to our own callers."""

    def reply(handler: "Handler", request: Received) -> None:
        body = {"error": {"message": "upstream secret words", "code": code}}
        handler.send_json(status, body, headers)

    return reply


def hang(seconds: float) -> Reply:
    """Says nothing for so long, then hangs up."""

    def reply(handler: "Handler", request: Received) -> None:
        time.sleep(seconds)
        handler.hang_up()

    return reply


def html() -> Reply:
    """A proxy's page instead of the API's JSON."""
    return lambda handler, request: handler.send_text(200, "text/html", "<html>gateway</html>")


# Words are read with pauses between; a connection that breaks takes with it what was not read.
READ_SECONDS = 0.3


def cut(words: int = 2) -> Reply:
    """A stream whose connection breaks after so many words, before its end is told."""

    def reply(handler: "Handler", request: Received) -> None:
        handler.start_events()
        for number in range(words):
            handler.send_event(_chunk(request, {"content": f"word{number} "}))
        time.sleep(READ_SECONDS)
        handler.hang_up()

    return reply


def finish_early() -> Reply:
    """A stream that ends in good order, but before the model gave a reason to stop."""

    def reply(handler: "Handler", request: Received) -> None:
        handler.start_events()
        handler.send_event(_chunk(request, {"content": "half an"}))
        handler.end_events()

    return reply


def stall(seconds: float) -> Reply:
    """A stream that falls silent for so long after its first word."""

    def reply(handler: "Handler", request: Received) -> None:
        handler.start_events()
        handler.send_event(_chunk(request, {"content": "good "}))
        time.sleep(seconds)
        handler.hang_up()

    return reply


def malformed() -> Reply:
    """A stream with a chunk that is no JSON."""

    def reply(handler: "Handler", request: Received) -> None:
        handler.start_events()
        handler.send_event(_chunk(request, {"content": "good "}))
        handler.send_line("data: {broken")
        handler.end_events()

    return reply


def error_in_stream() -> Reply:
    """A stream that tells of an error after its first word."""

    def reply(handler: "Handler", request: Received) -> None:
        handler.start_events()
        handler.send_event(_chunk(request, {"content": "good "}))
        handler.send_event({"error": {"message": "upstream secret words"}})
        handler.end_events()

    return reply


def stopped_early() -> Reply:
    """A stream whose last chunk looks whole but for Groq's own note of an error."""

    def reply(handler: "Handler", request: Received) -> None:
        handler.start_events()
        handler.send_event(_chunk(request, {"content": "good "}))
        note = {"x_groq": {"id": "req_1", "error": "upstream secret words"}}
        handler.send_event(_chunk(request, {}, "stop") | note)
        handler.end_events()

    return reply


def thinking() -> Reply:
    """A reasoning model: its thoughts come before the answer, in a field of their own."""

    def reply(handler: "Handler", request: Received) -> None:
        if not request.body.get("stream"):
            said = {"role": "assistant", "content": "Yes.", "reasoning": "Let me think."}
            choice = {"index": 0, "message": said, "finish_reason": "stop"}
            handler.send_json(200, _body(request, "chat.completion", [choice], usage=USAGE))
            return
        handler.start_events()
        for thought in ("Let ", "me ", "think."):
            handler.send_event(_chunk(request, {"reasoning": thought, "channel": "analysis"}))
        handler.send_event(_chunk(request, {"content": "Yes."}))
        last = _chunk(request, {}, "stop")
        handler.send_event(last | {"x_groq": {"id": "req_1", "usage": USAGE}})
        handler.send_line("data: [DONE]")
        handler.end_events()

    return reply


def usage_apart() -> Reply:
    """A stream with its usage where OpenAI's API puts it: in a last chunk without choices."""

    def reply(handler: "Handler", request: Received) -> None:
        handler.start_events()
        handler.send_event(_chunk(request, {"content": "good"}, "stop"))
        handler.send_event(_body(request, "chat.completion.chunk", [], usage=USAGE))
        handler.send_line("data: [DONE]")
        handler.end_events()

    return reply


def echo(handler: "Handler", request: Received) -> None:
    """The reply when nothing is scripted: cites [1] where there are passages."""
    if request.body["model"] not in handler.server.offered:
        error(404, code="model_not_found")(handler, request)
        return
    asked = request.body["messages"][-1]["content"]
    question = asked.rpartition("Question: ")[2]
    mark = " [1]" if "[1] <passage" in asked else ""
    answer(f"You asked: {question}{mark}")(handler, request)


def offer(handler: "Handler", request: Received) -> None:
    """The list of models."""
    models = [{"id": name, "object": "model"} for name in handler.server.offered]
    handler.send_json(200, {"object": "list", "data": models})


def _body(request: Received, kind: str, choices: list[Any], **more: Any) -> dict[str, Any]:
    model = request.body["model"]
    head = {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model}
    return {**head, "choices": choices, **more}


def _chunk(request: Received, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return _body(request, "chat.completion.chunk", [choice])


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next reply of the script."""

    # As the real API: connections are kept, and a stream says where it ends.
    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        """Chat."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        received = Received(self.path, self.headers, body)
        with self.server.lock:
            reply = self.server.replies.popleft() if self.server.replies else echo
            self.server.received.append(received)
        self._reply(received, reply)

    def _reply(self, received: Received, reply: Reply) -> None:
        try:
            reply(self, received)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
            self.server.hung_up.set()

    def do_GET(self) -> None:
        """The list of models."""
        with self.server.lock:
            self.server.listed += 1
        self._reply(Received(self.path, self.headers, {}), self.server.listing)

    def send_json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """A JSON answer."""
        self.send_text(status, "application/json", json.dumps(body), headers)

    def send_text(
        self, status: int, kind: str, text: str, headers: dict[str, str] | None = None
    ) -> None:
        """An answer of known length."""
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def start_events(self) -> None:
        """The head of a stream."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def end_events(self) -> None:
        """The end of a stream that was not cut."""
        self.wfile.write(b"0\r\n\r\n")

    def hang_up(self) -> None:
        """Breaks the connection off."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def send_event(self, body: Any) -> None:
        """One chunk."""
        self.send_line("data: " + json.dumps(body))

    def send_line(self, line: str) -> None:
        """A line and the empty one that ends an event."""
        data = f"{line}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, format: str, *args: Any) -> None:
        """Tests stay quiet."""


class Server(ThreadingHTTPServer):
    """Holds the script and what was received."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.lock = threading.Lock()
        self.replies: deque[Reply] = deque()
        self.received: list[Received] = []
        self.hung_up = threading.Event()
        self.connections = 0
        self.listing: Reply = offer
        self.offered: Sequence[str] = ENTERPRISE
        # How often the list of models was asked for.
        self.listed = 0

    def process_request(self, *args: Any) -> None:
        """Counts the connections."""
        self.connections += 1
        super().process_request(*args)


@dataclass
class FakeGroq:
    """The server as tests use it, inside `with`."""

    port: int = 0
    server: Server = field(init=False)

    def __enter__(self) -> "FakeGroq":
        self.server = Server(self.port)
        # Leaving waits for the next poll, and every test of a model leaves once.
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):
            self.server.shutdown()
            self.server.server_close()

    @property
    def url(self) -> str:
        """For GROQ_BASE_URL."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def received(self) -> list[Received]:
        """The questions that came so far."""
        return self.server.received

    def script(self, *replies: Reply) -> None:
        """What to reply next, in order; after that it echoes."""
        self.server.replies.extend(replies)


if __name__ == "__main__":
    with FakeGroq(int(sys.argv[1])) as groq:
        print(groq.url, flush=True)
        threading.Event().wait()

"""Opens streams on a service and tells how they went, as JSON.

    python -m tests.benchmarks.serving.load URL openai --streams 1000 --over 2 --tokens 50
    python -m tests.benchmarks.serving.load URL product --clients 64 --seconds 10 --tokens 50

The first opens streams evenly over so many seconds, each on a connection of its own. The second
has clients that each ask for the next answer when they have one, on kept connections. `openai` is
the dialect of the bare upstream and of LiteLLM. An answer counts only when it is whole: its text is
what `upstream` says in so many tokens, and its last event has come.

While streams run, bytes are only kept; they are read, and checked, when all has ended.
"""

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from time import monotonic  # the loop's own clock, libuv's, counts whole milliseconds
from typing import cast
from urllib.parse import urlsplit

from tests.benchmarks.serving import dialects, responses, upstream
from tests.benchmarks.serving.machine import allow_open_files, event_loop

RETRY_SECONDS = 0.1  # between two tries of a client to connect
PATIENCE = 120.0  # seconds after the last start; what has not ended by then is an error


@dataclass(frozen=True, slots=True)
class Target:
    """Which service, how it is asked, and the answer that it should give."""

    url: str
    dialect: dialects.Dialect
    tokens: int
    token: str = ""  # of the Authorization header

    def request(self, number: int) -> bytes:
        """The bytes to send for a stream."""
        body = json.dumps(self.dialect.body(number)).encode()
        lines = [f"POST {self.dialect.path} HTTP/1.1", f"Host: {urlsplit(self.url).netloc}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += ["Accept: text/event-stream"]
        lines += [f"Authorization: Bearer {self.token}"] if self.token else []
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(slots=True)
class Stream:
    """One answer: what came, and when, in seconds of the monotonic clock."""

    due: float
    received: bytearray = field(default_factory=bytearray)
    first: float | None = None
    end: float | None = None
    failure: str = ""

    def problem(self, target: Target) -> str:
        """Why it does not count; empty for a whole answer."""
        if self.failure:
            return self.failure
        try:
            events = responses.events(self.received)
            said = "".join(map(target.dialect.text, events))
        except responses.BrokenResponse as error:
            return str(error)
        except dialects.ErrorEvent:
            return "error event"
        if not any(map(target.dialect.ends, events)):
            return "no last event"
        return "" if said.strip() == upstream.text(target.tokens).strip() else "other text"


@dataclass(frozen=True, slots=True)
class Result:
    """How a run went; times to first token are of whole answers, in milliseconds."""

    answers: int
    seconds: float
    first_p50: float
    first_p95: float
    first_max: float
    answers_per_second: float
    tokens_per_second: float
    errors: dict[str, int]


def result(streams: Sequence[Stream], target: Target) -> Result:
    """Read what came and sum it up."""
    problems = [stream.problem(target) for stream in streams]
    good = [stream for stream, problem in zip(streams, problems, strict=True) if not problem]
    firsts = sorted((stream.first or 0.0) - stream.due for stream in good)
    began = min(stream.due for stream in streams)
    seconds = max((stream.end or 0.0 for stream in good), default=began) - began
    rate = len(good) / seconds if seconds else 0.0
    return Result(
        answers=len(good),
        seconds=round(seconds, 3),
        first_p50=milliseconds(firsts, 0.50),
        first_p95=milliseconds(firsts, 0.95),
        first_max=milliseconds(firsts, 1.0),
        answers_per_second=round(rate, 1),
        tokens_per_second=round(rate * target.tokens, 1),
        errors=dict(Counter(filter(None, problems))),
    )


def milliseconds(ordered: Sequence[float], share: float) -> float:
    """The value below which that share of the ordered seconds lies (nearest rank); 0 of none."""
    if not ordered:
        return 0.0
    return round(ordered[max(0, -int(-share * len(ordered) // 1) - 1)] * 1000, 2)


class _Client(asyncio.Protocol):
    """A connection that asks for one answer at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stream: Stream | None = None
        self._ended: asyncio.Future[None] = asyncio.Future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # libuv's has other ancestors

    async def ask(self, stream: Stream, number: int) -> None:
        """Fill the stream with the answer."""
        self._stream = stream
        self._ended = asyncio.Future()
        if self.transport.is_closing():
            stream.failure = "cut"
            return
        self.transport.write(self._target.request(number))
        await self._ended

    def data_received(self, data: bytes) -> None:
        stream = self._stream
        if stream is None:
            return
        stream.received += data
        if stream.first is None:
            self._look_for_text(stream)
        if not stream.failure and not responses.is_whole(stream.received):
            return
        self._end(stream)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stream is not None:
            self._stream.failure = "cut"
            self._end(self._stream)

    def _look_for_text(self, stream: Stream) -> None:
        """Note when the first text is there, or that there will be none."""
        code = responses.status(stream.received)
        if code is None or code < 300:
            with suppress(dialects.ErrorEvent, responses.BrokenResponse):
                if any(map(self._target.dialect.text, responses.events(stream.received))):
                    stream.first = monotonic()
        else:
            stream.failure = f"status {code}"

    def _end(self, stream: Stream) -> None:
        stream.end = monotonic()
        self._stream = None
        if stream.failure:
            self.transport.close()
        if not self._ended.done():  # given up
            self._ended.set_result(None)


async def _connected(target: Target) -> _Client:
    host, port = urlsplit(target.url).netloc.split(":")
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: _Client(target), host, int(port))
    return client


async def open_streams(target: Target, count: int, over: float) -> list[Stream]:
    """Streams that start evenly over so many seconds, however the ones before them fare."""
    start = monotonic() + 0.05
    streams = [Stream(start + number * over / count) for number in range(count)]
    tasks = [asyncio.create_task(_open(target, *each)) for each in enumerate(streams)]
    _, late = await asyncio.wait(tasks, timeout=over + PATIENCE)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks)
    return streams


async def _open(target: Target, number: int, stream: Stream) -> None:
    await asyncio.sleep(stream.due - monotonic())
    stream.due = min(stream.due, monotonic())  # its timers wake up to a millisecond early
    try:
        client = await _connected(target)
        await client.ask(stream, number)
        client.transport.close()
    except OSError:
        stream.failure = "no connection"
    except asyncio.CancelledError:
        stream.failure = "not ended"


async def ask_again_and_again(target: Target, clients: int, seconds: float) -> list[Stream]:
    """Clients that each ask for the next answer as soon as they have one, for so long."""
    streams: list[Stream] = []
    until = monotonic() + seconds
    with suppress(TimeoutError):  # what has not ended is not whole
        async with asyncio.timeout(seconds + PATIENCE), asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(_ask(target, until, streams))
    return streams


async def _ask(target: Target, until: float, streams: list[Stream]) -> None:
    client = None
    while monotonic() < until:
        stream = Stream(monotonic())
        streams.append(stream)
        try:
            if client is None or client.transport.is_closing():
                client = await _connected(target)
            await client.ask(stream, len(streams))
        except OSError:
            stream.failure = "no connection"
            await asyncio.sleep(RETRY_SECONDS)
    if client is not None:
        client.transport.close()


async def _main(options: argparse.Namespace) -> None:
    dialect = dialects.BY_NAME[options.dialect]
    target = Target(options.url, dialect, options.tokens, options.token)
    if options.seconds:
        streams = await ask_again_and_again(target, options.clients, options.seconds)
    else:
        streams = await open_streams(target, options.streams, options.over)
    print(json.dumps(asdict(result(streams, target))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("dialect", choices=dialects.BY_NAME)
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--token", default="", help="sent as Authorization: Bearer")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--over", type=float, default=2.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.0)
    options = parser.parse_args()
    allow_open_files()
    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(_main(options))

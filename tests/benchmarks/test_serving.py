"""The serving bench itself: what it counts as an answer, and how it sums up."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.benchmarks.serving import dialects, load, responses, scenarios, upstream
from tests.benchmarks.serving.load import Result, Target

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
FAST = upstream.Script(tokens=21, rate=100)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def delta(text: str) -> bytes:
    return f"id: 1\nevent: delta\ndata: {json.dumps({'text': text})}\n\n".encode()


COMPLETED = b"event: message.completed\ndata: {}\n\n"


@asynccontextmanager
async def model(script: upstream.Script) -> AsyncIterator[str]:
    async with await upstream.serve(0, script) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def service_that_sends(*parts: bytes) -> AsyncIterator[str]:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def asked_once(*parts: bytes, tokens: int = 2) -> Result:
    async with service_that_sends(*parts) as url:
        target = Target(url, dialects.PRODUCT, tokens)
        return load.result(await load.open_streams(target, 1, 0.0), target)


def test_streams_of_the_model_are_whole_and_take_as_long_as_scripted() -> None:
    async def story() -> Result:
        async with model(FAST) as url:
            target = Target(url, dialects.OPENAI, FAST.tokens)
            return load.result(await load.open_streams(target, 20, 0.1), target)

    result = asyncio.run(story())

    assert result.errors == {}
    assert result.answers == 20
    assert 0.095 + FAST.seconds - upstream.TICK <= result.seconds < 3 * FAST.seconds
    assert 0 < result.first_p50 <= result.first_p95 <= result.first_max < 1000 * FAST.seconds
    assert result.tokens_per_second == pytest.approx(result.answers_per_second * 21, rel=0.01)


def test_a_client_asks_again_on_the_same_connection() -> None:
    async def story() -> Result:
        async with model(upstream.Script(tokens=5, rate=0)) as url:
            target = Target(url, dialects.OPENAI, 5)
            return load.result(await load.ask_again_and_again(target, 2, 0.2), target)

    result = asyncio.run(story())

    assert result.errors == {}
    assert result.answers > 10


def test_an_answer_that_says_something_else_is_an_error() -> None:
    async def story() -> Result:
        async with model(FAST) as url:
            target = Target(url, dialects.OPENAI, FAST.tokens + 1)
            return load.result(await load.open_streams(target, 3, 0.0), target)

    assert asyncio.run(story()).errors == {"other text": 3}


def test_a_whole_answer_of_the_product_counts() -> None:
    joined = chunk(delta("token0 ") + delta("token1 "))

    result = asyncio.run(asked_once(HEAD + chunk(b": alive\n\n"), joined, chunk(COMPLETED) + LAST))

    assert (result.answers, result.errors) == (1, {})


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([HEAD + chunk(delta("token0 "))], "cut"),
        ([], "cut"),
        ([HEAD + chunk(delta("token0 token1")) + LAST], "no last event"),
        ([HEAD + chunk(delta("token0 ") + COMPLETED) + LAST], "other text"),
        ([HEAD + chunk(b"event: error\ndata: {}\n\n") + LAST], "error event"),
        ([b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"], "status 503"),
        ([HEAD + b"no chunk\r\n" + chunk(b"") + LAST], "broken chunk"),
    ],
)
def test_an_answer_that_is_not_whole_is_an_error(parts: list[bytes], reason: str) -> None:
    result = asyncio.run(asked_once(*parts))

    assert (result.answers, result.errors) == (0, {reason: 1})


def test_nobody_listening_is_an_error() -> None:
    target = Target("http://127.0.0.1:9", dialects.PRODUCT, 2)

    streams = asyncio.run(load.open_streams(target, 2, 0.0))

    assert load.result(streams, target).errors == {"no connection": 2}


def test_the_first_token_is_the_first_text() -> None:
    async def story() -> tuple[float, float]:
        created = chunk(b"event: message.created\ndata: {}\n\n")
        pauses = [chunk(b": alive\n\n")] * 10
        text = chunk(delta("token0 token1"))
        async with service_that_sends(HEAD + created, *pauses, text, LAST) as url:
            target = Target(url, dialects.PRODUCT, 2)
            (stream,) = await load.open_streams(target, 1, 0.0)
        assert stream.first is not None
        assert stream.end is not None
        return stream.first - stream.due, stream.end - stream.due

    first, end = asyncio.run(story())

    assert 0.1 < first < end


def test_events_are_read_across_chunks_and_line_ends() -> None:
    body = b"event: a\r\ndata: one\r\n\r\n: comment\n\ndata: two\ndata: three\n\ndata: not en"
    received = HEAD + b"".join(chunk(body[at : at + 7]) for at in range(0, len(body), 7))

    assert responses.events(received) == [
        responses.Event("a", "one"),
        responses.Event("message", "two\nthree"),
    ]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 2000.0), (0.95, 4000.0), (1.0, 4000.0), (0.25, 1000.0)]
)
def test_percentiles_are_of_the_nearest_rank(share: float, expected: float) -> None:
    assert load.milliseconds([1.0, 2.0, 3.0, 4.0], share) == expected
    assert load.milliseconds([], share) == 0.0


def test_of_several_runs_the_median_is_shown_and_every_error() -> None:
    def outcome(seconds: float, errors: dict[str, int], memory: float) -> scenarios.Outcome:
        return scenarios.Outcome(Result(9, seconds, 1, 2, 3, 4, 5, errors), seconds, memory)

    runs = [outcome(1, {"cut": 1}, 50), outcome(9, {}, 1), outcome(2, {"cut": 2}, 2)]

    middle = scenarios.middle(runs)

    assert middle.result.seconds == 2
    assert middle.result.errors == {"cut": 3}
    assert middle.work == 2
    assert middle.memory == 50


def test_the_model_answers_whole_where_no_stream_is_asked() -> None:
    def ask(url: str) -> Any:
        request = urllib.request.Request(f"{url}/openai/v1/chat/completions", b'{"messages": []}')
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.load(response)

    async def story() -> Any:
        async with model(FAST) as url:
            return await asyncio.to_thread(ask, url)

    answer = asyncio.run(story())

    assert answer["usage"]["completion_tokens"] == 21
    assert answer["choices"][0]["message"]["content"] == upstream.text(21)

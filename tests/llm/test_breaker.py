"""A model that fails again and again is left alone, and taken up again when it answers."""

import asyncio
import time

import pytest

from llm import errors
from llm.breaker import Patience
from llm.client import GroqClient
from llm.messages import ChatMessage
from tests import fake_groq
from tests.fake_groq import FakeGroq

ASKED = [ChatMessage("user", "Hi")]
WANTED, SUBSTITUTE = "openai/gpt-oss-120b", "openai/gpt-oss-20b"
PAUSE = 2.0


@pytest.fixture
def groq():
    with FakeGroq() as fake:
        yield fake


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """By which breakers measure their pauses."""
    clock = Clock()
    monkeypatch.setattr("llm.breaker.time", clock)
    return clock


@pytest.fixture(params=["whole", "streamed"])
def asking(request):
    """How the model is asked: a coroutine function that gives the answer's text."""

    async def streamed(client, *models):
        options = {"models": models or [WANTED], "max_tokens": 50}
        return [part async for part in client.stream(ASKED, **options)][-1].text

    async def whole(client, *models):
        options = {"models": models or [WANTED], "max_tokens": 50}
        return (await client.complete(ASKED, **options)).text

    return whole if request.param == "whole" else streamed


def client(groq, *, failures=3, timeout=5.0, pause=PAUSE):
    return GroqClient(
        "gsk_test",
        base_url=groq.url,
        timeout=timeout,
        max_retries=0,
        patience=Patience(failures, pause, longest_pause=4 * pause),
    )


async def outcomes(asking, client, calls):
    """What so many calls, one after the other, came to: texts, or codes of errors."""
    found = []
    for _ in range(calls):
        try:
            found.append(await asking(client))
        except errors.LLMError as error:
            found.append(error.code)
    return found


async def asked(groq, times):
    """Until the model has been asked so often."""
    async with asyncio.timeout(20):
        while len(groq.received) < times:
            await asyncio.sleep(0.01)


def run(asking, client, calls):
    return asyncio.run(outcomes(asking, client, calls))


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (fake_groq.error(500), "model_overloaded"),
        (fake_groq.error(498), "model_overloaded"),
        (lambda handler, request: handler.hang_up(), "model_unreachable"),
        (fake_groq.hang(0.3), "model_timeout"),
    ],
)
def test_after_so_many_failures_in_a_row_it_is_not_asked_any_more(groq, asking, reply, code):
    groq.script(*[reply] * 9)

    found = run(asking, client(groq, timeout=0.1, pause=9), 6)

    assert found == [code] * 3 + ["model_out_of_service"] * 3
    assert len(groq.received) == 3


def test_a_call_that_is_not_made_says_when_to_ask_again_and_takes_no_time(groq, asking):
    groq.script(*[fake_groq.error(503)] * 3)

    async def story():
        ours = client(groq, pause=7)
        await outcomes(asking, ours, 3)
        began = time.perf_counter()
        with pytest.raises(errors.OutOfService) as refused:
            await asking(ours)
        assert time.perf_counter() - began < 0.05
        assert refused.value.retry_after == 7
        assert ours.out_of_service() == {WANTED: 7}

    asyncio.run(story())


@pytest.mark.parametrize(
    "reply",
    [
        fake_groq.error(429),
        fake_groq.error(429, {"Retry-After": "600"}),
        fake_groq.error(404),
        fake_groq.error(400),
        fake_groq.error(401),
        fake_groq.error(413),
        fake_groq.empty(),
        fake_groq.html(),
    ],
)
def test_whoever_refuses_is_alive(groq, asking, reply):
    groq.script(*[reply] * 6)

    found = run(asking, client(groq), 7)

    assert len(groq.received) == 7
    assert found[-1] == "You asked: Hi"


def test_an_answer_in_between_begins_the_count_anew(groq, asking):
    bad, good = fake_groq.error(503), fake_groq.answer("Yes.")
    groq.script(bad, bad, good, bad, bad, fake_groq.error(429), bad, bad)

    found = run(asking, client(groq), 9)

    assert len(groq.received) == 9
    assert found[-1] == "You asked: Hi"


def test_a_stream_that_falls_silent_is_a_failure(groq):
    groq.script(*[fake_groq.stall(0.3)] * 3)

    async def streamed(client):
        options = {"models": [WANTED], "max_tokens": 50}
        return [part async for part in client.stream(ASKED, **options)][-1].text

    found = run(streamed, client(groq, timeout=0.1, pause=9), 4)

    assert found == ["model_timeout"] * 3 + ["model_out_of_service"]


def test_without_a_number_of_failures_it_is_always_asked(groq, asking):
    groq.script(*[fake_groq.error(503)] * 20)

    assert run(asking, client(groq, failures=0), 20) == ["model_overloaded"] * 20


def test_others_stand_in_for_a_model_that_is_left_alone(groq, asking):
    groq.script(*[fake_groq.error(503)] * 3)

    async def story():
        ours = client(groq, pause=9)
        await outcomes(asking, ours, 3)
        assert await asking(ours, WANTED, SUBSTITUTE) == "You asked: Hi"
        assert list(ours.out_of_service()) == [WANTED]

    asyncio.run(story())
    assert [one.body["model"] for one in groq.received] == [WANTED] * 3 + [SUBSTITUTE]


def test_when_the_pause_is_over_one_call_alone_tries_and_its_answer_ends_it(groq, asking, clock):
    groq.script(*[fake_groq.error(503)] * 3, fake_groq.answer("Back.", delay=0.3))

    async def story():
        ours = client(groq)
        await outcomes(asking, ours, 3)
        clock.now += PAUSE
        many = [outcomes(asking, ours, 1) for _ in range(20)]
        found = [text for [text] in await asyncio.gather(*many)]
        assert sorted(found) == ["Back."] + ["model_out_of_service"] * 19
        assert len(groq.received) == 4
        assert ours.out_of_service() == {}
        assert await outcomes(asking, ours, 2) == ["You asked: Hi"] * 2

    asyncio.run(story())


def test_each_trial_that_fails_doubles_the_pause_up_to_a_bound(groq, asking, clock):
    groq.script(*[fake_groq.error(503)] * 99)

    async def story():
        ours = client(groq)
        await outcomes(asking, ours, 3)
        for pause in (1, 2, 4, 4):
            clock.now += pause * PAUSE - 0.1
            assert await outcomes(asking, ours, 1) == ["model_out_of_service"]
            clock.now += 0.1
            assert await outcomes(asking, ours, 1) == ["model_overloaded"]

    asyncio.run(story())
    assert len(groq.received) == 3 + 4


def test_a_trial_that_is_given_up_leaves_the_next_to_another(groq, asking, clock):
    groq.script(*[fake_groq.error(503)] * 3, fake_groq.hang(5))

    async def story():
        ours = client(groq)
        await outcomes(asking, ours, 3)
        clock.now += PAUSE
        trial = asyncio.create_task(asking(ours))
        await asked(groq, 4)
        trial.cancel()
        await asyncio.wait([trial])
        assert await outcomes(asking, ours, 1) == ["You asked: Hi"]

    asyncio.run(story())


def test_what_was_asked_before_it_opened_tells_nothing_of_now(groq, asking):
    late = fake_groq.answer("Late.", delay=0.3)
    groq.script(late, *[fake_groq.error(503)] * 3)

    async def story():
        ours = client(groq, pause=9)
        before = asyncio.create_task(asking(ours))
        await asked(groq, 1)
        await outcomes(asking, ours, 3)
        assert await before == "Late."
        assert await outcomes(asking, ours, 1) == ["model_out_of_service"]

    asyncio.run(story())

"""The real SDK against a scripted Groq: answers, streams, retries and failures."""

import asyncio
import gc
import threading
import weakref
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp.client_proto import ResponseHandler

from llm import client as groq_client
from llm import errors
from llm.breaker import Patience
from llm.client import GroqClient
from llm.messages import ChatMessage, Completion, Delta, Sampling, Usage
from tests import fake_groq
from tests.fake_groq import FakeGroq

ASKED = [ChatMessage("system", "Be brief."), ChatMessage("user", "Hi")]
OPTIONS = {"models": ["openai/gpt-oss-20b"], "max_tokens": 50}
LLAMA, SUCCESSOR = "llama-3.3-70b-versatile", "openai/gpt-oss-120b"


@pytest.fixture
def groq():
    with FakeGroq() as fake:
        yield fake


def client(groq, **options):
    options = {"base_url": groq.url, "timeout": 5, "max_retries": 0, **options}
    options.setdefault("patience", Patience(failures=0, pause=1))
    return GroqClient("gsk_test", **options)


def complete(client, **options):
    return asyncio.run(client.complete(ASKED, **OPTIONS | options))


def stream(client, **options):
    async def collect():
        return [part async for part in client.stream(ASKED, **OPTIONS | options)]

    return asyncio.run(collect())


def streamed(client, **options):
    """The whole answer of a stream."""
    return stream(client, **options)[-1]


def test_a_completion_has_text_usage_and_reason(groq):
    groq.script(fake_groq.answer("Hello there."))

    completion = complete(client(groq))

    assert (completion.text, completion.finish_reason) == ("Hello there.", "stop")
    assert completion.usage == Usage(100, 20, 64)
    [request] = groq.received
    assert request.path == "/openai/v1/chat/completions"
    assert request.headers["Authorization"] == "Bearer gsk_test"
    assert request.body["max_completion_tokens"] == 50
    assert request.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_a_stream_is_deltas_and_then_the_whole(groq):
    groq.script(fake_groq.answer("One two three."))

    *deltas, last = stream(client(groq))

    assert "".join(delta.text for delta in deltas) == "One two three."
    assert isinstance(last, Completion)
    assert (last.text, last.usage) == ("One two three.", Usage(100, 20, 64))


def test_each_piece_of_a_stream_is_told_as_it_comes(groq):
    groq.script(fake_groq.answer("One two three.", delay=0.3))

    *deltas, _ = stream(client(groq))

    [model] = OPTIONS["models"]
    assert deltas == [Delta(text, model) for text in ("One ", "two ", "three.")]


@pytest.mark.parametrize("ask", [complete, streamed])
def test_what_a_model_thinks_is_no_part_of_its_answer(groq, ask):
    groq.script(fake_groq.thinking())

    assert ask(client(groq)).text == "Yes."


def test_a_stream_may_tell_its_usage_where_openai_does(groq):
    groq.script(fake_groq.usage_apart())

    assert stream(client(groq))[-1].usage == Usage(100, 20, 64)


@pytest.mark.parametrize("ask", [complete, streamed])
def test_only_what_is_set_of_the_sampling_is_sent(groq, ask):
    chosen = Sampling(temperature=0.0, top_p=0.9, stop=("END",), seed=7, reasoning_effort="low")
    model = "openai/gpt-oss-20b"

    ask(client(groq))
    ask(client(groq), models=[model], sampling=chosen)

    plain, full = (set(request.body) - {"stream"} for request in groq.received)
    assert plain == {"messages", "model", "max_completion_tokens"}
    assert full == plain | {"temperature", "top_p", "stop", "seed", "reasoning_effort"}
    body = groq.received[1].body
    assert [body["temperature"], body["top_p"], body["stop"], body["seed"]] == [0, 0.9, ["END"], 7]
    assert (body["reasoning_effort"], body["model"]) == ("low", model)


def test_a_model_that_does_not_reason_is_sent_no_effort(groq):
    complete(client(groq), models=[LLAMA], sampling=Sampling(reasoning_effort="high"))

    assert "reasoning_effort" not in groq.received[0].body
    assert "reasoning_format" not in groq.received[0].body


@pytest.mark.parametrize(
    ("model", "wanted", "sent"),
    [
        ("openai/gpt-oss-20b", "high", "high"),
        ("openai/gpt-oss-20b", "none", "low"),
        ("openai/gpt-oss-20b", "default", None),
        ("openai/gpt-oss-20b", None, None),
        ("qwen/qwen3.8-27b", "default", "default"),
        ("qwen/qwen3.8-27b", "low", "none"),
        ("qwen/qwen3.8-27b", "high", None),
        ("qwen/qwen3.6-27b", None, None),
    ],
)
def test_a_model_is_asked_for_the_nearest_effort_it_has(groq, model, wanted, sent):
    complete(client(groq), models=[model], sampling=Sampling(reasoning_effort=wanted))

    assert groq.received[0].body.get("reasoning_effort") == sent


def test_a_model_that_would_answer_with_its_thoughts_is_asked_to_keep_them_apart(groq):
    complete(client(groq), models=["qwen/qwen3.8-27b"])
    complete(client(groq), models=["openai/gpt-oss-20b"])

    qwen, gpt_oss = (request.body for request in groq.received)
    assert qwen["reasoning_format"] == "parsed"
    assert "reasoning_format" not in gpt_oss  # which it would refuse


@pytest.mark.parametrize(
    ("bound", "chosen", "sent"), [(50, None, 50), (50, 20, 20), (50, 80, 50), (10**6, None, 65_536)]
)
def test_an_answer_keeps_to_the_lowest_bound(groq, bound, chosen, sent):
    sampling = Sampling(max_completion_tokens=chosen)

    complete(client(groq), models=["openai/gpt-oss-20b"], max_tokens=bound, sampling=sampling)

    assert groq.received[0].body["max_completion_tokens"] == sent


WANTED, SUBSTITUTE, LAST = "openai/gpt-oss-120b", "openai/gpt-oss-20b", "qwen/qwen3.6-27b"


@pytest.mark.parametrize("ask", [complete, streamed])
@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (fake_groq.error(503), "model_overloaded"),
        (fake_groq.error(498), "model_overloaded"),
        (fake_groq.error(404), "model_gone"),
        (fake_groq.error(429, {"Retry-After": "600"}), "model_rate_limited"),
    ],
)
def test_another_model_stands_in_for_one_that_cannot_answer(groq, ask, reply, code, caplog):
    groq.script(reply)

    completion = ask(client(groq), models=[WANTED, SUBSTITUTE, LAST])

    assert (completion.model, completion.text) == (SUBSTITUTE, "You asked: Hi")
    assert [request.body["model"] for request in groq.received] == [WANTED, SUBSTITUTE]
    [record] = [one for one in caplog.records if one.message == "model fallback"]
    assert (record.model, record.substitute, record.code) == (WANTED, SUBSTITUTE, code)


@pytest.mark.parametrize("ask", [complete, streamed])
def test_where_every_model_fails_the_error_is_that_of_the_wanted_one(groq, ask):
    groq.script(fake_groq.error(429, {"Retry-After": "600"}), *[fake_groq.error(503)] * 2)

    with pytest.raises(errors.RateLimited):
        ask(client(groq), models=[WANTED, SUBSTITUTE, LAST])
    assert len(groq.received) == 3


@pytest.mark.parametrize("ask", [complete, streamed])
def test_an_error_that_another_model_would_share_ends_the_search(groq, ask):
    groq.script(fake_groq.error(503), fake_groq.error(401))

    with pytest.raises(errors.Overloaded):
        ask(client(groq), models=[WANTED, SUBSTITUTE, LAST])
    assert len(groq.received) == 2


def test_no_other_model_continues_a_stream_that_has_begun(groq):
    groq.script(fake_groq.cut(2))

    with pytest.raises(errors.BadUpstreamAnswer):
        stream(client(groq), models=[WANTED, SUBSTITUTE])
    assert len(groq.received) == 1


def test_an_alias_is_asked_for_by_the_name_that_is_served(groq):
    assert complete(client(groq), models=["llama-3.1-70b-versatile"]).model == LLAMA
    assert groq.received[0].body["model"] == LLAMA


@pytest.mark.parametrize("ask", [complete, streamed])
def test_a_model_that_this_key_is_served_answers_itself(groq, ask):
    assert ask(client(groq), models=[LLAMA]).model == LLAMA
    assert groq.server.listed == 1


@pytest.mark.parametrize("ask", [complete, streamed])
def test_a_successor_answers_for_a_model_that_is_not_listed_without_asking_it(groq, ask, caplog):
    groq.server.offered = fake_groq.ORDINARY
    shared = client(groq)

    assert [ask(shared, models=[LLAMA]).model for _ in range(3)] == [SUCCESSOR] * 3
    assert [request.body["model"] for request in groq.received] == [SUCCESSOR] * 3
    assert groq.server.listed == 1
    [record] = [one for one in caplog.records if one.message == "model fallback"]
    assert (record.model, record.substitute, record.code) == (LLAMA, SUCCESSOR, "model_gone")


def test_the_list_is_asked_for_again_after_a_while(groq, monkeypatch):
    monkeypatch.setattr(groq_client, "OFFERED_FOR", 0.0)
    groq.server.offered = fake_groq.ORDINARY
    shared = client(groq)
    assert complete(shared, models=[LLAMA]).model == SUCCESSOR

    groq.server.offered = fake_groq.ENTERPRISE
    assert complete(shared, models=[LLAMA]).model == LLAMA


def test_the_list_is_not_asked_for_where_no_model_has_a_successor(groq):
    groq.script(fake_groq.error(503))
    complete(client(groq), models=[WANTED, SUBSTITUTE])

    assert groq.server.listed == 0


@pytest.mark.parametrize("ask", [complete, streamed])
@pytest.mark.parametrize(
    "listing",
    [fake_groq.error(503), fake_groq.error(401), fake_groq.html(), fake_groq.hang(1)],
)
def test_without_a_list_the_model_is_asked_and_its_successor_where_it_is_gone(
    groq, ask, listing, monkeypatch
):
    monkeypatch.setattr(groq_client, "OFFERED_WAIT", 0.2)
    groq.server.listing = listing
    groq.server.offered = fake_groq.ORDINARY
    shared = client(groq, max_retries=2)

    assert [ask(shared, models=[LLAMA]).model for _ in range(2)] == [SUCCESSOR] * 2
    # What it learned from the first answer is not asked again.
    assert [request.body["model"] for request in groq.received] == [LLAMA, SUCCESSOR, SUCCESSOR]
    assert groq.server.listed == 1


def test_the_list_is_asked_for_once_whatever_a_client_retries(groq):
    groq.server.listing = fake_groq.error(503, {"Retry-After-Ms": "1"})

    with pytest.raises(errors.Overloaded):
        asyncio.run(client(groq, max_retries=2).offered())
    assert groq.server.listed == 1


def test_a_model_that_is_not_listed_is_asked_where_its_successor_is_not_listed_either(groq):
    groq.server.offered = ["a-name-of-a-gateway"]
    groq.script(fake_groq.answer("Served under another name."))

    assert complete(client(groq), models=[LLAMA]).model == LLAMA


def test_a_model_that_is_overloaded_is_not_replaced_by_its_successor(groq):
    groq.script(fake_groq.error(503))

    with pytest.raises(errors.Overloaded):
        complete(client(groq), models=[LLAMA])
    assert len(groq.received) == 1


def test_fallback_models_come_before_the_successor_of_a_listed_model_that_is_gone(groq):
    groq.script(fake_groq.error(404), fake_groq.error(503))

    assert complete(client(groq), models=[LLAMA, LAST]).model == SUCCESSOR
    assert [request.body["model"] for request in groq.received] == [LLAMA, LAST, SUCCESSOR]


def test_a_successor_that_is_a_fallback_model_too_is_asked_once(groq):
    groq.server.offered = fake_groq.ORDINARY
    groq.script(fake_groq.error(503))

    with pytest.raises(errors.Overloaded):
        complete(client(groq), models=[SUCCESSOR, LLAMA])
    assert len(groq.received) == 1


def test_the_error_of_a_successor_is_told_instead_of_the_loss_of_its_model(groq):
    groq.script(fake_groq.error(404), fake_groq.error(429, {"Retry-After": "600"}))

    with pytest.raises(errors.RateLimited):
        complete(client(groq), models=[LLAMA])


def test_a_successor_has_its_own_limit_and_effort(groq):
    groq.server.offered = fake_groq.ORDINARY
    options = {"max_tokens": 10**6, "sampling": Sampling(reasoning_effort="low")}

    complete(client(groq), models=["llama-3.1-8b-instant"], **options)

    [request] = groq.received
    assert request.body["max_completion_tokens"] == 65_536
    assert request.body["reasoning_effort"] == "low"


FAILURES = [
    (fake_groq.error(429, {"Retry-After": "3"}), errors.RateLimited),
    (fake_groq.error(498), errors.Overloaded),
    (fake_groq.error(500), errors.Overloaded),
    (fake_groq.error(503), errors.Overloaded),
    (fake_groq.error(401), errors.Unauthorised),
    (fake_groq.error(403), errors.Unauthorised),
    (fake_groq.error(400), errors.Refused),
    (fake_groq.error(404), errors.ModelGone),
    (fake_groq.error(400, code="model_decommissioned"), errors.ModelGone),
    (fake_groq.error(400, code="context_length_exceeded"), errors.TooLong),
    (fake_groq.error(413, code="rate_limit_exceeded"), errors.TooLong),
    (fake_groq.error(408), errors.UpstreamTimeout),
    (fake_groq.html(), errors.BadUpstreamAnswer),
    (fake_groq.empty(), errors.Wordless),
    (fake_groq.answer(" \n", finish_reason="length"), errors.TokenLimit),
    (fake_groq.answer("", finish_reason="content_filter"), errors.Withheld),
    (fake_groq.hang(0), errors.Unreachable),
]


@pytest.mark.parametrize("ask", [complete, stream])
@pytest.mark.parametrize(("reply", "kind"), FAILURES)
def test_each_failure_has_its_error_which_tells_nothing_of_upstream(groq, ask, reply, kind):
    groq.script(reply)

    with pytest.raises(kind) as raised:
        ask(client(groq))
    assert "secret" not in str(raised.value)
    if kind is errors.RateLimited:
        assert raised.value.retry_after == 3


BREAKS = [
    (fake_groq.cut(2), errors.BadUpstreamAnswer),
    (fake_groq.finish_early(), errors.BadUpstreamAnswer),
    (fake_groq.malformed(), errors.BadUpstreamAnswer),
    (fake_groq.error_in_stream(), errors.BadUpstreamAnswer),
    (fake_groq.stopped_early(), errors.BadUpstreamAnswer),
    (fake_groq.stall(2), errors.UpstreamTimeout),
]


@pytest.mark.parametrize(("reply", "kind"), BREAKS)
def test_a_stream_broken_in_the_middle_gives_what_was_said_and_the_error(groq, reply, kind):
    groq.script(reply)
    said = []

    async def collect():
        async for part in client(groq, timeout=1).stream(ASKED, **OPTIONS):
            said.append(part)

    with pytest.raises(kind) as raised:
        asyncio.run(collect())
    assert said
    assert all(isinstance(part, Delta) for part in said)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("ask", [complete, stream])
@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "tool_calls"])
def test_an_answer_without_a_word_says_why_it_ended_and_what_it_took(groq, ask, reason):
    groq.script(fake_groq.answer("", finish_reason=reason))

    with pytest.raises(errors.Wordless) as raised:
        ask(client(groq))
    assert raised.value.finish_reason == reason
    assert raised.value.usage == Usage(100, 20, 64)
    assert raised.value.model == OPTIONS["models"][0]


@pytest.mark.parametrize("words", ["", "good "])
def test_a_stream_that_breaks_after_its_usage_still_says_what_it_took(groq, words):
    groq.script(fake_groq.broken_after_usage(words))

    with pytest.raises(errors.BadUpstreamAnswer) as raised:
        stream(client(groq))
    assert raised.value.usage == Usage(100, 20, 64)


@pytest.mark.parametrize("ask", [complete, stream])
def test_answers_without_a_word_do_not_put_a_model_out_of_service(groq, ask):
    asking = client(groq)
    groq.script(*[fake_groq.thoughts_alone()] * 8, fake_groq.answer("Here."))

    for _ in range(8):
        with pytest.raises(errors.TokenLimit):
            ask(asking)
    assert ask(asking)


@pytest.mark.parametrize("ask", [complete, stream])
def test_a_refusal_is_an_answer(groq, ask):
    groq.script(fake_groq.refusal("I cannot help with that."))

    assert "I cannot help with that." in str(ask(client(groq)))


@pytest.mark.parametrize("ask", [complete, stream])
def test_a_model_that_hangs_is_a_timeout(groq, ask):
    groq.script(fake_groq.hang(2))

    with pytest.raises(errors.UpstreamTimeout):
        ask(client(groq, timeout=0.3))


def test_no_connection_is_unreachable(groq):
    with pytest.raises(errors.Unreachable):
        complete(client(groq, base_url="http://127.0.0.1:9"))


def test_the_sdk_retries_as_often_as_told(groq):
    soon = {"Retry-After-Ms": "1"}
    groq.script(fake_groq.error(503, soon), fake_groq.error(429, soon))
    assert complete(client(groq, max_retries=2)).text == "You asked: Hi"
    assert len(groq.received) == 3

    groq.script(fake_groq.error(503, soon), fake_groq.error(503, soon))
    with pytest.raises(errors.Overloaded):
        complete(client(groq, max_retries=1))
    assert len(groq.received) == 5


def test_a_rate_limit_that_outlasts_the_retries_keeps_its_wait(groq):
    soon = {"Retry-After-Ms": "1"}
    groq.script(*[fake_groq.error(429, soon)] * 2, fake_groq.error(429, {"Retry-After": "3"}))

    with pytest.raises(errors.RateLimited) as raised:
        complete(client(groq, max_retries=2))
    assert (raised.value.retry_after, len(groq.received)) == (3, 3)


def in_an_hour():
    return format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)


@pytest.mark.parametrize("ask", [complete, stream])
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "7"},
        {"Retry-After": "600"},
        {"Retry-After-Ms": "7000"},
        {"Retry-After": "7", "X-Should-Retry": "true"},
        {"Retry-After": in_an_hour()},
    ],
)
def test_a_long_wait_is_the_callers_and_ends_at_once(groq, ask, status, headers):
    groq.script(fake_groq.error(status, headers))

    with pytest.raises(errors.LLMError) as raised:
        ask(client(groq, max_retries=2))
    assert raised.value.retry_after >= 7
    assert len(groq.received) == 1


@pytest.mark.parametrize(
    "header", ["inf", "nan", "1e400", "soon", "0", "-3", "Wed, 21 Oct 99999 07:28:00 GMT"]
)
def test_a_wait_that_is_no_number_of_seconds_is_left_out(groq, header):
    groq.script(fake_groq.error(429, {"Retry-After": header}))

    with pytest.raises(errors.RateLimited) as raised:
        complete(client(groq))
    assert raised.value.retry_after is None
    assert "second" not in raised.value.detail


def test_one_client_serves_several_event_loops_and_lets_go_of_those_that_ended(groq, caplog):
    shared, loops = client(groq), []

    async def ask():
        loops.append(weakref.ref(asyncio.get_running_loop()))
        return await shared.complete(ASKED, **OPTIONS)

    assert {asyncio.run(ask()).text for _ in range(5)} == {"You asked: Hi"}
    gc.collect()
    assert sum(loop() is not None for loop in loops) <= 1
    assert not caplog.records  # asyncio's log of what was left open, or failed to close


def test_a_loop_that_ends_without_closing_anything_leaves_nothing_open(groq, caplog):
    async def ask(client):
        return await client.complete(ASKED, **OPTIONS)

    shared, loop = client(groq), asyncio.new_event_loop()
    loop.run_until_complete(ask(shared))
    loop.close()
    del shared
    gc.collect()

    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_many_streams_run_at_once(groq):
    many = 150  # both transports have a limit of 100 connections by themselves
    together = threading.Barrier(many, timeout=20)

    def reply(handler, request):
        together.wait()
        fake_groq.answer("ok")(handler, request)

    groq.script(*[reply] * many)
    shared = client(groq, timeout=20)

    async def last(client):
        return [part async for part in client.stream(ASKED, **OPTIONS)][-1]

    async def all_at_once():
        return await asyncio.gather(*(last(shared) for _ in range(many)))

    assert {completion.text for completion in asyncio.run(all_at_once())} == {"ok"}


def test_a_connection_serves_one_answer_after_another(groq):
    shared = client(groq)

    async def ask_twice():
        for _ in range(2):
            assert [part async for part in shared.stream(ASKED, **OPTIONS)]

    asyncio.run(ask_twice())
    assert groq.server.connections == 1


def test_leaving_a_stream_stops_the_model(groq):
    groq.script(fake_groq.answer("word " * 400, delay=0.01))

    async def leave():
        parts = client(groq).stream(ASKED, **OPTIONS)
        await anext(parts)
        await parts.aclose()
        return await asyncio.to_thread(groq.server.hung_up.wait, 3)

    assert asyncio.run(leave())


def test_nothing_is_read_while_the_caller_has_a_piece_in_hand(groq, monkeypatch):
    all_sent, readings = threading.Event(), []
    read = ResponseHandler.data_received
    monkeypatch.setattr(
        ResponseHandler,
        "data_received",
        lambda self, data: (readings.append(data), read(self, data)),
    )

    def reply(handler, request):
        fake_groq.answer("word " * 20, delay=0.01)(handler, request)
        all_sent.set()

    async def hold():
        parts = client(groq).stream(ASKED, **OPTIONS)
        first = await anext(parts)
        readings.clear()
        await asyncio.to_thread(all_sent.wait, 5)
        assert all_sent.is_set()
        held = list(readings)
        return first, held, [part async for part in parts]

    groq.script(reply)
    first, held, [*rest, whole] = asyncio.run(hold())

    assert held == []
    assert "".join(one.text for one in [first, *rest]) == whole.text == "word " * 20


def test_no_cookie_of_the_provider_is_sent_back(groq):
    groq.script(fake_groq.error(500, {"Set-Cookie": "session=1; Path=/"}))

    async def twice():
        ours = client(groq)
        with pytest.raises(errors.Overloaded):
            await ours.complete(ASKED, **OPTIONS)
        await ours.complete(ASKED, **OPTIONS)

    asyncio.run(twice())
    assert len(groq.received) == 2
    assert "Cookie" not in groq.received[-1].headers

"""One call sent many times at once to a product of two processes."""

import asyncio
import json
from collections import Counter
from uuid import uuid4

import httpx
import pytest

from tests import fake_groq
from tests.fake_groq import FakeGroq
from tests.launch.test_launch import free_port, served

AT_ONCE = 50


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """The address of a running product whose model is scripted, and its script."""
    port = free_port()
    with FakeGroq() as groq:
        model = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.url, "GROQ_MAX_RETRIES": 0}
        with served(tmp_path_factory.mktemp("product"), port, WEB_WORKERS=2, **model):
            yield f"http://127.0.0.1:{port}/api/v1", groq


@pytest.fixture
def call():
    """A call with a key of its own."""
    body = {"user_id": str(uuid4()), "first_message": "Hello"}
    return {"url": "/conversations", "json": body, "headers": {"Idempotency-Key": str(uuid4())}}


async def send_at_once(address, **call):
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        return await asyncio.gather(*(client.post(**call) for _ in range(AT_ONCE)))


def conversations_of(address, call):
    query = {"user_id": call["json"]["user_id"]}
    return httpx.get(f"{address}/conversations", params=query).json()["results"]


def answering_calls(groq):
    """What was asked of the model, but for the titles it writes in passing."""
    return [one for one in groq.received if one.body["messages"][-1]["content"] == "Hello"]


def test_fifty_at_once_make_one_answer(product, call):
    address, groq = product
    groq.received.clear()
    groq.script(fake_groq.answer("one two three four", delay=0.3))

    sent = asyncio.run(send_at_once(address, **call))
    after = httpx.post(**call | {"url": address + call["url"]}, timeout=30)

    assert {response.status_code for response in sent} == {201, 409}
    under_way = [response.json()["code"] for response in sent if response.status_code == 409]
    assert set(under_way) == {"idempotent_call_under_way"}
    answered = [response for response in sent if response.status_code == 201]
    firsts = [one for one in answered if "Idempotent-Replayed" not in one.headers]
    assert len(firsts) == 1
    assert (after.status_code, after.headers["Idempotent-Replayed"]) == (201, "true")
    assert all(response.json() == after.json() for response in answered)
    assert len(answering_calls(groq)) == 1
    [conversation] = conversations_of(address, call)
    assert conversation["message_count"] == 2


def test_fifty_streams_at_once_tell_one_answer(product, call):
    """Some are served by the process that answers, some by the other; some come too early."""
    address, groq = product
    groq.received.clear()
    groq.script(fake_groq.answer("one two three four", delay=0.3))
    call["json"]["stream"] = True

    sent = asyncio.run(send_at_once(address, **call))

    told = [response for response in sent if response.status_code == 200]
    assert Counter(response.status_code for response in sent) == {
        200: len(told),
        **({409: AT_ONCE - len(told)} if len(told) < AT_ONCE else {}),
    }
    endings = {json.dumps(ending_of(response.text)["answer"], sort_keys=True) for response in told}
    assert [json.loads(ending)["content"] for ending in endings] == ["one two three four"]
    assert len(answering_calls(groq)) == 1
    assert len(conversations_of(address, call)) == 1


def ending_of(text):
    """The data of a stream's last event."""
    event, data = text.strip().split("\n\n")[-1].splitlines()[1:]
    assert event == "event: message.completed"
    return json.loads(data.removeprefix("data: "))


def test_fifty_uploads_at_once_are_one(product):
    address, _ = product
    form = {
        "files": {"file": ("a.txt", b"The okapi eats leaves.")},
        "data": {"user_id": str(uuid4())},
    }

    key = {"Idempotency-Key": str(uuid4())}
    sent = asyncio.run(send_at_once(address, url="/documents", headers=key, **form))

    created = [response for response in sent if response.status_code == 201]
    assert {response.status_code for response in sent} <= {201, 409}
    assert len([one for one in created if "Idempotent-Replayed" not in one.headers]) == 1
    assert len({response.json()["id"] for response in created}) == 1

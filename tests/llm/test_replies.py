"""The wire format of Groq's chat API, whole and streamed, well-formed and not."""

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import replies
from llm.errors import BadUpstreamAnswer, Wordless
from llm.messages import Usage

TOLD = {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": None}


def chunk(text: str | None = None, reason: str | None = None, **more) -> bytes:
    """One event as Groq sends it."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "c-1", "choices": [choice], **more}).encode() + b"\n\n"


LAST = chunk(reason="stop", x_groq={"id": "r", "usage": TOLD}) + b"data: [DONE]\n\n"
STREAM = chunk("Grüß ") + chunk("Gott, \U0001f600\u2028") + chunk("\ud83d!") + LAST
TEXT = "Grüß Gott, \U0001f600\u2028\ufffd!"


def read(*pieces: bytes) -> replies.Events:
    events = replies.Events()
    for piece in pieces:
        events.feed(piece)
    return events


def test_a_stream_has_text_usage_reason_and_id():
    completion = read(STREAM).completion("some-model")

    assert completion.text == TEXT
    assert (completion.model, completion.finish_reason) == ("some-model", "stop")
    assert (completion.usage, completion.request_id) == (Usage(100, 20), "c-1")


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts):
    borders = [0, *sorted(cuts), len(STREAM)]
    events = replies.Events()

    told = [events.feed(STREAM[a:b]) for a, b in pairwise(borders)]

    assert "".join(told) == events.completion("m").text == TEXT


def test_what_comes_at_once_is_one_piece():
    assert replies.Events().feed(chunk("one ") + chunk("two ") + chunk("three")) == "one two three"


@pytest.mark.parametrize(
    "written",
    [
        STREAM.replace(b"data: ", b"data:"),
        STREAM.replace(b"\n", b"\r\n"),
        STREAM.replace(b"\n\n", b"\n"),
        STREAM.replace(b"data: ", b": keep-alive\n\nevent: message\nid: 7\nretry: 10\ndata: "),
        STREAM + b"anything after the end",
    ],
)
def test_the_same_events_written_otherwise(written):
    assert read(written).completion("m").text == TEXT


def test_a_stream_without_usage_tells_none():
    assert read(chunk("Hi", "stop")).completion("m").usage == Usage(0, 0)


def test_counts_that_cannot_be_are_bounded():
    told = {"prompt_tokens": -5, "completion_tokens": 10**30}
    details = {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 64}}

    assert read(chunk("Hi", "stop", usage=told)).completion("m").usage == Usage(0, 2**31 - 1)
    assert read(chunk("Hi", "stop", usage=details)).completion("m").usage == Usage(10, 0, 10)


MALFORMED = [
    b"<html>gateway</html>\n",
    b"data: {broken\n",
    b"data: [1, 2]\n",
    b"data: null\n",
    b"data: 7\n",
    b"data\n",
    b'data: {"choices": null}\n',
    b'data: {"choices": [7]}\n',
    b'data: {"choices": [{"delta": "x"}]}\n',
    b'data: {"choices": [{"delta": {"content": ["x"]}}]}\n',
    b'data: {"choices": [], "usage": {"prompt_tokens": 1e999}}\n',
    b'data: {"choices": [], "usage": {"prompt_tokens": "many"}}\n',
    b'data: {"choices": [], "x_groq": {"error": "secret"}}\n',
    b'data: {"choices": [],\ndata: "usage": null}\n',
    b'event: error\ndata: {"message": "secret"}\n',
    b'data: {"error": {"message": "secret"}}\n',
    b'data: {"error": "secret", "choices": []}\n',
    b"data: \xff\xfe\xfd\n",
    b"data: " + b"[" * 100_000 + b"\n",
    b"x" * (replies.LONGEST_LINE + 1),
]


@pytest.mark.parametrize("bad", MALFORMED)
def test_what_is_malformed_breaks_the_stream_after_what_was_said(bad):
    events = replies.Events()

    assert not events.broken
    assert events.feed(chunk("good ") + bad) == "good "
    assert events.broken
    events.feed(LAST)
    with pytest.raises(BadUpstreamAnswer):
        events.completion("m")


@pytest.mark.parametrize("cut", [b"", chunk("half an"), STREAM[:40]])
def test_a_stream_that_is_cut_off_is_no_answer(cut):
    with pytest.raises(BadUpstreamAnswer):
        read(cut).completion("m")


@pytest.mark.parametrize("empty", [chunk(reason="stop"), chunk("  ", "stop"), LAST])
def test_a_stream_that_ends_without_a_word_is_no_answer(empty):
    with pytest.raises(Wordless) as raised:
        read(empty).completion("m")
    assert raised.value.finish_reason == "stop"


@given(st.binary(max_size=300))
def test_no_bytes_do_worse_than_break_a_stream(data):
    events = read(chunk("good "), data, b"\ndata: " + data + b"\n")

    with pytest.raises(BadUpstreamAnswer):
        events.completion("m")


def test_a_long_line_in_small_pieces_is_read_in_time():
    line = chunk("word " * 100_000)
    started = time.perf_counter()

    read(*(line[at : at + 1000] for at in range(0, len(line), 1000)), LAST).completion("m")

    assert time.perf_counter() - started < 2


def whole(**more) -> bytes:
    choice = {"index": 0, "message": {"content": "Hi\x00"}, "finish_reason": "stop"}
    return json.dumps({"id": "c-1", "choices": [choice], "usage": TOLD, **more}).encode()


def test_a_whole_answer():
    completion = replies.whole(whole(), "m")

    assert (completion.text, completion.usage) == ("Hi\ufffd", Usage(100, 20))
    assert replies.whole(whole(usage=None), "m").usage == Usage(0, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b'{"error": {"message": "secret"}}',
        whole(choices=[]),
        whole(choices=None),
        whole(choices=[{"message": None, "finish_reason": "stop"}]),
        whole(choices=[{"message": {"content": 7}, "finish_reason": "stop"}]),
        whole(choices=[{"message": {"content": "half an"}, "finish_reason": None}]),
        whole(usage={"prompt_tokens": []}) + b"}",
    ],
)
def test_a_whole_answer_of_another_shape_is_a_bad_one(body):
    with pytest.raises(BadUpstreamAnswer):
        replies.whole(body, "m")

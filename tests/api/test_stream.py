"""Answers as server-sent events."""

import pytest
from asgiref.sync import async_to_sync

from conversations import live, streaming, turn
from conversations.models import Conversation, Message
from conversations.turn import Turn
from tests import fake_groq
from tests.factories import (
    assert_problem,
    call,
    events_of,
    get,
    make_conversation,
    make_document,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db


def create(api, user_id, headers=None, **body):
    body = {"user_id": str(user_id), "first_message": "When does it open?", **body}
    return post(api, "/conversations", body, **(headers or {}))


def test_events_come_in_order_and_add_up_to_the_saved_answer(api, user_id, groq):
    make_document(make_user(user_id))
    groq.script(fake_groq.answer("It opens at nine [1]."))

    response = create(api, user_id, mode="grounded_rag", stream=True)

    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["X-Accel-Buffering"] == "no"
    events = events_of(response)
    names = [name for _, name, _ in events]
    assert names[:3] == ["message.created", "retrieval", "delta"]
    assert names[-1] == "message.completed"
    deltas = "".join(data["text"] for _, name, data in events if name == "delta")
    answer = events[-1][2]["answer"]
    assert deltas == answer["content"] == "It opens at nine [1]."
    numbers = [int(identity.removeprefix(f"{answer['id']}:")) for identity, _, _ in events]
    assert numbers[:2] == [1, 2]
    assert numbers == sorted(set(numbers))
    created = events[0][2]
    stored = get(api, f"/conversations/{created['id']}/messages").json()["results"]
    assert stored[1] == answer
    assert events[1][2]["passages"][0]["document_name"] == "museum.txt"


def test_the_accept_header_asks_for_a_stream_too(api, user_id, groq):
    response = create(api, user_id, headers={"Accept": "text/event-stream"})

    assert events_of(response)[-1][1] == "message.completed"


def test_a_refusal_before_the_stream_is_a_problem(api, user_id):
    response = create(
        api, user_id, headers={"Accept": "text/event-stream"}, mode="grounded_rag", stream=True
    )

    assert_problem(response, 409)


def test_without_a_key_quotes_are_streamed(api, user_id):
    make_document(make_user(user_id))

    events = events_of(create(api, user_id, mode="grounded_rag", stream=True))

    assert [name for _, name, _ in events] == [
        "message.created",
        "retrieval",
        "delta",
        "message.completed",
    ]


@pytest.mark.parametrize(
    ("reply", "status", "code", "said"),
    [
        (fake_groq.error(429, {"Retry-After": "7"}), 429, "model_rate_limited", ""),
        (fake_groq.cut(2), 502, "model_bad_answer", "word0 word1 "),
        (fake_groq.malformed(), 502, "model_bad_answer", "good "),
        (fake_groq.error_in_stream(), 502, "model_bad_answer", "good "),
        (fake_groq.html(), 502, "model_bad_answer", ""),
        (fake_groq.answer("half an", finish_reason=None), 502, "model_bad_answer", "half an"),
    ],
)
def test_a_broken_stream_ends_in_an_error_and_keeps_what_was_said(
    api, user_id, groq, reply, status, code, said
):
    groq.script(reply)

    events = events_of(create(api, user_id, stream=True))

    assert [name for _, name, _ in events][-1] == "error"
    error = events[-1][2]
    assert (error["status"], error["code"]) == (status, code)
    assert "secret" not in str(events)
    answer = Message.objects.get(pk=error["answer_id"])
    assert (answer.status, answer.error_code, answer.content) == ("failed", code, said)


def test_an_error_in_a_stream_is_the_problem_of_a_call_that_is_not_streamed(api, user_id, groq):
    limited = fake_groq.error(429, {"Retry-After": "7"})
    groq.script(limited, limited)

    response = create(api, user_id, stream=True)
    _, _, streamed = events_of(response)[-1]
    whole = create(api, user_id).json()

    assert streamed["request_id"] == response.headers["X-Request-ID"]
    assert streamed["retry_after"] == 7
    theirs = {"request_id", "conversation_id", "message_id", "answer_id"}
    assert streamed.keys() == whole.keys() > theirs
    assert all(streamed[name] == whole[name] for name in whole.keys() - theirs)


def test_an_error_of_ours_in_a_stream_names_the_turn(api, user_id, groq, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("secret words")

    monkeypatch.setattr(turn.context, "fit", fail)

    response = create(api, user_id, stream=True)
    events = events_of(response)

    error = events[-1][2]
    assert (error["status"], error["code"]) == (500, "internal_error")
    assert error["title"] == "Internal Server Error"
    assert error["request_id"] == response.headers["X-Request-ID"]
    answer = Message.objects.get(pk=error["answer_id"])
    assert (answer.status, answer.error_code) == ("failed", "internal_error")
    assert error["conversation_id"] == str(answer.conversation_id)
    assert error["message_id"] == events[0][2]["message"]["id"]
    assert "secret" not in str(events)


def test_a_stream_that_cannot_be_told_ends_in_an_error_too(api, user_id, groq, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("secret words")

    monkeypatch.setattr(streaming, "told_turn", fail)

    [(_, name, error)] = events_of(create(api, user_id, stream=True))

    assert (name, error["code"]) == ("error", "internal_error")
    # The telling failed, not the answer.
    assert Message.objects.get(pk=error["answer_id"]).status != "failed"


@pytest.mark.parametrize("events", [1, 2, 3])
@pytest.mark.parametrize(("wish", "status"), [("finish", "completed"), ("stop", "cancelled")])
def test_when_the_client_leaves_the_answer_ends_as_is_set(
    user_id, groq, settings, events, wish, status
):
    settings.ON_DISCONNECT = wish
    groq.script(fake_groq.answer("one two three four five six", delay=0.05))
    opened = Conversation.objects.open(
        user=make_user(user_id), content="Hi", documents=[], model="openai/gpt-oss-120b"
    )

    async def leave():
        answer = live.answers().start(Turn(*opened))
        # The test client wraps what it is given, and would close it only when the test is over.
        parts = streaming.event_stream(answer, opened=True)._iterator
        for _ in range(events):
            await anext(parts)
        await parts.aclose()
        await answer.wait()

    async_to_sync(leave)()

    answer = Message.objects.get(role="assistant")
    assert answer.status == status
    assert (answer.content == "one two three four five six") == (status == "completed")


@pytest.mark.parametrize(
    ("body", "headers"), [({"stream": True}, {}), ({}, {"Accept": "text/event-stream"})]
)
def test_asking_again_can_be_streamed(api, user_id, groq, body, headers):
    groq.script(fake_groq.error(500))
    failed = create(api, user_id).json()

    path = f"/conversations/{failed['conversation_id']}/messages/{failed['answer_id']}/retry"
    events = events_of(post(api, path, body, **headers))

    assert events[-1][1] == "message.completed"
    assert events[-1][2]["answer"]["id"] == failed["answer_id"]


def test_a_next_question_can_be_streamed(api, user_id, groq):
    conversation = make_conversation(make_user(user_id))

    path = f"/conversations/{conversation.pk}/messages"
    events = events_of(post(api, path, {"content": "More?", "stream": True}))

    assert "id" not in events[0][2]  # no conversation: the caller has it
    assert events[-1][2]["answer"]["content"] == "You asked: More?"


def test_a_silent_model_does_not_leave_the_connection_silent(api, user_id, groq, monkeypatch):
    monkeypatch.setattr(streaming, "KEEP_ALIVE_SECONDS", 0.05)
    groq.script(fake_groq.answer("slow", delay=0.3))

    response = create(api, user_id, stream=True)

    assert b"\n\n: keep-alive\n\n" in response.sent
    assert events_of(response)[-1][1] == "message.completed"


def test_what_is_said_in_time_needs_nothing_else_to_keep_the_connection(api, user_id, groq):
    groq.script(fake_groq.answer("one two three four", delay=0.05))

    response = create(api, user_id, stream=True)

    assert len(events_of(response)) > 3
    assert b": keep-alive" not in response.sent


def test_an_answer_can_be_followed_from_any_event_to_the_same_end(api, user_id, groq):
    created = create(api, user_id).json()
    path = f"/conversations/{created['id']}/messages/{created['answer']['id']}/stream"
    whole = events_of(call(api, "GET", path))

    for number, (identity, _, _) in enumerate(whole):
        after = call(api, "GET", path, **{"Last-Event-ID": identity})
        assert events_of(after) == (whole[number + 1 :] or whole[-1:])


@pytest.mark.parametrize("last", ["", "nonsense", "x:9", ":", f"{'9' * 40}:1"])
def test_an_unknown_last_event_tells_all(api, user_id, groq, last):
    created = create(api, user_id).json()
    path = f"/conversations/{created['id']}/messages/{created['answer']['id']}/stream"

    events = events_of(call(api, "GET", path, **{"Last-Event-ID": last}))

    assert [name for _, name, _ in events] == [
        "message.created",
        "retrieval",
        "delta",
        "message.completed",
    ]


def test_the_stream_of_another_user_is_not_there(api, user_id, groq):
    created = create(api, user_id).json()
    path = f"/conversations/{created['id']}/messages/{created['answer']['id']}/stream"

    assert_problem(call(api, "GET", f"{path}?user_id={make_user().pk}"), 404)
    assert_problem(
        call(api, "GET", path.replace(created["answer"]["id"], created["message"]["id"])), 404
    )


def test_the_search_of_an_ended_answer_is_told_again(api, user_id, groq):
    make_document(make_user(user_id))
    groq.script(fake_groq.answer("It opens at nine [1]."))
    first = events_of(create(api, user_id, mode="grounded_rag", stream=True))

    answer = first[-1][2]["answer"]
    path = f"/conversations/{first[0][2]['id']}/messages/{answer['id']}/stream"
    again = events_of(call(api, "GET", path))

    assert again[1] == first[1]
    assert again[-1] == first[-1]

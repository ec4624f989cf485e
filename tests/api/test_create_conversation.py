"""POST /conversations"""

import re
from uuid import uuid4

import pytest

from conversations.models import Conversation, Message
from tests import fake_groq
from tests.factories import (
    assert_problem,
    events_of,
    get,
    make_document,
    make_pending,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db


def create(api, owner, **body):
    body = {"user_id": str(owner), "first_message": "When does the museum open?", **body}
    return post(api, "/conversations", body)


def test_it_answers_with_conversation_both_messages_citations_and_usage(api, user_id, groq):
    document = make_document(make_user(user_id))
    groq.script(fake_groq.answer("It opens at nine [1]."))

    response = create(api, user_id, mode="grounded_rag", document_ids=[str(document.pk)])

    assert response.status_code == 201
    body = response.json()
    assert body["user_id"] == str(user_id)
    assert body["mode"] == "grounded_rag"
    assert body["title"] == "When does the museum open?"
    assert body["document_ids"] == [str(document.pk)]
    assert body["message_count"] == 2
    assert body["message"]["content"] == "When does the museum open?"
    answer = body["answer"]
    assert answer["content"] == "It opens at nine [1]."
    assert answer["status"] == "completed"
    assert answer["model"] == "openai/gpt-oss-120b"
    assert answer["usage"] == {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cached_tokens": 64,
        "rewrite_tokens": 0,
        "total_tokens": 120,
        "cost_usd": "0.00002220",
    }
    [citation] = answer["citations"]
    assert citation["document_id"] == str(document.pk)
    assert (citation["number"], citation["page"]) == (1, 1)
    assert "opens at nine" in citation["quote"]


def test_without_a_key_a_grounded_question_is_answered_with_quotes(api, user_id):
    make_document(make_user(user_id))

    answer = create(api, user_id, mode="grounded_rag").json()["answer"]

    assert answer["model"] == "extractive"
    assert "The museum opens at nine" in answer["content"]
    assert "[1] museum.txt, page 1" in answer["content"]
    assert answer["citations"][0]["number"] == 1


def test_without_a_key_open_chat_says_what_is_missing(api, user_id):
    answer = create(api, user_id).json()["answer"]

    assert answer["status"] == "completed"
    assert "GROQ_API_KEY" in answer["content"]


def test_open_chat_asks_the_model_alone(api, user_id, groq):
    make_document(make_user(user_id))

    answer = create(api, user_id, mode="open_chat").json()["answer"]

    assert answer["content"] == "You asked: When does the museum open?"
    [request] = groq.received
    assert request.path == "/openai/v1/chat/completions"
    assert [message["role"] for message in request.body["messages"]] == ["system", "user"]
    assert "passage" not in request.body["messages"][0]["content"]


def test_the_prompt_numbers_the_passages_of_the_chosen_documents_only(api, user_id, groq):
    user = make_user(user_id)
    chosen = make_document(user)
    make_document(user, "The zoo museum opens at ten.", "zoo.txt")

    create(api, user_id, mode="grounded_rag", document_ids=[str(chosen.pk)])

    prompt = groq.received[0].body["messages"][-1]["content"]
    assert re.search(r'^\[1\] <passage \w{6} document="museum.txt" page 1>$', prompt, re.MULTILINE)
    assert "zoo" not in prompt


def test_a_mark_that_points_nowhere_is_dropped_and_counted(api, user_id, groq):
    make_document(make_user(user_id))
    groq.script(fake_groq.answer("At nine [1][7], surely [0]."))

    answer = create(api, user_id, mode="grounded_rag").json()["answer"]

    assert answer["content"] == "At nine [1], surely ."
    assert answer["context"]["citations_dropped"] == 2
    assert len(answer["citations"]) == 1


def test_no_matching_passage_is_said_without_asking_the_model(api, user_id, groq):
    make_document(make_user(user_id))

    response = create(api, user_id, mode="grounded_rag", first_message="Quantum chromodynamics?")

    assert "no passage matches" in response.json()["answer"]["content"]
    assert groq.received == []


def test_an_alias_of_an_older_model_is_accepted(api, user_id, groq):
    body = create(api, user_id, model="llama-3.1-70b-versatile").json()

    assert body["model"] == "llama-3.3-70b-versatile"
    assert groq.received[0].body["model"] == "llama-3.3-70b-versatile"


def test_a_document_still_being_read_is_a_conflict_and_nothing_is_kept(api, user_id):
    make_pending(make_user(user_id))

    response = create(api, user_id, mode="grounded_rag")

    assert "still being read" in assert_problem(response, 409, "documents_not_ready")["detail"]
    assert Conversation.objects.count() == 0


def test_a_grounded_question_without_any_document_is_a_conflict(api, user_id):
    response = create(api, user_id, mode="grounded_rag")

    assert "upload" in assert_problem(response, 409, "documents_not_ready")["detail"]
    make_document(make_user(user_id), "  ")  # cannot be read
    assert_problem(create(api, user_id, mode="grounded_rag"), 409)


def test_documents_of_another_user_are_refused_by_id(api, user_id):
    theirs = make_document(make_user())

    response = create(api, user_id, mode="grounded_rag", document_ids=[str(theirs.pk)])

    assert str(theirs.pk) in assert_problem(response, 400)["errors"]["document_ids"][0]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"first_message": ""}, "first_message"),
        ({"first_message": " \n"}, "first_message"),
        ({"first_message": "a\x00b"}, "first_message"),
        ({"first_message": "\ud800"}, "first_message"),
        ({"first_message": "a" * 32_001}, "first_message"),
        ({"first_message": None}, "first_message"),
        ({"user_id": "x"}, "user_id"),
        ({"user_id": None}, "user_id"),
        ({"mode": "chat"}, "mode"),
        ({"model": "gpt-4"}, "model"),
        ({"document_ids": ["x"], "mode": "grounded_rag"}, "document_ids.0"),
        ({"document_ids": str(uuid4())}, "document_ids"),
        ({"document_ids": [str(uuid4())]}, "document_ids"),
        ({"temprature": 1}, "temprature"),
    ],
)
def test_wrong_fields_are_refused_by_name(api, user_id, change, field):
    assert field in assert_problem(create(api, user_id, **change), 400)["errors"]


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        '"x"',
        "null",
        "1",
        "",
        b"\xff",
        "[" * 100_000,
        '{"a":' * 50_000,
        '{"user_id": NaN}',
    ],
    ids=range(10),
)
def test_a_body_that_is_no_object_is_refused(api, body):
    response = api.post("/api/v1/conversations", body, "application/json")

    assert_problem(response, 400)


def test_a_body_too_large_is_told(api, user_id):
    response = create(api, user_id, first_message="x" * 3_000_000)

    assert_problem(response, 413, "body_too_large")


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (fake_groq.error(429, {"Retry-After": "7"}), 429, "model_rate_limited"),
        (fake_groq.error(500), 503, "model_overloaded"),
        (fake_groq.error(503), 503, "model_overloaded"),
        (fake_groq.error(401), 503, "model_key_refused"),
        (fake_groq.error(400), 502, "model_refused"),
        (fake_groq.html(), 502, "model_bad_answer"),
        (fake_groq.answer(""), 502, "empty_answer"),
        (fake_groq.thoughts_alone(), 422, "token_limit"),
        (fake_groq.answer("", finish_reason="content_filter"), 422, "content_filter"),
        (fake_groq.hang(3), 504, "model_timeout"),
    ],
)
def test_when_the_model_fails_the_question_is_kept_and_can_be_asked_again(
    api, user_id, groq, settings, reply, status, code
):
    settings.GROQ_TIMEOUT_SECONDS = 1
    groq.script(reply)

    response = create(api, user_id)

    problem = assert_problem(response, status, code)
    assert "secret" not in response.content.decode()
    if status == 429:
        assert response.headers["Retry-After"] == "7"
    messages = get(api, f"/conversations/{problem['conversation_id']}/messages").json()["results"]
    assert [message["status"] for message in messages] == ["completed", "failed"]
    assert messages[0]["content"] == "When does the museum open?"
    assert messages[1]["error"]["code"] == code
    again = post(
        api, f"/conversations/{problem['conversation_id']}/messages/{problem['answer_id']}/retry"
    )
    assert again.status_code == 201
    assert again.json()["answer"]["content"] == "You asked: When does the museum open?"
    assert Message.objects.count() == 2


def test_the_sdk_retries_what_may_pass(api, user_id, groq, settings):
    settings.GROQ_MAX_RETRIES = 2
    groq.script(
        fake_groq.error(503, {"Retry-After-Ms": "1"}), fake_groq.error(429, {"Retry-After-Ms": "1"})
    )

    assert create(api, user_id).status_code == 201
    assert len(groq.received) == 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", ["nul \x00 here", "half \ud800 pair"])
def test_what_cannot_be_stored_of_an_answer_is_replaced(api, user_id, groq, text, stream):
    groq.script(fake_groq.answer(text))

    response = create(api, user_id, stream=stream)

    assert response.status_code in (200, 201)
    if stream:
        assert events_of(response)[-1][1] == "message.completed"
    answer = Message.objects.get(role="assistant")
    assert (answer.status, "\ufffd" in answer.content) == ("completed", True)


@pytest.mark.parametrize("stream", [False, True])
def test_an_overlong_reason_does_not_leave_the_answer_pending(api, user_id, groq, stream):
    groq.script(fake_groq.answer("Hello.", finish_reason="x" * 500))

    response = create(api, user_id, stream=stream)
    if stream:
        events_of(response)

    assert Message.objects.get(role="assistant").status == "completed"

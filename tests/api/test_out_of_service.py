"""What callers see of a model that fails again and again."""

import pytest

from tests import fake_groq
from tests.factories import assert_problem, events_of, get, make_conversation, post

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(user, groq, settings):
    """One whose model has failed twice, which is once too often."""
    settings.GROQ_FAILURES = 2
    settings.GROQ_PAUSE_SECONDS = 30
    conversation = make_conversation(user)
    groq.script(fake_groq.error(503), fake_groq.error(503))
    return conversation


def ask(api, conversation, **body):
    return post(api, f"/conversations/{conversation.pk}/messages", {"content": "And now?", **body})


def fail_twice(api, conversation):
    for _ in range(2):
        assert_problem(ask(api, conversation), 503, "model_overloaded")


def test_the_question_is_kept_and_fails_at_once_until_it_is_time(api, conversation, groq):
    fail_twice(api, conversation)

    response = ask(api, conversation)

    problem = assert_problem(response, 503, "model_out_of_service")
    assert problem["retry_after"] == int(response.headers["Retry-After"]) == 30
    assert len(groq.received) == 2
    path = f"/conversations/{conversation.pk}/messages"
    *_, question, answer = get(api, path).json()["results"]
    assert (question["id"], answer["id"]) == (problem["message_id"], problem["answer_id"])
    assert (question["content"], answer["status"]) == ("And now?", "failed")
    assert answer["error"]["code"] == "model_out_of_service"
    assert_problem(post(api, f"{path}/{answer['id']}/retry", {}), 503, "model_out_of_service")


def test_a_stream_tells_it_as_an_event(api, conversation):
    fail_twice(api, conversation)

    *_, (_, event, problem) = events_of(ask(api, conversation, stream=True))

    assert (event, problem["status"]) == ("error", 503)
    assert problem["code"] == "model_out_of_service"
    assert problem["retry_after"] == 30


def test_fallback_models_answer_meanwhile(api, conversation, groq, settings):
    fail_twice(api, conversation)
    settings.GROQ_FALLBACK_MODELS = ["openai/gpt-oss-20b"]

    answer = ask(api, conversation).json()["answer"]

    assert (answer["status"], answer["model"]) == ("completed", "openai/gpt-oss-20b")
    assert len(groq.received) == 3


def test_clients_of_openai_are_told_when_to_ask_again(api, conversation):
    fail_twice(api, conversation)
    body = {"model": conversation.model, "messages": [{"role": "user", "content": "Hi"}]}

    response = api.post("/openai/v1/chat/completions", body, "application/json")

    assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
    assert response.json()["error"]["code"] == "model_out_of_service"


def test_readiness_tells_of_it_and_stays_ready(api, conversation):
    assert "models_out_of_service" not in api.get("/health/ready").json()
    fail_twice(api, conversation)

    response = api.get("/health/ready")

    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert response.json()["models_out_of_service"] == {conversation.model: 30}

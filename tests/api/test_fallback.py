"""Models that stand in where the wanted one cannot answer."""

from decimal import Decimal

import pytest

from conversations.models import UsageEntry
from llm import catalogue
from llm.messages import Usage
from tests import fake_groq
from tests.factories import (
    assert_problem,
    events_of,
    get,
    make_conversation,
    patch,
    post,
)

pytestmark = pytest.mark.django_db

WANTED, SECOND, THIRD = "openai/gpt-oss-120b", "openai/gpt-oss-20b", "qwen/qwen3.6-27b"
USAGE = Usage(100, 20, 64)  # as the scripted model tells


@pytest.fixture
def conversation(user):
    return make_conversation(user)


def ask(api, conversation, **body):
    path = f"/conversations/{conversation.pk}/messages"
    return post(api, path, {"content": "And now?", **body})


def asked(groq):
    return [request.body["model"] for request in groq.received]


@pytest.mark.parametrize(
    "failure",
    [
        fake_groq.error(503),
        fake_groq.error(498),
        fake_groq.error(429, {"Retry-After": "7"}),
        fake_groq.error(404, code="model_not_found"),
        fake_groq.error(400, code="model_decommissioned"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_the_next_model_answers_and_is_named_and_priced(
    api, conversation, groq, settings, failure, stream
):
    settings.GROQ_FALLBACK_MODELS = [SECOND]
    groq.script(failure)

    response = ask(api, conversation, stream=stream)

    answer = events_of(response)[-1][2]["answer"] if stream else response.json()["answer"]
    assert asked(groq) == [WANTED, SECOND]
    assert (answer["status"], answer["model"]) == ("completed", SECOND)
    cost = catalogue.find(SECOND).cost(USAGE)
    assert Decimal(answer["usage"]["cost_usd"]) == cost
    assert cost != catalogue.find(WANTED).cost(USAGE)
    entry = UsageEntry.objects.get()
    assert (entry.model, entry.cost_usd) == (SECOND, cost)


def test_a_conversation_has_fallbacks_of_its_own(api, conversation, groq, settings):
    settings.GROQ_FALLBACK_MODELS = [THIRD]
    body = patch(api, f"/conversations/{conversation.pk}", {"fallback_models": [SECOND]}).json()
    assert body["fallback_models"] == [SECOND]
    groq.script(fake_groq.error(503), fake_groq.error(503))

    assert_problem(ask(api, conversation), 503)

    assert asked(groq) == [WANTED, SECOND]


def test_a_conversation_can_do_without_and_null_is_the_servers_again(
    api, conversation, groq, settings
):
    settings.GROQ_FALLBACK_MODELS = [SECOND]
    path = f"/conversations/{conversation.pk}"
    patch(api, path, {"fallback_models": []})
    groq.script(fake_groq.error(503))
    assert_problem(ask(api, conversation), 503)
    assert asked(groq) == [WANTED]

    patch(api, path, {"fallback_models": None})
    groq.script(fake_groq.error(503))
    assert ask(api, conversation).json()["answer"]["model"] == SECOND


def test_they_are_given_with_a_new_conversation(api, user_id, groq):
    groq.script(fake_groq.error(503), fake_groq.error(503))
    body = {"first_message": "Hi", "user_id": str(user_id), "fallback_models": [SECOND, THIRD]}

    created = post(api, "/conversations", body).json()

    assert created["fallback_models"] == [SECOND, THIRD]
    assert created["model"] == WANTED
    assert created["answer"]["model"] == THIRD
    assert asked(groq) == [WANTED, SECOND, THIRD]


def test_each_model_is_asked_once(api, conversation, groq, settings):
    settings.GROQ_FALLBACK_MODELS = [WANTED, SECOND, SECOND]
    groq.script(fake_groq.error(503), fake_groq.error(503))

    assert_problem(ask(api, conversation), 503)

    assert asked(groq) == [WANTED, SECOND]


def test_the_model_wanted_for_one_answer_has_them_too(api, conversation, groq, settings):
    settings.GROQ_FALLBACK_MODELS = [SECOND]
    groq.script(fake_groq.error(503))

    assert ask(api, conversation, model=THIRD).json()["answer"]["model"] == SECOND
    assert asked(groq) == [THIRD, SECOND]


@pytest.mark.parametrize("status", [400, 401, 422])
def test_what_another_model_would_refuse_too_is_not_asked_again(
    api, conversation, groq, settings, status
):
    settings.GROQ_FALLBACK_MODELS = [SECOND]
    groq.script(fake_groq.error(status))

    assert ask(api, conversation).status_code >= 500
    assert asked(groq) == [WANTED]


def test_once_a_stream_has_begun_no_other_model_goes_on(api, conversation, groq, settings):
    settings.GROQ_FALLBACK_MODELS = [SECOND]
    groq.script(fake_groq.cut(2))

    assert events_of(ask(api, conversation, stream=True))[-1][1] == "error"
    assert asked(groq) == [WANTED]


def test_what_a_model_that_stood_in_said_before_it_broke_off_is_paid_to_it(
    api, conversation, groq, settings
):
    settings.GROQ_FALLBACK_MODELS = [SECOND]
    groq.script(fake_groq.error(503), fake_groq.cut(2))

    assert events_of(ask(api, conversation, stream=True))[-1][1] == "error"
    entry = UsageEntry.objects.get()
    assert (entry.model, entry.estimated) == (SECOND, True)


def test_where_all_fail_the_error_is_of_the_wanted_model(api, conversation, groq, settings):
    settings.GROQ_FALLBACK_MODELS = [SECOND]
    groq.script(fake_groq.error(429, {"Retry-After": "7"}), fake_groq.error(503))

    problem = assert_problem(ask(api, conversation), 429, "model_rate_limited")

    assert problem["retry_after"] == 7
    listed = get(api, f"/conversations/{conversation.pk}/messages").json()["results"]
    assert listed[-1]["error"]["code"] == "model_rate_limited"


@pytest.mark.parametrize("wrong", [["x"], "x", [SECOND] * 9, [1]])
def test_unknown_models_are_refused_by_name(api, conversation, wrong):
    response = patch(api, f"/conversations/{conversation.pk}", {"fallback_models": wrong})
    [named] = assert_problem(response, 400)["errors"]
    assert named.split(".")[0] == "fallback_models"

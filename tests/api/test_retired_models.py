"""Models that the provider serves to few keys any more: their successors answer."""

from decimal import Decimal

import pytest

from conversations import budgets
from conversations.models import UsageEntry
from llm import catalogue
from llm.messages import Usage
from tests import fake_groq
from tests.factories import events_of, make_conversation, post

pytestmark = pytest.mark.django_db

LLAMAS = {
    "llama-3.3-70b-versatile": "openai/gpt-oss-120b",
    "llama-3.1-70b-versatile": "openai/gpt-oss-120b",
    "llama-3.1-8b-instant": "openai/gpt-oss-20b",
}
USAGE = Usage(100, 20, 64)  # as the scripted model reports


@pytest.fixture
def ordinary(groq):
    """The provider, for a key that it serves no Llama."""
    groq.server.offered = fake_groq.ORDINARY
    return groq


def create(api, user_id, **fields):
    body = {"user_id": str(user_id), "first_message": "Hi", **fields}
    return post(api, "/conversations", body)


def asked(groq):
    return [request.body["model"] for request in groq.received]


def test_with_an_ordinary_key_and_no_settings_a_question_is_answered(api, user_id, ordinary):
    response = create(api, user_id)

    assert response.status_code == 201, response.json()
    assert response.json()["answer"]["model"] == "openai/gpt-oss-120b"
    assert (asked(ordinary), ordinary.server.listed) == (["openai/gpt-oss-120b"], 0)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("llama", "successor"), LLAMAS.items())
def test_the_successor_answers_and_is_named_and_priced(
    api, user_id, ordinary, llama, successor, stream
):
    response = create(api, user_id, model=llama, stream=stream)

    answer = events_of(response)[-1][2]["answer"] if stream else response.json()["answer"]
    assert (answer["status"], answer["model"]) == ("completed", successor)
    assert asked(ordinary) == [successor]
    cost = catalogue.find(successor).cost(USAGE)
    assert Decimal(answer["usage"]["cost_usd"]) == cost
    entry = UsageEntry.objects.get()
    assert (entry.model, entry.cost_usd) == (successor, cost)


def test_a_stored_conversation_that_names_a_retired_model_goes_on(api, user, ordinary):
    conversation = make_conversation(user, model="llama-3.3-70b-versatile")

    body = post(api, f"/conversations/{conversation.pk}/messages", {"content": "And now?"}).json()

    assert body["answer"]["model"] == "openai/gpt-oss-120b"
    conversation.refresh_from_db()
    assert conversation.model == "llama-3.3-70b-versatile"


@pytest.mark.parametrize("llama", LLAMAS)
def test_a_key_that_is_served_it_is_answered_by_it(api, user_id, groq, llama):
    answer = create(api, user_id, model=llama).json()["answer"]

    assert answer["model"] == catalogue.find(llama).name
    assert asked(groq) == [answer["model"]]


def test_a_retired_model_as_the_default_of_the_server_is_answered_for(
    api, user_id, ordinary, settings
):
    settings.GROQ_MODEL = "llama-3.1-70b-versatile"

    assert create(api, user_id).json()["answer"]["model"] == "openai/gpt-oss-120b"


def test_a_retired_fallback_model_is_answered_for(api, user_id, ordinary, settings):
    settings.GROQ_FALLBACK_MODELS = ["llama-3.1-8b-instant"]
    ordinary.script(fake_groq.error(503))

    assert create(api, user_id).json()["answer"]["model"] == "openai/gpt-oss-20b"


def test_a_budget_is_reserved_for_the_dearer_successor():
    most = Usage(1000, 1000)
    llama, successor = "llama-3.1-8b-instant", "openai/gpt-oss-20b"

    assert catalogue.find(successor).cost(most) > catalogue.find(llama).cost(most)
    assert budgets.bound([llama], most).usd >= catalogue.find(successor).cost(most)


def test_the_successor_writes_searches_and_is_paid_for_them(
    api, user, document, ordinary, settings
):
    settings.GROQ_SMALL_MODEL = "llama-3.1-8b-instant"
    grounded = make_conversation(user, mode="grounded_rag", documents=[document])
    ordinary.script(fake_groq.answer('{"question": "What does a ticket cost?"}'))

    path = f"/conversations/{grounded.pk}/messages"
    assert post(api, path, {"content": "And what of it?"}).status_code == 201

    successor = "openai/gpt-oss-20b"
    assert asked(ordinary) == [successor, "openai/gpt-oss-120b"]
    assert ordinary.received[0].body["reasoning_effort"] == "low"
    entry = UsageEntry.objects.get(purpose="rewrite")
    assert (entry.model, entry.cost_usd) == (successor, catalogue.find(successor).cost(USAGE))

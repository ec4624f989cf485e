"""How far answers rest on the documents: strict and prefer, with and without a model."""

import pytest

from llm import prompts
from tests import fake_groq
from tests.factories import events_of, get, make_document, make_user, patch, post

pytestmark = pytest.mark.django_db


def create(api, owner, question, **body):
    body = {"user_id": str(owner), "mode": "grounded_rag", "first_message": question, **body}
    response = post(api, "/conversations", body)
    assert response.status_code in (200, 201), response.content
    return response


@pytest.fixture
def museum(user_id):
    return make_document(make_user(user_id))


def test_strict_refuses_before_the_model_is_asked(api, user_id, museum, groq):
    body = create(api, user_id, "Quantum chromodynamics?").json()

    assert body["grounding"] == "strict"
    assert body["answer"]["grounding"] == "no_evidence"
    assert body["answer"]["citations"] == []
    assert body["answer"]["usage"]["cost_usd"] == "0.00000000"
    assert groq.received == []


def test_prefer_answers_from_general_knowledge_and_has_to_say_so(api, user_id, museum, groq):
    groq.script(fake_groq.answer(f"{prompts.NOT_AT_ALL} In general, quarks have colours [1]."))

    answer = create(api, user_id, "Quantum chromodynamics?", grounding="prefer").json()["answer"]

    assert answer["content"] == f"{prompts.NOT_AT_ALL} In general, quarks have colours ."
    assert answer["grounding"] == "no_evidence"
    assert answer["citations"] == []
    system, asked = groq.received[0].body["messages"]
    assert "general knowledge" in system["content"]
    assert prompts.NOT_AT_ALL in system["content"]
    assert asked["content"] == "Quantum chromodynamics?"


def test_prefer_without_a_model_refuses(api, user_id, museum):
    answer = create(api, user_id, "Quantum chromodynamics?", grounding="prefer").json()["answer"]

    assert answer["grounding"] == "no_evidence"
    assert "no passage matches" in answer["content"]


@pytest.mark.parametrize("grounding", ["strict", "prefer"])
def test_the_prompt_asks_to_say_what_the_documents_leave_open(
    api, user_id, museum, groq, grounding
):
    create(api, user_id, "When does the museum open?", grounding=grounding)

    system = groq.received[0].body["messages"][0]["content"]
    assert prompts.IN_PART in system
    assert ("general knowledge" in system) == (grounding == "prefer")


@pytest.mark.parametrize(
    ("said", "grounding"),
    [
        ("It opens at nine [1].", "answered"),
        ("It opens at nine.", "no_evidence"),
        (prompts.NOT_AT_ALL, "no_evidence"),
        (f"It opens at nine [1]. {prompts.IN_PART}", "partial"),
        (f"It opens at nine [1]. **{prompts.IN_PART.upper()}**", "partial"),
        (f"{prompts.NOT_AT_ALL} They tell when it opens [1].", "partial"),
        ("It opens at nine [1][9].", "partial"),
        ("It opens at nine [9].", "no_evidence"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_tells_how_far_it_rests_on_the_documents(
    api, user_id, museum, groq, said, grounding, stream
):
    groq.script(fake_groq.answer(said))

    response = create(api, user_id, "When does the museum open?", stream=stream)

    answer = events_of(response)[-1][2]["answer"] if stream else response.json()["answer"]
    assert answer["grounding"] == grounding


def test_open_chat_is_not_grounded(api, user_id, groq):
    groq.script(fake_groq.answer("Arrays begin at [0]."))

    answer = create(api, user_id, "Arrays?", mode="open_chat").json()["answer"]

    assert answer["grounding"] is None
    assert answer["retrieval"] is None
    assert answer["content"] == "Arrays begin at [0]."


@pytest.mark.parametrize(
    "question",
    [
        "How many employees does Netflix have?",
        "Who is the museum director's favourite Formula 1 driver and why him?",
        "What revenue did the company report for fiscal 2019?",
    ],
)
def test_without_a_model_what_the_documents_do_not_answer_is_said_plainly(
    api, user_id, museum, question
):
    answer = create(api, user_id, question).json()["answer"]

    assert "do not seem to answer" in answer["content"]
    assert answer["grounding"] in ("no_evidence", "partial")


@pytest.mark.parametrize(
    ("question", "quoted"),
    [
        ("When does the museum open?", "opens at nine"),
        ("What does a ticket cost?", "14.50"),
        ("On which day is it closed?", "Mondays"),
        ("Do children enter free?", "free"),
    ],
)
def test_without_a_model_what_the_documents_answer_is_quoted(
    api, user_id, museum, question, quoted
):
    answer = create(api, user_id, question).json()["answer"]

    assert answer["content"].startswith("The documents say:")
    assert quoted in answer["content"]
    assert answer["grounding"] == "answered"


def test_strictness_can_be_changed(api, user_id, museum, groq):
    conversation = create(api, user_id, "Quantum chromodynamics?").json()["id"]

    changed = patch(api, f"/conversations/{conversation}", {"grounding": "prefer"}).json()
    post(api, f"/conversations/{conversation}/messages", {"content": "Lattice gauge theory?"})

    assert changed["grounding"] == "prefer"
    assert len(groq.received) == 1
    assert get(api, f"/conversations/{conversation}").json()["grounding"] == "prefer"


@pytest.mark.parametrize("field", ["grounding", "query_rewriting"])
def test_unknown_settings_are_refused_by_name(api, user_id, museum, field):
    conversation = create(api, user_id, "When does it open?").json()

    response = patch(api, f"/conversations/{conversation['id']}", {field: "maybe"})

    assert response.status_code == 400
    assert field in response.json()["errors"]
    body = {"user_id": str(user_id), "first_message": "x", field: "maybe"}
    assert field in post(api, "/conversations", body).json()["errors"]

"""The retrieval trace of an answer, and its replay."""

from uuid import uuid4

import pytest

from conversations.models import Message, Retrieval
from tests.factories import (
    assert_problem,
    get,
    make_conversation,
    make_document,
    make_user,
    patch,
    post,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def documents(user):
    return [
        make_document(user),
        make_document(user, "A ticket to the zoo costs 9 euros.", "zoo.txt"),
    ]


@pytest.fixture
def conversation(user, documents):
    return make_conversation(user, mode="grounded_rag")


def ask(api, conversation, content="What does a ticket cost?"):
    path = f"/conversations/{conversation.pk}/messages"
    response = post(api, path, {"content": content})
    assert response.status_code == 201, response.content
    return response.json()["answer"]


def path_of(conversation, answer, name):
    return f"/conversations/{conversation.pk}/messages/{answer['id']}/{name}"


def trace_of(api, conversation, answer):
    return get(api, path_of(conversation, answer, "trace"))


def replay(api, conversation, answer, **body):
    return post(api, path_of(conversation, answer, "replay"), body)


def test_a_trace_tells_what_was_searched_and_what_became_of_each_candidate(
    api, conversation, settings, django_assert_max_num_queries
):
    settings.PASSAGES = 1
    answer = ask(api, conversation)

    with django_assert_max_num_queries(3):
        trace = trace_of(api, conversation, answer).json()

    assert trace["question"] == trace["query"] == "What does a ticket cost?"
    assert trace["searches"][0][0] == {"text": "What does a ticket cost?", "weight": 1.0}
    assert trace["settings"] == {"limit": 1, "query_rewriting": "model"}
    assert trace["rewriting"]["used"] == "terms"
    assert trace["rewriting"]["failure"] is None
    assert trace["duration_ms"] >= 0
    outcomes = {one["document_name"]: one["outcome"] for one in trace["candidates"]}
    assert sorted(outcomes.values()) == ["below_limit", "kept"]
    cited = answer["citations"][0]
    kept = next(one for one in trace["candidates"] if one["outcome"] == "kept")
    assert kept["chunk_id"] == cited["chunk_id"]
    assert kept["score"] == pytest.approx(cited["score"], abs=1e-5)
    assert (kept["page_start"], kept["page_end"]) == (1, 1)


def test_passages_that_the_prompt_had_no_room_for_are_told(api, user, settings, groq):
    words = " ".join(f"word{n}" for n in range(200))
    for name in ("a.txt", "b.txt", "c.txt"):
        make_document(user, f"The ticket of {name} is green. {words} {name}", name)
    conversation = make_conversation(user, mode="grounded_rag")
    settings.CONTEXT_TOKENS, settings.ANSWER_TOKENS = 1500, 100

    answer = ask(api, conversation, "Which green colour has the ticket of this kind of event?")

    outcomes = [one["outcome"] for one in trace_of(api, conversation, answer).json()["candidates"]]
    assert answer["context"]["passages"]["left_out"] == outcomes.count("budget") > 0
    assert answer["context"]["passages"]["kept"] == outcomes.count("kept") > 0


def test_nothing_found_leaves_a_trace_too(api, conversation):
    answer = ask(api, conversation, "Quantum chromodynamics lattice?")

    trace = trace_of(api, conversation, answer).json()

    assert trace["candidates"] == []
    assert answer["grounding"] == "no_evidence"


def test_the_trace_holds_no_text_of_a_document(api, conversation):
    ask(api, conversation)

    assert "14.50" not in str(Retrieval.objects.values().get())


def test_the_history_never_reads_the_candidates(
    api, conversation, django_assert_max_num_queries, django_assert_num_queries
):
    for _ in range(3):
        ask(api, conversation)

    with django_assert_num_queries(5) as queries:
        get(api, f"/conversations/{conversation.pk}/messages")

    assert not any("candidates" in query["sql"] for query in queries.captured_queries)


def test_a_replay_of_the_same_search_differs_in_nothing(
    api, conversation, django_assert_max_num_queries
):
    answer = ask(api, conversation)
    kept = Message.objects.count(), list(Retrieval.objects.values())

    with django_assert_max_num_queries(7):
        response = replay(api, conversation, answer)

    assert response.status_code == 200
    body = response.json()
    assert body["after"]["candidates"] == body["before"]["candidates"]
    assert (body["gained"], body["lost"], body["moved"]) == ([], [], [])
    assert kept == (Message.objects.count(), list(Retrieval.objects.values()))


def test_a_replay_with_a_smaller_limit_loses_passages(api, conversation):
    answer = ask(api, conversation)

    body = replay(api, conversation, answer, limit=1).json()

    assert len(body["lost"]) == 1
    assert body["gained"] == []
    assert body["after"]["limit"] == 1


def test_a_replay_without_rewriting_shows_what_the_carried_words_brought(api, conversation):
    ask(api, conversation, "What does a ticket to the zoo cost for each person?")
    answer = ask(api, conversation, "Tell me more about that.")

    body = replay(api, conversation, answer, query_rewriting="off").json()

    assert body["before"]["rewriting"] == "terms"
    assert body["after"]["query"] == "Tell me more about that."
    assert body["after"]["rewriting"] == "off"
    assert len(body["lost"]) == 2
    again = replay(api, conversation, answer, query_rewriting="terms").json()
    assert again["after"]["searches"] == again["before"]["searches"]


def test_a_replay_over_other_documents_tells_what_is_gained_lost_and_moved(
    api, conversation, documents, user
):
    answer = ask(api, conversation)
    [first, second] = [
        one["document_id"] for one in trace_of(api, conversation, answer).json()["candidates"]
    ]
    new = make_document(user, "Each bus ticket costs 3 euros.", "bus.txt")

    body = replay(api, conversation, answer, document_ids=[second, str(new.pk)]).json()

    assert [one["document_name"] for one in body["gained"]] == ["bus.txt"]
    assert [one["document_id"] for one in body["lost"]] == [first]
    assert all(one["rank_before"] == 2 for one in body["moved"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 51}, "limit"),
        ({"query_rewriting": "model"}, "query_rewriting"),
        ({"document_ids": [str(uuid4())]}, "document_ids"),
        ({"document_ids": []}, "document_ids"),
        ({"k": 3}, "k"),
    ],
)
def test_wrong_options_are_refused_by_name(api, conversation, body, field):
    answer = ask(api, conversation)

    assert field in assert_problem(replay(api, conversation, answer, **body), 400)["errors"]


def test_documents_of_another_user_are_never_searched(api, conversation):
    theirs = make_document(make_user(), "Our secret ticket.", "secret.txt")
    answer = ask(api, conversation)

    response = replay(api, conversation, answer, document_ids=[str(theirs.pk)])

    assert_problem(response, 400)
    assert b"secret.txt" not in response.content


@pytest.mark.parametrize("name", ["trace", "replay"])
def test_what_has_no_trace_or_is_anothers_is_not_found(api, conversation, user, name):
    def call(path):
        return get(api, path) if name == "trace" else post(api, path, {})

    answer = ask(api, conversation)
    question = conversation.messages.get(position=2)
    chat = make_conversation(user)
    open_answer = chat.messages.get(position=1)

    assert_problem(call(f"{path_of(conversation, answer, name)}?user_id={uuid4()}"), 404)
    assert_problem(call(path_of(conversation, {"id": question.pk}, name)), 404)
    assert_problem(call(path_of(chat, {"id": open_answer.pk}, name)), 404)
    assert_problem(call(path_of(chat, answer, name)), 404)  # of another conversation
    assert_problem(call(path_of(conversation, {"id": uuid4()}, name)), 404)


def test_a_deleted_document_is_not_found_by_a_replay(api, conversation, documents):
    answer = ask(api, conversation)
    documents[0].remove()

    body = replay(api, conversation, answer).json()

    assert [one["document_name"] for one in body["lost"]] == ["museum.txt"]
    assert "museum.txt" not in str(body["after"])


def test_the_rewriting_of_a_conversation_can_be_changed(api, conversation):
    patch(api, f"/conversations/{conversation.pk}", {"query_rewriting": "off"})

    answer = ask(api, conversation)

    trace = trace_of(api, conversation, answer).json()
    assert trace["settings"]["query_rewriting"] == "off"

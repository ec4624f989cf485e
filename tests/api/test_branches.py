"""Edit, regenerate and activate: POST /conversations/{id}/messages/{id}/…"""

from uuid import uuid4

import pytest
from django.utils import timezone

from conversations.models import Message
from documents.models import Document
from tests import fake_groq
from tests.factories import (
    assert_problem,
    complete,
    events_of,
    get,
    make_conversation,
    make_document,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(user):
    return make_conversation(user)


@pytest.fixture
def question(conversation):
    return conversation.messages.get(role="user")


@pytest.fixture
def answer(conversation):
    return conversation.messages.get(role="assistant")


def do(api, message, verb, body=None, query="", **headers):
    path = f"/conversations/{message.conversation_id}/messages/{message.pk}/{verb}{query}"
    return post(api, path, body or {}, **headers)


def contents(api, conversation, query=""):
    listed = get(api, f"/conversations/{conversation.pk}/messages{query}").json()["results"]
    return [one["content"] for one in listed]


def under_way(conversation):
    """A question that another process is answering."""
    _, pending = conversation.ask("And then?")
    Message.objects.filter(pk=pending.pk).update(started_at=timezone.now())
    return pending


def test_an_edited_question_stands_beside_the_former(api, conversation, question, answer, groq):
    response = do(api, question, "edit", {"content": "Good day"})

    assert response.status_code == 201
    body = response.json()
    edited = body["message"]
    assert (edited["content"], edited["parent_id"], edited["active"]) == ("Good day", None, True)
    assert edited["sibling_ids"] == [str(question.pk), edited["id"]]
    assert body["answer"]["content"] == "You asked: Good day"
    assert contents(api, conversation) == ["Good day", "You asked: Good day"]
    assert len(contents(api, conversation, "?branches=all")) == 4


def test_the_model_sees_the_edited_branch_alone(api, conversation, question, groq):
    complete(conversation.ask("How are you?")[1], "Well.")
    second = conversation.messages.get(position=2)

    do(api, second, "edit", {"content": "Who are you?"})

    said = [one["content"] for one in groq.received[-1].body["messages"][1:]]
    assert said == ["Hello there", "Hello.", "Who are you?"]


def test_an_answer_given_anew_stands_beside_the_former(api, conversation, question, answer, groq):
    complete(conversation.ask("How are you?")[1], "Well.")

    response = do(api, answer, "regenerate")

    assert response.status_code == 201
    body = response.json()
    assert body["message"]["id"] == str(question.pk)
    assert body["answer"]["sibling_ids"] == [str(answer.pk), body["answer"]["id"]]
    assert body["answer"]["parent_id"] == str(question.pk)
    assert contents(api, conversation) == ["Hello there", "You asked: Hello there"]
    listed = contents(api, conversation, "?branches=all")
    assert listed == ["Hello there", "Hello.", "You asked: Hello there", "How are you?", "Well."]


def test_another_model_and_options_can_be_tried(api, answer, groq):
    options = {"model": "openai/gpt-oss-20b", "temperature": 0.9}

    body = do(api, answer, "regenerate", options).json()

    sent = groq.received[-1].body
    assert (sent["model"], sent["temperature"]) == ("openai/gpt-oss-20b", 0.9)
    assert body["answer"]["model"] == "openai/gpt-oss-20b"
    assert body["answer"]["sampling"]["temperature"] == 0.9


def test_a_regenerated_answer_is_grounded_again(api, user, document, groq):
    grounded = make_conversation(user, mode="grounded_rag", documents=[document])
    body = {"content": "What does a ticket cost?"}
    first = post(api, f"/conversations/{grounded.pk}/messages", body).json()["answer"]

    second = do(api, Message.objects.get(pk=first["id"]), "regenerate").json()["answer"]

    assert second["citations"][0]["quote"] == first["citations"][0]["quote"]
    assert second["id"] != first["id"]


@pytest.mark.parametrize(("verb", "of"), [("regenerate", "assistant"), ("edit", "user")])
@pytest.mark.parametrize("asked_by", ["body", "header"])
def test_a_branch_can_be_streamed(api, conversation, groq, verb, of, asked_by):
    message = conversation.messages.get(role=of)
    body = {"content": "Good day"} if verb == "edit" else {}
    headers = {"Accept": "text/event-stream"} if asked_by == "header" else {}
    body |= {"stream": True} if asked_by == "body" else {}

    events = events_of(do(api, message, verb, body, **headers))

    assert [events[0][1], events[-1][1]] == ["message.created", "message.completed"]
    assert events[-1][2]["answer"]["status"] == "completed"


def test_when_the_model_fails_the_branch_is_kept_and_can_be_retried(api, answer, groq):
    groq.script(fake_groq.error(500))

    problem = assert_problem(do(api, answer, "regenerate"), 503)

    newer = Message.objects.get(pk=problem["answer_id"])
    assert (newer.status, newer.active) == ("failed", True)
    assert do(api, newer, "retry").json()["answer"]["status"] == "completed"


def test_going_to_another_branch_shows_it_to_its_end(api, conversation, question, answer, groq):
    complete(conversation.ask("How are you?")[1], "Well.")
    do(api, question, "edit", {"content": "Good day"})

    response = do(api, question, "activate")

    assert response.status_code == 200
    body = response.json()
    shown = [one["content"] for one in body["messages"]]
    assert (
        shown == contents(api, conversation) == ["Hello there", "Hello.", "How are you?", "Well."]
    )
    assert body["message_count"] == 4


def test_one_message_is_told_on_whichever_branch_it_is(
    api, conversation, answer, django_assert_num_queries
):
    complete(conversation.regenerate(answer.pk)[1], "Hi.")

    with django_assert_num_queries(4):
        body = get(api, f"/conversations/{conversation.pk}/messages/{answer.pk}").json()

    assert (body["content"], body["active"], len(body["sibling_ids"])) == ("Hello.", False, 2)


@pytest.mark.parametrize(("verb", "of"), [("edit", "assistant"), ("regenerate", "user")])
def test_a_message_of_the_other_role_is_refused(api, conversation, groq, verb, of):
    message = conversation.messages.get(role=of)

    assert_problem(do(api, message, verb, {"content": "x"} if verb == "edit" else {}), 409)
    assert conversation.messages.count() == 2
    assert groq.received == []


def test_an_answer_without_its_question_is_not_given_anew(api, conversation, question, answer):
    conversation.delete_message(question.pk)

    assert_problem(do(api, answer, "regenerate"), 409, "nothing_to_retry")


@pytest.mark.parametrize(
    ("verb", "of", "body"),
    [
        ("edit", "user", {"content": "Good day"}),
        ("regenerate", "assistant", {}),
        ("retry", "assistant", {}),
        ("activate", "user", {}),
    ],
)
def test_nothing_branches_while_an_answer_is_under_way(api, conversation, verb, of, body):
    message = conversation.messages.get(role=of)
    under_way(conversation)

    assert_problem(do(api, message, verb, body), 409, "answer_under_way")
    assert conversation.messages.count() == 4


@pytest.mark.parametrize(
    ("verb", "of", "body"),
    [
        ("edit", "user", {"content": "Good day"}),
        ("regenerate", "assistant", {}),
        ("activate", "user", {}),
        ("retry", "assistant", {}),
    ],
)
def test_what_is_not_there_or_anothers_is_not_found(api, user, conversation, verb, of, body):
    message = conversation.messages.get(role=of)
    elsewhere = make_conversation(user).messages.get(role=of)
    elsewhere.conversation_id = conversation.pk
    unknown = Message(pk=uuid4(), conversation_id=conversation.pk)

    assert_problem(do(api, message, verb, body, f"?user_id={make_user().pk}"), 404)
    assert_problem(do(api, elsewhere, verb, body), 404)
    assert_problem(do(api, unknown, verb, body), 404)


@pytest.mark.parametrize(
    ("verb", "of", "body", "field"),
    [
        ("edit", "user", {}, "content"),
        ("edit", "user", {"content": " "}, "content"),
        ("edit", "user", {"content": "x", "words": 1}, "words"),
        ("regenerate", "assistant", {"content": "x"}, "content"),
        ("regenerate", "assistant", {"model": "x"}, "model"),
        ("regenerate", "assistant", {"temperature": 3}, "temperature"),
    ],
)
def test_wrong_fields_are_refused_by_name(api, conversation, verb, of, body, field):
    message = conversation.messages.get(role=of)

    problem = assert_problem(do(api, message, verb, body), 400)
    assert field in problem["errors"]
    assert conversation.messages.count() == 2


def test_a_grounded_branch_waits_for_its_documents_too(api, user):
    grounded = make_conversation(user, mode="grounded_rag", documents=[make_document(user)])
    Document.objects.update(status="processing")

    message = grounded.messages.get(role="assistant")
    assert_problem(do(api, message, "regenerate"), 409)
    assert grounded.messages.count() == 2


def test_a_branch_costs_a_bounded_number_of_queries(
    api, conversation, question, answer, groq, django_assert_max_num_queries
):
    for _ in range(5):
        complete(conversation.ask("And then?")[1], "That.")

    with django_assert_max_num_queries(30):
        do(api, answer, "regenerate")
    with django_assert_max_num_queries(30):
        do(api, question, "edit", {"content": "Good day"})
    with django_assert_max_num_queries(17):
        do(api, answer, "activate")

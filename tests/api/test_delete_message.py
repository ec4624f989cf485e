"""DELETE /conversations/{id}/messages/{id}"""

from uuid import uuid4

import pytest

from conversations.models import Citation, Feedback, Message, Retrieval, UsageEntry
from tests.factories import (
    assert_problem,
    call,
    complete,
    get,
    make_conversation,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(user):
    return make_conversation(user)


def delete(api, conversation, message_id, query=""):
    return call(api, "DELETE", f"/conversations/{conversation.pk}/messages/{message_id}{query}")


def contents(api, conversation):
    listed = get(api, f"/conversations/{conversation.pk}/messages").json()["results"]
    return [one["content"] for one in listed]


def test_what_follows_a_deleted_message_stays(api, conversation):
    complete(conversation.ask("How are you?")[1], "Well.")
    first = conversation.messages.get(position=1)

    response = delete(api, conversation, first.pk)

    assert response.status_code == 204
    assert contents(api, conversation) == ["Hello there", "How are you?", "Well."]
    assert get(api, f"/conversations/{conversation.pk}").json()["message_count"] == 3


def test_the_model_is_not_told_what_was_deleted(api, conversation, groq):
    delete(api, conversation, conversation.messages.get(position=0).pk)

    post(api, f"/conversations/{conversation.pk}/messages", {"content": "And now?"})

    said = [one["content"] for one in groq.received[-1].body["messages"]]
    assert "Hello there" not in " ".join(said)


def test_its_citations_and_trace_go_with_it_but_not_what_was_paid(api, user, document, groq):
    grounded = make_conversation(user, mode="grounded_rag", documents=[document])
    body = {"content": "What does a ticket cost?"}
    answer = post(api, f"/conversations/{grounded.pk}/messages", body).json()["answer"]
    Feedback.objects.create(message_id=answer["id"], rating="up")
    kinds = (Citation, Retrieval, Feedback)
    assert all(kind.objects.exists() for kind in kinds)

    assert delete(api, grounded, answer["id"]).status_code == 204

    assert not any(kind.objects.exists() for kind in kinds)
    assert UsageEntry.objects.filter(message_id=answer["id"]).exists()


def test_all_messages_can_be_deleted_and_the_conversation_goes_on(api, conversation, groq):
    for message in reversed(conversation.messages.shown()):
        assert delete(api, conversation, message.pk).status_code == 204

    assert contents(api, conversation) == []
    post(api, f"/conversations/{conversation.pk}/messages", {"content": "And now?"})
    assert contents(api, conversation) == ["And now?", "You asked: And now?"]


def test_nothing_is_deleted_while_an_answer_is_under_way(api, conversation):
    _, pending = conversation.ask("And then?")

    for message in conversation.messages.all():
        assert_problem(delete(api, conversation, message.pk), 409, "answer_under_way")
    assert conversation.messages.count() == 4
    assert Message.objects.get(pk=pending.pk).status == "pending"


def test_what_is_not_there_or_anothers_is_not_found(api, user, conversation):
    message = conversation.messages.first()
    elsewhere = make_conversation(user).messages.first()

    other = f"?user_id={make_user().pk}"
    assert_problem(delete(api, conversation, message.pk, other), 404)
    assert_problem(delete(api, conversation, elsewhere.pk), 404)
    assert_problem(delete(api, conversation, uuid4()), 404)
    assert Message.objects.count() == 4


def test_a_deleted_message_is_gone(api, conversation):
    message = conversation.messages.first()
    delete(api, conversation, message.pk)

    path = f"/conversations/{conversation.pk}/messages/{message.pk}"
    assert_problem(call(api, "GET", path), 404)
    assert_problem(delete(api, conversation, message.pk), 404)


def test_deleting_costs_a_bounded_number_of_queries(
    api, conversation, django_assert_max_num_queries
):
    for _ in range(10):
        complete(conversation.ask("And then?")[1], "That.")

    with django_assert_max_num_queries(22):
        delete(api, conversation, conversation.messages.get(position=1).pk)

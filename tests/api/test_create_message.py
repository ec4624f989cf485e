"""POST /conversations/{id}/messages"""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from conversations.models import Message
from documents.models import Document
from tests import fake_groq
from tests.factories import (
    assert_problem,
    get,
    make_conversation,
    make_document,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(user_id):
    return make_conversation(make_user(user_id))


def ask(api, conversation, content="And then?", **more):
    return post(api, f"/conversations/{conversation.pk}/messages", {"content": content, **more})


def test_it_answers_with_the_message_and_its_answer(api, conversation, groq):
    response = ask(api, conversation)

    assert response.status_code == 201
    assert response.json()["message"]["content"] == "And then?"
    assert response.json()["answer"]["content"] == "You asked: And then?"


def test_the_model_sees_the_history_in_order(api, conversation, groq):
    ask(api, conversation, "First?")
    ask(api, conversation, "Second?")

    said = [(m["role"], m["content"]) for m in groq.received[-1].body["messages"][1:]]
    assert said == [
        ("user", "Hello there"),
        ("assistant", "Hello."),
        ("user", "First?"),
        ("assistant", "You asked: First?"),
        ("user", "Second?"),
    ]


def test_a_prompt_begins_with_the_one_before_it_however_long_the_conversation(
    api, conversation, groq
):
    Message.objects.bulk_create(
        Message(
            conversation=conversation,
            user=conversation.user,
            position=position,
            role="assistant" if position % 2 else "user",
            content=f"Message {position}",
            status="completed",
        )
        for position in range(2, 230)
    )

    for question in ("First?", "Second?"):
        assert ask(api, conversation, question).status_code == 201

    first, second = (request.body["messages"] for request in groq.received)
    assert len(first) > 100
    assert second[: len(first)] == first


def test_history_that_does_not_fit_is_left_out_and_told(api, conversation, groq, settings):
    settings.CONTEXT_TOKENS, settings.ANSWER_TOKENS = 1200, 200
    ask(api, conversation, "word " * 700)

    answer = ask(api, conversation, "Newest?").json()["answer"]

    sent = groq.received[-1].body["messages"]
    assert sent[-1]["content"] == "Newest?"
    history = answer["context"]["history"]
    assert history["left_out"] == 4 - history["kept"] > 0
    assert history["reason"] == "over_budget"
    assert len(sent) == 2 + history["kept"]


def test_a_question_longer_than_the_window_is_told(api, conversation, groq, settings):
    settings.CONTEXT_TOKENS, settings.ANSWER_TOKENS = 1024, 500

    assert_problem(ask(api, conversation, "word " * 2000), 422, "question_too_long")
    assert groq.received == []


def test_an_answer_under_way_is_a_conflict(api, conversation, groq):
    Message.objects.filter(conversation=conversation, role="assistant").update(
        status="pending", started_at=timezone.now()
    )

    assert_problem(ask(api, conversation), 409, "answer_under_way")
    assert conversation.messages.count() == 2


def test_an_answer_left_pending_by_a_dead_process_is_settled(api, conversation, groq):
    long_ago = timezone.now() - timedelta(hours=1)
    Message.objects.filter(conversation=conversation, role="assistant").update(
        status="pending", started_at=long_ago
    )

    assert ask(api, conversation).status_code == 201
    assert conversation.messages.get(position=1).error_code == "interrupted"


def test_only_the_newest_failed_answer_can_be_retried(api, conversation, groq):
    groq.script(fake_groq.error(500))
    failed = ask(api, conversation).json()["answer_id"]
    ask(api, conversation)

    path = f"/conversations/{conversation.pk}/messages/{failed}/retry"
    assert_problem(post(api, path), 409, "nothing_to_retry")


def test_an_interrupted_model_leaves_the_conversation_usable(api, conversation, groq):
    groq.script(fake_groq.error(503))
    ask(api, conversation, "Lost?")

    assert ask(api, conversation, "Again?").status_code == 201
    contents = [m["content"] for m in groq.received[-1].body["messages"]]
    assert "Lost?" in contents


def test_a_follow_up_without_words_of_its_own_searches_for_the_question_before(api, user_id, groq):
    user = make_user(user_id)
    grounded = make_conversation(user, mode="grounded_rag", documents=[make_document(user)])
    ask(api, grounded, "What does a ticket cost?")

    ask(api, grounded, "Why?")

    assert "14.50 euros" in groq.received[-1].body["messages"][-1]["content"]


def test_deleted_text_is_never_retrieved(api, user_id):
    user = make_user(user_id)
    document = make_document(user)
    make_document(user, "A ticket to the zoo is 9 euros.", "zoo.txt")
    grounded = make_conversation(user, mode="grounded_rag")
    Document.objects.get(pk=document.pk).remove()

    answer = ask(api, grounded, "What does a ticket cost?").json()["answer"]

    assert "14.50" not in answer["content"]
    assert [citation["document_name"] for citation in answer["citations"]] == ["zoo.txt"]


def test_a_deleted_document_leaves_the_quotes_of_old_answers(api, user_id):
    user = make_user(user_id)
    document = make_document(user)
    grounded = make_conversation(user, mode="grounded_rag")
    ask(api, grounded, "What does a ticket cost?")
    document.remove()

    citation = get(api, f"/conversations/{grounded.pk}/messages").json()["results"][-1][
        "citations"
    ][0]
    assert citation["document_id"] is None
    assert "14.50" in citation["quote"]


def test_what_is_not_there_or_anothers_is_not_found(api, conversation):
    assert_problem(post(api, f"/conversations/{uuid4()}/messages", {"content": "x"}), 404)
    path = f"/conversations/{conversation.pk}/messages?user_id={uuid4()}"
    assert_problem(post(api, path, {"content": "x"}), 404)
    assert conversation.messages.count() == 2


def test_a_turn_costs_a_bounded_number_of_queries(
    api, user_id, groq, django_assert_max_num_queries
):
    user = make_user(user_id)
    grounded = make_conversation(user, mode="grounded_rag", documents=[make_document(user)])
    for _ in range(5):
        ask(api, grounded, "What does a ticket cost?")

    # And now and then what saves the words of answers under way.
    with django_assert_max_num_queries(36):
        ask(api, grounded, "What does a ticket cost?")


def test_deleting_the_chosen_document_never_widens_the_search(api, user_id):
    user = make_user(user_id)
    chosen = make_document(user)
    make_document(user, "The private salary of Bob is 99999 dollars.", "private.txt")
    grounded = make_conversation(user, mode="grounded_rag", documents=[chosen])

    chosen.remove()

    response = ask(api, grounded, "What is the salary of Bob?")
    assert_problem(response, 409, "documents_not_ready")
    assert b"99999" not in response.content

"""PUT and DELETE of /conversations/{id}/messages/{message_id}/feedback"""

import json
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command

from conversations.models import Feedback
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
def conversation(user, document):
    return make_conversation(user, mode="grounded_rag")


@pytest.fixture
def answer(api, conversation):
    path = f"/conversations/{conversation.pk}/messages"
    return post(api, path, {"content": "What does a ticket cost?"}).json()["answer"]


def address(conversation, message_id):
    return f"/api/v1/conversations/{conversation.pk}/messages/{message_id}/feedback"


def rate(api, conversation, message_id, **body):
    return api.put(address(conversation, message_id), json.dumps(body), "application/json")


def written(*options):
    out = StringIO()
    call_command("feedback_questions", *options, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_rating_is_kept_and_comes_with_the_message(api, conversation, answer):
    assert answer["feedback"] is None

    response = rate(api, conversation, answer["id"], rating="up", comment="Right.")

    assert response.status_code == 200
    body = response.json()
    assert (body["rating"], body["comment"], body["document_id"]) == ("up", "Right.", None)
    messages = get(api, f"/conversations/{conversation.pk}/messages").json()["results"]
    assert messages[-1]["feedback"] == body
    assert messages[-2]["feedback"] is None


def test_a_second_rating_replaces_the_first(api, conversation, answer, document):
    rate(api, conversation, answer["id"], rating="down", document_id=str(document.pk), page=1)

    rate(api, conversation, answer["id"], rating="up")

    feedback = Feedback.objects.get()
    assert (feedback.rating, feedback.document, feedback.page) == ("up", None, None)


def test_a_rating_can_be_withdrawn(api, conversation, answer):
    rate(api, conversation, answer["id"], rating="up")

    assert api.delete(address(conversation, answer["id"])).status_code == 204
    assert Feedback.objects.count() == 0
    assert_problem(api.delete(address(conversation, answer["id"])), 404)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rating": "sideways"}, "rating"),
        ({"rating": None}, "rating"),
        ({"page": 1}, "page"),
        ({"document_id": str(uuid4())}, "document_id"),
        ({"document_id": "x"}, "document_id"),
        ({"page": 0}, "page"),
        ({"comment": "x" * 4_001}, "comment"),
        ({"stars": 5}, "stars"),
    ],
)
def test_wrong_fields_are_refused_by_name(api, conversation, answer, change, field):
    response = rate(api, conversation, answer["id"], **{"rating": "down", **change})

    assert field in assert_problem(response, 400)["errors"]
    assert Feedback.objects.count() == 0


def test_a_page_that_the_document_has_not_is_refused(api, conversation, answer, document):
    place = {"document_id": str(document.pk), "page": 2}

    response = rate(api, conversation, answer["id"], rating="down", **place)

    assert "page" in assert_problem(response, 400)["errors"]


def test_a_document_of_another_user_is_refused(api, conversation, answer):
    theirs = make_document(make_user())

    response = rate(api, conversation, answer["id"], rating="down", document_id=str(theirs.pk))

    assert "document_id" in assert_problem(response, 400)["errors"]


def test_a_question_cannot_be_rated(api, conversation, answer):
    question = conversation.messages.get(position=0)

    assert_problem(rate(api, conversation, question.pk, rating="up"), 400)


def test_what_is_not_there_or_anothers_is_not_found(api, conversation, answer):
    assert_problem(rate(api, conversation, uuid4(), rating="up"), 404)
    other = f"{address(conversation, answer['id'])}?user_id={uuid4()}"
    assert_problem(api.put(other, json.dumps({"rating": "up"}), "application/json"), 404)
    assert_problem(api.delete(other), 404)
    assert Feedback.objects.count() == 0


def test_rating_costs_a_bounded_number_of_queries(
    api, conversation, answer, document, django_assert_max_num_queries
):
    place = {"document_id": str(document.pk), "page": 1}

    with django_assert_max_num_queries(9):
        rate(api, conversation, answer["id"], rating="down", **place)


def test_thumbs_down_with_the_right_page_becomes_a_question(api, conversation, answer, document):
    place = {"document_id": str(document.pk), "page": 1}
    rate(api, conversation, answer["id"], rating="down", **place)

    assert written() == [
        {
            "id": answer["id"],
            "question": "What does a ticket cost?",
            "document": "museum.txt",
            "document_id": str(document.pk),
            "pages": [1],
        }
    ]
    assert written("--user", str(conversation.user_id)) == written()
    assert written("--user", str(uuid4())) == []


def test_a_follow_up_becomes_a_question_that_can_be_asked_alone(
    api, conversation, answer, document
):
    path = f"/conversations/{conversation.pk}/messages"
    more = post(api, path, {"content": "Tell me more about that."}).json()["answer"]
    place = {"document_id": str(document.pk), "page": 1}
    rate(api, conversation, more["id"], rating="down", **place)

    assert [line["question"] for line in written()] == ["What does a ticket cost?"]


def test_only_thumbs_down_with_a_place_that_is_still_there_become_questions(
    api, conversation, answer, document
):
    rate(api, conversation, answer["id"], rating="up", document_id=str(document.pk), page=1)
    assert written() == []
    rate(api, conversation, answer["id"], rating="down", document_id=str(document.pk))
    assert written() == []
    rate(api, conversation, answer["id"], rating="down", document_id=str(document.pk), page=1)
    document.remove()
    assert written() == []
    assert Feedback.objects.get().rating == "down"


def test_writing_the_questions_takes_one_query(
    api, conversation, answer, document, django_assert_num_queries
):
    rate(api, conversation, answer["id"], rating="down", document_id=str(document.pk), page=1)

    with django_assert_num_queries(1):
        written()

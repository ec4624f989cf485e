"""Rows are told as REST framework would tell them."""

import json

import pytest
from rest_framework import serializers
from rest_framework.utils.encoders import JSONEncoder

from conversations.models import Conversation, Feedback, Message
from conversations.serializers import (
    ConversationSerializer,
    MessageSerializer,
    SamplingSerializer,
    UsageSerializer,
)
from tests.factories import complete, make_conversation, make_document

pytestmark = pytest.mark.django_db

of_framework = serializers.Serializer.to_representation


def as_json(data):
    return json.dumps(data, cls=JSONEncoder)


def shown_alike(serializer, row):
    shown = as_json(serializer.to_representation(row))
    assert shown == as_json(of_framework(serializer, row))
    return json.loads(shown)


@pytest.fixture
def conversation(user):
    options = {"temperature": 0.5, "stop": ["END"]}
    return make_conversation(user, mode="grounded_rag", sampling=options)


def messages(conversation):
    return Message.objects.filter(conversation=conversation).with_all_it_rests_on()


def test_questions_and_answers(api, conversation, user):
    make_document(user)
    path = f"/api/v1/conversations/{conversation.pk}/messages"
    asked = {"content": "What does a ticket cost?", "temperature": 0.1}
    assert api.post(path, asked, content_type="application/json").status_code == 201
    Feedback.objects.create(message=messages(conversation).last(), rating="down", comment="No.")
    conversation.ask("And now?")

    shown = [shown_alike(MessageSerializer(), one) for one in messages(conversation)]

    assert len(shown) == 6
    told = shown[3]
    assert all(told[name] for name in ("citations", "retrieval", "feedback", "usage"))
    assert (told["sampling"]["temperature"], told["sampling"]["stop"]) == (0.1, ["END"])
    assert shown[5]["status"] == "pending"


def test_an_answer_that_failed(conversation):
    _, answer = conversation.ask("And now?")
    answer.status, answer.error_code, answer.error = "failed", "model_timeout", "Too late."
    answer.save()

    shown = shown_alike(MessageSerializer(), messages(conversation).get(pk=answer.pk))

    assert shown["error"] == {"code": "model_timeout", "detail": "Too late."}


def test_a_turn_that_was_never_read_from_the_database(conversation):
    for one in conversation.ask("And now?"):
        shown_alike(MessageSerializer(), one)


def test_conversations(conversation, user):
    documents = [make_document(user), make_document(user, "Another text.")]
    conversation.documents.set(documents)
    rows = Conversation.objects.with_message_count().prefetch_related("documents")

    shown = shown_alike(ConversationSerializer(), rows.get(pk=conversation.pk))

    assert set(shown["document_ids"]) == {str(one.pk) for one in documents}
    assert (shown["sampling"]["temperature"], shown["sampling"]["seed"]) == (0.5, None)


def test_options(conversation):
    shown = shown_alike(SamplingSerializer(), conversation.sampling)

    assert (shown["stop"], shown["top_p"]) == (["END"], None)


def test_usage(conversation):
    _, answer = conversation.ask("And now?")
    complete(answer, "Yes.")

    shown = shown_alike(UsageSerializer(), answer)

    assert shown["cost_usd"].startswith("0.0000")

"""POST /conversations/{id}/context: the very prompt that the question then gets."""

from uuid import uuid4

import pytest

from conversations.models import Conversation, Message, Retrieval, UsageEntry
from tests import fake_groq
from tests.factories import (
    assert_problem,
    complete,
    make_conversation,
    make_pending,
    post,
)

pytestmark = pytest.mark.django_db

WORDS = " ".join(f"word{n}" for n in range(60))


@pytest.fixture
def conversation(user):
    return make_conversation(user, system_prompt="Speak like a pirate.")


@pytest.fixture
def grounded(user, document):
    return make_conversation(user, mode="grounded_rag")


def preview(api, conversation, content="What does a ticket cost?", query="", **options):
    path = f"/conversations/{conversation.pk}/context{query}"
    return post(api, path, {"content": content, **options})


def ask(api, conversation, content="What does a ticket cost?", **options):
    path = f"/conversations/{conversation.pk}/messages"
    response = post(api, path, {"content": content, **options})
    assert response.status_code == 201, response.content
    return response.json()["answer"]


def everything():
    counts = [model.objects.count() for model in (Message, Retrieval, UsageEntry)]
    return counts, list(Conversation.objects.values())


@pytest.mark.parametrize("kind", ["conversation", "grounded"])
def test_it_is_what_the_model_then_receives(api, kind, request, groq):
    conversation = request.getfixturevalue(kind)
    options = {"model": "openai/gpt-oss-120b", "max_completion_tokens": 50}

    shown = preview(api, conversation, **options).json()

    assert groq.received == []
    answer = ask(api, conversation, **options)
    sent = groq.received[-1].body
    assert shown["messages"] == sent["messages"]
    assert shown["model"] == sent["model"] == "openai/gpt-oss-120b"
    assert shown["max_completion_tokens"] == sent["max_completion_tokens"] == 50
    assert shown["asks_model"]
    assert {**shown["context"], "citations_dropped": 0} == answer["context"]


def test_the_passages_and_the_search_are_shown(api, grounded, groq):
    shown = preview(api, grounded).json()["retrieval"]

    answer = ask(api, grounded)
    told = {name: shown[name] for name in ("query", "searches", "rewriting")}
    assert told == answer["retrieval"]
    assert not shown["model_would_rewrite"]
    assert "14.50" in shown["passages"][0]["text"]
    assert shown["passages"][0]["chunk_id"] == answer["citations"][0]["chunk_id"]


def test_it_says_where_a_model_would_write_the_searches(api, grounded, groq, settings):
    ask(api, grounded, "What does a ticket to the museum cost?")
    asked = len(groq.received)

    shown = preview(api, grounded, "And what about children?").json()["retrieval"]

    assert len(groq.received) == asked
    assert (shown["rewriting"], shown["model_would_rewrite"]) == ("terms", True)
    settings.GROQ_API_KEY = ""
    again = preview(api, grounded, "And what about children?").json()["retrieval"]
    assert not again["model_would_rewrite"]


def test_open_chat_searches_nothing(api, conversation):
    assert preview(api, conversation).json()["retrieval"] is None


def test_it_tells_what_does_not_fit_and_why(api, conversation, groq, settings):
    settings.CONTEXT_TOKENS, settings.ANSWER_TOKENS = 1800, 100
    for number in range(14):
        complete(conversation.ask(f"Question {number}: {WORDS}")[1], "Yes.")

    shown = preview(api, conversation).json()

    history = shown["context"]["history"]
    assert (history["left_out"] > 0, history["reason"]) == (True, "over_budget")
    assert history["kept"] == len(shown["messages"]) - 2
    assert shown["context"]["total"] <= shown["context"]["budget"] == 1700
    sections = ("system", "summary", "history", "passages", "question")
    assert sum(shown["context"][name]["tokens"] for name in sections) == shown["context"]["total"]
    ask(api, conversation)
    assert groq.received[-1].body["messages"] == shown["messages"]


def test_the_summary_is_in_it(api, conversation):
    last = conversation.messages.get(position=1)
    Conversation.objects.update(summary="Ada said hello.", summarised_through=last.pk)

    shown = preview(api, conversation).json()

    assert "Ada said hello." in shown["messages"][0]["content"]
    assert (len(shown["messages"]), shown["context"]["summary"]["kept"]) == (2, 1)


@pytest.mark.parametrize("kind", ["conversation", "grounded"])
def test_nothing_is_stored(api, kind, request, groq, django_assert_max_num_queries):
    conversation = request.getfixturevalue(kind)
    before = everything()

    with django_assert_max_num_queries(12):
        assert preview(api, conversation).status_code == 200

    assert everything() == before


def test_without_a_key_it_says_that_the_prompt_is_sent_to_nobody(api, grounded):
    assert preview(api, grounded).json()["asks_model"] is False


def test_a_document_that_is_still_being_read_is_a_409(api, user):
    make_pending(user)
    conversation = make_conversation(user, mode="grounded_rag")

    assert_problem(preview(api, conversation), 409)


def test_a_question_that_does_not_fit_is_a_422(api, conversation, settings):
    settings.CONTEXT_TOKENS, settings.ANSWER_TOKENS = 300, 100

    assert_problem(preview(api, conversation, WORDS * 4), 422, "question_too_long")


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "content"), ({"content": " "}, "content"), ({"content": "Hi", "modle": "x"}, "modle")],
)
def test_wrong_bodies_are_refused_by_name(api, conversation, body, field):
    response = post(api, f"/conversations/{conversation.pk}/context", body)

    assert field in assert_problem(response, 400)["errors"]


def test_anothers_conversation_is_not_found(api, conversation):
    assert_problem(preview(api, conversation, query=f"?user_id={uuid4()}"), 404)
    assert_problem(post(api, f"/conversations/{uuid4()}/context", {"content": "Hi"}), 404)


def test_a_question_and_an_answer_without_a_prompt_have_no_receipt(
    api, conversation, groq, settings
):
    settings.CONTEXT_TOKENS, settings.ANSWER_TOKENS = 1024, 512
    path = f"/conversations/{conversation.pk}/messages"
    assert post(api, path, {"content": "word " * 2000}).status_code == 422

    shown = api.get(f"/api/v1{path}").json()["results"]

    assert [message["context"] for message in shown] == [None] * 4


def test_an_answer_that_failed_has_the_receipt_of_its_prompt(api, conversation, groq):
    groq.script(fake_groq.error(500))
    path = f"/conversations/{conversation.pk}/messages"
    assert post(api, path, {"content": "Hi"}).status_code == 503

    *_, failed = api.get(f"/api/v1{path}").json()["results"]

    assert failed["status"] == "failed"
    assert failed["context"]["question"]["kept"] == 1


def test_the_schema_documents_the_receipt(client):
    schemas = client.get("/openapi.json").json()["components"]["schemas"]

    receipt = schemas["AnswerReceipt"]["properties"]
    assert {"budget", "total", "history", "citations_dropped"} <= receipt.keys()
    assert "AnswerReceipt" in str(schemas["Message"]["properties"]["context"])
    assert "left_out" in schemas["Section"]["properties"]

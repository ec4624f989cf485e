"""GET, PATCH and DELETE of conversations, and their messages."""

from uuid import uuid4

import pytest

from conversations.models import Conversation, Message
from tests.factories import (
    assert_problem,
    get,
    make_conversation,
    make_document,
    make_user,
    patch,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(user_id):
    return make_conversation(make_user(user_id))


def test_a_list_holds_the_users_conversations_latest_first(api, user_id):
    user = make_user(user_id)
    first, second = make_conversation(user), make_conversation(user)
    make_conversation(make_user())
    first.save()  # touched last

    body = get(api, f"/conversations?user_id={user_id}&page=1&limit=20").json()

    assert set(body) == {"count", "next", "previous", "results"}
    assert [row["id"] for row in body["results"]] == [str(first.pk), str(second.pk)]
    assert body["results"][0]["message_count"] == 2


def test_pages_are_linked(api, user_id):
    user = make_user(user_id)
    for _ in range(3):
        make_conversation(user)

    body = get(api, f"/conversations?user_id={user_id}&limit=2").json()

    assert (body["count"], len(body["results"])) == (3, 2)
    rest = api.get(body["next"]).json()
    assert len(rest["results"]) == 1
    assert rest["next"] is None


def test_a_list_costs_the_same_few_queries_however_long(api, user_id, django_assert_num_queries):
    user = make_user(user_id)
    document = make_document(user)
    for _ in range(5):
        make_conversation(user, mode="grounded_rag", documents=[document])

    with django_assert_num_queries(3):
        get(api, f"/conversations?user_id={user_id}")


def test_one_conversation_comes_with_its_newest_messages(
    api, conversation, django_assert_num_queries
):
    with django_assert_num_queries(5):
        body = get(api, f"/conversations/{conversation.pk}").json()

    assert [message["content"] for message in body["messages"]] == ["Hello there", "Hello."]


def test_messages_are_a_page_in_order(api, conversation, django_assert_num_queries):
    with django_assert_num_queries(5):
        body = get(api, f"/conversations/{conversation.pk}/messages").json()

    assert [message["role"] for message in body["results"]] == ["user", "assistant"]


def test_a_change_keeps_what_is_left_out(api, user_id):
    user = make_user(user_id)
    conversation = make_conversation(user, mode="grounded_rag")
    document = make_document(user)

    response = patch(
        api,
        f"/conversations/{conversation.pk}",
        {"title": "New", "model": "openai/gpt-oss-20b", "document_ids": [str(document.pk)]},
    )

    assert response.status_code == 200
    body = response.json()
    assert (body["title"], body["model"]) == ("New", "openai/gpt-oss-20b")
    assert body["document_ids"] == [str(document.pk)]
    assert body["mode"] == "grounded_rag"


def test_an_archived_conversation_leaves_the_list(api, user_id, conversation):
    patch(api, f"/conversations/{conversation.pk}", {"archived": True, "system_prompt": "Rhyme."})

    assert get(api, f"/conversations?user_id={user_id}").json()["count"] == 0
    [row] = get(api, f"/conversations?user_id={user_id}&archived=true").json()["results"]
    assert row["system_prompt"] == "Rhyme."


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"model": "x"}, "model"),
        ({"mode": "grounded_rag"}, "mode"),
        ({"archived": "perhaps"}, "archived"),
        ({"document_ids": [str(uuid4())]}, "document_ids"),
        ({"id": str(uuid4())}, "id"),
    ],
)
def test_wrong_changes_are_refused_by_name(api, conversation, change, field):
    problem = assert_problem(patch(api, f"/conversations/{conversation.pk}", change), 400)
    assert field in problem["errors"]


def test_deleting_takes_the_messages_along(api, conversation):
    assert api.delete(f"/api/v1/conversations/{conversation.pk}").status_code == 204
    assert Message.objects.count() == 0


def test_what_is_not_there_or_anothers_is_not_found(api, conversation):
    other = f"/conversations/{conversation.pk}?user_id={uuid4()}"
    assert_problem(get(api, f"/conversations/{uuid4()}"), 404)
    assert_problem(get(api, other), 404)
    assert_problem(patch(api, other, {"title": "mine"}), 404)
    assert_problem(api.delete(f"/api/v1{other}"), 404)
    assert Conversation.objects.get().title == "Hello there"


def test_an_unknown_user_has_an_empty_list(api):
    assert get(api, f"/conversations?user_id={uuid4()}").json()["results"] == []


def test_wrong_addresses_and_methods_are_problems(api, conversation):
    assert_problem(api.get("/api/v1/nothing"), 404)
    assert_problem(api.put(f"/api/v1/conversations/{conversation.pk}"), 405)
    assert_problem(get(api, "/conversations?user_id=x"), 400)
    assert_problem(get(api, "/conversations?archived=x"), 400)

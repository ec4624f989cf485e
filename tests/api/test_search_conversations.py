"""GET /conversations/search"""

from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.db import connection

from botgpt.accounts.models import APIKey
from conversations.models import Conversation, Message, match
from tests.factories import assert_problem, complete, get, make_conversation, make_user

pytestmark = pytest.mark.django_db


def search(api, query, user, **parameters):
    asked = {"query": query, "user_id": str(user.pk), **parameters}
    return get(api, f"/conversations/search?{urlencode(asked)}")


def found(api, query, user, **parameters):
    response = search(api, query, user, **parameters)
    assert response.status_code == 200, response.content
    return response.json()["results"]


def texts(api, query, user, **parameters):
    return [one["snippet"] for one in found(api, query, user, **parameters)]


def marked(result):
    return [result["snippet"][start:end] for start, end in result["highlights"]]


def conversation_of(user, *said, **fields):
    """A conversation with these messages, a question first."""
    conversation = make_conversation(user, **{"title": "Talk", **fields})
    for question, answer in zip(said[::2], said[1::2], strict=True):
        complete(conversation.ask(question)[1], answer)
    return conversation


def test_a_message_is_found_with_its_place(api, user):
    conversation = conversation_of(user, "Where is the whale?", "In the sea, a WHALE dives.")
    conversation_of(user, "Where is the zoo?", "In town.")

    response = search(api, "whale", user)

    body = response.json()
    assert (body["count"], body["next"], body["previous"]) == (2, None, None)
    answer, question = body["results"]
    message = conversation.messages.get(position=3)
    assert answer == {
        "conversation_id": str(conversation.pk),
        "title": "Talk",
        "message_id": str(message.pk),
        "role": "assistant",
        "active": True,
        "snippet": "In the sea, a WHALE dives.",
        "highlights": [[14, 19]],
        "created_at": message.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert question["role"] == "user"


def test_titles_come_first_then_the_newest_messages(api, user):
    conversation_of(user, "Whales?", "Yes.", "Whales again?", "Yes.")
    titled = make_conversation(user, title="Of whales")

    results = found(api, "whales", user)

    assert [one["snippet"] for one in results] == ["Of whales", "Whales again?", "Whales?"]
    assert results[0]["conversation_id"] == str(titled.pk)
    title_only = ("message_id", "role", "active")
    assert [results[0][name] for name in title_only] == [None, None, None]
    assert marked(results[0]) == ["whales"]


@pytest.mark.parametrize(
    ("query", "finds"),
    [
        ("cat dog", {"A cat and a dog"}),
        ("cat or bird", {"A cat and a dog", "One bird", "The cat's hat"}),
        ("cat -dog", {"The cat's hat"}),
        ('"a dog"', {"A cat and a dog"}),
        ('"dog cat"', set()),
        ("bir", {"One bird"}),
        ("BIRD", {"One bird"}),
        ('"bir"', set()),
        ("bir ", set()),
        ("one bir", {"One bird"}),
        ("bir one", set()),
        ("cat -d", {"A cat and a dog", "The cat's hat"}),
        ("wi-fi", {"No wi-fi at 14.50"}),
        ("14.50", {"No wi-fi at 14.50"}),
        ("!?", set()),
        ("' OR 1=1 --", set()),
        ("'", set()),
        ("\\", set()),
        ("a:*", {"A cat and a dog"}),
        ("(", set()),
    ],
)
def test_queries_are_read_as_in_a_web_search(api, user, query, finds):
    conversation_of(user, "A cat and a dog", "One bird", "The cat's hat", "No wi-fi at 14.50")

    assert set(texts(api, query, user)) == finds


def test_every_word_is_marked_where_it_stands(api, user):
    conversation_of(user, "🐳 whale-watching, Whales and a narwhale; the sea", "Yes.")

    [result] = found(api, "sea whale", user)
    assert marked(result) == ["whale", "Whales", "sea"]


def test_of_a_long_message_the_part_around_the_words_is_shown(api, user):
    conversation_of(user, "lorem ipsum " * 500 + "the whale dives " + "dolor sit " * 500, "Yes.")

    [result] = found(api, "whale", user)

    assert len(result["snippet"]) <= 242
    assert result["snippet"].startswith("…")
    assert result["snippet"].endswith("…")
    assert "the whale dives" in result["snippet"]
    assert marked(result) == ["whale"]


def test_other_branches_are_searched_when_asked(api, user):
    conversation = conversation_of(user, "Whale?", "Yes.")
    question = conversation.messages.get(position=2)
    complete(conversation.edit(question.pk, "Dolphin?")[1], "No.")

    assert texts(api, "whale", user) == []
    [result] = found(api, "whale", user, branches="all")
    assert (result["message_id"], result["active"]) == (str(question.pk), False)


def test_archived_conversations_are_searched_alone_when_asked(api, user):
    conversation_of(user, "A whale here", "Yes.")
    conversation_of(user, "A whale there", "Yes.", archived=True)

    assert texts(api, "whale", user) == ["A whale here"]
    assert texts(api, "whale", user, archived="true") == ["A whale there"]


def test_matches_come_in_pages(api, user):
    conversation_of(user, *[f"Whale {number}" for number in range(6)])

    first = search(api, "whale", user, limit=4).json()
    second = api.get(first["next"]).json()

    assert first["count"] == second["count"] == 6
    shown = [one["snippet"] for one in first["results"] + second["results"]]
    assert shown == [f"Whale {number}" for number in range(5, -1, -1)]
    assert_problem(search(api, "whale", user, limit=4, page=3), 404)


def test_what_others_said_is_not_found(api, user):
    conversation_of(make_user(), "My whale", "Yes.", title="Whale")

    assert found(api, "whale", user) == []
    _, secret = APIKey.objects.issue("app", user)
    key = {"Authorization": f"Bearer {secret}"}
    assert get(api, "/conversations/search?query=whale", **key).json()["count"] == 0
    other = f"/conversations/search?query=whale&user_id={uuid4()}"
    assert_problem(get(api, other, **key), 404)


def test_the_statement_itself_asks_whose_a_conversation_is(user):
    theirs = conversation_of(make_user(), "My whale", "Yes.", title="Whale")

    found = match.Matches(match.Words.read("whale"), user.pk, [theirs.pk], every_branch=True)

    assert (found.count(), found[0:20]) == (0, [])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "x" * 201}, "query"),
        ({"query": "a\0b"}, "query"),
        ({"query": "x", "branches": "some"}, "branches"),
        ({"query": "x", "archived": "perhaps"}, "archived"),
        ({"query": "x", "limit": "0"}, "limit"),
        ({"query": "x", "user_id": "me"}, "user_id"),
    ],
)
def test_wrong_searches_are_refused_by_name(api, user, wrong, field):
    asked = {"user_id": str(user.pk), **wrong}
    problem = assert_problem(get(api, f"/conversations/search?{urlencode(asked)}"), 400)
    assert field in problem["errors"]


def test_a_search_says_whose_conversations(api):
    problem = assert_problem(get(api, "/conversations/search?query=x"), 400)
    assert "user_id" in problem["errors"]


def test_a_search_costs_the_same_few_queries(api, user, django_assert_num_queries):
    for _ in range(3):
        conversation_of(user, *["A whale"] * 8, title="Whale")

    with django_assert_num_queries(5):
        assert len(found(api, "whale", user, limit=100)) == 27


def test_words_are_looked_up_in_the_indexes(user):
    """The statement's own conditions are those that the indexes are of."""
    conversation = make_conversation(user)
    Message.objects.bulk_create(
        Message(
            conversation=conversation, user=user, position=at, active=False, content=f"word{at} x"
        )
        for at in range(2, 3000)
    )
    Conversation.objects.bulk_create(
        Conversation(user=user, title=f"word{at} x", model="m") for at in range(2, 3000)
    )

    asked = {
        "words": "'word77'",
        "user": user.pk,
        "conversations": list(Conversation.objects.values_list("pk", flat=True)),
        "every_branch": True,
        "until": 20,
    }
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE conversations_message, conversations_conversation")
        cursor.execute(f"EXPLAIN {match.COUNT}", asked)
        plan = "\n".join(row for (row,) in cursor.fetchall())

    assert "message_words" in plan
    assert "conversation_words" in plan

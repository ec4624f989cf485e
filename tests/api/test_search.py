"""POST /search"""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botgpt.accounts.models import APIKey, User
from documents.highlights import find_highlights
from llm.passages import Passage
from llm.retrieval import Query
from tests.factories import (
    TEXT,
    assert_problem,
    make_document,
    make_pending,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db


def search(api, query, **fields):
    return post(api, "/search", {"query": query, **fields})


def marked(result):
    return [result["text"][start:end] for start, end in result["highlights"]]


def passage(document, text):
    return Passage(document.pk, document.pk, document.name, text, 1.0, 1, 1, 0, ())


def test_passages_come_best_first_with_their_places(api, user_id):
    user = make_user(user_id)
    document = make_document(user)
    make_document(user, "The zoo sells no ticket.", "zoo.txt")

    response = search(api, "What does a ticket cost?", user_id=str(user_id))

    assert response.status_code == 200
    body = response.json()
    assert body["query"] == "What does a ticket cost?"
    scores = [result["score"] for result in body["results"]]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    first = body["results"][0]
    assert first["document_id"] == str(document.pk)
    assert first["document_name"] == "museum.txt"
    assert first["chunk_id"] == str(document.chunks.get().pk)
    assert (first["page_start"], first["page_end"]) == (1, 1)
    assert "A ticket costs 14.50 euros." in first["text"]
    assert isinstance(first["section"], str)


def test_highlights_are_the_words_that_match_in_any_form(api, user_id):
    make_document(
        make_user(user_id), "🎫 Tickets: a ticket costs 14.50 euros, for entry – that’s 1 ticket."
    )

    (result,) = search(api, "what does the ticket's cost of 14.50", user_id=str(user_id)).json()[
        "results"
    ]

    assert marked(result) == ["Tickets", "ticket", "costs", "14.50", "ticket"]


def test_highlights_follow_the_language_of_each_document(api, user_id):
    user = make_user(user_id)
    make_document(
        user, "Die Häuser der Stadt sind alt, und das Haus am Markt ist neu und es ist rot."
    )
    make_document(user, "The houses of the town are old, and this is not a Haus but it is a house.")

    results = search(api, "Haus house", user_id=str(user_id)).json()["results"]

    assert {tuple(marked(result)) for result in results} == {
        ("Häuser", "Haus"),
        ("houses", "Haus", "house"),
    }


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=80)
        | st.sampled_from(
            [
                "<b>ticket</b> & <script>ticket('</script>",
                "http://ticket.example/ticket?a=ticket x@ticket.org /usr/ticket -1e3 cut-ticket",
                'StartSel="\x02ticket\x03" ticket',
            ]
        ),
        max_size=4,
    ),
    query=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
    | st.sampled_from(
        ["ticket", "o'ticket \\ 'x' & | ! ( <-> :*", "cut-off http://ticket.example/"]
    ),
)
def test_highlights_survive_any_text(museum, texts, query):
    passages = [passage(museum, text) for text in texts]

    found = find_highlights(Query(((query, 1.0),)), passages)

    assert len(found) == len(texts)
    for text, spans in zip(texts, found, strict=True):
        edges = [0, *(edge for span in spans for edge in span), len(text)]
        assert edges == sorted(edges)
        assert all(start < end for start, end in spans)


@pytest.fixture
def museum(user_id):
    return make_document(make_user(user_id))


def highlighted(document, query, text):
    (spans,) = find_highlights(Query(((query, 1.0),)), [passage(document, text)])
    return [text[start:end] for start, end in spans]


def test_markup_and_addresses_do_not_shift_highlights(museum):
    text = "<b>ticket</b> http://ticket.example/x?ticket=1 cut-off-ticket &amp; ticket"

    assert highlighted(museum, "ticket", text) == ["ticket"] * 5


@pytest.mark.parametrize(
    ("query", "text", "words"),
    [
        ("company sales", "the “Company’s” sales–and (company)", ["Company’s", "sales", "company"]),
        (
            "revenue of 1234 in FY2019",
            "Revenues: $1,234.50 or 1,234 in 2019",
            ["Revenues", "1,234", "2019"],
        ),
        ("capex", "The capital expenditures of the year.", ["capital", "expenditures"]),
        ("東京駅", "彼は東京駅で待つ。京都", ["東京駅"]),
        ("c++ & | ! o'clock", "At nine o’clock: C, or 'c'.", ["o’clock", "C", "c"]),
    ],
)
def test_words_are_found_in_all_their_forms(museum, query, text, words):
    assert highlighted(museum, query, text) == words


def test_only_the_documents_given_are_searched(api, user_id):
    user = make_user(user_id)
    document = make_document(user)
    make_document(user, "The zoo sells a ticket.", "zoo.txt")

    found = search(api, "ticket", user_id=str(user_id), document_ids=[str(document.pk)]).json()

    assert [result["document_name"] for result in found["results"]] == ["museum.txt"]


def test_the_limit_bounds_the_results(api, user_id):
    user = make_user(user_id)
    for number in range(12):
        make_document(user, f"Ticket number {number}.")

    assert len(search(api, "ticket", user_id=str(user_id)).json()["results"]) == 10
    assert len(search(api, "ticket", user_id=str(user_id), limit=3).json()["results"]) == 3


@pytest.mark.parametrize("limit", [0, 51, -1, "x", 10**400])
def test_an_absurd_limit_is_refused(api, user_id, limit):
    body = assert_problem(search(api, "ticket", user_id=str(user_id), limit=limit), 400)

    assert "limit" in body["errors"]


@pytest.mark.parametrize("query", ["", "  \n", None, 7, "x" * 5000, "\x00", "\ud800"])
def test_a_query_must_be_text_to_search_for(api, user_id, query):
    assert "query" in assert_problem(search(api, query, user_id=str(user_id)), 400)["errors"]


def test_unknown_fields_are_refused_by_name(api, user_id):
    body = assert_problem(search(api, "ticket", user_id=str(user_id), top_k=3), 400)

    assert list(body["errors"]) == ["top_k"]


def test_without_documents_nothing_is_found(api, user_id):
    make_pending(make_user(user_id))

    assert search(api, "ticket", user_id=str(user_id)).json()["results"] == []


def test_an_unknown_user_finds_nothing_and_is_not_made(api, user_id):
    assert search(api, "ticket", user_id=str(user_id)).json()["results"] == []
    assert not User.objects.exists()


def test_others_documents_are_never_searched(api, user_id):
    foreign = make_document(make_user())
    make_user(user_id)

    assert search(api, "ticket", user_id=str(user_id)).json()["results"] == []
    chosen = search(api, "ticket", user_id=str(user_id), document_ids=[str(foreign.pk)])
    assert str(foreign.pk) in assert_problem(chosen, 400)["errors"]["document_ids"][0]


def test_a_service_key_must_say_whose_documents(api):
    assert "user_id" in assert_problem(search(api, "ticket"), 400)["errors"]


def test_a_users_key_searches_its_owners_documents_alone(api, user_id, settings):
    settings.OPEN_ACCESS = False
    other = make_user()
    make_document(make_user(user_id))
    make_document(other, "Another's ticket.")
    _, secret = APIKey.objects.issue("shop", make_user(user_id))
    key = {"Authorization": f"Bearer {secret}"}

    found = post(api, "/search", {"query": "ticket"}, **key).json()["results"]
    assert [result["text"] for result in found] == [TEXT.strip()]
    foreign = {"query": "ticket", "user_id": str(other.pk)}
    assert_problem(post(api, "/search", foreign, **key), 404)
    assert_problem(search(api, "ticket"), 401)


def test_a_search_costs_the_same_few_queries_however_much_it_finds(api, user_id):
    def cost(**fields):
        with CaptureQueriesContext(connection) as queries:
            response = search(api, "ticket", user_id=str(user_id), limit=50, **fields)
        assert response.status_code == 200
        return len(queries)

    user = make_user(user_id)
    documents = [make_document(user)]
    one = cost()
    documents += [make_document(user, f"Ticket number {number}.") for number in range(20)]

    assert cost() == one <= 5
    assert cost(document_ids=[str(document.pk) for document in documents]) == one

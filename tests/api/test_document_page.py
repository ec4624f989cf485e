"""`GET /documents/{id}/pages/{number}`: the text that citations point into."""

import pytest

from tests.factories import TEXT, assert_problem, get, make_document, make_pending, make_user, post

pytestmark = pytest.mark.django_db


def test_a_page_is_told_with_its_document(api, document) -> None:
    page = get(api, f"/documents/{document.pk}/pages/1").json()

    assert page == {
        "document_id": str(document.pk),
        "document_name": "museum.txt",
        "number": 1,
        "page_count": 1,
        "text": TEXT.strip(),
    }


def test_a_citation_points_at_its_quote_in_the_page(api, user, document) -> None:
    body = {"user_id": str(user.pk), "first_message": "What does a ticket cost?"}
    opened = post(api, "/conversations", body | {"mode": "grounded_rag"}).json()
    citation = opened["answer"]["citations"][0]

    page = get(api, f"/documents/{document.pk}/pages/{citation['page']}").json()

    assert page["text"][citation["char_start"] : citation["char_end"]] == citation["quote"]


def test_characters_count_as_code_points(api, user) -> None:
    document = make_document(user, "The 🦓 zebra eats grass.\n", "zebra.txt")

    page = get(api, f"/documents/{document.pk}/pages/1").json()

    assert page["text"] == "The 🦓 zebra eats grass."


@pytest.mark.parametrize("number", ["0", "2", "9" * 400, "-1", "one"])
def test_a_page_that_is_not_there_is_a_404(api, document, number) -> None:
    assert_problem(get(api, f"/documents/{document.pk}/pages/{number}"), 404)


def test_a_document_that_is_not_read_yet_has_no_pages(api, user) -> None:
    assert_problem(get(api, f"/documents/{make_pending(user).pk}/pages/1"), 404)


def test_another_users_page_is_a_404(api, document) -> None:
    other = make_user()

    assert_problem(get(api, f"/documents/{document.pk}/pages/1?user_id={other.pk}"), 404)


def test_a_page_takes_one_query(api, document, django_assert_num_queries) -> None:
    with django_assert_num_queries(1):
        get(api, f"/documents/{document.pk}/pages/1")

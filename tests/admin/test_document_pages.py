"""The text of a document's pages in the admin, with what is cited marked."""

import html
import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from documents import admin_pages
from documents.models import Chunk, Page
from tests.factories import make_document, make_pending, make_user

pytestmark = pytest.mark.django_db
THREE_PAGES = "The first page.\fThe second page, with a ticket at 14.50 euros.\fThe third."


@pytest.fixture
def book():
    return make_document(make_user(), THREE_PAGES, "book.txt")


def show(client, document, number, query=""):
    path = reverse("admin:documents_document_page", args=[document.pk, number])
    response = client.get(path + query)
    return response.status_code, response.content.decode()


def texts(shown):
    """What is shown of the page, and what of it is marked."""
    (text,) = re.findall(r'<div class="text"[^>]*>(.*?)</div>', shown, re.DOTALL)
    marked = re.findall(r'<mark id="marked">(.*?)</mark>', text, re.DOTALL)
    plain = re.sub(r"</?mark[^>]*>", "", text)
    return html.unescape(plain), [html.unescape(one) for one in marked]


def test_a_page_is_shown_with_the_part_marked_that_the_address_names(admin_client, book):
    text = Page.objects.get(document=book, number=2).text
    start = text.index("14.50")

    status, shown = show(admin_client, book, 2, f"?from={start}&to={start + 11}")

    assert status == 200
    assert texts(shown) == (text, ["14.50 euros"])


def test_pages_lead_to_their_neighbours(admin_client, book):
    def leads(number):
        _, shown = show(admin_client, book, number)
        found = re.findall(r'href="[^"]*/pages/(\d+)/" rel="(prev|next)"', shown)
        return {name: int(page) for page, name in found}

    assert leads(1) == {"next": 2}
    assert leads(2) == {"prev": 1, "next": 3}
    assert leads(3) == {"prev": 2}


@pytest.mark.parametrize(("typed", "number"), [("3", 3), ("", 1), ("-1", 1), ("x", 1), ("²", 1)])
def test_a_number_typed_in_leads_to_its_page(admin_client, book, typed, number):
    path = reverse("admin:documents_document_pages", args=[book.pk])

    response = admin_client.get(path, {"number": typed})

    target = reverse("admin:documents_document_page", args=[book.pk, number])
    assert (response.status_code, response.headers["Location"]) == (302, target)


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("from=4&to=9", ["first"]),
        ("from=4&to=99999", ["first page."]),
        ("from=0&to=3", ["The"]),
        ("to=3", ["The"]),
        ("from=9&to=4", []),
        ("from=4&to=4", []),
        ("from=-4&to=-9", []),
        ("from=99&to=100", []),
        ("from=x&to=y", []),
        ("from=%C2%B2&to=%D9%A9", []),
        (f"from=1&to={'9' * 5000}", []),
        ("from=1.5&to=1e3", []),
        ("", []),
    ],
)
def test_a_range_is_clipped_to_the_page(admin_client, book, query, marked):
    status, shown = show(admin_client, book, 1, f"?{query}")

    assert status == 200
    assert texts(shown) == ("The first page.", marked)


def test_it_says_where_what_was_cited_is_gone(admin_client, book):
    assert "the document was read anew" in show(admin_client, book, 1, "?from=99&to=105")[1]
    assert "the document was read anew" not in show(admin_client, book, 1, "?from=0&to=3")[1]


@pytest.mark.parametrize("number", [0, 4, 2**31, 2**63, 10**30])
def test_a_page_that_is_not_there_is_told_of(admin_client, book, number):
    status, shown = show(admin_client, book, number)

    assert status == 404
    assert f"There is no page {number} in this document." in shown
    assert reverse("admin:documents_document_change", args=[book.pk]) in shown


def test_a_document_that_is_not_read_yet_says_so(admin_client):
    status, shown = show(admin_client, make_pending(make_user()), 1)

    assert status == 404
    assert "This document has no text yet: it is pending." in shown


def test_no_such_document_is_a_404(admin_client):
    path = reverse("admin:documents_document_page", args=[uuid4(), 1])

    assert admin_client.get(path).status_code == 404


def test_text_is_escaped_around_and_within_the_mark(admin_client):
    evil = "<script>alert(1)</script> & </mark><img src=x>"
    document = make_document(make_user(), evil, "<b>.txt")

    status, shown = show(admin_client, document, 1, "?from=8&to=30")

    assert status == 200
    assert "<script>alert" not in shown
    assert "<img src=x" not in shown
    assert texts(shown) == (evil, [evil[8:30]])


def test_of_a_very_long_page_the_part_around_the_mark_is_shown(monkeypatch, admin_client):
    monkeypatch.setattr(admin_pages, "CHARS_SHOWN", 100)
    monkeypatch.setattr(admin_pages, "CHARS_BEFORE", 20)
    document = make_document(make_user(), "word " * 199 + "last")
    length = len(Page.objects.get(document=document).text)

    _, beginning = show(admin_client, document, 1)
    _, middle = show(admin_client, document, 1, "?from=500&to=504")
    _, end = show(admin_client, document, 1, f"?from={length - 4}&to={length}")
    _, wide = show(admin_client, document, 1, f"?from=500&to={length}")

    assert [len(texts(one)[0]) for one in (beginning, middle, end, wide)] == [100] * 4
    assert f"{length - 100} characters after this are not shown." in beginning
    assert "480 characters before this are not shown." in middle
    assert texts(middle)[1] == ["word"]
    assert texts(end)[1] == ["last"]
    assert len(texts(wide)[1][0]) == 80


def test_only_staff_who_may_view_documents_see_pages(client, book):
    staff = make_user()
    staff.is_staff = True
    staff.save()
    client.force_login(staff)

    assert show(client, book, 1)[0] == 403
    pages = reverse("admin:documents_document_pages", args=[book.pk])
    assert client.get(pages).status_code == 403

    staff.user_permissions.add(Permission.objects.get(codename="view_document"))
    assert show(client, book, 1)[0] == 200
    client.logout()
    assert show(client, book, 1)[0] == 302


def test_chunks_lead_to_their_pages_where_they_are_marked(admin_client):
    pages = "\f".join(f"Page {n} tells of {'many ' * 60}things." for n in range(1, 6))
    document = make_document(make_user(), pages)
    listed = reverse("admin:documents_chunk_changelist")
    found = admin_client.get(listed, {"document__id__exact": document.pk}).content.decode()

    links = re.findall(r'<a href="([^"]*/pages/\d+/\?[^"]*)">page', found)

    assert "Chunks of museum.txt" in found
    marked = [texts(admin_client.get(html.unescape(link)).content.decode())[1][0] for link in links]
    chunks = Chunk.objects.filter(document=document)
    assert len(links) > len(chunks) > 1
    assert "\n".join(marked) == "\n".join(chunk.text for chunk in chunks)


def test_the_chunks_of_a_document_can_be_searched(admin_client):
    document = make_document(make_user())
    listed = reverse("admin:documents_chunk_changelist")

    def rows(**query):
        found = admin_client.get(listed, query).content.decode()
        return found.count('class="field-places"')

    assert rows(document__id__exact=document.pk, q="mondays") == 1
    assert rows(document__id__exact=document.pk, q="sundays") == 0
    assert rows(q="museum") == 1
    assert rows(q="mondays") == 0
    assert rows(document__id__exact="nonsense", e="1") >= 0


def test_a_page_costs_few_queries(admin_client, book):
    with CaptureQueriesContext(connection) as queries:
        show(admin_client, book, 2)

    assert len(queries) <= 4

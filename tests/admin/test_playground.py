"""The search playground of the admin."""

import html
import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories import make_document, make_pending, make_user

pytestmark = pytest.mark.django_db
PATH = "/admin/documents/document/search/"


@pytest.fixture
def user():
    return make_user()


@pytest.fixture
def staff(client, user):
    """Staff that may do nothing yet."""
    person = make_user()
    person.is_staff = True
    person.save()
    client.force_login(person)
    return person


def page(client, **query):
    response = client.get(PATH, query)
    assert response.status_code == 200
    return response.content.decode()


def allow(person, codename):
    person.user_permissions.add(Permission.objects.get(codename=codename))


def passages(html_text):
    return re.findall(r'<div class="text">(.*?)</div>', html_text, re.DOTALL)


def test_only_staff_who_may_view_documents_see_it(client, staff):
    assert client.get(PATH).status_code == 403
    assert PATH not in client.get("/admin/").content.decode()

    allow(staff, "view_document")

    assert client.get(PATH).status_code == 200
    assert PATH in client.get("/admin/").content.decode()
    client.logout()
    assert "/admin/login/" in client.get(PATH).headers["Location"]


def test_the_list_and_each_document_lead_to_it(admin_client, user):
    document = make_document(user)

    listed = admin_client.get("/admin/documents/document/").content.decode()
    shown = admin_client.get(f"/admin/documents/document/{document.pk}/change/").content.decode()

    assert f'href="{PATH}"' in listed
    (link,) = re.findall(rf'href="{PATH}\?documents=([^"]+)"', shown)
    form = page(admin_client, documents=link)
    assert f'value="{user.username}"' in form
    assert f'<option value="{document.pk}" selected>' in form
    assert "errorlist" not in form


def test_passages_are_shown_with_place_score_and_marked_words(admin_client, user):
    document = make_document(user)
    make_document(make_user(), "Another's ticket.")

    found = page(admin_client, query="What does a ticket cost?", user=user.username, limit=10)

    (text,) = passages(found)
    assert "A <mark>ticket</mark> <mark>costs</mark> 14.50 euros." in text
    assert f'<a href="/admin/documents/document/{document.pk}/change/">museum.txt</a>' in found
    assert "page 1" in found
    assert re.search(r"score \d+\.\d{3}", found)
    assert "1 passage from 1 document in" in found


def test_terms_explain_the_score(admin_client, user):
    make_document(user)
    make_document(user, "The zoo sells a ticket for the lions.", "zoo.txt")

    found = page(admin_client, query="ticket lions zoo", user=str(user.pk), limit=10)

    totals = [float(one) for one in re.findall(r'class="score">score ([\d.]+)', found)]
    tables = re.findall(r"<tbody>(.*?)</tbody>", found, re.DOTALL)
    assert len(totals) == len(tables) == 2
    for total, table in zip(totals, tables, strict=True):
        rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
        assert "ticket" in [term for term, *_ in rows]
        for _, weight, rarity, impact, score in rows:
            product = float(weight) * float(rarity) * float(impact)
            assert product == pytest.approx(float(score), rel=0.02, abs=0.01)
        assert sum(float(row[-1]) for row in rows) == pytest.approx(total, abs=0.01)


def test_what_people_wrote_is_shown_as_text(admin_client, user):
    evil = "<script>alert(1)</script>"
    make_document(user, f"A ticket {evil} costs & more.", f"{evil[:20]}.txt")

    found = page(admin_client, query=f"ticket {evil} script", user=user.username, limit=10)

    assert "<script>alert" not in found
    (text,) = passages(found)
    plain = html.unescape(re.sub("</?mark>", "", text))
    assert plain == f"A ticket {evil} costs & more."


def test_only_the_documents_chosen_are_searched(admin_client, user):
    document = make_document(user)
    make_document(user, "The zoo sells a ticket.", "zoo.txt")

    both = page(admin_client, query="ticket", user=user.username, limit=10)
    one = page(admin_client, query="ticket", documents=str(document.pk), limit=10)
    top = page(admin_client, query="ticket", user=user.username, limit=1)

    assert [len(passages(found)) for found in (both, one, top)] == [2, 1, 1]
    assert "14.50" in passages(one)[0]


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ({"query": "x", "limit": 10}, "Say whose documents to search."),
        ({"query": "x", "limit": 10, "user": "nobody"}, "There is no such user."),
        ({"query": " ", "limit": 10}, "This field is required."),
        ({"query": "x", "limit": 51}, "less than or equal to 50"),
        ({"query": "x", "limit": 10, "documents": "nonsense"}, "Say whose documents"),
        ({"query": "x", "limit": 10, "documents": str(uuid4())}, "Say whose documents"),
    ],
)
def test_what_is_missing_is_said(admin_client, query, complaint):
    assert complaint in page(admin_client, **query)


def test_a_user_never_gets_anothers_document_chosen(admin_client, user):
    foreign = make_document(make_user())

    found = page(
        admin_client, query="ticket", user=user.username, documents=str(foreign.pk), limit=10
    )

    assert "is not one of the available choices" in found
    assert passages(found) == []


def test_it_says_when_nothing_is_found(admin_client, user):
    make_document(user)
    make_pending(user, "A zebra.")

    found = page(admin_client, query="zebra", user=user.username, limit=10)

    assert "0 passages from 1 document" in found
    assert "Nothing found" in found


def test_a_search_costs_the_same_queries_however_much_it_finds(admin_client, user):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            page(admin_client, query="ticket", user=user.username, limit=50)
        return len(queries)

    make_document(user)
    one = cost()
    for number in range(10):
        make_document(user, f"Ticket number {number}.")

    assert cost() == one <= 10


def test_it_needs_no_script(admin_client, user):
    make_document(user)

    found = page(admin_client, query="ticket", user=user.username, limit=10)

    main = found[found.index('id="content-main"') :]
    assert "<script" not in main
    assert 'method="get"' in main

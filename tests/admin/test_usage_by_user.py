"""Usage by user in the admin, and as a file."""

import csv
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest

from botgpt.accounts.models import User
from conversations.admin import usage
from tests.factories import make_usage, make_user

pytestmark = pytest.mark.django_db

PAGE = "/admin/conversations/usageentry/by-user/"
FILE = "/admin/conversations/usageentry/by-user.csv"


def page(admin_client, query=""):
    response = admin_client.get(f"{PAGE}{query}")
    assert response.status_code == 200
    return response.content.decode()


def rows(admin_client, query=""):
    response = admin_client.get(f"{FILE}{query}")
    assert response.status_code == 200, response.content
    return list(csv.DictReader(StringIO(response.content.decode())))


def test_what_each_user_took_is_added_up_dearest_first(admin_client):
    little, much = make_user(), make_user()
    make_usage(little)
    make_usage(much, cached_tokens=60)
    make_usage(much, purpose="title", cost_usd=Decimal("1.5"))

    html = page(admin_client)

    assert html.index(str(much.pk)) < html.index(str(little.pk))
    cells = html[html.index(str(much.pk)) :].split("</tr>")[0]
    numbers = [part.split("</td>")[0] for part in cells.split("<td>")[1:]]
    assert numbers == ["2", "1", "200", "60", "40", "1.50007480"]
    assert f"/admin/conversations/usageentry/?user__id__exact={much.pk}" in html


def test_days_and_users_narrow_it(admin_client):
    user, other = make_user(), make_user()
    make_usage(user, at=datetime(2026, 3, 1, 23, 59, tzinfo=UTC))
    make_usage(user, at=datetime(2026, 3, 2, tzinfo=UTC))
    make_usage(other, at=datetime(2026, 3, 2, tzinfo=UTC))
    march = "?first=2026-03-02&last=2026-03-02"

    assert {row["user_id"] for row in rows(admin_client, march)} == {str(user.pk), str(other.pk)}
    assert [row["calls"] for row in rows(admin_client, f"{march}&user={user.pk}")] == ["1"]
    assert [row["calls"] for row in rows(admin_client, f"{march}&user={user.username}")] == ["1"]
    assert rows(admin_client, f"{march}&user=nobody") == []
    assert "Nobody used a model." in page(admin_client, f"{march}&user=nobody")
    assert f"{FILE}{march}&user={user.pk}".replace("&", "&amp;") in page(
        admin_client, f"{march}&user={user.pk}"
    )


def test_the_file_has_a_line_for_each_user_and_one_for_those_forgotten(admin_client):
    user = make_user()
    User.objects.filter(pk=user.pk).update(username="=cmd()")
    make_usage(user)
    make_usage(None, cost_usd=Decimal(1))

    first, second = rows(admin_client)

    assert (first["user_id"], first["user"], first["cost_usd"]) == ("", "", "1.00000000")
    assert (second["user_id"], second["user"]) == (str(user.pk), "'=cmd()")
    assert (second["calls"], second["answers"], second["total_tokens"]) == ("1", "1", "120")


def test_pages_lead_to_each_other(admin_client, monkeypatch):
    monkeypatch.setattr(usage, "USERS_A_PAGE", 2)
    users = [make_user() for _ in range(3)]
    for number, user in enumerate(users):
        make_usage(user, cost_usd=Decimal(number))

    first, second = page(admin_client), page(admin_client, "?page=2")

    assert str(users[2].pk) in first
    assert str(users[0].pk) not in first
    assert "page=2" in first
    assert str(users[0].pk) in second
    assert "page=1" in second
    assert "More" not in second


@pytest.mark.parametrize(
    "query",
    [
        "?first=2026-03-02&last=2026-03-01",
        "?first=2020-01-01&last=2026-01-01",
        "?first=x",
        "?last=0001-01-01",
        "?last=9999-12-31",
        "?page=0",
        "?page=99999999999999999999",
    ],
)
def test_what_cannot_be_asked_is_told(admin_client, query):
    assert 'class="errorlist' in page(admin_client, query)
    assert admin_client.get(f"{FILE}{query}").status_code == 400


def test_only_staff_who_may_see_usage(client):
    staff = User.objects.create_user("ada", password="secret", is_staff=True)
    client.force_login(staff)

    assert client.get(PAGE).status_code == 403
    assert client.get(FILE).status_code == 403


def test_it_takes_few_queries(admin_client, django_assert_max_num_queries):
    for _ in range(10):
        make_usage(make_user())

    with django_assert_max_num_queries(4):
        page(admin_client)
    with django_assert_max_num_queries(4):
        rows(admin_client)

"""Usage and budgets in the admin."""

from decimal import Decimal

import pytest

from botgpt.accounts.models import APIKey, User
from documents import admin_lists
from tests.factories import make_usage, make_user

pytestmark = pytest.mark.django_db

LIST = "/admin/conversations/usageentry/"


def page(admin_client, path):
    response = admin_client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_usage_is_listed_and_can_be_narrowed(admin_client):
    user = make_user()
    make_usage(user)
    make_usage(make_user(), model="openai/gpt-oss-20b", purpose="title")

    everything = page(admin_client, LIST)
    of_model = page(admin_client, f"{LIST}?model=openai/gpt-oss-20b")
    of_user = page(admin_client, f"{LIST}?user__id__exact={user.pk}")

    assert "2 usage" in everything
    assert "1 usage entry" in of_model
    assert "0.00007480" in of_user
    assert "1 usage entry" in of_user


def test_usage_can_only_be_read(admin_client):
    entry = make_usage(make_user())

    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.get(f"{LIST}{entry.pk}/delete/").status_code == 403
    assert 'name="_save"' not in page(admin_client, f"{LIST}{entry.pk}/change/")


def test_a_long_list_is_not_counted_to_its_end(admin_client, monkeypatch):
    monkeypatch.setattr(admin_lists, "ROWS_COUNTED", 3)
    for _ in range(5):
        make_usage(make_user())

    assert "3+ usage" in page(admin_client, LIST)


def test_a_users_page_shows_what_is_spent_of_each_budget(admin_client):
    user = make_user()
    User.objects.filter(pk=user.pk).update(daily_tokens=1000, monthly_usd=Decimal("2.5"))
    make_usage(user)

    shown = page(admin_client, f"/admin/accounts/user/{user.pk}/change/")

    assert "daily: 120 tokens of 1,000 tokens, resets at" in shown
    assert "monthly: 0.0000748 USD of 2.50 USD, resets at" in shown
    assert f"usageentry/?user__id__exact={user.pk}" in shown


def test_a_key_is_made_and_changed_with_its_budgets(admin_client):
    form = {
        "name": "shop",
        "owner": "",
        "scopes": ["usage:read"],
        "monthly_tokens": "",
        "daily_usd": "",
        "monthly_usd": "",
    }
    address = "/admin/accounts/apikey/"

    assert admin_client.post(f"{address}add/", {**form, "daily_tokens": 500}).status_code == 302
    key = APIKey.objects.get()
    assert key.daily_tokens == 500

    changed = {**form, "daily_tokens": "", "monthly_usd": "1.25"}
    assert admin_client.post(f"{address}{key.pk}/change/", changed).status_code == 302
    key.refresh_from_db()
    assert (key.daily_tokens, key.monthly_usd) == (None, Decimal("1.25"))
    assert "monthly: 0.00 USD of 1.25 USD" in page(admin_client, f"{address}{key.pk}/change/")


def test_a_users_budget_is_changed(admin_client):
    user = make_user()
    form = {"username": user.username, "is_active": "on", "daily_tokens": "700"}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}

    response = admin_client.post(f"/admin/accounts/user/{user.pk}/change/", form)

    assert response.status_code == 302, response.content
    user.refresh_from_db()
    assert user.daily_tokens == 700

"""`manage.py usage`, and the budgets of `manage.py createkey`."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from botgpt.accounts.models import APIKey
from tests.factories import make_usage, make_user

pytestmark = pytest.mark.django_db


def test_it_prints_a_row_for_each_day_and_model_and_the_total(capsys):
    user = make_user()
    make_usage(user)
    make_usage(user, model="openai/gpt-oss-20b")
    make_usage(user, timezone.now() - timedelta(days=1))

    call_command("usage")

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[1:3]] == [timezone.now().date().isoformat()] * 2
    assert lines[-1] == ["total", "3", "300", "60", "0", "0.00022440"]
    assert len(lines) == 5


def test_it_can_be_of_one_user_and_of_fewer_days(capsys):
    user = make_user()
    make_usage(user)
    make_usage(user, timezone.now() - timedelta(days=2))
    make_usage(make_user())

    call_command("usage", "--user", str(user.pk), "--days", "2", "--json")

    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["calls"], row["total_tokens"], row["cost_usd"]) == (1, 120, "0.00007480")


@pytest.mark.parametrize("days", ["0", "-1", "367", "many"])
def test_a_number_of_days_that_is_none_is_refused(days):
    with pytest.raises(CommandError, match="--days"):
        call_command("usage", f"--days={days}")


def test_a_key_is_made_with_its_budgets():
    call_command("createkey", "shop", "--daily-tokens", "5000", "--monthly-usd", "12.5")

    key = APIKey.objects.get()
    assert (key.daily_tokens, key.monthly_tokens) == (5000, None)
    assert (key.daily_usd, key.monthly_usd) == (None, Decimal("12.5"))


@pytest.mark.parametrize(
    "option",
    [
        "--daily-tokens=-1",
        "--daily-tokens=x",
        "--monthly-usd=-1",
        "--monthly-usd=NaN",
        "--daily-usd=1.23456",
        "--daily-usd=x",
    ],
)
def test_a_budget_that_is_none_is_refused(option):
    with pytest.raises(CommandError, match=option.split("=")[0]):
        call_command("createkey", "shop", option)

"""`manage.py usage`: what models were paid for, day by day."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from conversations.models import UsageEntry
from conversations.usage_serializers import MOST_DAYS, UsageRowSerializer
from documents.explained import ExplainedCommand

HEAD = ("day", "model", "calls", "prompt", "completion", "cached", "cost in USD")
LINE = "{:<10}  {:<24} {:>8} {:>12} {:>12} {:>12} {:>14}"


class Command(ExplainedCommand):
    """Prints a row for each day and model, then the total."""

    help = "Show tokens and cost by day (UTC) and model, latest first."
    examples = """
manage.py usage
manage.py usage --days 7 --user 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11
manage.py usage --days 1 --json
"""
    notes = "With --json there is a line for each day and model, and no total."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares --user, --days and --json."""
        parser.add_argument("--user", type=UUID, help="only this user's")
        parser.add_argument(
            "--days", type=_days, default=30, metavar="N", help="with today; default: 30"
        )
        parser.add_argument("--json", action="store_true", help="print a JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        """With --json the rows alone."""
        today = timezone.now().date()
        visible = UsageEntry.objects.visible_to(options["user"])
        entries = visible.on_days(today - timedelta(days=options["days"] - 1), today)
        rows = list(entries.grouped(["day", "model"]))
        if options["json"]:
            for row in rows:
                self.stdout.write(json.dumps(UsageRowSerializer(row).data))
            return
        self.stdout.write(LINE.format(*HEAD))
        for row in rows:
            self.stdout.write(_line(str(row["day"]), row["model"], row))
        self.stdout.write(_line("total", "", entries.summed()))


def _line(day: str, model: str, sums: dict[str, Any]) -> str:
    names = ("calls", "prompt_tokens", "completion_tokens", "cached_tokens")
    counts = [f"{sums[name]:,}" for name in names]
    return LINE.format(day, model, *counts, f"{sums['cost_usd']:.8f}")


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_DAYS):
        raise ArgumentTypeError(f"give a number of days from 1 to {MOST_DAYS}")
    return int(text)

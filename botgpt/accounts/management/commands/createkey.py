"""`manage.py createkey`: an API key for a user, or a service key."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone

from botgpt.accounts.models import APIKey, User
from botgpt.accounts.scopes import Scope
from documents.explained import ExplainedCommand

# Ten years: who means longer leaves the option out.
MOST_DAYS = 3650


class Command(ExplainedCommand):
    """Makes an API key and prints its secret, once."""

    help = "Make an API key. Without --user it is a service key, which may act for any user."
    examples = """
manage.py createkey "platform"
manage.py createkey "web shop" --user 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11 --expires 90
manage.py createkey "importer" --scope documents:read --scope documents:write
manage.py createkey "trial" --daily-tokens 200000 --monthly-usd 12.50
manage.py createkey "dashboard" --scope usage:read --json | jq -r .secret
"""
    notes = "The secret is printed alone on standard output, once: only a hash of it is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares NAME, whom the key acts for, what it may do, and its budgets."""
        parser.add_argument("name", help="what the key is for, such as 'web shop'")
        parser.add_argument("--user", type=UUID, help="the user (UUID) that the key acts for")
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            help="what the key may be used for (may be repeated); everything unless told",
        )
        parser.add_argument(
            "--expires", type=_days, metavar="DAYS", help="refuse the key after so many days"
        )
        for span, period in (("daily", "day"), ("monthly", "month")):
            parser.add_argument(
                f"--{span}-tokens", type=_tokens, metavar="N", help=f"may spend so many a {period}"
            )
            parser.add_argument(
                f"--{span}-usd", type=_usd, metavar="USD", help=f"may spend so much a {period}"
            )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the secret alone on standard output, so that a script can take it."""
        user_id, days = options["user"], options["expires"]
        owner = User.objects.known_as(user_id) if user_id else None
        fields = {name: options[name] for name in APIKey.BUDGETS}
        if options["scope"]:
            fields["scopes"] = [scope for scope in Scope.values if scope in options["scope"]]
        if days:
            fields["expires_at"] = timezone.now() + timedelta(days=days)
        key, secret = APIKey.objects.issue(options["name"], owner, **fields)
        self.stderr.write("Keep this key: it is shown only now.")
        self.stdout.write(json.dumps(_as_data(key, secret)) if options["json"] else secret)


def _as_data(key: APIKey, secret: str) -> dict[str, Any]:
    return {
        "id": str(key.pk),
        "name": key.name,
        "prefix": key.prefix,
        "secret": secret,
        "user_id": str(key.owner.pk) if key.owner else None,
        "scopes": key.scopes,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
    }


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_DAYS):
        raise ArgumentTypeError(f"give a number of days from 1 to {MOST_DAYS}")
    return int(text)


def _tokens(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ArgumentTypeError("give a whole number, 0 or more")
    return int(text)


def _usd(text: str) -> Decimal:
    field = APIKey._meta.get_field("daily_usd")
    try:
        amount: Decimal = field.clean(Decimal(text), None)
    except (InvalidOperation, ValidationError):
        amount = Decimal(-1)
    if amount < 0:
        raise ArgumentTypeError("give an amount such as 12.50, with four decimals at most")
    return amount

"""`manage.py createkey`: an API key for a user, or a service key."""

from argparse import ArgumentParser, ArgumentTypeError
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand

from botgpt.accounts.models import APIKey, User


class Command(BaseCommand):
    """Makes an API key and prints its secret, once."""

    help = "Make an API key. Without --user it is a service key, which may act for any user."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares NAME, --user and the budgets."""
        parser.add_argument("name", help="what the key is for, such as 'web shop'")
        parser.add_argument("--user", type=UUID, help="the user (UUID) that the key acts for")
        for span, period in (("daily", "day"), ("monthly", "month")):
            parser.add_argument(
                f"--{span}-tokens", type=_tokens, metavar="N", help=f"may spend so many a {period}"
            )
            parser.add_argument(
                f"--{span}-usd", type=_usd, metavar="USD", help=f"may spend so much a {period}"
            )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the secret alone on standard output, so that a script can take it."""
        user_id = options["user"]
        owner = User.objects.known_as(user_id) if user_id else None
        budgets = {name: options[name] for name in APIKey.BUDGETS}
        _, secret = APIKey.objects.issue(options["name"], owner, **budgets)
        self.stderr.write("Keep this key: it is shown only now.")
        self.stdout.write(secret)


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

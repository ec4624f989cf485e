"""`manage.py createkey`: an API key for a user, or a service key."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand

from botgpt.accounts.models import APIKey, User


class Command(BaseCommand):
    """Makes an API key and prints its secret, once."""

    help = "Make an API key. Without --user it is a service key, which may act for any user."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares NAME and --user."""
        parser.add_argument("name", help="what the key is for, such as 'web shop'")
        parser.add_argument("--user", type=UUID, help="the user (UUID) that the key acts for")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the secret alone on standard output, so that a script can take it."""
        user_id = options["user"]
        owner = User.objects.known_as(user_id) if user_id else None
        _, secret = APIKey.objects.issue(options["name"], owner)
        self.stderr.write("Keep this key: it is shown only now.")
        self.stdout.write(secret)

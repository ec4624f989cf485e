"""`manage.py revokekey`: an API key that is refused from now on."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from botgpt.accounts.models import APIKey
from documents.explained import ExplainedCommand


class Command(ExplainedCommand):
    """Revokes the key of a prefix."""

    help = "Revoke an API key, named by its prefix as the admin and createkey --json show it."
    examples = "manage.py revokekey bot_3fZk9a"
    notes = "It is refused from the next call on; answers under way end."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares PREFIX."""
        parser.add_argument("prefix", help="how the key begins, such as bot_3fZk9a")

    def handle(self, *args: Any, **options: Any) -> None:
        """Calls under way go on. Raises CommandError unless there is one such key to revoke."""
        keys = APIKey.objects.filter(prefix=options["prefix"])
        found = [str(key) for key in keys.filter(revoked_at=None)]
        if len(found) > 1:
            raise CommandError(f"Several keys begin so, revoke in the admin: {', '.join(found)}.")
        if not found:
            known = "is revoked already" if keys.exists() else "does not exist"
            raise CommandError(f"This key {known}: the admin shows which there are.")
        APIKey.objects.revoke(keys)
        self.stdout.write(f"Revoked: {found[0]}.")

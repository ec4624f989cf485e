"""`manage.py forget`: deletes all there is of a user."""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import asdict
from time import perf_counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from botgpt.accounts.forgetting import Belongings, belongings, forget
from botgpt.accounts.models import User

EXAMPLES = """\
examples:
  manage.py forget 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11 --dry-run
  manage.py forget jane --yes --json

Usage entries stay in the sums, without user, conversation and key. What is killed half way goes on
when it is run again.
"""


class Command(BaseCommand):
    """Deletes a user's conversations, documents with files, keys and the user, in batches."""

    help = "Delete all there is of a user."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """With examples at the end of the help."""
        kwargs |= {"epilog": EXAMPLES, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares USER, --dry-run, --yes and --json."""
        parser.add_argument("user", metavar="USER", help="UUID or username")
        parser.add_argument("--dry-run", action="store_true", help="only tell what there is")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--json", action="store_true", help="print a JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Tells what there is, asks, and deletes. Raises CommandError where nobody is called so."""
        try:
            user = User.objects.called(options["user"])
        except User.DoesNotExist:
            raise CommandError(f"There is no user {options['user']}.") from None
        there_is, started = belongings(user), perf_counter()
        if not options["json"]:
            self.stdout.write(_told(user, there_is))
        if not options["dry_run"]:
            if not options["yes"]:
                self._confirm()
            quiet = options["json"] or not options["verbosity"]
            with tqdm(total=there_is.steps, unit="row", disable=True if quiet else None) as bar:
                forget(user, bar.update)
        seconds = round(perf_counter() - started, 2)
        if options["json"]:
            done = {"forgotten": not options["dry_run"], "seconds": seconds}
            self.stdout.write(json.dumps({"user_id": str(user.pk), **asdict(there_is), **done}))
        elif not options["dry_run"]:
            self.stdout.write(f"forgotten in {seconds} s")

    def _confirm(self) -> None:
        """Raises CommandError unless the answer is yes."""
        self.stderr.write("Delete all of this for ever? [y/N] ", ending="")
        try:
            answer = input()
        except EOFError:
            raise CommandError("Nobody is there to ask: give --yes.") from None
        if answer.strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was deleted.")


def _told(user: User, there_is: Belongings) -> str:
    counts = [f"{count:>12,}  {name.replace('_', ' ')}" for name, count in asdict(there_is).items()]
    return "\n".join([f"{user.username} ({user.pk}) has", *counts])

"""`manage.py forget`: deletes all there is of a user."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from time import perf_counter
from typing import Any

from django.core.management.base import CommandError

from botgpt.accounts.forgetting import Belongings, belongings, forget
from botgpt.accounts.models import User
from documents.explained import ExplainedCommand


class Command(ExplainedCommand):
    """Deletes a user's conversations, documents with files, keys and the user, in batches."""

    help = "Delete all there is of a user."
    examples = """
manage.py forget 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11 --dry-run
manage.py forget jane
manage.py forget jane --yes --json
"""
    notes = """
Usage entries stay in the sums, without user, conversation and key. What is interrupted half way
goes on when it is run again.
"""
    steps = 0

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares USER, --dry-run, --yes and --json."""
        parser.add_argument("user", metavar="USER", help="UUID or username")
        parser.add_argument("--dry-run", action="store_true", help="only tell what there is")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

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
            self.steps = there_is.steps
            with self.progress(options, total=there_is.steps, unit="row") as bar:
                forget(user, bar.update)
        seconds = round(perf_counter() - started, 2)
        if options["json"]:
            done = {"forgotten": not options["dry_run"], "seconds": seconds}
            self.stdout.write(json.dumps({"user_id": str(user.pk), **asdict(there_is), **done}))
        elif not options["dry_run"]:
            self.stdout.write(f"forgotten in {seconds} s")

    def so_far(self) -> str:
        """Each batch is deleted for good."""
        if not self.steps:
            return "Nothing was deleted."
        return f"{self.done:,} of {self.steps:,} rows are deleted: run it again to go on."

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

"""`manage.py export`: all there is of a user as a ZIP file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from botgpt.accounts import archive
from botgpt.accounts.models import User
from documents.explained import ExplainedCommand


class Command(ExplainedCommand):
    """Writes a user's profile, keys, usage, conversations and documents to a file."""

    help = "Write all data of a user to a ZIP file: conversations, documents, keys, usage."
    examples = """
manage.py export 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11 --to user.zip
manage.py export jane --to jane.zip
"""
    notes = "The file is complete or not there; others on this machine cannot read it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares USER and --to."""
        parser.add_argument("user", metavar="USER", help="UUID or username")
        parser.add_argument(
            "--to",
            type=Path,
            required=True,
            metavar="FILE.zip",
            help="a file that is not there yet",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises CommandError where nobody is called so, or the file is there already."""
        try:
            user = User.objects.called(options["user"])
        except User.DoesNotExist:
            raise CommandError(f"There is no user {options['user']}.") from None
        target: Path = options["to"]
        if target.exists():
            raise CommandError(f"{target} is there already: name another file.")
        draft = target.with_name(f"{target.name}.part")
        try:
            # Others on this machine need not read it.
            draft.touch(mode=0o600)
            bar = self.progress(options, unit="B", unit_scale=True)
            with draft.open("wb") as file, bar:
                for piece in archive.of(user):
                    bar.update(file.write(piece))
            draft.rename(target)
        except OSError as error:
            raise CommandError(f"{target} cannot be written: {error.strerror}.") from None
        finally:
            draft.unlink(missing_ok=True)
        self.stdout.write(f"{target}: {target.stat().st_size:,} bytes")

    def so_far(self) -> str:
        """Half a file is none."""
        return "No file was written."

"""`manage.py orphans`: files that no document has, and documents whose file is lost."""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand

from documents import orphans

EXAMPLES = """\
examples:
  manage.py orphans
  manage.py orphans --delete --json

Give --delete only where no other database's files are in the same folder. Files that arrived within
the last hour may be uploads under way, and stay.
"""


class Command(BaseCommand):
    """Lists both, and deletes the files that no document has."""

    help = "List files that no document has, and documents whose file is lost."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """With examples at the end of the help."""
        kwargs |= {"epilog": EXAMPLES, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares --delete and --json."""
        parser.add_argument("--delete", action="store_true", help="delete the files")
        parser.add_argument("--json", action="store_true", help="print a JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        """A line for each as it is found, then the sums."""
        files = size = deleted = lost = 0
        for orphan in orphans.files_without_document():
            gone = options["delete"] and orphans.delete(orphan)
            files, size, deleted = files + 1, size + orphan.size, deleted + gone
            state = "deleted" if gone else "arriving" if orphan.arriving else "orphan"
            self._tell(options, state, file=orphan.name, bytes=orphan.size)
        for document in orphans.documents_without_file():
            lost += 1
            self._tell(options, "lost", file=document.file.name, document_id=str(document.pk))
        if not options["json"]:
            self.stdout.write(
                f"{files:,} files without a document ({size:,} bytes), {deleted:,} deleted; "
                f"{lost:,} documents without their file"
            )

    def _tell(self, options: dict[str, Any], state: str, **about: Any) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({"state": state, **about}))
        else:
            self.stdout.write(f"{state:<9}" + "  ".join(str(value) for value in about.values()))

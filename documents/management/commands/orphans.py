"""`manage.py orphans`: files that no document has, and documents whose file is lost."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from tqdm import tqdm

from documents import orphans
from documents.exceptions import StorageUnreachable
from documents.explained import ExplainedCommand


class Command(ExplainedCommand):
    """Lists both, and deletes the files that no document has."""

    help = "List files that no document has, and documents whose file is lost."
    examples = """
manage.py orphans
manage.py orphans --delete --json
"""
    notes = """
Give --delete only where no other database's files are in the same folder (in S3: below the same
one). Files that arrived within the last hour may be uploads under way, and stay.
"""
    deleted = 0

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares --delete and --json."""
        parser.add_argument("--delete", action="store_true", help="delete the files")
        parser.add_argument("--json", action="store_true", help="print a JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        """A line for each as it is found, then the sums. Raises CommandError: no files reached."""
        try:
            self._look(options)
        except StorageUnreachable as error:
            raise CommandError(f"{error}. Run it again once the files can be reached.") from error

    def _look(self, options: dict[str, Any]) -> None:
        files = size = lost = 0
        with self.progress(options, desc="looked at", unit="file") as bar:
            for orphan in orphans.files_without_document(bar.update):
                gone = options["delete"] and orphans.delete(orphan)
                files, size = files + 1, size + orphan.size
                self.deleted += gone
                state = "deleted" if gone else "arriving" if orphan.arriving else "orphan"
                self._tell(options, state, file=orphan.name, bytes=orphan.size)
            for document in orphans.documents_without_file(bar.update):
                lost += 1
                self._tell(options, "lost", file=document.file.name, document_id=str(document.pk))
        if not options["json"]:
            self.stdout.write(
                f"{files:,} files without a document ({size:,} bytes), {self.deleted:,} deleted; "
                f"{lost:,} documents without their file"
            )

    def so_far(self) -> str:
        """What is deleted is gone."""
        return f"{self.deleted:,} files were deleted." if self.deleted else super().so_far()

    def _tell(self, options: dict[str, Any], state: str, **about: Any) -> None:
        line = f"{state:<9}" + "  ".join(str(value) for value in about.values())
        with tqdm.external_write_mode():  # or the bar would stand among the lines
            self.stdout.write(json.dumps({"state": state, **about}) if options["json"] else line)

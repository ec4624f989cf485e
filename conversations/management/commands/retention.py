"""`manage.py retention`: deletes now what the worker deletes every hour."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from conversations.retention import delete_due, due
from documents.explained import ExplainedCommand


class Command(ExplainedCommand):
    """Deletes what is older than the settings let it get."""

    help = """\
Delete conversations, documents and search traces that are older than RETENTION_DAYS,
DOCUMENT_RETENTION_DAYS and TRACE_RETENTION_DAYS, as the worker does every hour.
"""
    examples = """
manage.py retention --dry-run
manage.py retention --json
"""
    notes = "Where these settings are 0, which is their default, nothing is deleted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares --dry-run and --json."""
        parser.add_argument("--dry-run", action="store_true", help="only tell how many are due")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints counts."""
        with self.progress(options, unit="row") as bar:
            counts = asdict(due() if options["dry_run"] else delete_due(bar.update))
        if options["json"]:
            self.stdout.write(json.dumps(counts))
            return
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        self.stdout.write(f"{told} {'due' if options['dry_run'] else 'deleted'}")

    def so_far(self) -> str:
        """Each batch is deleted for good."""
        return f"{self.done:,} rows are deleted: run it again to go on."

"""`manage.py retention`: deletes now what the worker deletes every hour."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from conversations.retention import delete_due, due


class Command(BaseCommand):
    """Deletes what is older than the settings let it get."""

    help = (
        "Delete conversations, documents and search traces that are older than RETENTION_DAYS, "
        "DOCUMENT_RETENTION_DAYS and TRACE_RETENTION_DAYS, as the worker does every hour. "
        "Example: manage.py retention --dry-run"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares --dry-run and --json."""
        parser.add_argument("--dry-run", action="store_true", help="only tell how many are due")
        parser.add_argument("--json", action="store_true", help="print a JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints counts."""
        counts = asdict(due() if options["dry_run"] else delete_due())
        if options["json"]:
            self.stdout.write(json.dumps(counts))
            return
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        self.stdout.write(f"{told} {'due' if options['dry_run'] else 'deleted'}")

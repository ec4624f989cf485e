"""`manage.py doctor`: whether all that the product needs is well, and how to mend what is not."""

import json
import logging
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from botgpt.doctor.configuration import configuration
from botgpt.doctor.database import clock, database
from botgpt.doctor.files import encodings, storage
from botgpt.doctor.findings import Check, Finding, Status, examine
from botgpt.doctor.model import model
from botgpt.doctor.worker import worker
from documents.explained import ExplainedCommand

CHECKS: dict[str, Check] = {
    "database": database,
    "worker": worker,
    "model": model,
    "storage": storage,
    "encodings": encodings,
    "settings": configuration,
    "clock": clock,
}


class Command(ExplainedCommand):
    """Prints a line for each thing that was looked at."""

    help = "Check database, worker, model, storage, encodings, settings and clock."
    examples = """
manage.py doctor
manage.py doctor --only worker --only model
manage.py doctor --json | jq -r '.findings[] | select(.status != "ok") | .mend'
"""
    notes = """
Each line says ok, warn or fail, what was seen and, unless all is well, how to mend it. The exit
code is 1 where something fails, else 0. Settings are those of the environment that it runs in. No
secret is printed.
"""
    # They are among what is told.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares --only and --json."""
        parser.add_argument(
            "--only",
            action="append",
            choices=list(CHECKS),
            help="look at this alone (may be repeated)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """A line as soon as it is known. Exits with 1 where something fails."""
        logging.disable(logging.CRITICAL)  # what goes wrong is told here
        try:
            found = self._examined(options)
        finally:
            logging.disable(logging.NOTSET)
        statuses = {finding.status for _, finding in found}
        worst = next(one for one in (Status.FAIL, Status.WARN, Status.OK) if one in statuses)
        if options["json"]:
            rows = [{"check": name, **asdict(finding)} for name, finding in found]
            self.stdout.write(json.dumps({"status": worst, "findings": rows}))
        if worst == Status.FAIL:
            sys.exit(1)

    def so_far(self) -> str:
        """It only looks."""
        return "Nothing was changed; what is not told above was not seen."

    def _examined(self, options: dict[str, Any]) -> list[tuple[str, Finding]]:
        chosen = options["only"] or CHECKS
        checks = {name: check for name, check in CHECKS.items() if name in chosen}
        found = []
        for name, finding in examine(checks):
            found.append((name, finding))
            if not options["json"]:
                self._tell(name, finding)
        return found

    def _tell(self, name: str, finding: Finding) -> None:
        styles = {Status.OK: self.style.SUCCESS, Status.WARN: self.style.WARNING}
        mark = styles.get(finding.status, self.style.ERROR)(f"{finding.status:<4}")
        self.stdout.write(f"{mark}  {name:<9}  {finding.seen}")
        if finding.mend:
            self.stdout.write(f"{'':<17}mend: {finding.mend}")
        self.stdout.flush()

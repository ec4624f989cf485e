"""`manage.py search`: what search finds in a user's documents, for operators."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from documents.explained import ExplainedCommand
from documents.models import Document
from documents.search import search
from llm.retrieval import Query


class Command(ExplainedCommand):
    """Prints the passages, best first."""

    help = "Search a user's documents as a grounded conversation does."
    examples = """
manage.py search "opening hours" --user 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11
manage.py search "net sales" --user 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11 --limit 3 --json
"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares QUERY, --user, --document, --limit and --json."""
        parser.add_argument("query", metavar="QUERY", help="the words to search for")
        parser.add_argument("--user", type=UUID, required=True, help="whose documents")
        parser.add_argument(
            "--document",
            type=UUID,
            action="append",
            default=[],
            metavar="ID",
            help="search this one alone (may be repeated)",
        )
        parser.add_argument("--limit", type=int, default=10, metavar="N", help="default: 10")
        parser.add_argument("--json", action="store_true", help="print a JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises CommandError where there is nothing to search."""
        if options["limit"] < 1:
            raise CommandError("--limit must be at least 1.")
        ids = self._document_ids(options["user"], options["document"])
        passages = search([Query(((options["query"], 1.0),))], ids, options["limit"]).passages
        for rank, passage in enumerate(passages, start=1):
            if options["json"]:
                row = {"rank": rank, **asdict(passage)}
                self.stdout.write(json.dumps(row, default=str, ensure_ascii=False))
                continue
            section = f", {passage.section}" if passage.section else ""
            place = f"{passage.document_name}, {passage.pages}{section}"
            self.stdout.write(f"{rank:>2}. {passage.score:.2f}  {place}  ({passage.document_id})")
            self.stdout.write("".join(f"    {line}\n" for line in passage.text.splitlines()))
        if not passages and not options["json"]:
            self.stdout.write(f"Nothing found in {len(ids)} documents.")

    def _document_ids(self, user_id: UUID, wanted: list[UUID]) -> list[UUID]:
        ready = Document.objects.visible_to(user_id).ready()
        ids = list((ready.filter(pk__in=wanted) if wanted else ready).values_list("pk", flat=True))
        if missing := [str(one) for one in wanted if one not in ids]:
            raise CommandError(f"This user has no such document ready: {', '.join(missing)}.")
        if not ids:
            raise CommandError(
                "This user has no document that can be searched: manage.py ingest reads some."
            )
        return ids

"""`manage.py evaluate`: how well search finds the evidence of questions about a folder."""

import logging
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files import File
from django.core.management.base import CommandError
from django.db import connection

from documents.evaluation import (
    DEPTH,
    QuestionError,
    Report,
    Scope,
    ask,
    find_files,
    find_questions,
    read_questions,
)
from documents.explained import Bar, ExplainedCommand
from documents.extraction.kind import HEAD_BYTES, sniff
from documents.ingestion import ingest
from documents.models import Document
from documents.search import search
from llm.passages import Passage
from llm.retrieval import Query

# A user of its own, so that evaluations touch nobody's documents.
EVALUATOR = UUID("e7a10a7e-0000-4000-8000-000000000000")


class Command(ExplainedCommand):
    """Ingests what is missing, asks every question, and prints the numbers."""

    help = "Measure search on a folder of documents (PDF, TXT, MD) with questions about them."
    examples = """
manage.py evaluate library/
manage.py evaluate library/ questions.jsonl --scope document --json
"""
    notes = """
The questions are JSON Lines, one object a line:

  {"question": "What were net sales?", "document": "report.pdf", "pages": [24, 31]}
  {"question": "When does it open?", "text": "opens at nine", "id": "opening"}

document: a file's name below the folder; pages (or page): from 1; text: words of the document,
or a list of such. A passage is a hit when it is of the document and touches ANY of the pages or
holds ANY of the texts (line ends do not matter); with a document alone, any of its passages is.

Prints recall@1, @3, @5 and @10 (the share of questions with a hit that high), MRR@10 (the mean
of 1 / rank of the first hit), and the questions whose hit came late or not at all.
"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares PATH, QUESTIONS, --scope, --user, --anew and --json."""
        parser.add_argument("path", type=Path, metavar="PATH", help="the folder")
        parser.add_argument(
            "questions",
            type=Path,
            nargs="?",
            metavar="QUESTIONS",
            help="the questions (default: the one .jsonl file in the folder)",
        )
        parser.add_argument(
            "--scope",
            type=Scope,
            choices=list(Scope),
            default=Scope.ALL,
            help="search all documents of the folder (default), or the question's own alone",
        )
        parser.add_argument(
            "--user",
            type=UUID,
            default=EVALUATOR,
            help=f"whose documents they become (default: {EVALUATOR})",
        )
        parser.add_argument(
            "--anew", action="store_true", help="read again the documents that are already there"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises CommandError where the folder or the questions cannot be used."""
        # The report says the same, and log lines would break the bar.
        logging.getLogger("documents.ingestion").setLevel(logging.ERROR)
        folder: Path = options["path"]
        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder.")
        files = find_files(folder)
        if not files:
            raise CommandError(f"{folder} holds no PDF, TXT or MD file.")
        try:
            path = options["questions"] or find_questions(folder)
            questions = read_questions(path, list(files), options["scope"])
        except QuestionError as error:
            raise CommandError(str(error)) from error
        user = get_user_model().objects.known_as(options["user"])
        reading = self.progress(options, desc="reading", total=len(files), unit="file")
        documents, unread = _ingest(user, files, reading, anew=options["anew"])
        ids = {name: document.pk for name, document in documents.items()}
        outcomes = self.progress(
            options,
            ask(questions, _search, ids, options["scope"]),
            desc="asking",
            total=len(questions),
            unit="question",
        )
        distinct = {document.pk: document for document in documents.values()}
        report = Report(
            scope=options["scope"],
            documents=len(distinct),
            chunks=sum(document.chunk_count for document in distinct.values()),
            outcomes=tuple(outcomes),
            unread=tuple(unread.items()),
        )
        self.stdout.write(report.as_json() if options["json"] else report.as_text())

    def so_far(self) -> str:
        """Numbers of some of the questions would mislead."""
        return "Nothing was measured; the documents that were read are kept for the next run."


def _search(text: str, ids: Sequence[UUID]) -> list[Passage]:
    return search([Query(((text, 1.0),))], ids, DEPTH).passages


def _ingest(
    user: Any, files: Mapping[str, Path], bar: Bar, *, anew: bool
) -> tuple[dict[str, Document], dict[str, str]]:
    """The documents by name, all readable ones ready; and why the others are not."""
    documents: dict[str, Document] = {}
    unread: dict[str, str] = {}
    pool = ThreadPoolExecutor(settings.DOCUMENTS_AT_ONCE)
    try:
        taken = pool.map(lambda path: _take(user, path, anew=anew), files.values())
        for name, document in zip(files, taken, strict=True):
            bar.update()
            if document is None:
                unread[name] = "neither a PDF nor plain text"
            elif document.status == Document.Status.FAILED:
                unread[name] = f"{document.error_code}: {document.error}"
            else:
                documents[name] = document
    finally:
        # After Ctrl-C, those that have not begun are left out.
        pool.shutdown(cancel_futures=True)
        bar.close()
    return documents, unread


def _take(user: Any, path: Path, *, anew: bool) -> Document | None:
    """The document a file becomes or already is; None for a file that we take no such of."""
    try:
        with path.open("rb") as stream:
            kind = sniff(stream.read(HEAD_BYTES))
            if kind is None:
                return None
            file = File(stream, name=path.name)
            document, _ = Document.objects.keep(user, path.name, kind, file, lambda _: None)
        if anew or document.status in (Document.Status.PENDING, Document.Status.PROCESSING):
            ingest(document)
        return document
    finally:
        connection.close()  # this thread's own

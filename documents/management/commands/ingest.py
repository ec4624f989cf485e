"""`manage.py ingest`: reads files and folders into documents of one user."""

import json
import logging
import os
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files import File
from django.core.management.base import CommandError
from django.db import connection

from documents.explained import Bar, ExplainedCommand
from documents.extraction.kind import HEAD_BYTES, sniff
from documents.ingestion import Progress, ingest
from documents.models import Document
from documents.tasks import defer_in_reserve, withdraw


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file: a new document, one that was there already, or none and why."""

    path: Path
    document: Document | None = None
    created: bool = False
    error: str = ""

    @property
    def state(self) -> str:
        """In a word."""
        if self.document is None:
            return "failed"
        return "added" if self.created else "skipped"

    def as_json(self) -> str:
        """As a line of --json."""
        told: dict[str, Any] = {"state": self.state, "file": str(self.path)}
        if document := self.document:
            told |= {
                "document_id": str(document.pk),
                "status": document.status,
                "pages": document.page_count,
                "chunks": document.chunk_count,
            }
        return json.dumps(told | ({"error": self.error} if self.error else {}), ensure_ascii=False)


class Command(ExplainedCommand):
    """Ingests files in this process, so that it ends when they can be searched."""

    help = (
        "Read PDF and text files into a user's documents, several at once. Folders are searched "
        "through; hidden files in them are left out."
    )
    examples = """
manage.py ingest museum.txt --user 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11
manage.py ingest reports/ notes.txt --user 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11 --json
"""
    notes = """
What the user has already is skipped, whatever its name. It goes on past files that cannot be read,
names them and ends with exit code 1.
"""
    files = 0

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares PATH..., --user and --json."""
        parser.add_argument(
            "paths", nargs="+", type=Path, metavar="PATH", help="a file or a folder"
        )
        parser.add_argument("--user", type=UUID, required=True, help="the owner's UUID")
        parser.add_argument("--json", action="store_true", help="print a JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Goes on past bad files. Raises CommandError at the end if there were any."""
        # The summary says the same, and log lines would break the bar.
        logging.getLogger("documents.ingestion").setLevel(logging.ERROR)
        user = get_user_model().objects.known_as(options["user"])
        files, closed = _found(options["paths"])
        self.files, started = len(files), perf_counter()
        with self.progress(options, total=len(files), unit="file") as bar:
            outcomes = _ingest_all(user, files, bar)
        outcomes += closed
        for outcome in outcomes:
            self._tell(outcome, as_json=options["json"])
        counts = Counter(outcome.state for outcome in outcomes)
        if not options["json"]:
            told = ", ".join(f"{counts[state]} {state}" for state in ("added", "skipped", "failed"))
            self.stdout.write(f"{told} in {perf_counter() - started:.1f} s")
        if failed := counts["failed"]:
            raise CommandError(f"{failed} files or folders could not be read.")

    def so_far(self) -> str:
        """Each file is kept as it is read."""
        return (
            f"{self.done} of {self.files} files are done: run it again to go on, these are "
            "skipped. What was being read is left to the worker."
        )

    def _tell(self, outcome: Outcome, *, as_json: bool) -> None:
        document = outcome.document
        if as_json:
            self.stdout.write(outcome.as_json())
        elif document is None:
            self.stderr.write(f"failed   {outcome.path}: {outcome.error}")
        elif outcome.created:
            size = f"{document.page_count} pages, {document.chunk_count} chunks"
            self.stdout.write(f"{document.pk}  {document.name}  ({size})")
        else:
            there = f"already there as {document.pk} ({document.status})"
            self.stdout.write(f"skipped  {outcome.path}: {there}")


def _found(paths: Iterable[Path]) -> tuple[list[Path], list[Outcome]]:
    """The files named, and those below the folders named; and folders that cannot be looked into.

    Hidden ones in folders are left out.
    """
    files: list[Path] = []
    closed: list[Outcome] = []

    def note(error: OSError) -> None:
        closed.append(Outcome(Path(error.filename), error=f"{error.strerror}"))

    for path in paths:
        files += _below(path, note) if path.is_dir() else [path]
    return files, closed


def _below(folder: Path, note: Callable[[OSError], None]) -> list[Path]:
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = (Path(place, name) for name in names if not name.startswith("."))
        found += [path for path in here if path.is_file()]
    return sorted(found)


def _ingest_all(user: Any, files: list[Path], bar: Bar) -> list[Outcome]:
    """What became of each file, in their order; the bar moves as they are done."""
    pool = ThreadPoolExecutor(settings.DOCUMENTS_AT_ONCE)
    try:
        futures = [pool.submit(_ingest_file, user, path, bar) for path in files]
        _watch(futures, bar)
    finally:
        # After Ctrl-C, those that have not begun are left out.
        pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _watch(futures: "list[Future[Outcome]]", bar: Bar) -> None:
    started = perf_counter()
    pages = chunks = 0
    for future in as_completed(futures):
        outcome = future.result()
        if outcome.created and outcome.document:
            pages += outcome.document.page_count
            chunks += outcome.document.chunk_count
        rate = chunks / (perf_counter() - started)
        bar.set_postfix_str(f"{pages} pages, {rate:.0f} chunks/s", refresh=False)
        bar.update()


def _ingest_file(user: Any, path: Path, bar: Bar) -> Outcome:
    """Never raises: one bad file is no reason to stop the others."""

    def show_page(done: int, total: int) -> None:
        bar.set_description_str(f"{path.name[:30]}: page {done}/{total}", refresh=False)
        bar.update(0)

    try:
        document, created = _take(user, path, show_page)
    except OSError as error:
        return Outcome(path, error=error.strerror or str(error))
    except Exception as error:
        return Outcome(path, error=f"{error}" or type(error).__name__)
    finally:
        connection.close()  # this thread's own
    if document.error_code:
        return Outcome(path, error=f"{document.error_code}: {document.error}")
    return Outcome(path, document, created)


def _take(user: Any, path: Path, on_page: Progress) -> tuple[Document, bool]:
    """The document a file becomes, and whether it is new. Raises ValueError for a bad file."""
    reserve: list[int] = []
    with path.open("rb") as stream:
        kind = sniff(stream.read(HEAD_BYTES))
        if kind is None:
            raise ValueError("neither a PDF nor plain text")
        file = File(stream, name=path.name)
        if file.size > settings.MAX_UPLOAD_BYTES:
            raise ValueError(f"larger than {settings.MAX_UPLOAD_BYTES // (1024 * 1024)} MB")
        document, created = Document.objects.keep(
            user, path.name, kind, file, lambda new: reserve.append(defer_in_reserve(new))
        )
    if created:
        try:
            ingest(document, on_page)
        except Exception:
            document.mark_pending()  # for the worker, as where this process is killed
            raise
        withdraw(reserve[0])
    return document, created

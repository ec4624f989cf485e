"""`manage.py ingest`: reads files and folders into documents of one user."""

import logging
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from tqdm import tqdm

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


class Command(BaseCommand):
    """Ingests files in this process, so that it ends when they can be searched."""

    help = (
        "Read PDF and text files into a user's documents, several at once. Folders are searched "
        "through. Example: manage.py ingest reports/ notes.txt "
        "--user 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares PATH... and --user."""
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument("--user", type=UUID, required=True, help="the owner's UUID")

    def handle(self, *args: Any, **options: Any) -> None:
        """Goes on past bad files. Raises CommandError at the end if there were any."""
        # The summary says the same, and log lines would break the bar.
        logging.getLogger("documents.ingestion").setLevel(logging.ERROR)
        user = get_user_model().objects.known_as(options["user"])
        files = list(_files(options["paths"]))
        started = perf_counter()
        with tqdm(
            total=len(files), unit="file", disable=None if options["verbosity"] else True
        ) as bar:
            outcomes = _ingest_all(user, files, bar)
        self._report(outcomes, perf_counter() - started)

    def _report(self, outcomes: list[Outcome], seconds: float) -> None:
        added = skipped = failed = 0
        for outcome in outcomes:
            document = outcome.document
            if document is None:
                failed += 1
                self.stderr.write(f"failed   {outcome.path}: {outcome.error}")
            elif outcome.created:
                added += 1
                size = f"{document.page_count} pages, {document.chunk_count} chunks"
                self.stdout.write(f"{document.pk}  {document.name}  ({size})")
            else:
                skipped += 1
                there = f"already there as {document.pk} ({document.status})"
                self.stdout.write(f"skipped  {outcome.path}: {there}")
        summary = f"{added} added, {skipped} skipped, {failed} failed"
        self.stdout.write(f"{summary} in {seconds:.1f} s")
        if failed:
            raise CommandError(f"{failed} files could not be read.")


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and those below the folders named; hidden ones in folders are left out."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for found in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
            if found.is_file() and not hidden:
                yield found


def _ingest_all(user: Any, files: list[Path], bar: "tqdm[Any]") -> list[Outcome]:
    """What became of each file, in their order; the bar moves as they are done."""
    pool = ThreadPoolExecutor(settings.DOCUMENTS_AT_ONCE)
    try:
        futures = [pool.submit(_ingest_file, user, path, bar) for path in files]
        _watch(futures, bar)
    finally:
        # After Ctrl-C, those that have not begun are left out.
        pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _watch(futures: "list[Future[Outcome]]", bar: "tqdm[Any]") -> None:
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


def _ingest_file(user: Any, path: Path, bar: "tqdm[Any]") -> Outcome:
    """Never raises: one bad file is no reason to stop the others."""

    def show_page(done: int, total: int) -> None:
        bar.set_description_str(f"{path.name[:30]}: page {done}/{total}", refresh=False)
        bar.update(0)

    try:
        document, created = _take(user, path, show_page)
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

"""`manage.py ingest`: reads files and folders into documents of one user."""

import logging
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from documents.extraction.kind import sniff
from documents.ingestion import ingest
from documents.models import Document


class Command(BaseCommand):
    """Ingests files in this process, so that it ends when they can be searched."""

    help = (
        "Read PDF and text files into a user's documents. Folders are searched through. "
        "Example: manage.py ingest reports/ notes.txt "
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
        added: list[Document] = []
        skipped: list[str] = []
        failed: list[str] = []
        started = perf_counter()
        pages = chunks = 0
        with tqdm(files, unit="file", disable=None if options["verbosity"] else True) as bar:
            for path in bar:
                bar.set_description(path.name[:30])
                try:
                    document, created = _take(user, path, bar)
                except (OSError, ValueError) as error:
                    failed.append(f"{path}: {error}")
                    continue
                if document.status == Document.Status.FAILED:
                    failed.append(f"{path}: {document.error_code}: {document.error}")
                elif created:
                    added.append(document)
                    pages += document.page_count
                    chunks += document.chunk_count
                else:
                    skipped.append(f"{path}: already there as {document.pk} ({document.status})")
                rate = chunks / (perf_counter() - started)
                bar.set_postfix_str(f"{pages} pages, {rate:.0f} chunks/s")
        self._report(added, skipped, failed, perf_counter() - started)

    def _report(
        self, added: list[Document], skipped: list[str], failed: list[str], seconds: float
    ) -> None:
        for document in added:
            size = f"{document.page_count} pages, {document.chunk_count} chunks"
            self.stdout.write(f"{document.pk}  {document.name}  ({size})")
        for line in skipped:
            self.stdout.write(f"skipped  {line}")
        for line in failed:
            self.stderr.write(f"failed   {line}")
        summary = f"{len(added)} added, {len(skipped)} skipped, {len(failed)} failed"
        self.stdout.write(f"{summary} in {seconds:.1f} s")
        if failed:
            raise CommandError(f"{len(failed)} files could not be read.")


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


def _take(user: Any, path: Path, bar: "tqdm[Path]") -> tuple[Document, bool]:
    """The document a file becomes, and whether it is new. Raises ValueError for a bad file."""
    with path.open("rb") as stream:
        kind = sniff(stream.read(64 * 1024))
        if kind is None:
            raise ValueError("neither a PDF nor plain text")
        file = File(stream, name=path.name)
        if file.size > settings.MAX_UPLOAD_BYTES:
            raise ValueError(f"larger than {settings.MAX_UPLOAD_BYTES // (1024 * 1024)} MB")

        def read(document: Document) -> None:
            ingest(document, lambda done, total: bar.set_postfix_str(f"page {done}/{total}"))

        document, created = Document.objects.keep(user, path.name, kind, file, read)
        return document, created

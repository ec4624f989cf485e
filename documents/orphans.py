"""Files without a document, as a process leaves that is killed between the two; and the reverse."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import PurePosixPath
from uuid import UUID

from django.core.files.storage import Storage
from django.utils import timezone

from documents.models import Document

# Files, or rows, that are looked up at a time.
AT_ONCE = 1_000
# Where documents' files are kept.
FOLDER = "documents"
HEX_DIGITS = 32
# An upload under way has its file before its row.
MAY_BE_ARRIVING = timedelta(hours=1)
Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file without a document; `size` in bytes."""

    name: str
    size: int
    arriving: bool


def storage() -> Storage:
    """Where documents' files are."""
    return Document._meta.get_field("file").storage


def files_without_document(progress: Progress = lambda _: None) -> Iterator[Orphan]:
    """AT_ONCE files are in memory at a time, and one folder's names; `progress` counts files."""
    names = _names(storage(), FOLDER)
    while some := list(islice(names, AT_ONCE)):
        known = _known(some)
        yield from (found for name in some if name not in known and (found := _orphan(name)))
        progress(len(some))


def documents_without_file(progress: Progress = lambda _: None) -> Iterator[Document]:
    """AT_ONCE documents are in memory at a time; `progress` counts them."""
    rest = Document.objects.only("pk", "name", "file").order_by("pk")
    page = list(rest[:AT_ONCE])
    while page:
        yield from (one for one in page if not one.has_file())
        progress(len(page))
        page = list(rest.filter(pk__gt=page[-1].pk)[:AT_ONCE])


def delete(orphan: Orphan) -> bool:
    """Deletes the file unless a document has it now or it may be arriving; whether it did."""
    if orphan.arriving or orphan.name in _known([orphan.name]):
        return False
    storage().delete(orphan.name)
    return True


def _names(where: Storage, folder: str) -> Iterator[str]:
    try:
        folders, files = where.listdir(folder)
    except FileNotFoundError:  # nothing was ever uploaded, or the folder was just removed
        return
    yield from (f"{folder}/{name}" for name in files)
    for name in folders:
        yield from _names(where, f"{folder}/{name}")


def _known(names: Sequence[str]) -> set[str]:
    """Those of these files that documents have; one query."""
    ids = [pk for name in names if (pk := _document_id(name))]
    return set(Document.objects.filter(pk__in=ids).values_list("file", flat=True))


def _document_id(name: str) -> UUID | None:
    """Whose a file would be by its name, as `stored_name` gives it."""
    try:
        return UUID(PurePosixPath(name).name[:HEX_DIGITS])
    except ValueError:
        return None


def _orphan(name: str) -> Orphan | None:
    """None where it is gone by now."""
    try:
        arrived = storage().get_modified_time(name)
        return Orphan(name, storage().size(name), arrived > timezone.now() - MAY_BE_ARRIVING)
    except FileNotFoundError:
        return None

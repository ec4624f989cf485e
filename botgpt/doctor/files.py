"""Files: the storage takes, gives back and deletes; the encodings of tokens are there."""

import secrets
import shutil
from collections.abc import Iterator

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

from botgpt.doctor.findings import Finding, fail, ok, warn
from documents import orphans
from llm import tokens

LITTLE_BYTES = 2 * 1024**3
GB = 1024**3


def storage() -> Iterator[Finding]:
    """A file that is written, read and deleted; and how much more there is room for."""
    where = orphans.storage()
    content = secrets.token_bytes(1024)
    # Left behind, it is found by `manage.py orphans`.
    name = f"{orphans.FOLDER}/doctor-{secrets.token_hex(8)}"
    local = isinstance(where, FileSystemStorage)
    place = str(where.location) if isinstance(where, FileSystemStorage) else "the storage"
    try:
        name = where.save(name, ContentFile(content))
        try:
            with where.open(name) as file:
                same = file.read() == content
        finally:
            where.delete(name)
    except OSError as error:
        yield fail(
            f"{place} cannot be used: {error.strerror or type(error).__name__}",
            "see that the account of web and worker owns BOTGPT_DATA_DIR, and that it is mounted",
        )
        return
    if not same:
        yield fail(f"{place} gives back other bytes than it took", "replace the disk or the mount")
        return
    yield ok(f"{place} takes a file, gives it back and deletes it")
    if local:
        yield _room(place)


def encodings() -> Iterator[Finding]:
    """Each can be loaded without internet."""
    for name in tokens.CACHE_NAMES:
        try:
            whole = tokens.intact(name)
        except OSError as error:
            yield fail(
                f"{name} cannot be unpacked: {error.strerror or type(error).__name__}",
                "install requirements.txt again, and see that BOTGPT_DATA_DIR can be written to",
            )
            continue
        if not whole:
            folder = settings.DATA_DIR / "encodings"
            yield fail(f"{name} is damaged", f"delete {folder / tokens.CACHE_NAMES[name]}")
            continue
        yield ok(f"{name} is there and counts ({tokens.count('opening hours', name)} tokens)")


def _room(place: str) -> Finding:
    found = shutil.disk_usage(place)
    told = f"{found.free / GB:.1f} of {found.total / GB:.1f} GB are free"
    if found.free < settings.MAX_UPLOAD_BYTES:
        return fail(told, "make room: not one upload of MAX_UPLOAD_MB fits")
    if found.free < LITTLE_BYTES:
        return warn(told, "make room, or move BOTGPT_DATA_DIR to a larger disk")
    return ok(told)

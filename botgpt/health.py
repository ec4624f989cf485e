"""Health checks for operators and load balancers. Each part is looked at for a short while only."""

import asyncio
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from conversations import provider
from conversations.database import soon_in_database
from documents import queue
from documents.models import Document

# What a part may take to answer.
SECONDS = 3.0
# A disk that hangs keeps this thread, and no other.
STORAGE = ThreadPoolExecutor(1, thread_name_prefix="storage")
OK, NO_ANSWER = "ok", f"did not answer within {SECONDS:.0f} seconds"
GONE = "its folder is not there"


@dataclass(frozen=True, slots=True)
class Part:
    """One part: `ok` or what is wrong, and its numbers."""

    status: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Looked:
    """What the database tells."""

    unfinished: int
    oldest_seconds: int
    standing: queue.Standing


class _NotMigratedError(Exception):
    """The database lacks tables or columns that the product needs."""


@require_safe
async def live(request: HttpRequest) -> JsonResponse:
    """The process answers; says nothing of what it depends on."""
    return JsonResponse({"status": OK})


@require_safe
async def ready(request: HttpRequest) -> JsonResponse:
    """This process can serve; 503 with what is wrong otherwise: its database or its storage.

    Tells too how many documents wait to be read, and how long the oldest has: a queue that grows
    old has no worker. And for how many seconds more this process asks which model nothing, because
    it failed too often. Neither is a reason to take the web out of service.
    """
    database, storage, looked = await _look()
    body: dict[str, Any] = {
        "status": OK if database == storage == OK else "unavailable",
        "checks": {"database": database, "storage": storage},
    }
    if looked:
        numbers = asdict(looked)
        body["documents"] = {name: numbers[name] for name in ("unfinished", "oldest_seconds")}
    if out_of_service := provider.out_of_service():
        body["models_out_of_service"] = out_of_service
    return JsonResponse(body, status=200 if body["status"] == OK else 503)


@require_safe
async def report(request: HttpRequest) -> JsonResponse:
    """Every part apart: `unavailable` (503) without database or storage, else `degraded` or `ok`.

    Without a worker documents stay unread, and without its model questions fail: the rest works.
    """
    database, storage, looked = await _look()
    parts = {
        "database": Part(database),
        "queue": _queue(looked.standing) if looked else Part("unknown"),
        "storage": Part(storage),
        "model": _model(),
    }
    works = database == storage == OK
    whole = works and all(part.status == OK for part in parts.values())
    body = {
        "status": OK if whole else "degraded" if works else "unavailable",
        "checks": {name: {"status": part.status, **part.numbers} for name, part in parts.items()},
    }
    return JsonResponse(body, status=200 if works else 503)


async def _look() -> tuple[str, str, _Looked | None]:
    """How database and storage are, and what the first tells."""
    (database, looked), storage = await asyncio.gather(_database(), _storage())
    if storage == GONE and looked and not await soon_in_database(SECONDS, _has_documents):
        storage = OK  # the first upload makes it
    return database, storage, looked


async def _database() -> tuple[str, _Looked | None]:
    try:
        return OK, await soon_in_database(SECONDS, _looked)
    except TimeoutError:
        return NO_ANSWER, None
    except DatabaseError:
        return "unreachable", None
    except _NotMigratedError:
        return "migrations are missing: run manage.py migrate", None


def _looked() -> _Looked:
    """Four queries, and those of the migrations until they are found to be whole."""
    _require_migrated()
    found = Document.objects.unfinished().aggregate(waiting=Count("pk"), since=Min("created_at"))
    age = (timezone.now() - found["since"]).total_seconds() if found["since"] else 0
    return _Looked(found["waiting"], int(age), queue.standing(SECONDS))


@cache
def _require_migrated() -> None:
    """Raises _NotMigratedError; once all are there, no process of this version looks again."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise _NotMigratedError


def _has_documents() -> bool:
    return Document.objects.exists()


async def _storage() -> str:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(SECONDS):
            return await loop.run_in_executor(STORAGE, _stored)
    except TimeoutError:
        return NO_ANSWER


def _stored() -> str:
    try:
        if not isinstance(default_storage, FileSystemStorage):
            default_storage.exists("health")  # asks for it
            return OK
        folder = Path(default_storage.location)
        if not folder.is_dir():
            return GONE
        tempfile.TemporaryFile(dir=folder).close()  # which has no name there
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return f"cannot be written: {error.strerror}"
    except Exception:  # each storage has its own
        return "unreachable"
    return OK if free > settings.MAX_UPLOAD_BYTES else "the disk is full"


def _queue(standing: queue.Standing) -> Part:
    numbers = {
        "workers": standing.workers,
        "waiting": standing.waiting,
        "oldest_seconds": int(standing.oldest),
    }
    return Part(OK if standing.workers else "no worker lives", numbers)


def _model() -> Part:
    if provider.answering() is None:
        return Part(OK, {"configured": False})
    left_alone = provider.out_of_service()
    wanted = settings.GROQ_MODEL
    status = "out of service" if left_alone else OK
    return Part(status, {"configured": True, "model": wanted, "out_of_service": left_alone})

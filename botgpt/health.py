"""Health checks for operators and load balancers."""

from typing import Any

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from conversations import provider
from documents.models import Document


async def live(request: HttpRequest) -> JsonResponse:
    """The process answers; says nothing of what it depends on."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """The database answers and is migrated; 503 with what is wrong otherwise.

    Tells too how many documents wait to be read, and how long the oldest has: a queue that grows
    old has no worker. And for how many seconds more this process asks which model nothing, because
    it failed too often. Neither is a reason to take the web out of service.
    """
    database = _database()
    body: dict[str, Any] = {
        "status": "ok" if database == "ok" else "unavailable",
        "checks": {"database": database},
    }
    if database == "ok":
        body["documents"] = _queue()
    if out_of_service := provider.out_of_service():
        body["models_out_of_service"] = out_of_service
    return JsonResponse(body, status=200 if database == "ok" else 503)


def _queue() -> dict[str, int]:
    unfinished = Document.objects.unfinished()
    found = unfinished.aggregate(waiting=Count("pk"), since=Min("created_at"))
    age = (timezone.now() - found["since"]).total_seconds() if found["since"] else 0
    return {"unfinished": found["waiting"], "oldest_seconds": int(age)}


def _database() -> str:
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "unreachable"
    return "migrations are missing: run manage.py migrate" if waiting else "ok"

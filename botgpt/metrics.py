"""Metrics for Prometheus: the numbers of all processes that share a folder, and of the queue.

Each process writes its numbers to files of its own there (prometheus_client's multiprocess mode),
so that whichever is asked tells those of all. Each metric has a label: one without would be made
when it is declared, before a process knows that it shares.
"""

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from botgpt.api.problems import problem
from conversations.dashboard.sections import SECTIONS
from conversations.database import soon_in_database
from documents import queue

logger = logging.getLogger("botgpt.metrics")

# Prometheus itself waits ten by default.
SECONDS = 3.0
# Of each file; twice what all routes and two models come to.
BYTES = 512 * 1024
REFUSED = (
    "Send METRICS_TOKEN as a bearer token, or sign in as staff who may see the whole dashboard."
)


def share() -> None:
    """From now on this process's numbers are told by all that share the folder."""
    folder = settings.METRICS_DIR
    try:
        _make_files(folder)
    except OSError:
        logger.warning("metrics are not shared", exc_info=True)
        return
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]


def _make_files(folder: Path) -> None:
    """This process's files, with all their room: where a disk fills up later, it would end us."""
    folder.mkdir(parents=True, exist_ok=True)
    # What a process of the same number left, whose streams are none of ours.
    multiprocess.mark_process_dead(os.getpid(), str(folder))  # type: ignore[no-untyped-call]
    for kind in ("counter", "histogram", "gauge_livesum"):
        file = folder / f"{kind}_{os.getpid()}.db"
        if not file.exists():
            file.write_bytes(bytes(BYTES))


def forget_all() -> None:
    """Begins anew: for who starts all processes that share the folder."""
    shutil.rmtree(settings.METRICS_DIR, ignore_errors=True)


def told(standing: queue.Standing | None = None) -> bytes:
    """All numbers as Prometheus reads them; those of the queue where they are given."""
    registry = REGISTRY
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        Path(folder).mkdir(parents=True, exist_ok=True)
        _forget_the_dead(folder)
        multiprocess.MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    text = generate_latest(registry)
    if standing is not None:
        of_queue = CollectorRegistry()
        of_queue.register(_QueueCollector(standing))
        text += generate_latest(of_queue)
    return text


def _forget_the_dead(folder: str) -> None:
    """What processes that ended had open is open no more; what they counted stays counted."""
    names = [name for name in os.listdir(folder) if name.startswith("gauge_")]
    for pid in {int(name.removesuffix(".db").rpartition("_")[2]) for name in names}:
        # It lives, as another user; or another of us has done the same just now.
        with suppress(PermissionError, FileNotFoundError):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                multiprocess.mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


class _QueueCollector(Collector):
    def __init__(self, standing: queue.Standing) -> None:
        self._standing = standing

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The queue's numbers."""
        jobs = GaugeMetricFamily(
            "botgpt_queue_jobs", "Jobs that are due or running", labels=["queue", "status"]
        )
        oldest = GaugeMetricFamily(
            "botgpt_queue_oldest_seconds",
            "For how long the first job that waits has been due",
            labels=["queue"],
        )
        for one in self._standing.queues:
            jobs.add_metric([one.name, "waiting"], one.waiting)
            jobs.add_metric([one.name, "running"], one.running)
            oldest.add_metric([one.name], one.oldest)
        workers = "Workers that have told of late that they live"
        yield jobs
        yield oldest
        yield GaugeMetricFamily("botgpt_workers", workers, value=self._standing.workers)


@require_safe
async def view(request: HttpRequest) -> HttpResponse:
    """`GET /metrics`."""
    if not (allowed(request.headers.get("Authorization", "")) or await _sees_all(request)):
        response = problem(401, REFUSED, code="not_authenticated")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    standing = None
    try:
        standing = await soon_in_database(SECONDS, queue.standing, SECONDS)
    except (DatabaseError, TimeoutError) as error:
        logger.warning("the queue is not told", extra={"why": error})
    text = await asyncio.to_thread(told, standing)  # streams would wait for it
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def allowed(authorization: str) -> bool:
    """Whether who sends this header may read the numbers."""
    scheme, _, token = authorization.partition(" ")
    if settings.METRICS_TOKEN:
        return scheme.lower() == "bearer" and constant_time_compare(
            token.strip(), settings.METRICS_TOKEN
        )
    return bool(settings.OPEN_ACCESS)


async def _sees_all(request: HttpRequest) -> bool:
    """Whether this is a member of staff who may see every number of the dashboard."""
    if not hasattr(request, "auser"):  # programs have no session, and so no user
        return False
    user = await request.auser()
    return user.is_staff and await user.ahas_perms([one.permission for one in SECTIONS])


# --- Workers, which answer no requests otherwise ------------------------------------------------


def serve(port: int) -> None:
    """Tells this machine's numbers at that port, in a thread; without a token to itself alone."""
    host = "" if settings.METRICS_TOKEN else "127.0.0.1"
    try:
        server = make_server(host, port, _application, _Server, _Handler)
    except (OSError, OverflowError):
        logger.warning("METRICS_PORT cannot be listened on", exc_info=True)
        return
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def _application(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    if environ["PATH_INFO"] != "/metrics":
        return _answer(start, HTTPStatus.NOT_FOUND, b"See /metrics.\n", "text/plain")
    if not allowed(environ.get("HTTP_AUTHORIZATION", "")):
        return _answer(start, HTTPStatus.UNAUTHORIZED, b"Send METRICS_TOKEN.\n", "text/plain")
    return _answer(start, HTTPStatus.OK, told(), CONTENT_TYPE_LATEST)


def _answer(start: Callable[..., Any], status: HTTPStatus, body: bytes, kind: str) -> list[bytes]:
    start(f"{status.value} {status.phrase}", [("Content-Type", kind)])
    return [body]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

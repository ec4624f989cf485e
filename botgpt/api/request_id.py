"""A request id for each request: in its log lines, its errors and its response header."""

import logging
import re
import time
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from uuid_utils.compat import uuid7

from botgpt.api import request_metrics
from documents import origin

logger = logging.getLogger("botgpt.request")

HEADER = "X-Request-ID"
META = "HTTP_X_REQUEST_ID"
# Asked for so often that they would hide the rest.
QUIET = ("/static/", "/health", "/metrics")
SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}")

current = origin.request_id


def _begin(request: HttpRequest) -> float:
    """Takes over the caller's id where it is harmless, else makes one, for all behind to read."""
    given = request.META.get(META, "")
    request.META[META] = given if SAFE.fullmatch(given) else uuid7().hex
    return origin.begin(request.META[META])


def _finish(request: HttpRequest, response: HttpResponseBase, started: float) -> HttpResponseBase:
    response.headers[HEADER] = current.get()
    seconds = time.perf_counter() - started
    request_metrics.count(request, response.status_code, seconds)
    level = logging.DEBUG if request.path.startswith(QUIET) else logging.INFO
    logger.log(
        level,
        "request",
        extra={
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "duration_ms": round(seconds * 1000, 1),
        },
    )
    return response


@sync_and_async_middleware
def request_id_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Names the request, logs it once with its duration, and returns the name to the caller."""
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            started = _begin(request)
            return _finish(request, await get_response(request), started)

        return middleware

    def sync_middleware(request: HttpRequest) -> HttpResponseBase:
        started = _begin(request)
        response = get_response(request)
        assert isinstance(response, HttpResponseBase)
        return _finish(request, response, started)

    return sync_middleware

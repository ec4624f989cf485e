"""Errors as problem details (RFC 9457), the same shape wherever they arise."""

import errno
import logging
import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from procrastinate.exceptions import ConnectorException
from psycopg.errors import ForeignKeyViolation
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.exceptions import PermissionDenied as APIPermissionDenied
from rest_framework.views import set_rollback

from botgpt.api import request_id
from documents.exceptions import DatabaseAway, StorageAway, StorageFull, StorageUnreachable

logger = logging.getLogger("botgpt.problem")

CONTENT_TYPE = "application/problem+json"

# A disk that is full or over its quota, and a file that is larger than its file system takes.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# The last is how the queue tells of the first.
DATABASE_AWAY = (OperationalError, InterfaceError, ConnectorException)
GONE_MEANWHILE = (
    "What this call belongs to, the user or an object of theirs, was deleted while it was made."
)

# What to do about an error that Django answers by itself, before any view of ours runs.
PLAIN_DETAILS = {
    400: "The request could not be understood: check its address, headers and body.",
    403: "This request is not allowed.",
    404: "There is nothing at this address: see /docs for those that exist.",
    405: "This address does not take that method: see /docs for those it takes.",
    413: "The request's body is too large.",
    500: "Something went wrong on our side: try again, and report the request_id if it stays.",
}


def problem(
    status: int,
    detail: str,
    *,
    code: str,
    errors: dict[str, list[str]] | None = None,
    extra: dict[str, Any] | None = None,
) -> JsonResponse:
    """A problem response. `code` names its kind for programs; `extra` adds members."""
    body: dict[str, Any] = {
        "type": f"urn:botgpt:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id.current.get(),
        **({"errors": errors} if errors else {}),
        **(extra or {}),
    }
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)


def exception_handler(exc: Exception, context: dict[str, Any]) -> JsonResponse | None:
    """What REST framework calls for an error in a view; None leaves it to Django as a 500."""
    exc = _away(exc) or exc
    if isinstance(exc, Http404):
        exc = NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = APIPermissionDenied()
    elif isinstance(exc, RequestDataTooBig):
        return problem(413, PLAIN_DETAILS[413], code="body_too_large")
    elif isinstance(exc, TooManyFieldsSent | TooManyFilesSent):
        return problem(400, "The form has too many parts.", code="too_many_parts")
    elif isinstance(exc, BadRequest | SuspiciousOperation):
        return problem(400, PLAIN_DETAILS[400], code="bad_request")
    elif isinstance(exc, IntegrityError) and isinstance(exc.__cause__, ForeignKeyViolation):
        return problem(409, GONE_MEANWHILE, code="deleted_meanwhile")
    if not isinstance(exc, APIException):
        return None
    set_rollback()
    response = from_exception(exc)
    if auth_header := getattr(exc, "auth_header", None):
        response.headers["WWW-Authenticate"] = auth_header
    if wait := _wait(exc):
        response.headers["Retry-After"] = str(wait)
    if exc.status_code == 500:
        logger.error("internal error", exc_info=exc)
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _away(exc: Exception) -> APIException | None:
    """What tells of a database or files that are away, or a full disk; None of other errors."""
    away: APIException
    if isinstance(exc, DATABASE_AWAY):
        away = DatabaseAway()
    elif isinstance(exc, OSError) and exc.errno in NO_ROOM:
        away = StorageFull()
    elif isinstance(exc, StorageUnreachable):
        away = StorageAway()
    else:
        return None
    logger.error(away.default_code, exc_info=exc)
    return away


def from_exception(exc: APIException) -> JsonResponse:
    """The problem that tells of one of REST framework's exceptions."""
    if isinstance(exc, ValidationError):
        errors = _by_field(exc.detail)
        first = next(iter(errors))
        detail = f"{first}: {errors[first][0]}" if first != "body" else errors[first][0]
        return problem(exc.status_code, detail, code="invalid", errors=errors)
    codes, wait = exc.get_codes(), _wait(exc)
    return problem(
        exc.status_code,
        str(exc.detail),
        code=codes if isinstance(codes, str) else "error",
        extra={**getattr(exc, "extra", {}), **({"retry_after": wait} if wait else {})},
    )


def _wait(exc: APIException) -> int | None:
    """Whole seconds after which the call may be made again; None where that is not known."""
    wait: float | None = getattr(exc, "wait", None)
    return None if wait is None else max(1, math.ceil(wait))


def _by_field(detail: Any, prefix: str = "") -> dict[str, list[str]]:
    """Flattens nested errors to `{"field": [texts]}`; those of no field go under `body`."""
    if isinstance(detail, dict):
        found: dict[str, list[str]] = {}
        for name, value in detail.items():
            name = "" if name == "non_field_errors" else str(name)
            found |= _by_field(value, ".".join(part for part in (prefix, name) if part))
        return found
    if isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        pairs = {str(i): item for i, item in enumerate(detail) if item}
        return _by_field(pairs, prefix)
    texts = detail if isinstance(detail, list) else [detail]
    return {prefix or "body": [str(text) for text in texts]}


def _speaks_problems(request: HttpRequest, response: HttpResponseBase) -> bool:
    """True where Django's own error page has to become a problem: all but the admin."""
    return (
        response.status_code >= 400
        and response.headers.get("Content-Type") != CONTENT_TYPE
        and not response.headers.get("Content-Type", "").startswith("application/json")
        and not request.path.startswith("/admin")
    )


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if not _speaks_problems(request, response):
        return response
    status = response.status_code
    detail = PLAIN_DETAILS.get(status, HTTPStatus(status).phrase)
    replaced = problem(status, detail, code=HTTPStatus(status).name.lower())
    # Django has logged the page that this replaces, and would log this one too.
    replaced._has_been_logged = True  # type: ignore[attr-defined]
    for name in response.headers.keys() - {"Content-Type", "Content-Length"}:
        replaced.headers[name] = response.headers[name]
    return replaced


@sync_and_async_middleware
def problem_details_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Turns Django's own error pages (wrong address, refused form) into problem details."""
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            return _as_problem(request, await get_response(request))

        return middleware

    def sync_middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        assert isinstance(response, HttpResponseBase)
        return _as_problem(request, response)

    return sync_middleware

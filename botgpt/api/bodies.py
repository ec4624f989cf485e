"""How long a request's body may be, held to before it is read and while it is.

Django stores a whole body, in memory and then on disk, before any setting or view of its own is
asked (`ASGIHandler.read_body`), and REST framework reads JSON without regard to
DATA_UPLOAD_MAX_MEMORY_SIZE. Both take a body that comes in chunks, of a length not told before, for
empty: such a one is told its length once it is there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from rest_framework.exceptions import APIException

from botgpt.api.problems import exception_handler
from conversations.openai.errors import exception_handler as openai_exception_handler
from documents.exceptions import FileTooLarge

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Served = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

# What a form has beside its file: names, boundaries, other fields.
FORM_BYTES = 64 * 1024
# Under this name a request's scope has the refusal of its body.
REFUSAL = "botgpt.refusal"
# How long the rest of a refused body is waited for, in all and for its next piece: nginx's
# lingering_time and lingering_timeout.
REST_SECONDS = 30
SILENT_SECONDS = 5


class BodyTooLarge(APIException):
    """The body is over the limit."""

    status_code = 413
    default_code = "body_too_large"


class Body:
    """A request's body as it comes from the server, which ends at once where it is over its limit.

    The scope then has the refusal.
    """

    def __init__(self, scope: dict[str, Any], headers: dict[bytes, bytes], receive: Receive):
        self._scope, self._receive = scope, receive
        self._is_form = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        self._most = settings.MAX_BODY_BYTES
        if self._is_form:
            self._most = settings.MAX_UPLOAD_BYTES + FORM_BYTES
        self._received, self._has_ended = 0, False
        self._told = headers.get(b"content-length")
        with suppress(ValueError):
            self._hold_to_limit(int(self._told or 0))

    async def receive(self) -> Mapping[str, Any]:
        """The next message of the server."""
        if not self._has_ended and REFUSAL not in self._scope:
            message = await self._receive()
            self._received += len(message.get("body", b""))
            self._hold_to_limit(self._received)
            if REFUSAL not in self._scope:
                if not message.get("more_body"):
                    self._end()
                return message
        if not self._has_ended:
            self._has_ended = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if REFUSAL not in self._scope:
            return await self._receive()
        # Django listens for the client's leaving, and is cancelled where it was answered first. A
        # server that waits for the body by `asyncio.wait_for` may miss that (Python below 3.12).
        never: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        return await never

    async def let_go(self) -> None:
        """Takes what the client still sends of a refused body, and keeps nothing of it.

        A connection that is closed while its client sends takes the answer from it.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + REST_SECONDS
        more = REFUSAL in self._scope
        with suppress(TimeoutError):
            while more and loop.time() < end:
                message = await asyncio.wait_for(self._receive(), SILENT_SECONDS)
                more = message.get("more_body", False)

    def _end(self) -> None:
        self._has_ended = True
        if self._told is None:
            length = (b"content-length", str(self._received).encode())
            self._scope["headers"] = [*self._scope["headers"], length]

    def _hold_to_limit(self, length: int) -> None:
        if length > self._most:
            self._scope[REFUSAL] = self._refusal()

    def _refusal(self) -> APIException:
        if self._is_form:
            return FileTooLarge.beyond(settings.MAX_UPLOAD_BYTES)
        return BodyTooLarge(
            f"The request's body is longer than {settings.MAX_BODY_BYTES:,} bytes: send less at "
            "once, and documents as files."
        )


async def within_limits(
    served: Served, scope: dict[str, Any], receive: Receive, send: Send
) -> None:
    """Serves the request with its body held to the limit."""
    headers = dict(scope["headers"])
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        return await served(scope, receive, send)
    body = Body(scope, headers, receive)
    await served(scope, body.receive, send)
    await body.let_go()


def _refused(request: HttpRequest) -> HttpResponseBase | None:
    """The answer to a body that was not read to its end."""
    refusal = getattr(request, "scope", {}).get(REFUSAL)
    if refusal is None:
        return None
    if request.path.startswith("/openai/"):
        return openai_exception_handler(refusal, {})
    return exception_handler(refusal, {})


@sync_and_async_middleware
def body_limit_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Answers what `within_limits` has refused, before anything else is done with it."""
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            return _refused(request) or await get_response(request)

        return middleware

    def sync_middleware(request: HttpRequest) -> HttpResponseBase:
        response = _refused(request) or get_response(request)
        assert isinstance(response, HttpResponseBase)
        return response

    return sync_middleware

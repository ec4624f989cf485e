"""Django's own middlewares, without the threads that they would take in an async server.

Each of them is written for sync code, so Django hands every request and response of theirs to a
thread, and the request keeps that thread until it ends: an answer that streams, for minutes.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware as Authentication
from django.contrib.messages.middleware import MessageMiddleware as Messages
from django.contrib.sessions.middleware import SessionMiddleware as Session
from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware as XFrameOptions
from django.middleware.common import CommonMiddleware as Common
from django.middleware.csrf import CsrfViewMiddleware as Csrf
from django.middleware.security import SecurityMiddleware as Security
from django.utils.deprecation import MiddlewareMixin

# No style or script inside a page, nothing from elsewhere, no frame, and forms that lead to us.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The pages of the schema show no text of users. Swagger's style sheet holds its icons; Redoc
# writes its styles into the page and searches in a worker that it makes itself.
POLICIES = {
    "/docs": POLICY.replace("img-src 'self'", "img-src 'self' data:"),
    "/redoc": POLICY.replace("img-src 'self'", "img-src 'self' data:").replace(
        "style-src 'self'", "style-src 'self' 'unsafe-inline'; worker-src blob:"
    ),
}

PROGRAMS = ("/api/", "/openai/", "/health", "/metrics")


def is_programs(request: HttpRequest) -> bool:
    """Whether a program calls, which shows its key, and no browser with a session."""
    no_session = settings.SESSION_COOKIE_NAME not in request.COOKIES
    return no_session and request.path.startswith(PROGRAMS)


class Inline(MiddlewareMixin):
    """What waits for nothing needs no thread."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        """As the mixin's, without going elsewhere."""
        early = self.process_request(request) if hasattr(self, "process_request") else None
        response: Any = early or await self.get_response(request)  # type: ignore[misc]
        if hasattr(self, "process_response"):
            response = self.process_response(request, response)
        return response  # type: ignore[no-any-return]


class ForBrowsers(MiddlewareMixin):
    """What serves sessions and forms is left out for programs, which have neither."""

    def __call__(self, request: HttpRequest) -> Any:
        """Past it, or through it."""
        if self.async_mode or not is_programs(request):
            return super().__call__(request)
        return self.get_response(request)

    async def __acall__(self, request: HttpRequest) -> Any:
        """The same for async servers."""
        if is_programs(request):
            return await self.get_response(request)  # type: ignore[misc]
        return await super().__acall__(request)


class SecurityMiddleware(Inline, Security):
    """HTTPS, HSTS and nosniff."""


class PolicyMiddleware(Inline):
    """What a browser may run and load on a page of ours: nothing but our own files.

    A view whose answer needs a policy of its own sets it itself.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Says so in the response's header."""
        policy = POLICIES.get(request.path, POLICY)
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


class CommonMiddleware(Inline, Common):
    """Lengths of bodies."""

    def process_request(self, request: HttpRequest) -> Any:
        """The admin would ask the database for a NUL, which it cannot hold. Raises BadRequest."""
        if request.path.startswith("/admin") and "%00" in request.META.get("QUERY_STRING", ""):
            raise BadRequest("A NUL in the address.")
        return super().process_request(request)


class XFrameOptionsMiddleware(Inline, XFrameOptions):
    """No page of ours is framed."""


class SessionMiddleware(ForBrowsers, Session):
    """Sessions of staff."""

    def process_request(self, request: HttpRequest) -> None:
        """A key that is none of ours is none: PostgreSQL could not look up a NUL."""
        if not request.COOKIES.get(settings.SESSION_COOKIE_NAME, "").isalnum():
            request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        super().process_request(request)


class AuthenticationMiddleware(ForBrowsers, Authentication):
    """Who is signed in."""


class MessageMiddleware(ForBrowsers, Messages):
    """What the admin tells once."""


class CsrfViewMiddleware(ForBrowsers, Csrf):
    """Forms come from our own pages."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if self.async_mode:
            self.process_view: Any = self._process_view_async

    async def _process_view_async(self, request: HttpRequest, *view: Any) -> Any:
        if is_programs(request):
            return None
        check: Callable[..., Awaitable[Any]] = sync_to_async(super().process_view)
        return await check(request, *view)

"""The chat page: one HTML page whose scripts do all by the public API."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

# Only files of ours run or load, and none is written into the page; with trusted types not even
# a script of ours can make markup out of text. What models and documents say is never markup.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)


@require_safe
def chat(request: HttpRequest) -> HttpResponse:
    """The same for everyone: who calls is found out by the scripts."""
    response = render(request, "page/chat.html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cache-Control"] = "no-cache"
    return response

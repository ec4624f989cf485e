"""What is counted of requests, by the pattern of their address."""

from django.http import HttpRequest
from prometheus_client import Counter, Histogram

REQUESTS = Counter("botgpt_http_requests", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram(
    "botgpt_http_request_seconds",
    "How long requests took; those that stream, until the stream began",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
# Clients may write anything as a method, and ask for any address.
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
UNMATCHED = "unmatched"


def count(request: HttpRequest, status: int, seconds: float) -> None:
    """One more was answered."""
    method = request.method if request.method in METHODS else "other"
    where = route(request)
    REQUESTS.labels(method, where, status).inc()
    SECONDS.labels(method, where).observe(seconds)


def route(request: HttpRequest) -> str:
    """The pattern of its address: `/api/v1/documents/<uuid:pk>`."""
    if match := request.resolver_match:
        return f"/{match.route}"
    return "/static/" if request.path.startswith("/static/") else UNMATCHED

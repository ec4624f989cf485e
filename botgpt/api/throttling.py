"""Request rates of API keys and users, as REST framework asks for them before each call."""

from typing import Any
from uuid import UUID

from django.conf import settings
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from botgpt.accounts.authentication import Caller
from documents import rates
from documents.rates import Standing

WINDOW_SECONDS = 60


class RateExceeded(Throttled):
    """A key or user has made as many requests as a minute allows."""

    default_code = "rate_limit_exceeded"

    def __init__(self, whose: str, standing: Standing) -> None:
        """`wait` is in seconds."""
        resets_at = f"{standing.resets_at:%Y-%m-%dT%H:%M:%SZ}"
        super().__init__(
            detail=f"This {whose} may make {standing.limit:,} requests a minute. "
            f"The next minute begins at {resets_at}."
        )
        self.wait = standing.seconds
        self.extra = {"resets_at": resets_at}


class RateThrottle(BaseThrottle):
    """Counts each call to its API key and to its user, where these have limits.

    Staff, docs and health are not counted. Answers tell how the caller stands, in the headers
    of draft-ietf-httpapi-ratelimit-headers-10.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        """True, or raises RateExceeded."""
        limits = _limits(request, view)
        if not limits:
            return True
        standings = rates.requests.take([(holder, limit) for _, holder, limit in limits])
        told = [(whose, each) for (whose, *_), each in zip(limits, standings, strict=True)]
        view.headers |= {
            "RateLimit-Policy": ", ".join(
                f'"{whose}";q={each.limit};w={WINDOW_SECONDS}' for whose, each in told
            ),
            "RateLimit": ", ".join(
                f'"{whose}";r={each.remaining};t={int(each.seconds)}' for whose, each in told
            ),
        }
        for whose, each in told:
            if each.is_refused:
                raise RateExceeded("API key" if whose == "key" else whose, each)
        return True


def _limits(request: Request, view: Any) -> list[tuple[str, UUID, int]]:
    """Whom the call counts to, and how many calls each may make a minute."""
    caller = request.auth
    if not isinstance(caller, Caller) or caller.is_staff:
        return []
    limits = []
    if caller.key_id and settings.KEY_REQUESTS_A_MINUTE:
        limits.append(("key", caller.key_id, settings.KEY_REQUESTS_A_MINUTE))
    # Views whose calls may name a user say whom.
    if settings.USER_REQUESTS_A_MINUTE and hasattr(view, "counted_user"):
        if user_id := view.counted_user():
            limits.append(("user", user_id, settings.USER_REQUESTS_A_MINUTE))
    return limits

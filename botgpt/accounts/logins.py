"""Logins of staff: how many attempts there may be, and passwords hashed beside all other requests.

To hash a password takes as long as a hundred API calls, which is what makes guessing slow. So it
has a thread of its own, where requests come one after another, and attempts have limits, counted
for all processes together. An attempt is counted before its password is hashed: of a hundred that
arrive at once, only those within the limits are hashed.
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from ipaddress import IPv6Address, ip_address
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.crypto import salted_hmac
from rest_framework.throttling import BaseThrottle

from conversations.database import in_database, in_threads
from documents import rates

logger = logging.getLogger("botgpt.logins")

# Attempts within LOGIN_PAUSE_SECONDS: of an account from one address, of an address, of an account.
# Who guesses from one address reaches only the first two, and so locks nobody out elsewhere.
OF_BOTH, OF_ADDRESS, OF_ACCOUNT = 5, 20, 100
# Logins that a process accepts at the same time. One is hashed, the others wait for their turn.
ACCEPTED = asyncio.Semaphore(8)
BUSY_SECONDS = 5
# Clients that try again as soon as they are answered would keep the processors busy otherwise. The
# time differs, or those who came together would come together again.
REFUSED_AFTER_SECONDS = (1.0, 2.0)

HASHING = ThreadPoolExecutor(1, thread_name_prefix="hashing")


class TooManyAttempts(Exception):
    """This attempt is refused; the next may be made after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = max(1, math.ceil(seconds))


class LoginForm(AdminAuthenticationForm):
    """The admin's form, within the limits of account and address."""

    def clean(self) -> dict[str, Any]:
        """As Django's. Raises TooManyAttempts, whether or not there is such an account."""
        username, request = self.cleaned_data.get("username"), self.request
        if not username or request is None:
            return super().clean()
        address = _network(request)
        both, account = _holder("both", username, address), _holder("account", username)
        _count((both, OF_BOTH), (account, OF_ACCOUNT))
        cleaned = super().clean()
        if self.get_user():
            rates.logins.forget(both)
            rates.logins.give_back(account, _holder("address", address))
        return cleaned


def in_hashing_thread(
    view: Callable[..., HttpResponse],
) -> Callable[..., Coroutine[Any, Any, HttpResponse]]:
    """The view, whose POSTs hash passwords: they wait for the one thread that does, holding none.

    The thread that they would take otherwise is shared with other requests, which would wait.
    """

    @wraps(view)
    async def in_turn(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        call = partial(view, request, *args, **kwargs)
        if request.method != "POST":
            return await sync_to_async(call)()
        return await in_threads(HASHING, call)

    return in_turn


admin.site.login_form = LoginForm
_login = in_hashing_thread(admin.site.login)


async def login(request: HttpRequest) -> HttpResponse:
    """The admin's login; a page with status 429 where there are too many attempts."""
    if request.method != "POST":
        return await _login(request)
    try:
        await in_database(_count, (_holder("address", _network(request)), OF_ADDRESS))
        if ACCEPTED.locked():
            raise TooManyAttempts(BUSY_SECONDS)
        async with ACCEPTED:
            return await _login(request)
    except TooManyAttempts as refusal:
        await asyncio.sleep(random.uniform(*REFUSED_AFTER_SECONDS))  # noqa: S311 - no secret
        return _refused(request, refusal)


def _refused(request: HttpRequest, refusal: TooManyAttempts) -> HttpResponse:
    logger.warning("login refused", extra={"address": _network(request), "wait": refusal.seconds})
    minutes = math.ceil(refusal.seconds / 60)
    wait = f"{minutes} minutes" if minutes > 1 else f"{refusal.seconds} seconds"
    site = {"site_header": admin.site.site_header, "site_title": admin.site.site_title}
    page = render_to_string(
        "admin/too_many_attempts.html", {**site, "title": "Log in", "wait": wait}
    )
    return HttpResponse(page, status=429, headers={"Retry-After": str(refusal.seconds)})


def _count(*limits: tuple[UUID, int]) -> None:
    """Counts an attempt to each of these. Raises TooManyAttempts where one of them has no more."""
    refused = [each.seconds for each in rates.logins.take(limits) if each.is_refused]
    if refused:
        raise TooManyAttempts(max(refused))


def _holder(*parts: str) -> UUID:
    """Who attempts are counted for, in a form that tells neither name nor address."""
    digest = salted_hmac("logins", "\0".join(parts), algorithm="sha256").digest()
    return UUID(bytes=digest[:16])


def _network(request: HttpRequest) -> str:
    """The client's address, as far as NUM_PROXIES tells; of IPv6 the /64 that one customer has."""
    said = BaseThrottle().get_ident(request)  # type: ignore[arg-type]
    try:
        address = ip_address(said or "")
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or IPv6Address(int(address) >> 64 << 64))

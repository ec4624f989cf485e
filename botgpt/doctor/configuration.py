"""Settings: safe for where they serve, and not at odds with each other.

What is malformed is refused at every start, and so never seen here.
"""

import ipaddress
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks.security import base

from botgpt import env
from botgpt.doctor.findings import Finding, fail, ok, warn
from llm import catalogue

# Bytes that a character of a question takes at most: JSON may write it as \uXXXX, twice.
BYTES_A_CHARACTER = 12
LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


def configuration() -> Iterator[Finding]:
    """Each thing that is not as it should be, then that the rest is."""
    yield from _access()
    yield from _secret()
    yield from _hosts()
    amiss = [*_at_odds(), *_not_read(), *_django()]
    yield from amiss or [ok("no setting is at odds with another")]


def _access() -> Iterator[Finding]:
    if not settings.DEBUG:
        yield ok("DEBUG is off: every call needs an API key (make run opens loopback)")
    elif _on_loopback() and not settings.DATABASE_URL:
        yield ok("DEBUG is on: nobody needs a key, and only this machine is served")
    else:
        yield fail(
            "DEBUG is on: whoever reaches the web acts for any user, and sees errors in full",
            "DEBUG=false, and manage.py createkey for those who call",
        )


def _secret() -> Iterator[Finding]:
    kept = settings.DATA_DIR / "secret-key"
    if settings.DEBUG and len(settings.SECRET_KEY) < base.SECRET_KEY_MIN_LENGTH:
        yield warn("SECRET_KEY is weak", "give it 50 or more random characters")
    elif env.text("SECRET_KEY"):
        yield ok("SECRET_KEY is given and strong")
    elif kept.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield fail(f"others on this machine may read {kept}", f"chmod 600 {kept}")
    else:
        yield ok(f"SECRET_KEY is kept in {kept}, for its owner alone")


def _hosts() -> Iterator[Finding]:
    public = [host for host in settings.ALLOWED_HOSTS if host not in LOOPBACK]
    if not public and (settings.DATABASE_URL or not _on_loopback()) and not settings.DEBUG:
        yield warn(
            "ALLOWED_HOSTS names no host: calls to any but loopback get a 400",
            "ALLOWED_HOSTS=bot.example.org, the name that callers use",
        )
    elif public and not settings.HTTPS:
        yield warn(
            f"{', '.join(public)} without HTTPS: keys and passwords travel as they are, and "
            "cookies too",
            "HTTPS=true behind a proxy that ends TLS and sets X-Forwarded-Proto",
        )
    else:
        yield ok(f"hosts: {', '.join(public) or 'loopback alone'}; HTTPS {_on(settings.HTTPS)}")
    if settings.HTTPS and not settings.NUM_PROXIES:
        yield warn(
            "NUM_PROXIES is 0: to a login all clients of the proxy have one address",
            "NUM_PROXIES=1 where the proxy adds the client's to X-Forwarded-For",
        )
    if settings.HTTPS and settings.DEBUG:
        yield warn("HTTPS and DEBUG are both on", "DEBUG=false where HTTPS is served")
    for origin in settings.CSRF_TRUSTED_ORIGINS:
        parts = urlsplit(origin)
        if settings.HTTPS and parts.scheme == "http":
            yield warn(f"CSRF_TRUSTED_ORIGINS: {origin} is no https", "https:// as HTTPS is on")


def _at_odds() -> Iterator[Finding]:
    pool, reading = settings.DATABASE_POOL_SIZE, settings.DOCUMENTS_AT_ONCE
    if reading >= pool:
        yield warn(
            f"DOCUMENTS_AT_ONCE={reading} takes all of DATABASE_POOL_SIZE={pool}: other jobs wait",
            "raise DATABASE_POOL_SIZE, or lower DOCUMENTS_AT_ONCE",
        )
    if 0 < settings.USER_STORED_BYTES < settings.MAX_UPLOAD_BYTES:
        yield warn(
            "USER_STORED_MB is less than MAX_UPLOAD_MB: files between are always refused",
            "raise USER_STORED_MB, or lower MAX_UPLOAD_MB",
        )
    if settings.MESSAGE_CHARS * BYTES_A_CHARACTER > settings.MAX_BODY_BYTES:
        yield warn(
            "a question of MESSAGE_CHARS may be longer than MAX_BODY_KB, and is refused",
            "raise MAX_BODY_KB, or lower MESSAGE_CHARS",
        )
    if catalogue.find(settings.GROQ_MODEL).context_window < settings.CONTEXT_TOKENS:
        yield warn(
            f"CONTEXT_TOKENS={settings.CONTEXT_TOKENS} is more than {settings.GROQ_MODEL} holds",
            "lower CONTEXT_TOKENS, or choose another GROQ_MODEL",
        )
    yield from _models_at_odds()


def _models_at_odds() -> Iterator[Finding]:
    if settings.GROQ_BASE_URL and not settings.GROQ_API_KEY:
        yield warn("GROQ_BASE_URL is set without GROQ_API_KEY: no model is asked", "set both")
    if settings.GROQ_MODEL in settings.GROQ_FALLBACK_MODELS:
        yield warn(
            "GROQ_FALLBACK_MODELS names GROQ_MODEL itself, which has just failed", "leave it out"
        )
    if settings.GROQ_REWRITE_SECONDS > settings.GROQ_TIMEOUT_SECONDS:
        yield warn(
            "GROQ_REWRITE_SECONDS is more than GROQ_TIMEOUT_SECONDS: the search of a follow-up "
            "is waited for longer than its answer",
            "lower GROQ_REWRITE_SECONDS",
        )


def _not_read() -> Iterator[Finding]:
    """In the image there is no such file: compose has put it into the environment."""
    if (settings.BASE_DIR / ".env").exists():
        yield warn(
            ".env is there, which docker compose reads and make run and manage.py do not",
            "set -a; . ./.env; set +a",
        )


def _django() -> Iterator[Finding]:
    for found in checks.run_checks():
        if found.level >= checks.WARNING and not found.is_silenced():
            finding = fail if found.level >= checks.ERROR else warn
            yield finding(f"{found.id}: {found.msg}", found.hint or "see Django's system checks")


def _on_loopback() -> bool:
    """Whether the web listens to this machine alone, as HOST says."""
    host = os.environ.get("HOST", "").strip("[]") or "127.0.0.1"
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _on(value: bool) -> str:
    return "on" if value else "off"

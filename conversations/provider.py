"""The models' provider, as it is configured.

The SDK is loaded where there is a key for it: that takes a quarter of a second, which commands and
servers without one can do without.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings

from llm.breaker import Patience

if TYPE_CHECKING:
    from llm.client import GroqClient


def answering() -> "GroqClient | None":
    """The client that answers; None where there is no key."""
    return _groq(settings.GROQ_TIMEOUT_SECONDS, settings.GROQ_MAX_RETRIES)


def rewriting() -> "GroqClient | None":
    """The client that writes searches: soon or not at all; None where there is no key."""
    return _groq(settings.GROQ_REWRITE_SECONDS, 0)


def asked_once(seconds: int) -> "GroqClient | None":
    """A client that waits for so long and does not try again; None where there is no key."""
    return _groq(seconds, 0)


def out_of_service() -> dict[str, int]:
    """Models that this process leaves alone, each with the seconds until it tries again."""
    client = answering()
    return client.out_of_service() if client else {}


def _groq(timeout: int, retries: int) -> "GroqClient | None":
    if not settings.GROQ_API_KEY:
        return None
    patience = Patience(settings.GROQ_FAILURES, settings.GROQ_PAUSE_SECONDS)
    return _client(settings.GROQ_API_KEY, settings.GROQ_BASE_URL, timeout, retries, patience)


@lru_cache(maxsize=8)
def _client(
    api_key: str, base_url: str | None, timeout: int, retries: int, patience: Patience
) -> "GroqClient":
    from llm.client import GroqClient

    return GroqClient(
        api_key, base_url=base_url, timeout=timeout, max_retries=retries, patience=patience
    )

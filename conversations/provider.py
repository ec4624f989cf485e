"""The models' provider, as it is configured."""

from functools import lru_cache

from django.conf import settings

from llm.client import GroqClient


def answering() -> GroqClient | None:
    """The client that answers; None where there is no key."""
    return _groq(settings.GROQ_TIMEOUT_SECONDS, settings.GROQ_MAX_RETRIES)


def rewriting() -> GroqClient | None:
    """The client that writes searches: soon or not at all; None where there is no key."""
    return _groq(settings.GROQ_REWRITE_SECONDS, 0)


def _groq(timeout: int, retries: int) -> GroqClient | None:
    if not settings.GROQ_API_KEY:
        return None
    return _client(settings.GROQ_API_KEY, settings.GROQ_BASE_URL, timeout, retries)


@lru_cache(maxsize=8)
def _client(api_key: str, base_url: str | None, timeout: int, retries: int) -> GroqClient:
    return GroqClient(api_key, base_url=base_url, timeout=timeout, max_retries=retries)

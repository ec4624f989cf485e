"""The model: a key, a provider that answers, and the models that it serves to this key."""

import asyncio
from collections.abc import Iterator

from django.conf import settings

from botgpt.doctor.findings import Finding, fail, ok, warn
from conversations import provider
from llm import catalogue, errors

SECONDS = 5


def model() -> Iterator[Finding]:
    """What is configured, and what the provider says to it."""
    client = provider.asked_once(SECONDS)
    if client is None:
        yield warn(
            "no GROQ_API_KEY here: grounded questions are answered with quotes; open chat, "
            "titles, summaries and the model's searches for follow-ups need one",
            "make one at https://console.groq.com/keys; GROQ_API_KEY=gsk_... make run, or in .env "
            "for compose",
        )
        return
    try:
        offered = asyncio.run(client.offered())
    except errors.LLMError as error:
        yield fail(*_told(error))
        return
    served = [name for name in catalogue.MODELS if name in offered]
    if not served:
        yield fail(
            f"{_where()} takes the key, but serves it none of the models known here",
            "see the models of the account, and GROQ_BASE_URL",
        )
        return
    yield ok(f"{_where()} takes the key and serves it {', '.join(served)}")
    yield from _named(served)


def _named(served: list[str]) -> Iterator[Finding]:
    """The models that the settings name, and that are not served."""
    choose = f"choose one that is: {', '.join(served)}"
    if _name(settings.GROQ_MODEL) in served:
        yield ok(f"GROQ_MODEL is {settings.GROQ_MODEL}")
    else:
        yield fail(f"GROQ_MODEL is {settings.GROQ_MODEL}, which is not served to this key", choose)
    if _name(settings.GROQ_SMALL_MODEL) not in served:
        yield warn(
            f"GROQ_SMALL_MODEL is {settings.GROQ_SMALL_MODEL}, which is not served to this key: "
            "no titles, summaries and searches for follow-ups",
            choose,
        )
    for name in settings.GROQ_FALLBACK_MODELS:
        if _name(name) not in served:
            yield warn(f"GROQ_FALLBACK_MODELS: {name} is not served to this key", choose)


def _told(error: errors.LLMError) -> tuple[str, str]:
    """What went wrong, and how to mend it."""
    match error:
        case errors.Unauthorised():
            return f"{_where()} refuses the key", "set GROQ_API_KEY to one that is valid"
        case errors.Unreachable():
            return (
                f"{_where()} cannot be reached",
                "see that this machine may connect to it (proxy, firewall), and GROQ_BASE_URL",
            )
        case errors.UpstreamTimeout():
            return f"{_where()} says nothing within {SECONDS} seconds", "see its status page"
        case errors.RateLimited():
            return f"{_where()} takes the key, whose rate limit is used up", "wait, or raise it"
    return f"{_where()} does not list its models ({error.code})", "see GROQ_BASE_URL"


def _name(name: str) -> str:
    return catalogue.find(name).name


def _where() -> str:
    return "the server of GROQ_BASE_URL" if settings.GROQ_BASE_URL else "Groq"

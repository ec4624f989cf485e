"""The model: a key, a provider that answers, and the models that it serves to this key."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

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


def _named(served: Sequence[str]) -> Iterator[Finding]:
    """How the models that the settings name are served."""
    yield _finding("GROQ_MODEL", settings.GROQ_MODEL, served, fail)
    yield _finding("GROQ_SMALL_MODEL", settings.GROQ_SMALL_MODEL, served, _no_texts)
    for name in settings.GROQ_FALLBACK_MODELS:
        yield _finding("GROQ_FALLBACK_MODELS", name, served, warn)


def _finding(
    variable: str, name: str, served: Sequence[str], lacking: Callable[[str, str], Finding]
) -> Finding:
    """A model that a setting names; `lacking` makes the finding where nothing answers for it."""
    wanted = catalogue.find(name)
    answering = wanted.served_as(served)
    if wanted.name in served:
        return ok(f"{variable}: {name} is served to this key")
    seen = f"{variable}: {name} is not served to this key"
    if answering is not wanted:
        successor = answering.name
        return warn(f"{seen}; {successor} answers in its place", f"name {successor} instead")
    return lacking(seen, f"choose one that is: {', '.join(served)}")


def _no_texts(seen: str, mend: str) -> Finding:
    return warn(f"{seen}: no titles, summaries and searches for follow-ups", mend)


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


def _where() -> str:
    return "the server of GROQ_BASE_URL" if settings.GROQ_BASE_URL else "Groq"

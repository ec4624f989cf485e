"""Spans of what is done, for whoever collects them; nothing, at no cost, where nobody does.

A span tells names, numbers and ids, never the text of a message or a document.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Value = str | int | float | bool


class Tracer(Protocol):
    """Who makes the spans."""

    def span(self, name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[None]:
        """A span around what is done in the context."""

    def event(self, name: str) -> None:
        """Something that happened just now within the span under way."""

    def note(self, attributes: Mapping[str, Value]) -> None:
        """What turned out about the span under way."""

    def headers(self) -> dict[str, str]:
        """By which another process goes on with the trace: `traceparent` (W3C Trace Context)."""

    def resume(self, headers: Mapping[str, str]) -> None:
        """Goes on with another process's trace in this context."""


_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """From now on spans are made by this one."""
    global _tracer
    _tracer = tracer


def span(name: str, **attributes: Value) -> AbstractContextManager[None]:
    """A span around what is done in the context."""
    return _tracer.span(name, attributes) if _tracer else nullcontext()


def event(name: str) -> None:
    """Something that happened just now within the span under way."""
    if _tracer:
        _tracer.event(name)


def note(**attributes: Value) -> None:
    """What turned out about the span under way."""
    if _tracer:
        _tracer.note(attributes)


def headers() -> dict[str, str]:
    """By which another process goes on with the trace; none where there is no trace."""
    return _tracer.headers() if _tracer else {}


def resume(kept: Mapping[str, str]) -> None:
    """Goes on with the trace that these headers, or values of a job, tell of."""
    if _tracer:
        _tracer.resume(kept)

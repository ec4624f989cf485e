"""Circuit breakers: a model that is out of service is left alone for a while.

After so many failures in a row calls fail at once. When the pause is over one call tries again: if
it fails too the next pause is twice as long, and once the model answers all is as before. The
pattern is that of Nygard, "Release It!", chapter 5; the packages there are (purgatory, aiobreaker,
pybreaker, circuitbreaker) let every call try once the pause is over, have pauses of one length, and
measure them by a clock that may be set back.
"""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llm import errors, metrics

logger = logging.getLogger(__name__)

# What tells of a model, or a provider, that is out of service. Whoever refuses, or says that a rate
# limit is used up, is alive.
DEAD = (errors.Overloaded, errors.UpstreamTimeout, errors.Unreachable)
# Neither life nor death: a proxy may say it for a dead model, and a live one by accident.
UNCLEAR = (errors.BadUpstreamAnswer,)


@dataclass(frozen=True, slots=True)
class Patience:
    """When a breaker opens: after so many `failures` in a row, never where that is 0.

    `pause` and `longest_pause` are in seconds.
    """

    failures: int
    pause: float
    longest_pause: float = 120.0


class Breaker:
    """The breaker of one model, for the calls of one event loop."""

    def __init__(self, model: str, patience: Patience) -> None:
        self._model, self._patience = model, patience
        self._failures = 0
        self._pause = patience.pause
        self._opens_at = 0.0
        self._is_open = self._is_tried = False
        # Counts changes of state: what was begun before the last one tells nothing of the present.
        self._era = 0

    @property
    def retry_after(self) -> int | None:
        """Whole seconds until the next trial may be made; None where the model is in service."""
        if not self._is_open:
            return None
        rest = self._pause if self._is_tried else self._opens_at - time.monotonic()
        return max(1, math.ceil(rest))

    @contextmanager
    def watching(self) -> Iterator["Watch"]:
        """Around one call. Raises OutOfService where the model is left alone."""
        watch = self._admit()
        try:
            yield watch
        except DEAD:
            watch.failed()
            raise
        except UNCLEAR:
            raise
        except errors.LLMError:
            watch.answered()
            raise
        else:
            watch.answered()
        finally:
            watch.ended()

    def _admit(self) -> "Watch":
        if not self._is_open:
            return Watch(self, self._era)
        if self._is_tried or time.monotonic() < self._opens_at:
            raise errors.OutOfService(self.retry_after)
        self._is_tried = True
        return Watch(self, self._era, is_trial=True)

    def note_failure(self, watch: "Watch") -> None:
        """The call that is watched found the model dead."""
        if watch.era != self._era:
            return
        self._failures += 1
        if watch.is_trial:
            self._pause = min(self._pause * 2, self._patience.longest_pause)
        elif not self._patience.failures or self._failures < self._patience.failures:
            return
        self._turn(is_open=True)
        self._opens_at = time.monotonic() + self._pause
        extra = {"model": self._model, "failures": self._failures, "seconds": self._pause}
        logger.warning("model out of service", extra=extra)

    def note_answer(self, watch: "Watch") -> None:
        """The call that is watched was answered."""
        if watch.era != self._era:
            return
        self._failures, self._pause = 0, self._patience.pause
        if watch.is_trial:
            self._turn(is_open=False)
            logger.warning("model in service again", extra={"model": self._model})

    def note_end(self, watch: "Watch") -> None:
        """The call that is watched has ended; after a trial that told nothing another is due."""
        if watch.is_trial and watch.era == self._era:
            self._is_tried = False

    def _turn(self, *, is_open: bool) -> None:
        self._is_open, self._is_tried = is_open, False
        metrics.OUT_OF_SERVICE.labels(self._model).set(is_open)
        self._era += 1


@dataclass(frozen=True, slots=True)
class Watch:
    """One call under way."""

    breaker: Breaker
    era: int
    is_trial: bool = False

    def spoke(self) -> None:
        """The answer's first words came: enough to end a trial, which others wait for."""
        if self.is_trial:
            self.breaker.note_answer(self)

    def answered(self) -> None:
        """The model answered, if only to refuse."""
        self.breaker.note_answer(self)

    def failed(self) -> None:
        """The model is dead."""
        self.breaker.note_failure(self)

    def ended(self) -> None:
        """Whatever came of it."""
        self.breaker.note_end(self)

"""What the dashboard shows of its figures, and to whom."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from conversations.dashboard.amounts import change, count, milliseconds, usd
from conversations.dashboard.figures import Figures, Sums, percentile
from conversations.dashboard.plots import Plot, Series
from conversations.models.tally import DAY
from documents.waiting import waiting

# Kinds of errors with a colour of their own; all others share one.
KINDS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Section:
    """Plots that one permission shows, and a remark on the moment."""

    title: str
    permission: str
    plots: Callable[[Figures], Sequence[Plot]]
    now: Callable[[], str] = str


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A number for the index, which leads to its plot."""

    label: str
    value: str
    change: str
    slug: str


def key_figures(figures: Figures, permissions: set[str]) -> list[KeyFigure]:
    """The first plot or so of each section that these permissions show; and the queue."""
    shown = [
        KeyFigure(plot.title, plot.summary, plot.change, plot.slug)
        for section in SECTIONS
        if section.permission in permissions
        for plot in section.plots(figures)
        if plot.slug in KEY
    ]
    if DOCUMENTS in permissions:
        queue = waiting()
        since = _age(queue.oldest_seconds) if queue.documents else "nothing waits"
        shown.append(KeyFigure("Queue", count(queue.documents), since, "queue"))
    return shown


def _conversations(figures: Figures) -> list[Plot]:
    plot = _Plots(figures)
    failed, answers = figures.total.failed, figures.total.answers
    share = f"{count(failed)} of {count(answers)} answers" if answers else "no answers"
    failures = _by_kind(figures, lambda sums: sums.failures)
    return [
        plot.bars("messages", "Messages", count, messages=lambda sums: sums.messages),
        plot.bars(
            "conversations", "Conversations begun", count, begun=lambda one: one.conversations
        ),
        plot.times("first-token", "Time to the first token", lambda sums: sums.first_token_ms),
        plot.times("duration", "Time to the whole answer", lambda sums: sums.duration_ms),
        plot.counted("failures", "Failures", share, lambda sums: sums.failed, failures),
    ]


def _models(figures: Figures) -> list[Plot]:
    plot = _Plots(figures)
    return [
        plot.bars("cost", "Cost", usd, USD=lambda sums: float(sums.cost_usd)),
        plot.bars(
            "tokens",
            "Tokens",
            count,
            prompt=lambda sums: sums.prompt_tokens - sums.cached_tokens,
            cached=lambda sums: sums.cached_tokens,
            completion=lambda sums: sums.completion_tokens,
        ),
    ]


def _documents(figures: Figures) -> list[Plot]:
    plot = _Plots(figures)
    failures = _by_kind(figures, lambda sums: sums.document_failures)
    read = [Series("read", [one.documents_ready for one in figures.points])]
    wait = [Series("waiting", [one.documents_waiting for one in figures.points])]
    total = figures.total
    summary = f"{count(total.documents_ready)} read, {count(total.documents_failed)} failed"
    return [
        plot.counted("documents", "Documents uploaded", summary, _uploaded, read + failures + wait),
        plot.bars("pages", "Pages read", count, pages=lambda sums: sums.pages),
    ]


def _uploaded(sums: Sums) -> int:
    return sums.documents_ready + sums.documents_waiting + sums.documents_failed


def _queue() -> str:
    now = waiting()
    if not now.documents:
        return "No document waits to be read."
    wait = "1 document waits" if now.documents == 1 else f"{count(now.documents)} documents wait"
    return f"{wait} to be read; {_age(now.oldest_seconds)}."


def _age(seconds: int) -> str:
    return f"the first in line for {milliseconds(seconds * 1000)}"


DOCUMENTS = "documents.view_document"
SECTIONS = (
    Section("Conversations", "conversations.view_conversation", _conversations),
    Section("Models", "conversations.view_usageentry", _models),
    Section("Documents", DOCUMENTS, _documents, _queue),
)
KEY = {"messages", "first-token", "failures", "cost", "documents"}


class _Plots:
    """Makes plots of the same figures."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        daily = figures.period.step == DAY
        form = "%-d %b" if daily else "%-d %b %H:%M"
        self.labels = [f"{one:{form}}" for one in figures.starts]

    def bars(
        self, slug: str, title: str, show: Callable[[float], str], **parts: Callable[[Sums], float]
    ) -> Plot:
        """Bars of parts that add up."""
        series = [
            Series(name, [part(one) for one in self.figures.points]) for name, part in parts.items()
        ]
        now, before = (
            sum(part(sums) for part in parts.values())
            for sums in (self.figures.total, self.figures.before)
        )
        compared = change(now, before, show, self.figures.period.label)
        return Plot(slug, title, show(now), compared, self.labels, series, show)

    def counted(
        self,
        slug: str,
        title: str,
        summary: str,
        amount: Callable[[Sums], float],
        series: Sequence[Series],
    ) -> Plot:
        """Bars of kinds, which `amount` adds up."""
        now, before = amount(self.figures.total), amount(self.figures.before)
        compared = change(now, before, count, self.figures.period.label)
        return Plot(slug, title, summary, compared, self.labels, series, count)

    def times(self, slug: str, title: str, counts: Callable[[Sums], Mapping[str, int]]) -> Plot:
        """Lines of the median, and of what nineteen in twenty stayed under."""
        series = [
            Series(name, [percentile(counts(one), share) for one in self.figures.points])
            for name, share in (("p50", 0.5), ("p95", 0.95))
        ]
        p50, p95 = (percentile(counts(self.figures.total), share) for share in (0.5, 0.95))
        before = percentile(counts(self.figures.before), 0.95)
        summary = "no answers"
        if p50 is not None and p95 is not None:
            summary = f"p50 {milliseconds(p50)}, p95 {milliseconds(p95)}"
        then = "no answers" if before is None else f"p95 {milliseconds(before)}"
        compared = f"{then} in the {self.figures.period.label} before"
        return Plot(slug, title, summary, compared, self.labels, series, milliseconds, lines=True)


def _by_kind(figures: Figures, counts: Callable[[Sums], Mapping[str, int]]) -> list[Series]:
    """A series for each of the most frequent kinds, and one for all others."""
    total = Counter(counts(figures.total))
    shown = [name for name, _ in total.most_common(KINDS_SHOWN)]
    series = [Series(name, [counts(one).get(name, 0) for one in figures.points]) for name in shown]
    if len(total) > len(shown):
        sums = [sum(counts(one).values()) for one in figures.points]
        named = zip(*(one.values for one in series), strict=True)
        rest = [a - sum(value or 0 for value in b) for a, b in zip(sums, named, strict=True)]
        series.append(Series("others", rest))
    return series

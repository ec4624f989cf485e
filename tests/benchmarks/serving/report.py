"""The table that the bench prints."""

from tests.benchmarks.serving.load import Result
from tests.benchmarks.serving.scenarios import Outcome

COLUMNS = (
    "streams at once",
    "service",
    "first token p50, ms",
    "p95, ms",
    "added p50",
    "added p95",
    "all done in, s",
    "x bare",
    "answers/s",
    "tokens/s",
    "errors",
    "CPU ms an answer",
    "KB a stream",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def row(scenario: str, service: str, outcome: Outcome, bare: Result) -> str:
    """One service in one scenario, beside the bare model in the same one."""
    result = outcome.result
    errors = ", ".join(f"{count} {reason}" for reason, count in result.errors.items())
    cells = (
        scenario,
        service,
        f"{result.first_p50:,.1f}",
        f"{result.first_p95:,.1f}",
        f"{result.first_p50 - bare.first_p50:,.1f}",
        f"{result.first_p95 - bare.first_p95:,.1f}",
        f"{result.seconds:,.2f}",
        f"{result.seconds / bare.seconds:.2f}" if bare.seconds else "",
        f"{result.answers_per_second:,.1f}",
        f"{result.tokens_per_second:,.0f}",
        errors or "0",
        f"{outcome.work:,.1f}",
        "" if outcome.memory is None else f"{outcome.memory:,.0f}",
    )
    return f"| {' | '.join(cells)} |"

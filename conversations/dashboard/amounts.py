"""Amounts as people read them."""

from collections.abc import Callable

SECOND, MINUTE = 1_000, 60_000
CENT = 0.01
# From so many times as much on, that is told instead of a percentage.
MANY = 3


def count(amount: float) -> str:
    """`12,345`, or `1.23M` of very many; `0.5` on an axis."""
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if amount >= size:
            return f"{amount / size:.3g}{letter}"
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,.1f}"


def usd(amount: float) -> str:
    """With as many digits as a small amount needs."""
    return f"${amount:.2g}" if 0 < amount < CENT else f"${amount:,.2f}"


def milliseconds(amount: float) -> str:
    """`850 ms`, `1.2 s` or `3 min`."""
    if amount < SECOND:
        return f"{amount:.0f} ms"
    return f"{amount / SECOND:.3g} s" if amount < 2 * MINUTE else f"{amount / MINUTE:.0f} min"


def change(now: float, before: float, show: Callable[[float], str], label: str) -> str:
    """How the amount of a period compares with that of the one before."""
    if not before:
        return f"none in the {label} before"
    difference = (now - before) / before
    if abs(difference) < 0.005:
        return f"as in the {label} before"
    if now >= MANY * before:
        return f"{now / before:,.0f} times that of the {label} before ({show(before)})"
    more = "more" if difference > 0 else "less"
    return f"{abs(difference):.0%} {more} than in the {label} before ({show(before)})"

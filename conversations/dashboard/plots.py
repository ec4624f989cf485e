"""Plots as shapes of SVG, which a template draws: no script, and no text that would be stretched.

A plot is 100 high, and as wide as it has points, which are 10 wide each.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

HEIGHT = 100
STEP = 10
BAR = 8
# What the first digit of a round number may be.
ROUND = (1, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Series:
    """One of the things that a plot shows; None where there was nothing to measure."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Shape:
    """The bars or the line of one series; `colour` is the series' number, from 1."""

    colour: int
    path: str


@dataclass(frozen=True, slots=True)
class Point:
    """What a point says: in a few words, and in the cells of a table."""

    x: str
    label: str
    cells: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot, and what it comes to; `show` writes a value for people."""

    slug: str
    title: str
    summary: str
    change: str
    labels: Sequence[str]
    series: Sequence[Series]
    show: Callable[[float], str]
    lines: bool = False

    @property
    def width(self) -> int:
        """Of the drawing."""
        return STEP * len(self.labels)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see."""
        return not any(value for one in self.series for value in one.values)

    @property
    def top(self) -> float:
        """What the upper edge stands for: a round number that no value is above."""
        values = [[value or 0 for value in one.values] for one in self.series]
        together = max if self.lines else sum
        return _round_up(max((together(at) for at in zip(*values, strict=True)), default=0))

    @property
    def edges(self) -> list[str]:
        """What the top, the middle and the bottom stand for."""
        return [self.show(self.top), self.show(self.top / 2), self.show(0)]

    @property
    def marks(self) -> list[str]:
        """The labels of the first, the middle and the last point."""
        return [self.labels[0], self.labels[len(self.labels) // 2], self.labels[-1]]

    @property
    def shapes(self) -> list[Shape]:
        """What is drawn."""
        return list(self._lines() if self.lines else self._bars())

    @property
    def points(self) -> list[Point]:
        """What stands at each point."""
        points = []
        for n, label in enumerate(self.labels):
            values = [one.values[n] for one in self.series]
            cells = tuple("none" if value is None else self.show(value) for value in values)
            named = zip(self.series, cells, strict=True)
            text = f"{label} UTC: " + ", ".join(f"{one.name} {cell}" for one, cell in named)
            points.append(Point(str(n * STEP), label, cells, text))
        return points

    def _bars(self) -> Iterator[Shape]:
        """Each on what the series before it come to."""
        top, heights = self.top, [0.0] * len(self.labels)
        for colour, one in enumerate(self.series, start=1):
            path = ""
            for n, value in enumerate(one.values):
                if height := (value or 0) / top * HEIGHT:
                    x, y = n * STEP + (STEP - BAR) / 2, HEIGHT - heights[n]
                    path += f"M{x:g} {y:.2f}v{-height:.2f}h{BAR}v{height:.2f}z"
                    heights[n] += height
            if path:
                yield Shape(colour, path)

    def _lines(self) -> Iterator[Shape]:
        """Each broken where there is no value; one alone is a dot, by the ends of its stroke."""
        top = self.top
        for colour, one in enumerate(self.series, start=1):
            path, before = "", False
            for n, value in enumerate(one.values):
                if value is not None:
                    place = f"{n * STEP + STEP / 2:g} {HEIGHT - value / top * HEIGHT:.2f}"
                    path += f"L{place}" if before else f"M{place}h0"
                before = value is not None
            if path:
                yield Shape(colour, path)


def _round_up(value: float) -> float:
    """To a round number; 1 for nothing."""
    if value <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in ROUND if value <= step * power * 1.000001)

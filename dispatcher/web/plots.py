"""Plots of a page: from columns of counts to shapes of SVG. Pure; the template draws them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

from msgspec import Struct

WIDTH, HEIGHT = 760, 150
LEFT, TOP, BOTTOM = 52, 8, 20
POINTS = 380
"""More could not be told apart on a screen."""


class Area(Struct, frozen=True):
    """A filled shape between two lines, or a line alone. `kind` is its class in style.css, and what
    the legend says is `words`."""

    path: str
    kind: str
    words: str
    filled: bool = True


class Band(Struct, frozen=True):
    """A stretch of time that is shaded."""

    x: float
    width: float
    words: str


class Mark(Struct, frozen=True):
    """A text beside an axis."""

    x: float
    y: float
    words: str


class Plot(Struct, frozen=True):
    """One panel, `WIDTH` times `HEIGHT`."""

    title: str
    areas: Sequence[Area]
    bands: Sequence[Band]
    below: Sequence[Mark]
    beside: Sequence[Mark]


class Column(Struct, frozen=True):
    """A count for each bin. Filled ones of one plot stand on one another."""

    words: str
    kind: str
    counts: Sequence[int]
    filled: bool = True


def plot(
    title: str,
    columns: Sequence[Column],
    *,
    labels: Sequence[tuple[float, str]],
    bands: Sequence[tuple[float, float, str]] = (),
) -> Plot:
    """`labels` and `bands` are placed by shares of the whole width, 0 to 1."""
    merged = [_merged(each.counts) for each in columns]
    lines = _stacked(columns, merged)
    most = _round_up(max((max(upper, default=0) for _, upper in lines), default=0))
    areas = [
        Area(_path(lower, upper, most, each.filled), each.kind, each.words, each.filled)
        for each, (lower, upper) in zip(columns, lines, strict=True)
    ]
    return Plot(
        title,
        areas,
        [Band(_x(start), _x(end) - _x(start), words) for start, end, words in bands],
        [Mark(_x(share), HEIGHT - 5, words) for share, words in labels],
        [Mark(LEFT - 6, _y(most, most) + 8, f"{most:,}"), Mark(LEFT - 6, _y(0, most), "0")],
    )


def _merged(counts: Sequence[int]) -> list[int]:
    """At most `POINTS` of them: of several, the largest."""
    size = ceil(len(counts) / POINTS) or 1
    return [max(counts[at : at + size]) for at in range(0, len(counts), size)]


def _stacked(
    columns: Sequence[Column], merged: Sequence[Sequence[int]]
) -> list[tuple[list[int], list[int]]]:
    """The lower and the upper line of each column."""
    ground = [0] * max((len(each) for each in merged), default=0)
    lines = []
    for column, counts in zip(columns, merged, strict=True):
        if not column.filled:
            lines.append(([0] * len(counts), list(counts)))
            continue
        upper = [low + count for low, count in zip(ground, counts, strict=False)]
        lines.append((ground, upper))
        ground = upper
    return lines


def _round_up(most: int) -> int:
    """The next number with one or two digits and zeros behind."""
    if most <= 10:
        return max(1, most)
    unit = int(10 ** (len(str(most)) - 2))
    return ceil(most / unit) * unit


def _path(lower: Sequence[int], upper: Sequence[int], most: int, filled: bool) -> str:
    """Steps: each bin is as high from its beginning to its end."""
    there = _steps(upper, most)
    if not filled:
        return "M" + " L".join(there)
    return "M" + " L".join([*there, *reversed(_steps(lower, most))]) + " Z"


def _steps(counts: Sequence[int], most: int) -> list[str]:
    edges = [_x(at / (len(counts) or 1)) for at in range(len(counts) + 1)]
    steps = []
    for count, (start, end) in zip(counts, pairwise(edges), strict=True):
        y = _y(count, most)
        steps += [f"{start:.1f},{y:.1f}", f"{end:.1f},{y:.1f}"]
    return steps


def _x(share: float) -> float:
    return round(LEFT + (WIDTH - LEFT) * min(1.0, max(0.0, share)), 1)


def _y(count: int, most: int) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * count / most, 1)

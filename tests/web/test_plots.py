"""From counts to shapes: they lie inside the panel, stand on one another, and stay few."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.web.plots import BOTTOM, HEIGHT, LEFT, POINTS, TOP, WIDTH, Column, Plot, plot

_COUNT = st.integers(0, 10**9)


def points_of(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.-]+),([\d.-]+)", path)]


def plotted(*columns: list[int], filled: bool = True) -> Plot:
    made = [Column(f"c{at}", "acknowledged", each, filled) for at, each in enumerate(columns)]
    return plot("title", made, labels=[(0, "00:00"), (1, "24:00")])


@given(st.lists(st.tuples(_COUNT, _COUNT), max_size=2 * POINTS), st.booleans())
def test_each_path_lies_inside_the_frame(counts: list[tuple[int, int]], filled: bool) -> None:
    """Whatever is counted; time never goes back on a line."""
    made = plotted([a for a, _ in counts], [b for _, b in counts], filled=filled)
    for area in made.areas:
        points = points_of(area.path)
        assert all(LEFT <= x <= WIDTH and TOP <= y <= HEIGHT - BOTTOM for x, y in points)
        upper = points[: len(points) // 2] if filled else points
        assert all(before <= after for (before, _), (after, _) in pairwise(upper))


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5 * POINTS))
def test_a_path_is_bounded_and_keeps_the_peak(counts: list[int]) -> None:
    """At most POINTS steps, two points each; merging bins hides no peak."""
    points = points_of(plotted(counts, filled=False).areas[0].path)
    alone = points_of(plotted([max(counts)], filled=False).areas[0].path)

    assert len(points) <= 2 * POINTS
    assert min(y for _, y in points) == alone[0][1]


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), min_size=1, max_size=50))
def test_stacked_columns_add_up(counts: list[tuple[int, int]]) -> None:
    """The second stands on the first, and its top is where their sum alone would be."""
    lower, upper = ([each[at] for each in counts] for at in (0, 1))
    both = [points_of(area.path) for area in plotted(lower, upper).areas]
    total = points_of(plotted([a + b for a, b in counts]).areas[0].path)
    steps = 2 * len(counts)

    assert both[1][:steps] == total[:steps]
    assert both[1][steps:] == both[0][:steps][::-1]
    assert {y for _, y in both[0][steps:]} == {HEIGHT - BOTTOM}


def test_a_line_stands_on_the_ground() -> None:
    """What is not filled is neither stacked nor stacked upon."""
    columns = [Column("a", "a", [4]), Column("b", "b", [8], filled=False), Column("c", "c", [4])]
    made = plot("title", columns, labels=())

    assert points_of(made.areas[1].path)[0][1] == points_of(made.areas[2].path)[0][1] == TOP
    assert not made.areas[1].path.endswith("Z")


@pytest.mark.parametrize(
    ("most", "words"),
    [(0, "1"), (7, "7"), (10, "10"), (99, "99"), (101, "110"), (12_001, "13,000")],
)
def test_the_axis_ends_at_a_round_number(most: int, words: str) -> None:
    """At or just above the largest count."""
    assert [each.words for each in plotted([0, most]).beside] == [words, "0"]


def test_bands_and_labels_stay_inside() -> None:
    """An outage that lasts beyond the end is shaded up to it."""
    made = plot("title", [], labels=[(0.5, "12:00")], bands=[(-1, 0.5, "down"), (0.75, 9, "down")])
    half, quarter = (WIDTH - LEFT) / 2, (WIDTH - LEFT) / 4

    assert [(each.x, each.width) for each in made.bands] == [
        (LEFT, half),
        (LEFT + 3 * quarter, quarter),
    ]
    assert [each.x for each in made.below] == [LEFT + half]

"""A timeline in a terminal: a row of blocks for each thing, one below the other.

The rows do not cross each other as lines would, so that they can be read without colours; what
plotting libraries for terminals make of five curves needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.text import Text

from dispatcher.simulation.answer import clock_text, span_text
from dispatcher.simulation.comparison import Run
from dispatcher.simulation.plots import palette
from dispatcher.simulation.plots.figure import plain, short
from dispatcher.simulation.plots.palette import Look
from dispatcher.simulation.timeline import BACKLOG_GONE, Bins, Timeline

HEIGHT = 2
"""Lines of each row."""

NAMES = 14
NUMBERS = 7
_WIDTH_LEAST = 20

_EIGHTHS = " ▁▂▃▄▅▆▇█"


def timeline_plot(timeline: Timeline, width: int) -> RenderableType:
    """The timeline in so many columns of a terminal."""
    bins, width_text = timeline.bins, span_text(timeline.bins.width)
    columns = _columns(width)
    failed = [sum(each) for each in zip_longest(*bins.failed.values(), fillvalue=0)]
    rows: list[tuple[str, Sequence[float], Look, Callable[..., float]]] = [
        ("arrivals", bins.arrivals, palette.ARRIVALS, _mean),
        ("requests", bins.attempts, palette.BACKLOG, _mean),
        ("  failed", failed, palette.FAILED, _mean),
        ("acknowledged", bins.acknowledged, palette.ACKNOWLEDGED, _mean),
        ("lost", bins.exhausted, palette.LOST, _mean),
        ("waiting", bins.backlog, palette.BACKLOG, max),
        ("  by recovery", _late_part(bins), palette.TROUBLE, max),
    ]
    shown = [(name, gathered(values, columns, how), look) for name, values, look, how in rows]
    # Attempts and those of them that failed are to be compared, so they have one scale.
    most = {name: max(values, default=0) for name, values, _ in shown}
    most["  failed"], most["  by recovery"] = most["requests"], most["waiting"]
    lines: list[Text] = []
    for name, values, look in shown:
        if any(values):
            lines += _row(name, values, most[name], look)
    told = (
        "The number beside a row is its highest value. All rows except the waiting reports"
        f" count in {width_text}."
    )
    words = [told, *([BACKLOG_GONE] if timeline.recovered_at is not None else [])]
    return Group(
        *lines,
        *_trouble(timeline, columns),
        _clock(_end(timeline), columns),
        *(Text(each, "dim") for each in words),
    )


def _late_part(bins: Bins) -> list[int]:
    """What waits of the reports that had arrived by the recovery, if that is not all that waits."""
    return [] if bins.before == bins.backlog else bins.before


def gathered(
    values: Sequence[float], columns: int, how: Callable[[Sequence[float]], float]
) -> list[float]:
    """As many values as columns, each made of its neighbours; fewer are spread."""
    count = len(values)
    found = []
    for column in range(columns if count else 0):
        first = column * count // columns
        last = max(first + 1, (column + 1) * count // columns)
        found.append(how(values[first:last]))
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def blocks(values: Sequence[float], most: float, height: int) -> list[str]:
    """Lines of blocks, the highest first. What is not zero is seen."""
    levels = [_level(value, most, height) for value in values]
    return [
        "".join(_EIGHTHS[min(8, max(0, level - 8 * line))] for level in levels)
        for line in reversed(range(height))
    ]


def _level(value: float, most: float, height: int) -> int:
    if value <= 0 or most <= 0:
        return 0
    return max(1, round(value / most * 8 * height))


def _row(name: str, values: Sequence[float], most: float, look: Look) -> list[Text]:
    lines = []
    for number, line in enumerate(blocks(values, most, HEIGHT)):
        told = short(round(most, 1)) if number == 0 and not name.startswith(" ") else ""
        label = name if number == HEIGHT - 1 else ""
        lines.append(
            Text.assemble(
                (f"{label[: NAMES - 1]:<{NAMES}}", "bold"),
                (f"{told:>{NUMBERS}} ", "dim"),
                (line, look.colour),
                no_wrap=True,
            )
        )
    return lines


def _trouble(timeline: Timeline, columns: int) -> list[Text]:
    """A line with the stretches in which the endpoint was not up, and what was the matter."""
    if not timeline.bands:
        return []
    end = _end(timeline)
    line = [" "] * columns
    for band in timeline.bands:
        first = int(band.start / end * columns)
        last = columns if band.end is None else max(first + 1, int(band.end / end * columns))
        text = f" {plain(band.what)} "
        middle = text if len(text) + 2 <= last - first else ""
        line[first:last] = middle.center(last - first, palette.TROUBLE.shade)
    label = f"{'trouble':<{NAMES}}"
    return [Text.assemble((label, "bold"), " " * (NUMBERS + 1), "".join(line), no_wrap=True)]


def _clock(end: float, columns: int) -> Text:
    """The time at the start, in the middle and at the end."""
    start, middle, last = (clock_text(end * share) for share in (0, 0.5, 1))
    text = start + middle.center(columns - len(start) - len(last)) + last
    return Text(" " * (NAMES + NUMBERS + 1) + text, style="dim", no_wrap=True)


def _columns(width: int) -> int:
    return max(_WIDTH_LEAST, min(width - NAMES - NUMBERS - 2, 110))


def _end(timeline: Timeline) -> float:
    return max(1, len(timeline.bins.arrivals)) * timeline.bins.width


def backlogs_plot(runs: Sequence[Run], width: int) -> RenderableType:
    """What waits over time, a row for each run, all with the same axes."""
    columns = _columns(width)
    end = max(_end(run.timeline) for run in runs)
    most = max(max(run.timeline.bins.backlog, default=0) for run in runs)
    lines: list[Text] = [Text("waiting over time, on one scale", "dim")]
    for run, look in zip(runs, palette.ONE_BY_ONE, strict=False):
        own = max(1, round(columns * _end(run.timeline) / end))
        backlog = gathered(run.timeline.bins.backlog, own, max)
        name = plain(run.name)  # of a long one the end, which has the value
        name = name if len(name) < NAMES else f"…{name[2 - NAMES :]}"
        lines += _row(name, backlog, most, look)
    return Group(*lines, _clock(end, columns))


def sweep_plot(key: str, runs: Sequence[Run], width: int) -> RenderableType:
    """Bars for each value: how many reports are lost, and how many came late."""
    room = max(_WIDTH_LEAST, min(width, 110) - 2 * NAMES)
    lines = [Text(f"{key}: lost {palette.LOST.shade}, late {palette.FAILED.shade}", "dim")]
    for run in runs:
        totals, late = run.timeline.totals, run.timeline.lateness.late
        whole = max(1, totals.reports)
        lost_share, late_share = totals.exhausted / whole, late / whole
        bars = (_bar(lost_share, room, palette.LOST), _bar(late_share, room, palette.FAILED))
        told = f"  {lost_share:.1%} {late_share:.1%}"
        lines.append(Text.assemble((f"{plain(run.name):<{NAMES}}", "bold"), *bars, (told, "dim")))
    return Group(*lines)


def _bar(share: float, room: int, look: Look) -> tuple[str, str]:
    """What is not zero is seen."""
    return look.shade * (max(1, round(share * room)) if share else 0), look.colour

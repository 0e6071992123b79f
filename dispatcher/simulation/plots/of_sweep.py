"""A sweep: how many are lost, and how late the others come, over the values of one setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatcher.simulation.answer import span_text
from dispatcher.simulation.comparison import Run, figures
from dispatcher.simulation.plots import palette
from dispatcher.simulation.plots.figure import (
    SPANS,
    figure,
    headline,
    legend,
    line,
    plain,
    share_axis,
)
from dispatcher.simulation.plots.palette import Look
from dispatcher.simulation.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LATENESS: Sequence[tuple[str, str, Look]] = (
    ("latenessP50", "p50", palette.ONE_BY_ONE[2]),
    ("latenessP95", "p95", palette.ONE_BY_ONE[0]),
    ("latenessP99", "p99", palette.ONE_BY_ONE[3]),
    ("latenessMax", "max", palette.ONE_BY_ONE[5]),
)
_SHORTEST = 0.1


def draw(title: str, sweep: Sweep, runs: Sequence[Run]) -> Figure:
    """The figure of a sweep, or of what there is of it. To be called within `figure.style`."""
    drawn = figure(8, 5.6)
    headline(drawn, title, ())
    loss, lateness = drawn.subplots(2, 1)
    at = (sweep.numbers or list(range(len(sweep.texts))))[: len(runs)]
    found = [figures(run.timeline) for run in runs]
    lost = [each["lost"] / each["reports"] if each["reports"] else 0 for each in found]
    late = [each["late"] / each["reports"] if each["reports"] else 0 for each in found]
    loss.plot(at, late, marker="o", markersize=4, label="late", **line(palette.ONE_BY_ONE[0]))
    loss.plot(at, lost, marker="x", markersize=6, label="lost", **line(palette.LOST))
    share_axis(loss, "of the reports")
    legend(loss)
    for key, label, look in _LATENESS:
        spans = [max(_SHORTEST, each[key] or 0) for each in found]
        lateness.plot(at, spans, marker=".", label=label, **line(look))
    _lateness_axis(lateness)
    for axes in (loss, lateness):
        _value_axis(axes, sweep)
    loss.tick_params(labelbottom=False)
    lateness.set_xlabel(plain(sweep.key))
    return drawn


def _lateness_axis(axes: Axes) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator(SPANS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda span, _: span_text(span)))
    axes.set_ylabel("lateness")
    legend(axes)


def _value_axis(axes: Axes, sweep: Sweep) -> None:
    """The values themselves are the ticks; in even ratio when they span more than one decade."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    at = sweep.numbers or list(range(len(sweep.texts)))
    if sweep.numbers and 0 < 10 * min(at) <= max(at):
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(at))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FixedFormatter([plain(text) for text in sweep.texts]))
    axes.tick_params(axis="x", labelrotation=45 if len(at) > 6 else 0)

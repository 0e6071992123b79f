"""Several simulations over each other: backlog, requests and lateness, a line for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatcher.simulation.answer import span_text
from dispatcher.simulation.comparison import Run
from dispatcher.simulation.plots import palette
from dispatcher.simulation.plots.figure import (
    count_axis,
    cumulative,
    edges,
    figure,
    headline,
    legend,
    line,
    plain,
    shade,
    share_axis,
    span_axis,
    time_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(title: str, runs: Sequence[Run]) -> Figure:
    """The figure of a comparison. To be called within `figure.style`."""
    drawn = figure(9, 7.4)
    headline(drawn, title, ())
    requests, backlog, lateness = drawn.subplots(3, 1)
    end = max(edges(run.timeline)[-1] for run in runs)
    _over_time(requests, runs, end, "requests")
    _over_time(backlog, runs, end, "backlog")
    legend(requests)
    requests.tick_params(labelbottom=False)
    backlog.set_xlabel("h:mm since the start")
    _lateness(lateness, runs)
    return drawn


def _over_time(axes: Axes, runs: Sequence[Run], end: float, what: str) -> None:
    for run, look in zip(runs, palette.ONE_BY_ONE, strict=False):
        bins = run.timeline.bins
        # Bins may differ in width: requests are told by the minute.
        values: list[float] = [*bins.backlog]
        if what == "requests":
            values = [count * 60 / bins.width for count in bins.attempts]
        axes.stairs(values, edges(run.timeline), baseline=None, label=plain(run.name), **line(look))
    count_axis(axes, "reports waiting" if what == "backlog" else "requests a minute")
    shade(axes, max((run.timeline.bands for run in runs), key=len), end)
    time_axis(axes, end)


def _lateness(axes: Axes, runs: Sequence[Run]) -> None:
    """Of all reports, so that a line which ends below the top has lost some."""
    for run, look in zip(runs, palette.ONE_BY_ONE, strict=False):
        spans, shares = cumulative(run.timeline)
        totals = run.timeline.totals
        kept = totals.acknowledged / totals.reports if totals.reports else 0
        axes.step(spans, [share * kept for share in shares], where="post", **line(look))
        if kept < 1:
            text = f"{totals.exhausted:,} lost" if totals.exhausted else "some wait"
            axes.plot(spans[-1], kept, "x", color=look.colour, markersize=6)
            axes.annotate(
                text, (spans[-1], kept), xytext=(5, -9), textcoords="offset points", fontsize=8
            )
    longest = max(run.timeline.lateness.longest for run in runs)
    span_axis(axes, longest * 1.5)
    share_axis(axes, "of all reports")
    axes.set_xlabel("acknowledged within this time after they arrived")
    axes.set_title(f"the latest of all: {span_text(longest)}", loc="right", fontsize=8)

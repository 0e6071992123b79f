"""One simulation: reports, requests and backlog over time, and how late reports came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.simulation.answer import answer, left_out, span_text
from dispatcher.simulation.plots import palette
from dispatcher.simulation.plots.figure import (
    SHORTEST,
    area,
    count_axis,
    cumulative,
    edges,
    figure,
    headline,
    legend,
    line,
    shade,
    share_axis,
    span_axis,
    time_axis,
)
from dispatcher.simulation.timeline import BACKLOG_GONE, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(title: str, timeline: Timeline) -> Figure:
    """The figure of one timeline. To be called within `figure.style`."""
    drawn = figure(9, 8.4)
    headline(drawn, title, answer(timeline))
    reports, requests, backlog, lateness = drawn.subplots(4, 1, height_ratios=(1, 1, 1, 0.9))
    end = edges(timeline)[-1]
    _reports(reports, timeline)
    _requests(requests, timeline)
    _backlog(backlog, timeline)
    for axes in (reports, requests, backlog):
        shade(axes, timeline.bands, end)
        time_axis(axes, end)
    for axes in (reports, requests):
        axes.tick_params(labelbottom=False)
    _name_bands(reports, timeline)
    clock = "hours since the start" if end >= 3600 else "h:mm since the start"
    defined = f"\n{BACKLOG_GONE}" if timeline.recovered_at is not None else ""
    backlog.set_xlabel(clock + defined)
    _lateness(lateness, timeline)
    return drawn


def _width(timeline: Timeline) -> str:
    return span_text(timeline.bins.width)


def _reports(axes: Axes, timeline: Timeline) -> None:
    bins, at = timeline.bins, edges(timeline)
    axes.stairs(
        bins.acknowledged, at, baseline=None, label="acknowledged", **line(palette.ACKNOWLEDGED)
    )
    axes.stairs(bins.arrivals, at, baseline=None, label="arrived", **line(palette.ARRIVALS))
    if any(bins.exhausted):
        axes.stairs(bins.exhausted, at, baseline=None, label="lost", **line(palette.LOST))
    count_axis(axes, f"reports in {_width(timeline)}")
    legend(axes)


def _requests(axes: Axes, timeline: Timeline) -> None:
    bins, at = timeline.bins, edges(timeline)
    failed = [sum(each) for each in zip(*bins.failed.values(), strict=True)]
    failed = failed or [0] * len(bins.attempts)
    taken = [all_ - bad for all_, bad in zip(bins.attempts, failed, strict=True)]
    axes.stairs(taken, at, label="acknowledged", **area(palette.ACKNOWLEDGED))
    axes.stairs(bins.attempts, at, baseline=taken, label="failed", **area(palette.FAILED))
    count_axis(axes, f"requests in {_width(timeline)}")
    legend(axes)


def _backlog(axes: Axes, timeline: Timeline) -> None:
    bins, at = timeline.bins, edges(timeline)
    axes.stairs(bins.backlog, at, label="all", **area(palette.BACKLOG))
    if bins.before:
        label = "arrived by the recovery"
        axes.stairs(bins.before, at, baseline=None, label=label, **line(palette.FAILED))
        legend(axes)
    count_axis(axes, "reports waiting")
    if timeline.drained_at is not None:
        gone = timeline.drained_at
        axes.axvline(gone, color=palette.INK, linewidth=0.9, linestyle=(0, (3, 2)))
        late = gone > edges(timeline)[-1] * 0.8
        axes.annotate(
            "backlog gone",
            (gone, 0.95),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if late else 4, 0),
            textcoords="offset points",
            ha="right" if late else "left",
            va="top",
            fontsize=8,
        )


def _lateness(axes: Axes, timeline: Timeline) -> None:
    spans, shares = cumulative(timeline)
    axes.fill_between(spans, shares, step="post", color=palette.ACKNOWLEDGED.colour, alpha=0.2)
    axes.step(spans, shares, where="post", **line(palette.ACKNOWLEDGED))
    found = timeline.lateness.percentiles()
    for percent, span in found.items():
        axes.plot(max(span, SHORTEST), percent / 100, "o", color=palette.INK, markersize=4)
    span_axis(axes, timeline.lateness.longest)
    share_axis(axes, "of the acknowledged")
    axes.set_xlabel("acknowledged within this time after they arrived")
    words = [f"p{percent} {span_text(span)}" for percent, span in found.items()]
    words.append(f"max {span_text(timeline.lateness.longest)}")
    axes.set_title(", ".join(words) + left_out(timeline), loc="right", fontsize=8)


def _name_bands(axes: Axes, timeline: Timeline) -> None:
    """What was the matter, above the stretches; where many meet, only that of the first."""
    end, free_from = edges(timeline)[-1], 0.0
    for band in timeline.bands:
        if band.start < free_from:
            continue
        axes.annotate(
            band.what,
            (band.start, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            fontsize=8,
            color=palette.INK,
            annotation_clip=False,
        )
        free_from = band.start + end * 0.012 * (len(band.what) + 2)

"""What all figures have in common: the look, the axis of time, and how they become a file.

matplotlib is imported when a figure is drawn and not before: it takes a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

from dispatcher.simulation.answer import span_text
from dispatcher.simulation.plots import palette
from dispatcher.simulation.plots.palette import Look
from dispatcher.simulation.timeline import Band, Timeline
from receiver.shown import shown_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MINUTE, HOUR, DAY = 60, 3_600, 86_400

_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(n * MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * HOUR for n in (1, 2, 3, 6, 12)),
    *(n * DAY for n in (1, 2, 5, 7, 14, 28)),
)
_TICKS = 9

SPANS = (1e-3, 1e-2, 1e-1, 1, 10, MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 5 * DAY, 30 * DAY)
"""Ticks of an axis of lateness, in seconds."""

SHORTEST = 1e-3
"""Lateness has a logarithmic axis, which has no zero: what is shorter is drawn here."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that all machines draw the same
    "font.size": 9,
    "text.parse_math": False,  # a story may speak of $
    "text.color": palette.INK,
    "axes.edgecolor": palette.FAINT,
    "axes.labelcolor": palette.INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": palette.FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "xtick.color": palette.FAINT,
    "ytick.color": palette.FAINT,
    "xtick.labelcolor": palette.INK,
    "ytick.labelcolor": palette.INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "hatch.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "dlr",  # else each file has other ids
    "figure.facecolor": palette.PAPER,
}


def can_draw() -> bool:
    """Whether the extra `plots` is installed."""
    return find_spec("matplotlib") is not None


@contextmanager
def style() -> Iterator[None]:
    """Everything about a figure happens in here, its saving too."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def figure(width: float, height: float) -> Figure:
    """An empty one, in inches. It is nobody's but the caller's: no window, no list of figures."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def headline(drawn: Figure, title: str, sentences: Sequence[str]) -> None:
    """The story above, and below it what came of it."""
    drawn.suptitle(plain(title), x=0.01, ha="left", weight="bold", fontsize=11)
    if sentences:
        drawn.supxlabel(plain("\n".join(sentences)), x=0.01, ha="left", fontsize=8.5)


def plain(text: str) -> str:
    """Without what neither SVG nor a page can hold."""
    return shown_lines(text)


def saved(drawn: Figure, form: str) -> bytes:
    """The file, as `svg` or `png`: the same bytes for the same figure."""
    file = BytesIO()
    # No date, and no version of the library.
    about = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    drawn.savefig(file, format=form, dpi=144, metadata=about)
    return file.getvalue()


def line(look: Look) -> dict[str, Any]:
    """How matplotlib is told to draw a line."""
    return {"color": look.colour, "linestyle": (0, look.dash) if look.dash else "-"}


def area(look: Look) -> dict[str, Any]:
    """And an area: the hatch is white on the colour, which a grey print keeps."""
    return {
        "fill": True,
        "facecolor": look.colour,
        "edgecolor": palette.PAPER if look.hatch else look.colour,
        "hatch": look.hatch or None,
        "linewidth": 0,
    }


def count_axis(axes: Axes, label: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_ylabel(label)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: short(count)))
    axes.set_ylim(bottom=0)


def short(count: float) -> str:
    """A number in a few signs: 950, 12.5k, 3M."""
    for unit, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(count) >= unit:
            return f"{count / (1e3 if sign == 'k' else unit):g}{sign}"
    return f"{count:g}"


def legend(axes: Axes) -> None:
    """Above the axes, where nothing is drawn."""
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 0.97), ncols=len(palette.ONE_BY_ONE), borderpad=0
    )


def time_axis(axes: Axes, end: float) -> None:
    """Hours and minutes since the start of the scenario."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    step = next((step for step in _STEPS if end <= step * _TICKS), 28 * DAY)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _clock(at, step)))
    axes.set_xlim(0, max(end, 1))


def _clock(at: float, step: float) -> str:
    whole = round(at)
    if step >= DAY:
        return f"day {whole // DAY}"
    text = f"{whole // HOUR}:{whole // MINUTE % MINUTE:02}"
    return text if step >= MINUTE else f"{text}:{whole % MINUTE:02}"


def span_axis(axes: Axes, longest: float) -> None:
    """Lateness from a millisecond on."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(SPANS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda span, _: span_text(span)))
    axes.set_xlim(SHORTEST, max(longest * 1.3, 10 * SHORTEST))


def share_axis(axes: Axes, label: str) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_ylim(0, 1.02)


def shade(axes: Axes, bands: Sequence[Band], end: float) -> None:
    """The stretches of trouble, over the whole height."""
    for band in bands:
        until = end if band.end is None else min(band.end, end)
        axes.axvspan(band.start, until, color=palette.TROUBLE.colour, linewidth=0, zorder=0)
        for edge in (band.start, until):
            axes.axvline(edge, color=palette.FAINT, linewidth=0.6, zorder=0)


def edges(timeline: Timeline) -> list[float]:
    """Where its bins begin, and the last one ends."""
    width = timeline.bins.width
    return [index * width for index in range(len(timeline.bins.arrivals) + 1)]


def cumulative(timeline: Timeline) -> tuple[list[float], list[float]]:
    """Lateness in seconds, and which share of the acknowledged reports came no later."""
    lateness = timeline.lateness
    whole = sum(lateness.bins.values())
    spans, shares, seen = [SHORTEST], [0.0], 0
    for bin, count in sorted(lateness.bins.items()):
        seen += count
        spans.append(max(SHORTEST, lateness.longest_in[bin]))
        shares.append(seen / whole)
    return spans, shares

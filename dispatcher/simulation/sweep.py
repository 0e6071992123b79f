"""One setting over a range of values: loss and lateness as a curve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from msgspec import Struct, json

from dispatcher.simulation.arrivals import Arrivals
from dispatcher.simulation.comparison import Run, Variant, figures
from dispatcher.simulation.comparison import rows as comparison_rows
from dispatcher.simulation.keys import with_setting
from dispatcher.simulation.scenario import Scenario, troubles
from receiver.settings.configuration import ConfigurationError
from receiver.settings.durations import duration, duration_text

POINTS = 13
"""Of a range, its ends among them."""

MOST = 200

_ROUND_TO = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600)
"""Seconds to which values between the ends are rounded: half an hour at a day, a second at ten."""


class Sweep(Struct, frozen=True):
    """`numbers` are the values of the key as the axis of a plot needs them: durations in seconds.
    None when they are words."""

    key: str
    texts: list[str]
    numbers: list[float] | None
    durations: bool

    def variants(self, scenario: Scenario) -> list[Variant]:
        """The scenario with each value. Raises ConfigurationError."""
        return [Variant(text, with_setting(scenario, self.key, text)) for text in self.texts]


def read_sweep(asked: str) -> Sweep:
    """`outage=10m..48h` is a range of so many POINTS, `outage=10m,1h,6h` these values.

    Raises ConfigurationError.
    """
    key, _, values = asked.partition("=")
    start, dots, end = values.partition("..")
    texts = [text.strip() for text in values.split(",") if text.strip()]
    if dots:
        return _range(key, start.strip(), end.strip(), asked)
    if not key or not 2 <= len(texts) <= MOST:
        raise _unfit(asked)
    for read, durations in ((float, False), (_seconds, True)):
        try:
            return Sweep(key, texts, [read(text) for text in texts], durations)
        except ValueError:
            continue
    return Sweep(key, texts, None, durations=False)


def outlasts(variants: Sequence[Variant]) -> list[str]:
    """The names of those whose last trouble ends after the last arrival: the more it outlasts
    them, the more of it no new report meets."""
    return [each.name for each in variants if _outlasts(each.scenario)]


def _outlasts(scenario: Scenario) -> bool:
    arrives = Arrivals(scenario).duration
    return any(
        end is not None and start < arrives < end for start, end, _ in troubles(scenario.phase)
    )


def past_arrivals(names: Sequence[str]) -> str:
    """A sentence for people."""
    return (
        f"PAST THE ARRIVALS: {', '.join(names)}: the trouble ends after the last report has"
        " arrived, so that its end meets retries alone."
    )


def _range(key: str, start: str, end: str, asked: str) -> Sweep:
    durations = not _is_number(start)
    try:
        ends = tuple(_seconds(each) if durations else float(each) for each in (start, end))
    except ValueError as error:
        raise _unfit(asked) from error
    if not key or not 0 < ends[0] < ends[1] or not math.isfinite(ends[1]):
        raise _unfit(asked)
    whole = all(_is_whole(each) for each in (start, end))
    between = _spread(*ends)
    if durations:
        numbers = _unique(ends, (_rounded(each) for each in between))
        texts = [duration_text(timedelta(seconds=each)) for each in numbers]
    else:
        numbers = _unique(ends, (round(n) if whole else float(f"{n:.3g}") for n in between))
        texts = [f"{each:.12g}" if not whole else str(int(each)) for each in numbers]
    return Sweep(key, texts, numbers, durations)


def _spread(start: float, end: float) -> Iterator[float]:
    """Evenly between the two; in even ratio when the end is ten times the start or more."""
    for step in range(1, POINTS - 1):
        share = step / (POINTS - 1)
        if end >= 10 * start:
            yield start * (end / start) ** share
        else:
            yield start + (end - start) * share


def _unique(ends: tuple[float, ...], between: Iterator[float]) -> list[float]:
    return sorted({*ends, *(each for each in between if ends[0] < each < ends[1])})


def _rounded(seconds: float) -> float:
    step = max(each for each in _ROUND_TO if each <= max(1.0, seconds / 20))
    return float(round(seconds / step) * step)


def _seconds(text: str) -> float:
    return duration(text).total_seconds()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _unfit(asked: str) -> ConfigurationError:
    return ConfigurationError(
        [
            "--sweep: expected a key and a range such as outage=10m..48h, or values such as"
            f' bucket_size=1,10,100, got "{asked}"'
        ]
    )


def to_json(key: str, runs: Sequence[Run], past: Sequence[str], *, partial: bool) -> bytes:
    """The figures for each value. `past`: what `outlasts` says. `partial`: it was broken off, and
    values are missing."""
    told: list[dict[str, Any]] = [
        {"value": run.name, "figures": figures(run.timeline)} for run in runs
    ]
    whole = {"swept": key, "partial": partial, "pastArrivals": past, "points": told}
    return json.encode(whole) + b"\n"


_SHOWN = (
    "lost",
    "late",
    "lateness p50",
    "lateness p95",
    "lateness p99",
    "lateness max",
    "wasted requests",
    "backlog gone after recovery",
)


def rows(key: str, runs: Sequence[Run]) -> Iterator[list[str]]:
    """A line for each value, under a line of headings."""
    found = {line[0]: line[1:] for line in comparison_rows(runs)}
    yield [key, *_SHOWN]
    for number, run in enumerate(runs):
        yield [run.name, *(found[what][number] for what in _SHOWN)]

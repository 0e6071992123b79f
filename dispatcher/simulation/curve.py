"""A rate over time that repeats itself, and the instants of what comes at that rate. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from dispatcher.simulation.scenario import BY_DAY, ArrivalSettings

_DAY = 86_400.0


class Curve:
    """So much a second, in spans that repeat: `spans` are lengths in seconds and rates."""

    def __init__(self, spans: Iterable[tuple[float, float]]) -> None:
        known = list(spans)
        self._rates = [rate for _, rate in known]
        self._starts = list(accumulate((length for length, _ in known), initial=0.0))
        self._totals = list(accumulate((length * rate for length, rate in known), initial=0.0))

    @property
    def fastest(self) -> float:
        """The highest rate of all spans."""
        return max(self._rates)

    def total(self, seconds: float) -> float:
        """How much has come by then."""
        periods, rest = divmod(seconds, self._starts[-1])
        span = bisect_right(self._starts, rest) - 1
        partly = (rest - self._starts[span]) * self._rates[span]
        return periods * self._totals[-1] + self._totals[span] + partly

    def at(self, total: float) -> float:
        """When so much has come, in seconds: the inverse of `total`."""
        periods, rest = divmod(total, self._totals[-1])
        # Of spans without any rate the last: what comes next comes after them.
        span = bisect_right(self._totals, rest) - 1
        into = (rest - self._totals[span]) / self._rates[span]
        return periods * self._starts[-1] + self._starts[span] + into


def curve_of(settings: ArrivalSettings) -> Curve:
    """The rate of reports that a scenario describes; not of replayed ones."""
    rate = settings.per_second
    match settings.kind:
        case "daily":
            weights = settings.hours or BY_DAY
            return Curve((_DAY / 24, rate * 24 * each / sum(weights)) for each in weights)
        case "bursts":
            lasts, every = settings.burst_lasts, settings.burst_every
            assert lasts is not None
            assert every is not None
            rest = (every - lasts).total_seconds()
            burst = (lasts.total_seconds(), settings.burst_per_second or 0.0)
            return Curve([burst, (rest, rate)] if rest else [burst])
        case _:
            return Curve([(_DAY, rate)])

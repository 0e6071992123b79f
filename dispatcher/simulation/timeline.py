"""What a simulation produced, whichever engine made it. Plain values, no clock, no randomness.

All times are seconds since the start of the scenario. Reports are counted, not dispatches: a bucket
of a hundred that is lost is a hundred reports lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from msgspec import Struct, field, json, to_builtins

from receiver.store.histogram import bin_of

LATE_SECONDS = 10.0
"""A report is late when it is acknowledged more than so long after it arrived: sooner than any
retry of the default schedule, later than any endpoint that works."""

PERCENTS = (50, 95, 99)

BACKLOG_GONE = "Backlog gone: each report that had arrived by the recovery is acknowledged or lost."
"""What `Timeline.drained_at` is, in words to stand under each figure that has it. With steady
arrivals a backlog is never simply zero."""

NEAR = 0.01
"""Of all reports: so far the cohort engine's counts may be from the exact ones, unless its answer
says that it is an estimate."""

Engine = Literal["exact", "cohort", "rehearsed"]
"""What made a timeline. `rehearsed`: a drill with real pushes (rehearsal/drill)."""

Watch = Callable[[float], bool]
"""Told now and then how much of a simulation is done, 0 to 1. False breaks it off."""


class Band(Struct, frozen=True):
    """A stretch in which the endpoint was not simply up. `end` None: it lasts to the end."""

    start: float
    end: float | None
    what: str


def recovery(bands: Sequence[Band]) -> float | None:
    """The end of the last trouble that has one. What lasts to the end, a limit for instance, is how
    that endpoint is: it recovers to it. None when nothing ended."""
    return next((band.end for band in reversed(bands) if band.end is not None), None)


class Bins(Struct):
    """Counts over time, a column each; all are equally long.

    Bin i is from `i * width` on, up to and without `(i + 1) * width`; the last one may be cut by
    the end. What happens to a report after an attempt is counted when the answer came, an attempt
    when it began. `before` is empty without a recovery that was reached, see `BACKLOG_GONE`.
    """

    width: float
    arrivals: list[int] = field(default_factory=list)  # reports
    attempts: list[int] = field(default_factory=list)
    failed: dict[str, list[int]] = field(default_factory=dict)  # attempts, by outcome.Outcome
    acknowledged: list[int] = field(default_factory=list)  # reports
    exhausted: list[int] = field(default_factory=list)  # reports: lost to the customer
    backlog: list[int] = field(default_factory=list)  # reports that wait at the end of the bin
    before: list[int] = field(default_factory=list)  # of the backlog, arrived by the recovery
    peak: list[int] = field(default_factory=list)  # the most attempts that began in one second


class Lateness(Struct):
    """From arrival to acknowledgement, of the reports that were acknowledged.

    Counted by the bins of receiver/store/histogram.py, of milliseconds: 32 to each power of two.
    A percentile is the longest lateness in its bin: so many reports came no later, and it is at
    most 3.2 % (1 ms below 64 ms) above the true one. Where all of a bin came equally late, as in
    an outage, it is exact; and so is `longest`.
    """

    bins: dict[int, int] = field(default_factory=dict)
    longest_in: dict[int, float] = field(default_factory=dict)  # seconds, by bin
    late: int = 0  # of these reports, later than LATE_SECONDS

    def add(self, seconds: float, reports: int = 1) -> None:
        bin = bin_of(round(seconds * 1000))
        self.bins[bin] = self.bins.get(bin, 0) + reports
        self.longest_in[bin] = max(self.longest_in.get(bin, 0.0), seconds)
        self.late += reports * (seconds > LATE_SECONDS)

    @property
    def longest(self) -> float:
        return max(self.longest_in.values(), default=0.0)

    def percentiles(self) -> dict[int, float]:
        """PERCENTS in seconds, by nearest rank; nothing of no reports."""
        whole = sum(self.bins.values())
        found: dict[int, float] = {}
        seen = 0
        for bin, count in sorted(self.bins.items()):
            seen += count
            for percent in PERCENTS:
                if seen * 100 >= percent * whole:
                    found.setdefault(percent, self.longest_in[bin])
        return found


class RunTotals(Struct, frozen=True):
    """Of the whole simulation. `reports` are those for the endpoint, and the sum of the three
    below; `wasted` are the attempts that did not acknowledge."""

    reports: int
    acknowledged: int
    exhausted: int
    waiting: int
    attempts: int
    wasted: int


class Bounds(Struct, frozen=True):
    """Between which counts of reports the exact engine's lie, whatever its seed."""

    late: tuple[int, int]
    lost: tuple[int, int]


class Exactness(Struct, frozen=True):
    """How near a timeline's figures are to those of the exact engine.

    exact: the same in each. near: acknowledged, lost, waiting and late within NEAR of the reports.
    estimated: `because` of that they can be further away; within `bounds`, if these are known.
    """

    level: Literal["exact", "near", "estimated"] = "exact"
    because: str = ""
    bounds: Bounds | None = None

    @property
    def words(self) -> str:
        if self.level == "estimated":
            return f"estimated: because {self.because}"
        return f"within {NEAR:.0%}".replace("%", " %") if self.level == "near" else self.level


_LEVELS = ("exact", "near", "estimated")


def least_exact(known: Iterable[Exactness]) -> Exactness:
    """Of several simulations that lead to one answer."""
    return max(known, key=lambda each: _LEVELS.index(each.level), default=Exactness())


class Timeline(Struct, frozen=True, kw_only=True):
    """`partial`: it was broken off, and tells of the time up to `ended_at` alone.

    `drained_at`: when the last of the reports that had arrived by the recovery was acknowledged or
    exhausted, see BACKLOG_GONE. None without a trouble that ends, or when some of them wait still.
    """

    engine: Engine
    seed: int
    schedule: str  # its name
    partial: bool
    ended_at: float
    totals: RunTotals
    lateness: Lateness
    bins: Bins
    bands: list[Band]
    drained_at: float | None = None
    exactness: Exactness = Exactness()

    @property
    def estimated(self) -> bool:
        """Whether pushes that got into each other's way were counted, not followed."""
        return self.exactness.level == "estimated"

    @property
    def recovered_at(self) -> float | None:
        """See `recovery`; None too when it was not reached."""
        end = recovery(self.bands)
        return None if end is None or end > self.ended_at else end

    @property
    def left_out(self) -> int:
        """Reports that have no lateness, and are in no percentile: lost, or waiting still."""
        return self.totals.exhausted + self.totals.waiting

    @property
    def attempts_per_report(self) -> float:
        """Below 1 where buckets hold many."""
        return self.totals.attempts / self.totals.reports if self.totals.reports else 0.0

    def peak(self, since: float = 0.0) -> tuple[int, float]:
        """The most attempts that began in one second, and the start of the (first) bin in which
        they did, among the bins that begin at `since` or hold it."""
        first = int(since // self.bins.width)
        most = max(self.bins.peak[first:], default=0)
        return most, (first + self.bins.peak[first:].index(most)) * self.bins.width if most else 0.0


def to_dict(timeline: Timeline) -> dict[str, Any]:
    """As JSON has it: names in camelCase, and what follows from the counts beside them."""
    lateness = timeline.lateness
    found = lateness.percentiles()
    peak, peak_at = timeline.peak()
    after = None if timeline.recovered_at is None else timeline.peak(timeline.recovered_at)[0]
    totals = to_builtins(timeline.totals)
    return {
        "engine": timeline.engine,
        "seed": timeline.seed,
        "schedule": timeline.schedule,
        "partial": timeline.partial,
        "estimated": timeline.estimated,
        "exactness": timeline.exactness.words,
        "bounds": _bounds(timeline.exactness.bounds),
        "endedAt": timeline.ended_at,
        "totals": {
            **totals,
            "late": lateness.late,
            "attemptsPerReport": round(timeline.attempts_per_report, 6),
        },
        "lateness": {
            **{f"p{percent}": found.get(percent) for percent in PERCENTS},
            "max": lateness.longest if lateness.bins else None,
            "of": timeline.totals.acknowledged,
            "leftOut": timeline.left_out,
            "histogram": [
                [lateness.longest_in[bin], count] for bin, count in sorted(lateness.bins.items())
            ],
        },
        "peakPerSecond": peak,
        "peakAt": peak_at,
        "peakPerSecondAfterRecovery": after,
        "recoveredAt": timeline.recovered_at,
        "drainedAt": timeline.drained_at,
        "drainedAtMeans": BACKLOG_GONE if timeline.recovered_at is not None else None,
        "bands": to_builtins(timeline.bands),
        "bins": to_builtins(timeline.bins),
    }


def _bounds(bounds: Bounds | None) -> dict[str, tuple[int, int]] | None:
    if bounds is None:
        return None
    return {"late": bounds.late, "lost": bounds.lost}


def to_json(timeline: Timeline) -> bytes:
    """The same bytes for the same simulation."""
    return json.encode(to_dict(timeline)) + b"\n"


def csv_rows(timeline: Timeline) -> Iterable[list[object]]:
    """A heading, then a row for each bin."""
    bins = timeline.bins
    outcomes = sorted(bins.failed)
    columns = (bins.arrivals, bins.attempts, bins.acknowledged, bins.exhausted, bins.backlog)
    yield [
        *("start", "arrivals", "attempts", "acknowledged", "exhausted", "backlog", "peakPerSecond"),
        *outcomes,
    ]
    for index, row in enumerate(zip(*columns, bins.peak, strict=True)):
        yield [index * bins.width, *row, *(bins.failed[name][index] for name in outcomes)]

"""What a simulation is given: a scenario, as a TOML file says it.

All times count from the start of the scenario, which is a midnight (START); reports arrive for
`duration`, and the simulation goes on until nothing waits any more. `[endpoint]` and `[schedule]`
take the words of config/dlr.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.endpoints.from_settings import endpoint_of, schedule_of
from dispatcher.retrying.schedule import RetrySchedule
from dispatcher.settings.forms import HttpUrl
from dispatcher.settings.settings import DispatchSettings, EndpointSettings
from receiver.settings.configuration import Between, ConfigurationError, Form
from receiver.settings.durations import duration_text
from receiver.settings.reader import read
from receiver.settings.settings import Name

START = datetime(2026, 1, 1, tzinfo=UTC)
"""The instant at which each scenario starts. No result depends on the date."""

Share = Annotated[float, Between(0, 1)]
_Span = Annotated[timedelta, Between(timedelta(seconds=1), timedelta(days=366))]
_Rate = Annotated[float, Between(0.0001, 1_000_000_000)]  # a second
_Wait = Annotated[timedelta, Between(timedelta(0), timedelta(days=366))]

ArrivalKind = Literal["constant", "daily", "bursts", "replayed"]

BY_DAY = (3, 2, 1, 1, 1, 2, 4, 8, 12, 14, 14, 13, 12, 12, 12, 12, 12, 13, 14, 14, 12, 9, 6, 4)
"""How much of a day's traffic falls into each hour, unless the scenario says otherwise: little at
night, a shoulder in the morning and one in the evening."""


@dataclass(frozen=True, slots=True)
class ArrivalSettings:
    """When reports arrive. `kind` says which of the settings below it are read.

    constant: `per_second`, all the time. daily: `per_second` on the average of a day, more or less
    of it by `hours`. bursts: `per_second`, but `burst_per_second` for the first `burst_lasts` of
    each `burst_every`. replayed: as the reports of `file` arrived.
    """

    kind: ArrivalKind = "constant"
    per_second: _Rate = 1.0  # reports
    by_chance: bool = False  # a Poisson process with that rate; else evenly spaced
    per_callback: Annotated[int, Between(1, 2_000)] = 1  # reports that arrive together
    hours: tuple[Annotated[float, Between(0, 1_000_000)], ...] = ()  # 24 weights; empty: BY_DAY
    burst_every: _Span | None = None
    burst_lasts: _Span | None = None
    burst_per_second: _Rate | None = None
    file: Annotated[str, Form("the name of a file", bool)] | None = None

    def faults(self) -> Iterable[tuple[str, str]]:
        if self.hours and (len(self.hours) != 24 or not any(self.hours)):
            yield "hours", f"expected 24 weights that are not all 0, got {len(self.hours)}"
        bursts = ("burst_every", "burst_lasts", "burst_per_second")
        yield from self._only("bursts", bursts, needed=True)
        yield from self._only("replayed", ("file",), needed=True)
        yield from self._only("daily", ("hours",))
        if self.burst_every and self.burst_lasts and self.burst_lasts > self.burst_every:
            yield "burst_lasts", "expected no more than burst_every: bursts do not overlap"
        if self.kind == "replayed":
            for name, default in (("per_second", 1.0), ("by_chance", False), ("per_callback", 1)):
                if getattr(self, name) != default:
                    yield name, 'is not read with kind = "replayed": the file tells'

    def _only(
        self, kind: ArrivalKind, names: Iterable[str], *, needed: bool = False
    ) -> Iterator[tuple[str, str]]:
        for name in names:
            given = getattr(self, name) not in (None, ())
            if given and self.kind != kind:
                yield name, f'is only used with kind = "{kind}", not "{self.kind}"'
            if needed and not given and self.kind == kind:
                yield name, f'is needed with kind = "{kind}"'


@dataclass(frozen=True, slots=True)
class MixSettings:
    """What arrives, as shares of the whole; spread evenly, not by chance. Replayed reports are as
    the file has them."""

    intermediate: Share = 0.0  # of the reports; the others are final
    xml: Share = 0.0  # of the callbacks; the others are JSON
    v3: Share = 0.0  # of the callbacks; the others are v2


Behaviour = Literal[
    "up",  # answers 200
    "answers",  # answers `status`: 503, 429 with retry_after, 410 …
    "refuses",  # nothing listens: the connection is refused
    "drops",  # packets are dropped: no connection within connect_timeout
    "stalls",  # takes the connection and never answers: read_timeout
    "half-open",  # takes the push, and the answer is lost on its way back: read_timeout
    "breaks-off",  # the connection ends before the answer
    "bad-certificate",  # the TLS handshake fails, as with one that has expired
    "limits",  # takes `per_second` requests and answers `status` to those beyond
    "slows",  # works off `per_second` requests in turn: the more come, the longer each takes
]

PACED: tuple[Behaviour, ...] = ("limits", "slows")
"""Those that take only `per_second` requests."""

LIMITED = 429
"""What an endpoint that limits answers when it was not told."""


@dataclass(frozen=True, slots=True)
class Phase:
    """How the endpoint behaves from `at` on, for as long as it `lasts` (None: to the end).

    Where phases overlap the later one in the file holds. `share` below 1: only so many of the
    requests, by chance, meet it. With `every` and `each_time` it comes and goes: it holds for the
    first `each_time` of each `every`, counted from `at`. What it does not hold for is met by the
    phases before it and at last by an endpoint that answers 200 at once.

    `latency` is how long each answer takes (of `refuses`, `breaks-off` and `bad-certificate` too);
    with `latency_p99` it is the median of a log-normal distribution whose 99th percentile that is.
    An answer later than read_timeout is none: the attempt has timed out.
    """

    behaves: Behaviour
    at: _Wait = timedelta(0)
    lasts: _Span | None = None
    share: Share = 1.0
    every: _Span | None = None
    each_time: _Span | None = None
    latency: _Wait = timedelta(0)
    latency_p99: _Wait | None = None
    status: Annotated[int, Between(200, 599)] | None = None
    retry_after: _Span | None = None  # asked for with that status, in whole seconds
    per_second: _Rate | None = None  # requests

    def faults(self) -> Iterable[tuple[str, str]]:
        if (self.every is None) != (self.each_time is None):
            yield "each_time", "belongs with every: give both or none"
        elif self.every and self.each_time and self.each_time >= self.every:
            yield "each_time", "expected less than every: it would never pause"
        if self.latency_p99 is not None and not timedelta(0) < self.latency <= self.latency_p99:
            yield "latency_p99", "expected at least latency, the median, which must be above 0s"
        if self.latency and self.behaves in ("drops", "stalls", "half-open"):
            yield "latency", f'is not read with behaves = "{self.behaves}": the timeouts tell'
        yield from self._needed("status", "answers")
        yield from self._needed("per_second", *PACED)
        if self.status is not None and self.behaves not in ("answers", "limits"):
            yield "status", 'is only used with behaves = "answers" or "limits"'
        if self.retry_after is not None and self.behaves not in ("answers", "limits"):
            yield "retry_after", 'is only used with behaves = "answers" or "limits"'
        if self.per_second is not None and self.behaves not in PACED:
            yield "per_second", 'is only used with behaves = "limits" or "slows"'

    def _needed(self, name: str, *behaviours: Behaviour) -> Iterator[tuple[str, str]]:
        if self.behaves in behaviours and getattr(self, name) is None:
            yield name, f'is needed with behaves = "{self.behaves}"'

    @property
    def is_up(self) -> bool:
        """Whether it acknowledges every request that it meets in time."""
        if self.behaves == "answers":
            return self.status is not None and self.status < 300
        return self.behaves == "up"

    @property
    def ends_at(self) -> timedelta | None:
        return None if self.lasts is None else self.at + self.lasts

    def holds_at(self, since_start: timedelta) -> bool:
        """Whether requests can meet it then. Of `share` nothing is said."""
        if since_start < self.at or (
            self.lasts is not None and since_start >= self.at + self.lasts
        ):
            return False
        if self.every is None or self.each_time is None:
            return True
        return (since_start - self.at) % self.every < self.each_time


@dataclass(frozen=True, slots=True)
class SimulatedEndpoint(EndpointSettings):
    """An [[endpoint]] of config/dlr.toml, which needs no name and no URL here. Its headers,
    security and TLS change nothing in a simulation."""

    name: Name = "customer"
    url: HttpUrl = field(default="https://customer.example/dlr", repr=False)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that a simulation is given. Two simulations of one scenario agree in each byte."""

    story: str = ""  # one sentence: what has happened
    seed: int = 1  # of all chance: arrivals, latencies, shares, jitter
    duration: _Span | None = None  # reports arrive for so long; None: until the file's last
    until: _Span | None = None  # end here though something may wait; None: at rest
    bin: _Span | None = None  # of the timeline; None: see bin_width
    arrivals: ArrivalSettings = ArrivalSettings()
    mix: MixSettings = MixSettings()
    phase: tuple[Phase, ...] = ()
    endpoint: SimulatedEndpoint = field(default_factory=SimulatedEndpoint)
    schedule: DispatchSettings = field(default_factory=DispatchSettings)

    def faults(self) -> Iterable[tuple[str, str]]:
        if self.duration is None and self.arrivals.kind != "replayed":
            yield "duration", f'is needed with arrivals.kind = "{self.arrivals.kind}"'
        if self.endpoint.reports == "none":
            yield "endpoint.reports", 'expected an endpoint that takes reports, got "none"'
        for number, phase in enumerate(self.phase):
            end, what = self._last_push(phase.at)
            if end is not None and phase.at > end:
                late = f"expected a time before {what}, {duration_text(end)}"
                yield f"phase[{number}].at", f"{late}, got {duration_text(phase.at)}"

    def _last_push(self, before: timedelta) -> tuple[timedelta | None, str]:
        """After this no push meets a phase, and what ends then: `until`; or the arrivals, if up to
        `before` nothing makes a report wait. None: that is not known before it is played."""
        if self.until is not None:
            return self.until, "the scenario's end"
        earlier = [phase for phase in self.phase if phase.at < before]
        prompt = all(phase.behaves == "up" and not phase.latency for phase in earlier)
        waits = not prompt or self.endpoint.rate_limit or self.arrivals.kind == "replayed"
        return None if waits else self.duration, "the last arrival, after which nothing waits"

    @property
    def customer(self) -> Endpoint:
        """The endpoint as the worker knows it."""
        return endpoint_of(self.endpoint)

    @property
    def retry_schedule(self) -> RetrySchedule:
        """The schedule that holds: that of the endpoint, or else of [schedule]."""
        return self.customer.schedule or schedule_of(self.schedule)


REST = timedelta(days=30)
"""An endpoint that never comes back, behind a breaker, would keep a simulation going for years. So
long after the last retry that a report of the last hour can have, what waits is left waiting."""


def ends_at_latest(scenario: Scenario, duration: timedelta) -> timedelta:
    """When a simulation whose reports arrive for `duration` ends though something waits."""
    return scenario.until or duration + scenario.retry_schedule.span + REST


_WIDTHS = tuple(
    timedelta(seconds=s) for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
)
_BINS = 1_000


def bin_width(scenario: Scenario, duration: timedelta) -> timedelta:
    """The width of the timeline's bins: that of the scenario, or a round one such that `duration`
    and a whole schedule after it are at most 1,000 bins."""
    if scenario.bin is not None:
        return scenario.bin
    whole = scenario.until or duration + scenario.retry_schedule.span
    fitting = (width for width in _WIDTHS if whole <= width * _BINS)
    return next(fitting, timedelta(days=1))


def read_scenario(file: Path) -> Scenario:
    """The scenario of a file. Raises ConfigurationError with all faults.

    `arrivals.file` is looked for beside the scenario.
    """
    scenario = read(Scenario, file, {})
    named = scenario.arrivals.file
    if named is None:
        return scenario
    found = file.parent / named
    if not found.is_file():
        raise ConfigurationError([f"{file}: arrivals.file: there is no file {found}"])
    return replace(scenario, arrivals=replace(scenario.arrivals, file=str(found)))


def troubles(phases: Iterable[Phase]) -> list[tuple[timedelta, timedelta | None, str]]:
    """The stretches in which the endpoint is not simply up: start, end (None: to the end), and in
    words what is the matter. They do not overlap and are in order."""
    phases = list(phases)
    edges = {timedelta(0), *(phase.at for phase in phases)}
    edges |= {end for phase in phases if (end := phase.ends_at) is not None}
    found: list[tuple[timedelta, timedelta | None, str]] = []
    for start, end in pairwise([*sorted(edges), None]):
        assert start is not None
        words = _words([p for p in phases if _covers(p, start)])
        if found and found[-1][1:] == (start, words):
            found[-1] = (found[-1][0], end, words)
        elif words:
            found.append((start, end, words))
    return found


def _covers(phase: Phase, since_start: timedelta) -> bool:
    end = phase.ends_at
    return phase.at <= since_start and (end is None or since_start < end)


def _words(phases: list[Phase]) -> str:
    """Of what lies over each other, from the top to what hides the rest."""
    seen: list[str] = []
    for phase in reversed(phases):
        if text := words_of(phase):
            seen.append(text)
        if phase.share == 1 and phase.every is None:
            break
    return ", otherwise ".join(seen)


def words_of(phase: Phase) -> str:
    """What is the matter with the endpoint in this phase; nothing when it is up and prompt."""
    match phase.behaves:
        case "up":
            text = "slow" if phase.latency >= timedelta(seconds=1) else ""
        case "answers":
            text = f"answers {phase.status}"
        case "limits":
            text = f"limits to {phase.per_second:g}/s"
        case "slows":
            text = f"handles {phase.per_second:g}/s"
        case _:
            text = phase.behaves
    if text and phase.share < 1:
        text += f" {phase.share:.0%}"
    return f"{text} now and then" if text and phase.every is not None else text

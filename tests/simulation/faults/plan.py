"""What a seed decides beforehand: which endpoints, which faults and how many, what is done by hand.

Each seed has its own few kinds of faults and not a little of all of them: faults that are always
there hide what only happens without them (a process that never lives long has no backlog).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Literal, get_args

from dispatcher.retrying.schedule import RetrySchedule
from dispatcher.settings.settings import EndpointSettings

Fault = Literal["crash", "slow", "fails before", "fails after", "freeze"]
"""What may befall a step of a process: it dies; it takes seconds; the database says that it is
unavailable and has done nothing, or has done it; the whole process stands still."""

RATES: dict[Fault, float] = {
    "crash": 0.02,
    "slow": 0.04,
    "fails before": 0.06,
    "fails after": 0.06,
    "freeze": 0.006,
}
"""The highest share of steps."""

LARGE = 0.03
"""The share of seeds with many reports and long faults. Most bugs need few of either, and small
stories are more seeds in the same time, and easier to read."""

Act = Literal[
    "pause",
    "change",
    "cancel",
    "replay",
    "replay to a URL",
    "cancel a replay",
    "remove",
    "stop",
    "wake twice",
    "tick beside",
    "set the clock",
    "set the date",
    "reboot",
]
"""What happens to a running process from outside."""

WAITS: tuple[tuple[float, ...], ...] = ((), (3,), (1, 2, 5), (0.5, 1, 2, 4, 8), (2,) * 7)

THEMES: tuple[tuple[Act, ...], ...] = (
    ("replay", "remove"),
    ("replay", "cancel a replay"),
    ("pause", "change", "tick beside"),
    ("stop", "tick beside"),
    ("reboot", "set the clock"),
)
"""What meets in narrow gaps, done again and again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided before the first step."""

    seed: int
    skews: tuple[float, ...]  # of the clock of each process, in seconds
    schedule: RetrySchedule
    endpoints: tuple[EndpointSettings, ...]
    callbacks: int
    faults_for: float  # seconds
    look_every: float  # seconds
    rates: dict[Fault, float]
    acts: tuple[Act, ...]
    moody: bool  # whether endpoints fail
    loses_answers: float  # share of pushes which the customer got and we do not hear of
    unforeseen: float  # share of buckets and pushes that raise what no list of errors names

    @property
    def feeds_every(self) -> float:
        """Seconds. Where nothing is replayed the feeder has nothing to find."""
        return 0.3 if {"replay", "replay to a URL"} & set(self.acts) else 3.0

    @property
    def calm(self) -> bool:
        """Whether nothing but the endpoints may fail."""
        return not (self.rates or self.acts or self.unforeseen or any(self.skews))

    def __str__(self) -> str:
        rates = ", ".join(f"{fault} {rate:.3f}" for fault, rate in self.rates.items())
        waits = ", ".join(f"{wait.total_seconds():g}" for wait in self.schedule.waits)
        return (
            f"{len(self.skews)} processes, {self.callbacks} callbacks, {self.faults_for:.0f} s of"
            f" faults ({rates or 'none'}), acts: {', '.join(self.acts) or 'none'}; waits [{waits}]"
            f" from the {self.schedule.counted_from}; skews {self.skews}"
        )


def plan_of(seed: int, acts: tuple[Act, ...] = ()) -> Plan:
    """The same for the same seed. With `acts` these are done, on a slow database, and no others."""
    plan = _plan_of(seed)
    return replace(plan, acts=acts, rates={"slow": 0.08}, faults_for=8.0) if acts else plan


def _plan_of(seed: int) -> Plan:
    rng = Random(f"plan {seed}")
    rates = {} if rng.random() < 0.1 else _some_rates(rng)
    large = rng.random() < LARGE
    return Plan(
        seed=seed,
        skews=_skews(rng, rng.choice((1, 2, 2, 3))),
        schedule=_schedule(rng),
        endpoints=tuple(_endpoint(rng, name) for name in ("a", "b", "c")[: rng.randint(1, 3)]),
        callbacks=rng.randint(1, 25 if large else 7),
        faults_for=rng.uniform(5, 40) if large else rng.uniform(1, 8),
        look_every=rng.uniform(1, 4),
        rates=rates,
        acts=_some_acts(rng) if rates else (),
        moody=rng.random() < 0.8,
        loses_answers=rng.choice((0, 0, 0.1, 0.4)),
        unforeseen=rng.choice((0, 0, 0, 0.05, 0.2)),
    )


def _some_rates(rng: Random) -> dict[Fault, float]:
    chosen = {
        fault: rng.uniform(0.1, 1) * most for fault, most in RATES.items() if rng.random() < 0.4
    }
    return chosen or {"crash": RATES["crash"]}


def _some_acts(rng: Random) -> tuple[Act, ...]:
    """A date that is set is followed at once, an hour slowly: by both, processes that look at the
    wall clock at different instants would come to be an hour apart."""
    if rng.random() < 0.4:
        return rng.choice(THEMES)
    acts = [act for act in get_args(Act) if rng.random() < 0.25]
    if "set the date" in acts and "set the clock" in acts:
        acts.remove("set the clock")
    return tuple(acts)


def _skews(rng: Random, processes: int) -> tuple[float, ...]:
    if rng.random() < 0.6:
        return (0.0,) * processes
    return tuple(round(rng.uniform(-0.6, 0.6), 3) for _ in range(processes))


def _schedule(rng: Random) -> RetrySchedule:
    waits = tuple(timedelta(seconds=wait) for wait in rng.choice(WAITS))
    counted_from: Literal["start", "end"] = rng.choice(("start", "start", "end"))
    return RetrySchedule("test", waits, "test", counted_from=counted_from)


def _endpoint(rng: Random, name: str) -> EndpointSettings:
    breaker = rng.choice((0, 0, 0, 3))
    return EndpointSettings(
        name=name,
        url=f"http://{name}.example/0",
        content_type=rng.choice(("application/json",) * 5 + ("application/xml",)),
        bucket_size=rng.choice((1, 2, 5, 100)),
        window=rng.choice((1, 2, 4, 20)),
        connect_timeout=timedelta(milliseconds=300),
        read_timeout=timedelta(seconds=rng.choice((0.1, 0.5, 2))),
        rate_limit=rng.choice((0.0, 0.0, 0.0, 5.0)),
        breaker_failures=breaker,
        breaker_probe=timedelta(seconds=2 if breaker else 30),
        ordered=rng.random() < 0.4,
        reports=rng.choice(("all", "all", "final")),
    )

"""A scenario out of a capsule: the same reports, and the endpoint as its attempts met it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from msgspec import Struct

from dispatcher.capsule.capsule import (
    Capsule,
    SharedAttempt,
    SharedDispatch,
    SharedReport,
    is_capsule,
    read_capsule,
)
from dispatcher.retrying.outcome import Outcome
from dispatcher.simulation.scenario import Scenario, read_scenario
from dispatcher.simulation.timeline import Lateness
from receiver.settings.durations import duration_text
from receiver.settings.reader import read_table

STRETCHES = 100
"""More changes than these are told by the minute, with the share of the attempts that failed."""

SOONER = timedelta(seconds=1)
"""A simulated push begins at the instant its report came, a real one once it was stored and a place
in the window was free. So that both meet the same, a change is by so much sooner, though not before
the last attempt that met something else."""

_MINUTE = timedelta(minutes=1)
_LEAST = timedelta(microseconds=1)

_BEHAVES = {
    Outcome.UNREACHABLE.value: "refuses",
    Outcome.TIMED_OUT.value: "stalls",
    Outcome.BROKEN_OFF.value: "breaks-off",
    Outcome.TLS_FAILED.value: "bad-certificate",
}


class _Met(Struct, frozen=True, order=True):
    """What an attempt met, and when since the first report: None when it was acknowledged, a
    behaviour, or a status."""

    at: timedelta
    what: str


_UP = ""


def read_either(file: Path, left_out: Callable[[Sequence[str]], None]) -> Scenario:
    """The scenario of a TOML file, or of a capsule. Raises ConfigurationError.

    `left_out` is told the settings of a capsule that are not taken, if there are any.
    """
    if not is_capsule(file):
        return read_scenario(file)
    capsule = read_capsule(file)
    if capsule.left_out:
        left_out(capsule.left_out)
    return scenario_of(capsule)


def scenario_of(capsule: Capsule) -> Scenario:
    """The scenario of a capsule. Raises ConfigurationError when it cannot be read.

    Between two attempts nobody knows how the endpoint was: it is taken to have been as at the
    first of them.
    """
    start: datetime | None = None
    attempts: list[SharedAttempt] = []
    for line in capsule.lines():
        if isinstance(line, SharedReport):
            start = line.received_at if start is None else min(start, line.received_at)
        elif isinstance(line, SharedDispatch):
            attempts += line.attempts
    begins = capsule.heading.since if start is None else start
    met = sorted(
        _Met(max(timedelta(0), each.started_at - begins), _what(each)) for each in attempts
    )
    table: dict[str, Any] = {
        "story": f"What was received from {capsule.heading.since:%F %T} UTC on",
        "arrivals": {"kind": "replayed", "file": str(capsule.path)},
        "phase": [_up(attempts), *_phases(met)],
        "endpoint": {**capsule.heading.endpoint, "schedule": _own_schedule(capsule)},
        "schedule": capsule.heading.schedule,
    }
    return read_table(Scenario, table)


def _own_schedule(capsule: Capsule) -> str:
    return str(capsule.heading.endpoint.get("schedule", "default"))


def _what(attempt: SharedAttempt) -> str:
    if attempt.outcome == Outcome.ACKNOWLEDGED.value:
        return _UP
    return _BEHAVES.get(attempt.outcome) or str(attempt.status or 500)


def _up(attempts: Iterable[SharedAttempt]) -> dict[str, Any]:
    """How long it took when it was well."""
    took = Lateness()
    for attempt in attempts:
        if attempt.outcome == Outcome.ACKNOWLEDGED.value:
            took.add(attempt.duration_ms / 1000)
    found = took.percentiles()
    if not found or round(found[50] * 1e6) == 0:
        return {"behaves": "up"}
    median, p99 = (duration_text(timedelta(seconds=round(found[p], 6))) for p in (50, 99))
    return {"behaves": "up", "latency": median, "latency_p99": p99}


def _phases(met: Sequence[_Met]) -> Iterator[dict[str, Any]]:
    runs = [(what, list(group)) for what, group in groupby(met, key=lambda each: each.what)]
    if len(runs) > STRETCHES:
        yield from _by_minutes(met)
        return
    starts = list(_starts([run for _, run in runs]))
    for number, (what, _) in enumerate(runs):
        if what != _UP:
            end = starts[number + 1] if number + 1 < len(runs) else None
            yield from _phase(what, starts[number], end, 1.0)


def _starts(runs: Iterable[Sequence[_Met]]) -> Iterator[timedelta]:
    known_until = timedelta(0)
    for run in runs:
        yield max(known_until, run[0].at - SOONER)
        known_until = run[-1].at + _LEAST


def _by_minutes(met: Sequence[_Met]) -> Iterator[dict[str, Any]]:
    """Neighbouring minutes that agree are one phase; a minute without attempts is as before."""
    minutes = [
        (minute * _MINUTE, *_most(list(group)))
        for minute, group in groupby(met, key=lambda each: each.at // _MINUTE)
    ]
    runs = [list(group) for _, group in groupby(minutes, key=lambda each: each[1:])]
    for number, run in enumerate(runs):
        at, what, share = run[0]
        if what != _UP:
            end = runs[number + 1][0][0] if number + 1 < len(runs) else None
            yield from _phase(what, at, end, share)


def _most(met: Sequence[_Met]) -> tuple[str, float]:
    """The most frequent failure of these, and the share of all failures, in tenths."""
    failed = [each.what for each in met if each.what != _UP]
    share = round(len(failed) / len(met), 1)
    return (max(sorted(set(failed)), key=failed.count), share) if share else (_UP, 0.0)


def _phase(
    what: str, at: timedelta, end: timedelta | None, share: float
) -> Iterator[dict[str, Any]]:
    """Nothing when it has no length: two attempts at one instant met two things."""
    phase: dict[str, Any] = {"at": duration_text(at), "share": share}
    if end is not None:
        if end - at < timedelta(seconds=1):
            return
        phase["lasts"] = duration_text(end - at)
    known = what in _BEHAVES.values()
    yield {**phase, **({"behaves": what} if known else {"behaves": "answers", "status": int(what)})}

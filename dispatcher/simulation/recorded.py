"""A timeline out of the database that a simulation has filled.

Nobody counts along: what is in the tables of reports, dispatches and attempts is what happened, as
it is in production.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path

from dispatcher.forming.routing import goes_to
from dispatcher.retrying.outcome import Outcome
from dispatcher.simulation.scenario import START, Scenario, bin_width, troubles
from dispatcher.simulation.timeline import (
    Band,
    Bins,
    Engine,
    Lateness,
    RunTotals,
    Timeline,
    recovery,
)
from receiver.store.instants import micros
from receiver.store.sqlite.rows import COLUMNS, stored_report

_SECOND = 1_000_000
_START = micros(START)

# A dispatch ends with its last attempt; while it waits it has no end.
_REPORTS = """
    SELECT r.received_at - ?, count(*), d.state, a.started_at - ? + round(a.duration_ms * ?)
    FROM dispatch d
    JOIN dispatch_report m
        ON m.report BETWEEN d.first_report AND d.last_report AND m.dispatch = d.id
    JOIN report r ON r.id = m.report
    LEFT JOIN attempt a ON a.dispatch = d.id AND a.number = d.attempts
    GROUP BY d.id, r.received_at
"""
_ATTEMPTS = "SELECT (started_at - ?), outcome FROM attempt ORDER BY id"
_UNREAD = f"""
    SELECT {COLUMNS} FROM report
    WHERE id > (SELECT read_to FROM endpoint WHERE name = ?)
        OR id IN (SELECT report FROM held_report WHERE endpoint = ?)
"""


_ENDED = """
    SELECT json_extract(r.item, '$.messageId'), r.final, d.state
    FROM dispatch d
    JOIN dispatch_report m
        ON m.report BETWEEN d.first_report AND d.last_report AND m.dispatch = d.id
    JOIN report r ON r.id = m.report
    ORDER BY r.id
"""


def recorded_in(
    file: Path,
    scenario: Scenario,
    *,
    duration: timedelta,
    ended_at: datetime,
    partial: bool,
    engine: Engine,
    speed: float,
) -> tuple[Timeline, list[tuple[str, bool, str]]]:
    """The timeline out of a database in a file, as `recorded` has it of its connection; and each
    report that got into a dispatch, in order: messageId, whether it is final, the dispatch's state.
    """
    with closing(sqlite3.connect(file)) as connection:
        ended = [(of, bool(final), state) for of, final, state in connection.execute(_ENDED)]
        timeline = recorded(
            connection,
            scenario,
            duration=duration,
            ended_at=ended_at,
            partial=partial,
            engine=engine,
            speed=speed,
        )
    return timeline, ended


def recorded(
    connection: sqlite3.Connection,
    scenario: Scenario,
    *,
    duration: timedelta,
    ended_at: datetime,
    partial: bool,
    engine: Engine = "exact",
    speed: float = 1.0,
) -> Timeline:
    """The timeline of a scenario whose reports arrived for `duration`, as far as `ended_at`. An
    attempt took `speed` times as long as the world's stop watch says."""
    end = micros(ended_at) - _START
    bands = [_band(*each) for each in troubles(scenario.phase)]
    reading = _Reading(bin_width(scenario, duration), end, bands)
    for at, count, state, over in connection.execute(_REPORTS, (_START, _START, 1000 * speed)):
        reading.report(at, count, state, int(over or 0))
    for at in _unread(connection, scenario):
        reading.report(at, 1, "waiting", 0)
    reading.attempts(connection.execute(_ATTEMPTS, (_START,)))
    return Timeline(
        engine=engine,
        seed=scenario.seed,
        schedule=scenario.retry_schedule.name,
        partial=partial,
        ended_at=end / _SECOND,
        totals=reading.totals(),
        lateness=reading.lateness,
        bins=reading.bins(),
        bands=[band for band in bands if band.start * _SECOND <= end],
        drained_at=reading.drained_at(),
    )


def _band(start: timedelta, end: timedelta | None, what: str) -> Band:
    return Band(start.total_seconds(), None if end is None else end.total_seconds(), what)


def _unread(connection: sqlite3.Connection, scenario: Scenario) -> Iterator[int]:
    """When those arrived that are for the endpoint and in no dispatch yet."""
    customer = scenario.customer
    for row in connection.execute(_UNREAD, (customer.name, customer.name)):
        report = stored_report(row)
        if goes_to(report, customer.rules):
            yield micros(report.received_at) - _START


class _Reading:
    """Gathers the columns. Times are microseconds since the start."""

    def __init__(self, width: timedelta, end: int, bands: Sequence[Band]) -> None:
        self._width = width // timedelta(microseconds=1)
        self._count = 1 + end // self._width
        self._columns = {name: self._column() for name in ("arrivals", "acknowledged", "exhausted")}
        self._before = self._column()  # how many more wait of those that arrived by the recovery
        self._waiting = 0
        self._attempts = self._column()
        self._peak = self._column()
        self._failed: dict[str, list[int]] = {}
        self.lateness = Lateness()
        over = recovery(bands)
        reached = over is not None and over * _SECOND <= end
        self._recovered_at = round(over * _SECOND) if over is not None and reached else None
        self._drained_at: int | None = self._recovered_at

    def report(self, at: int, count: int, state: str, over: int) -> None:
        """So many reports that arrived at one instant and, if their dispatch has ended, when."""
        self._columns["arrivals"][at // self._width] += count
        ended = state in ("acknowledged", "exhausted")
        if ended:
            self._columns[state][over // self._width] += count
        else:
            self._waiting += count
        if state == "acknowledged":
            self.lateness.add((over - at) / _SECOND, count)
        if self._recovered_at is not None and at <= self._recovered_at:
            self._before[at // self._width] += count
            if ended:
                self._before[over // self._width] -= count
            self._drain(over if ended else None)

    def attempts(self, attempts: Iterable[tuple[int, str]]) -> None:
        each_second: Counter[int] = Counter()
        acknowledged = Outcome.ACKNOWLEDGED.value
        for at, outcome in attempts:
            index = at // self._width
            self._attempts[index] += 1
            each_second[at // _SECOND] += 1
            if outcome != acknowledged:
                if (column := self._failed.get(outcome)) is None:
                    column = self._failed[outcome] = self._column()
                column[index] += 1
        for second, count in each_second.items():
            index = second * _SECOND // self._width
            self._peak[index] = max(self._peak[index], count)

    def totals(self) -> RunTotals:
        sums = {name: sum(column) for name, column in self._columns.items()}
        return RunTotals(
            reports=sums["arrivals"],
            acknowledged=sums["acknowledged"],
            exhausted=sums["exhausted"],
            waiting=self._waiting,
            attempts=sum(self._attempts),
            wasted=sum(map(sum, self._failed.values())),
        )

    def bins(self) -> Bins:
        arrivals, acknowledged, exhausted = self._columns.values()
        changes = (a - b - c for a, b, c in zip(*self._columns.values(), strict=True))
        return Bins(
            width=self._width / _SECOND,
            arrivals=arrivals,
            attempts=self._attempts,
            failed=dict(sorted(self._failed.items())),
            acknowledged=acknowledged,
            exhausted=exhausted,
            backlog=list(accumulate(changes)),
            before=[] if self._recovered_at is None else list(accumulate(self._before)),
            peak=self._peak,
        )

    def drained_at(self) -> float | None:
        return None if self._drained_at is None else self._drained_at / _SECOND

    def _drain(self, over: int | None) -> None:
        if over is None or self._drained_at is None:
            self._drained_at = None
        else:
            self._drained_at = max(self._drained_at, over)

    def _column(self) -> list[int]:
        return [0] * self._count

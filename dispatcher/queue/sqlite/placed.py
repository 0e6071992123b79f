"""Reports by what became of them, newest first, in steps: along the ids, as any search without a
key. Nothing is written for it when a report or a dispatch is stored."""

from __future__ import annotations

import sqlite3
from typing import Any

from dispatcher.queue.base import ReportIds
from dispatcher.retrying.dispatch import DispatchState

STEP = 100_000
"""Ids that one step goes through: 30 ms (measured)."""

# `+` keeps the index of endpoints out of it: looking a dispatch up by its id takes half as long.
_IN = """
    SELECT DISTINCT member.report FROM dispatch_report AS member
    CROSS JOIN dispatch ON dispatch.id = member.dispatch
    WHERE member.report BETWEEN ? AND ? {of_endpoint} {in_state}
    ORDER BY member.report DESC LIMIT ?
"""
_NEWEST = """
    AND state = ? AND NOT EXISTS (
        SELECT 1 FROM dispatch_report AS later
        CROSS JOIN dispatch AS newer ON newer.id = later.dispatch
        WHERE later.report = member.report AND later.dispatch > member.dispatch
            AND +newer.endpoint = dispatch.endpoint
    )
"""


def reports_in(
    connection: sqlite3.Connection,
    endpoint: str | None,
    state: DispatchState | None,
    before: int | None,
    limit: int,
    step: int = STEP,
) -> ReportIds:
    lowest, highest = (
        connection.execute(f"SELECT {end}(report) FROM dispatch_report").fetchone()[0]
        for end in ("min", "max")
    )
    if lowest is None:
        return ReportIds([], None)
    high = highest if before is None else min(highest, before - 1)
    low = max(lowest, high - step + 1)
    values: list[Any] = [low, high, *(each for each in (endpoint, state) if each is not None)]
    statement = _IN.format(
        of_endpoint="" if endpoint is None else "AND +endpoint = ?",
        in_state="" if state is None else _NEWEST,
    )
    found = [report for (report,) in connection.execute(statement, (*values, limit))]
    if len(found) == limit:
        return ReportIds(found, found[-1])
    return ReportIds(found, low if low > lowest else None)

"""Reports by what became of them, newest first, in steps: along the ids, as any search without a
key. Nothing is written for it when a report or a dispatch is stored."""

from __future__ import annotations

from dispatcher.queue.base import ReportIds
from dispatcher.retrying.dispatch import DispatchState
from receiver.store.postgres.database import Connection, row_of

STEP = 100_000
"""Ids that one step goes through."""

_ENDS = "SELECT min(report), max(report) FROM dispatch_report"
_IN = """
    SELECT DISTINCT member.report FROM dispatch_report AS member
    JOIN dispatch ON dispatch.id = member.dispatch
    WHERE member.report BETWEEN %(low)s AND %(high)s
        AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
        AND (%(state)s::text IS NULL OR state = %(state)s AND NOT EXISTS (
            SELECT FROM dispatch_report AS later
            JOIN dispatch AS newer ON newer.id = later.dispatch
            WHERE later.report = member.report AND later.dispatch > member.dispatch
                AND newer.endpoint = dispatch.endpoint
        ))
    ORDER BY member.report DESC LIMIT %(limit)s
"""


def reports_in(
    connection: Connection,
    endpoint: str | None,
    state: DispatchState | None,
    before: int | None,
    limit: int,
    step: int = STEP,
) -> ReportIds:
    lowest, highest = row_of(connection.execute(_ENDS))
    if lowest is None:
        return ReportIds([], None)
    high = highest if before is None else min(highest, before - 1)
    low = max(lowest, high - step + 1)
    wanted = {"low": low, "high": high, "endpoint": endpoint, "state": state, "limit": limit}
    found = [report for (report,) in connection.execute(_IN, wanted)]
    if len(found) == limit:
        return ReportIds(found, found[-1])
    return ReportIds(found, low if low > lowest else None)

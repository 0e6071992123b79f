"""Which reports a dispatch has, found without going through those of others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from dispatcher.queue.rows import are_far_apart
from receiver.store.sqlite.many_rows import AT_ONCE, insert_rows
from receiver.store.sqlite.rows import LISTED, listed

# One parameter, twice: the dispatches as `listed` writes them.
MEMBERS = f"""
    SELECT dispatch.id AS dispatch, report FROM dispatch CROSS JOIN dispatch_report
        ON report BETWEEN first_report AND last_report AND dispatch = dispatch.id
    WHERE dispatch.id IN {LISTED.replace("?", "?1")}
        AND NOT EXISTS (SELECT 1 FROM dispatch_members WHERE dispatch = dispatch.id)
    UNION ALL
    SELECT far.dispatch, report FROM dispatch_members AS far
        CROSS JOIN json_each(far.reports) AS each
        CROSS JOIN dispatch_report AS its ON report = each.value AND its.dispatch = far.dispatch
    WHERE far.dispatch IN {LISTED.replace("?", "?1")}
"""

_MANY = "INSERT INTO dispatch_report SELECT value, ? FROM json_each(?)"


def members_of(connection: sqlite3.Connection, dispatches: Iterable[int]) -> dict[int, list[int]]:
    """The reports of each of these dispatches, ascending."""
    found: dict[int, list[int]] = {}
    for dispatch, report in connection.execute(MEMBERS, (listed(dispatches),)):
        found.setdefault(dispatch, []).append(report)
    return {dispatch: sorted(reports) for dispatch, reports in found.items()}


def write_members(
    connection: sqlite3.Connection, dispatches: Sequence[tuple[int, Sequence[int]]]
) -> None:
    """Store the reports of new dispatches, which ascend."""
    few = [each for each in dispatches if len(each[1]) <= AT_ONCE]
    members = [(report, dispatch) for dispatch, ids in few for report in ids]
    insert_rows(connection, "INSERT INTO dispatch_report", members)
    for dispatch, ids in dispatches:
        if len(ids) > AT_ONCE:
            connection.execute(_MANY, (dispatch, listed(ids)))
    far = [(dispatch, listed(ids)) for dispatch, ids in dispatches if are_far_apart(ids)]
    insert_rows(connection, "INSERT INTO dispatch_members", far)

"""Which reports a dispatch has, found without going through those of others."""

from __future__ import annotations

from collections.abc import Iterable

from receiver.store.postgres.database import Connection

# One parameter, twice: an array of dispatches. OFFSET 0 has each dispatch look its own up in the
# index; PostgreSQL would go through all reports of all dispatches otherwise, from some hundred on.
MEMBERS = """
    SELECT its.id AS dispatch, near.report FROM dispatch AS its CROSS JOIN LATERAL (
        SELECT report FROM dispatch_report
        WHERE report BETWEEN its.first_report AND its.last_report AND dispatch = its.id OFFSET 0
    ) AS near
    WHERE its.id = ANY(%(dispatches)s::bigint[])
        AND NOT EXISTS (SELECT FROM dispatch_members WHERE dispatch = its.id)
    UNION ALL
    SELECT far.dispatch, each.report FROM dispatch_members AS far
        CROSS JOIN LATERAL unnest(far.reports) AS each(report)
        JOIN dispatch_report AS its ON its.report = each.report AND its.dispatch = far.dispatch
    WHERE far.dispatch = ANY(%(dispatches)s::bigint[])
"""


def members_of(connection: Connection, dispatches: Iterable[int]) -> dict[int, list[int]]:
    """The reports of each of these dispatches, ascending."""
    found: dict[int, list[int]] = {}
    rows = connection.execute(MEMBERS, {"dispatches": list(dispatches)})
    for dispatch, report in rows.fetchall():
        found.setdefault(dispatch, []).append(report)
    return {dispatch: sorted(reports) for dispatch, reports in found.items()}

"""What must be true when the faults have ended and all has come to rest."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.simulation.faults.ledger import OPEN

if TYPE_CHECKING:
    from tests.simulation.faults.process import Process
    from tests.simulation.faults.world import World


class Rest:
    """Says what is not at rest yet, and judges what has come to it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._connection = world.connection

    def unrest(self) -> str | None:
        """What still goes on; None when all is at rest."""
        if self._world.platform.waiting:
            return f"{self._world.platform.waiting} callbacks are not answered"
        still = [row for row in self._world.ledger.rows.values() if row.state in OPEN]
        if still:
            return f"open dispatches: {still}"
        for what, query in (
            (
                "unread",
                "SELECT name, read_to FROM endpoint WHERE name NOT LIKE 'replay-%' AND"
                " NOT removed AND read_to < (SELECT coalesce(max(id), 0) FROM report)",
            ),
            ("held reports", "SELECT * FROM held_report"),
            ("replays", "SELECT id, state, fed, total FROM replay WHERE tidy = 0"),
        ):
            if rows := self._connection.execute(query).fetchall():
                return f"{what}: {rows}"
        busy = [p.name for p in self._world.processes.values() if self._is_busy(p)]
        return f"processes are busy: {busy}" if busy else None

    def _is_busy(self, process: Process) -> bool:
        return not process.ready or self._world.claims.under_way(process) > 0

    def check(self) -> None:
        """Nothing is left over, nothing was lost, and what is counted is right."""
        holds = self._world.holds
        rows = self._world.ledger.rows.values()
        for name, gates in self._gates().items():
            holds(not gates, f"{name} has places in its windows that never come free: {gates}")
        for table in ("message_under_way", "held_report"):
            left = self._connection.execute(f"SELECT * FROM {table}").fetchall()
            holds(not left, f"{table} is not empty: {left}")
        counted = dict(Counter((row.endpoint, row.state) for row in rows))
        kept = self._connection.execute("SELECT endpoint, state, count FROM dispatch_count")
        there = {(endpoint, state): count for endpoint, state, count in kept if count}
        holds(there == counted, f"dispatch_count says {there}, and there are {counted}")
        self._reports()
        self._replays()
        self._repeats()

    def _gates(self) -> dict[str, list[str]]:
        return {
            process.name: [
                name
                for name, gate in process.worker._gates.items()
                if gate._in_flight.all or gate._in_flight.first or gate._in_flight.retries
            ]
            for process in self._world.processes.values()
        }

    def _reports(self) -> None:
        marks = sorted(self._world.mark_of(each.id) for each in self._world.ledger.reports)
        expected = list(range(1, self._world.platform.marks + 1))
        self._world.holds(marks == expected, f"stored {marks}, posted 1 to {expected[-1:]}")

    def _repeats(self) -> None:
        """Of each push that was repeated under its number, the history tells; unless a power cut
        has undone the claim."""
        if self._world.rebooted:
            return
        lost = self._connection.execute("SELECT dispatch, number FROM unrecorded_attempt")
        told = Counter(lost.fetchall())
        for dispatch, sent in self._world.ledger.sent.items():
            for number, times in Counter(each.number for each in sent).items():
                known = 1 + told[dispatch, number]
                what = f"dispatch {dispatch}: attempt {number} was pushed {times} times"
                self._world.holds(times <= known, f"{what}, the history tells of {known}")

    def _replays(self) -> None:
        members = self._connection.execute(
            "SELECT replay, sum(reports) FROM dispatch WHERE replay IS NOT NULL GROUP BY replay"
        )
        in_dispatches = dict(members.fetchall())
        for number, state, total, fed, dropped in self._connection.execute(
            "SELECT id, state, total, fed, dropped FROM replay"
        ):
            what = f"replay {number}: {state}, {fed} of {total} fed, {dropped} dropped"
            self._world.holds(state != "done" or fed == total, what)
            there = in_dispatches.get(number, 0)
            # What is held goes when the replay or its endpoint goes.
            all_there = state == "done" and "remove" not in self._world.plan.acts
            right = there == fed - dropped if all_there else there <= fed - dropped
            self._world.holds(right, f"{what}, {there} in dispatches")

"""Invariants of the database, looked at after each write.

Dispatches go only where their states lead, each step for a reason; no report is lost and none is
taken twice; what is recorded was sent, under the lease that was valid then, as the schedule says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.forming.routing import goes_to
from dispatcher.observe.events import AttemptMade
from dispatcher.retrying.dispatch import TRANSITIONS
from receiver.store.base import StoredReport
from receiver.store.instants import instant, micros
from tests.simulation.faults.ledger import OPEN, AttemptRow, Lent, Row, Sent, message_of

if TYPE_CHECKING:
    from tests.simulation.faults.process import Process
    from tests.simulation.faults.world import World

BY_HAND = ("SqliteQueue.cancel", "SqliteEndpoints.remove", "SqliteReplays.end")


class Watch:
    """Looks at what a write has changed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ledger = world.ledger
        self._holds = world.holds
        self._read_to: dict[str, int] = {}
        self._removed: set[str] = set()
        self._placed: dict[str, set[int]] = {name: set() for name in world.ledger.endpoints}
        self._held: set[tuple[str, int]] = set()
        self._not_for_it: dict[str, int] = {}  # reports up to here came while it was not there
        self._changes = 0

    def written(self, process: Process, name: str) -> None:
        changes = self._ledger.connection.total_changes
        if changes == self._changes:
            return
        self._changes = changes
        self._ledger.new_reports()
        attempts = {each.dispatch: each for each in self._ledger.new_attempts()}
        changed = self._ledger.changed_rows()
        for before, row in changed:
            self._moved(process, name, before, row, attempts.pop(row.id, None))
        self._holds(not attempts, "an attempt is recorded and its dispatch has not changed")
        self._nothing_lost()

    def undone(self) -> None:
        """A power cut has undone what was not flushed: claims, leases that were given back (which
        cancels what nobody wants any more), and nothing that was recorded."""
        undoings = {("leased", "waiting"), ("waiting", "leased"), ("cancelled", "leased")}
        self._ledger.new_reports()
        for before, row in self._ledger.changed_rows():
            self._holds(
                before is not None
                and (before.state, row.state) in undoings
                and before.attempts == row.attempts,
                f"the power cut makes of {before} {row}",
            )
        self._changes = -1

    def stopped(self, process: Process, befallen_until: float) -> None:
        """After an orderly stop during which nothing befell: all leases are given back, but for
        those that the process never heard of."""
        if "tick beside" in self._world.plan.acts:
            return  # the runner knows nothing of that one's leases
        for row in self._ledger.rows.values():
            if row.state == "leased" and (row.lease or "").startswith(f"{process.name}:"):
                lent = self._ledger.lent[row.id, row.lease or ""]
                what = f"{process.name} has stopped and keeps its lease of dispatch {row.id}"
                self._holds(lent.at <= befallen_until, what)

    def told(self, event: AttemptMade) -> None:
        """The worker tells of what is recorded, and of nothing else."""
        number = int(event.dispatch.rpartition("-")[2])
        recorded = self._ledger.attempts.get(number, [])
        self._holds(
            any(each.number == event.number for each in recorded),
            f"attempt {event.number} of {event.dispatch} is told of and not recorded",
        )

    # --- one dispatch ---------------------------------------------------------------------------

    def _moved(
        self, process: Process, name: str, before: Row | None, row: Row, attempt: AttemptRow | None
    ) -> None:
        self._trace(process, before, row)
        what = f"dispatch {row.id} ({row.endpoint}) by {name}"
        made = 0 if before is None else before.attempts
        self._holds(
            row.attempts == made + (attempt is not None),
            f"{what}: {made} attempts became {row.attempts} with {attempt} recorded",
        )
        if attempt is not None:
            self._holds(attempt.number == row.attempts, f"{what}: a gap before {attempt}")
            self._recorded(process, what, before, row, attempt)
        if before is None:
            self._formed(what, row)
        elif before.state != row.state:
            self._went(process, name, what, before, row, attempt)
        elif before.lease != row.lease:
            self._holds(False, f"{what}: leased to {before.lease} and taken by {row.lease}")
        if row.state == "leased" and (before is None or before.state != "leased"):
            self._lent(process, what, row)

    def _went(
        self,
        process: Process,
        name: str,
        what: str,
        before: Row,
        row: Row,
        attempt: AttemptRow | None,
    ) -> None:
        """From one state to another."""
        way = f"{before.state} to {row.state}"
        by_trigger = before.state == "leased" and row.state == "cancelled"
        self._holds(
            by_trigger or row.state in TRANSITIONS[before.state],  # type: ignore[index]
            f"{what}: cannot go from {way}",
        )
        if row.state in ("acknowledged", "exhausted"):
            self._holds(attempt is not None, f"{what}: {way} without an attempt")
        if before.state == "waiting" and row.state == "cancelled":
            self._holds(name in BY_HAND, f"{what}: {way}, and nobody cancelled it")
        if before.state == "leased" and attempt is None:
            self._given_back(process, name, what, before)

    def _given_back(self, process: Process, name: str, what: str, before: Row) -> None:
        """A lease ends without an attempt: its owner gave it back, or it ran out."""
        lent = self._ledger.lent[before.id, before.lease or ""]
        if name == "SqliteQueue.release":
            self._holds(
                lent.process is process, f"{what}: gives back a lease of {lent.process.name}"
            )
            return
        now = micros(process.clock.now())
        self._holds((before.lease_until or 0) <= now, f"{what}: its lease has not run out")
        self._holds(
            self._world.explained(lent),
            f"{what}: its lease ran out, and nothing befell {lent.process.name} meanwhile",
        )

    def _lent(self, process: Process, what: str, row: Row) -> None:
        token = row.lease or ""
        self._holds(token.startswith(f"{process.name}:"), f"{what}: leased to {token}")
        due_at = row.due_at or 0
        now = micros(process.clock.now())
        self._holds(due_at <= now, f"{what}: leased before it is due")
        since = self._world.claims.claiming_since(process)
        self._ledger.lent[row.id, token] = Lent(
            row.id, token, process, since, due_at, row.lease_until or 0
        )

    def _recorded(
        self, process: Process, what: str, before: Row | None, row: Row, attempt: AttemptRow
    ) -> None:
        """The attempt was made under the lease that was valid now, and judged as it should be."""
        sent = self._ledger.send_of(attempt, process)
        if sent is None or before is None:
            self._holds(False, f"{what}: records {attempt}, which was not made")
            return
        self._holds(
            before.state == "leased" and before.lease == sent.token,
            f"{what}: an attempt under the lease {sent.token} is recorded under {before.lease}",
        )
        self._holds(
            attempt.started_at == micros(sent.started_at), f"{what}: began at another instant"
        )
        most = self._world.plan.schedule.attempts
        self._holds(attempt.number <= most, f"{what}: attempt {attempt.number} of {most}")
        self._judged(what, row, sent)

    def _judged(self, what: str, row: Row, sent: Sent) -> None:
        answer, schedule = sent.answer, self._world.plan.schedule
        assert answer is not None
        assert sent.ended_at is not None
        if answer.status == 200:
            self._holds(row.state == "acknowledged", f"{what}: 200 and {row.state}")
            self._holds(sent.met is not None and sent.met.taken, f"{what}: never came there")
        elif sent.number == schedule.attempts:
            self._holds(row.state == "exhausted", f"{what}: last attempt, and {row.state}")
        elif row.state == "waiting":
            base = sent.started_at if schedule.counted_from == "start" else sent.ended_at
            due = base + schedule.waits[sent.number - 1]
            self._holds(
                row.due_at == micros(due), f"{what}: due at {_at(row.due_at)}, expected {due}"
            )
        else:
            self._holds(
                row.state == "cancelled",
                f"{what}: attempt {sent.number} of {schedule.attempts} failed, and {row.state}",
            )

    # --- reports --------------------------------------------------------------------------------

    def _formed(self, what: str, row: Row) -> None:
        members = self._ledger.members[row.id]
        self._holds(bool(members), f"{what}: it has no reports")
        if row.replay is not None or row.endpoint not in self._placed:
            return
        if not self._world.plan.unforeseen:  # then the bytes of each can be made
            self._holds(row.state == "leased", f"{what}: formed and {row.state}")
        placed = self._placed[row.endpoint]
        again = placed.intersection(members)
        self._holds(not again, f"{what}: reports {sorted(again)} are in another dispatch already")
        for report in members:
            self._holds(self._goes(row.endpoint, report), f"{what}: {report} does not go there")
        if self._ledger.endpoints[row.endpoint].ordered:
            self._in_order(what, row, set(members))
        placed.update(members)

    def _in_order(self, what: str, row: Row, members: set[int]) -> None:
        """All earlier reports of these messages have come to an end, or go along."""
        lasts = {message_of(self._report(report)): report for report in sorted(members)}
        open_reports = {
            report
            for other in self._ledger.rows.values()
            if other.endpoint == row.endpoint
            and other.id != row.id
            and other.replay is None
            and other.state in OPEN
            for report in self._ledger.members[other.id]
        }
        for report in self._ledger.reports:
            last = lasts.get(message_of(report), 0)
            if report.id >= last or report.id in members or not self._is_owed(row.endpoint, report):
                continue
            done = report.id in self._placed[row.endpoint] and report.id not in open_reports
            self._holds(done, f"{what}: report {last} goes before {report.id} of its message")

    def _nothing_lost(self) -> None:
        connection = self._ledger.connection
        held = set(connection.execute("SELECT endpoint, report FROM held_report WHERE replay = 0"))
        for name, read_to, removed in connection.execute(
            "SELECT name, read_to, removed FROM endpoint"
        ).fetchall():
            if name in self._placed:
                self._read_on(name, read_to, bool(removed), held)
        for name, report in self._held - held:
            if name not in self._removed:
                self._holds(
                    report in self._placed.get(name, ()), f"held report {report} of {name} is lost"
                )
        for name, report in held - self._held:
            reason = self._waits_for_its_own(name, report)
            self._holds(reason, f"report {report} of {name} is held, and nothing of its message")
        self._held = held

    def _waits_for_its_own(self, name: str, report: int) -> bool:
        """Whether a report of its message has been on its way there, or was held: another one, or
        the same for a replay."""
        rows = self._ledger.connection.execute(
            "SELECT report FROM held_report WHERE endpoint = ? AND NOT (report = ? AND replay = 0)",
            (name, report),
        )
        there = {held for (held,) in rows}
        there |= {held for endpoint, held in self._held if endpoint == name}
        for row in self._ledger.rows.values():
            if row.endpoint == name:
                there.update(self._ledger.members[row.id])
        message = message_of(self._report(report))
        return any(message_of(self._report(other)) == message for other in there)

    def _read_on(self, name: str, read_to: int, removed: bool, held: set[tuple[str, int]]) -> None:
        before = self._read_to.get(name)
        if before is None:
            self._holds(read_to == 0, f"{name} begins at report {read_to}, and it is of the file")
            before = 0
        self._holds(read_to >= before, f"{name} has read to {before} and goes back to {read_to}")
        anew = name in self._removed and not removed
        if anew or removed > (name in self._removed):
            self._not_for_it[name] = read_to
        for report in self._ledger.reports[before:read_to] if not anew else ():
            there = report.id in self._placed[name] or (name, report.id) in held
            if goes_to(report, self._ledger.endpoints[name].rules):
                self._holds(there, f"{name} has read past report {report.id}, which is lost")
        self._read_to[name] = read_to
        (self._removed.add if removed else self._removed.discard)(name)

    def _is_owed(self, name: str, report: StoredReport) -> bool:
        rules = self._ledger.endpoints[name].rules
        return report.id > self._not_for_it.get(name, 0) and goes_to(report, rules)

    def _goes(self, name: str, report: int) -> bool:
        return self._is_owed(name, self._report(report))

    def _report(self, number: int) -> StoredReport:
        return self._ledger.reports[number - 1]

    def _trace(self, process: Process, before: Row | None, row: Row) -> None:
        came = "-" if before is None else f"{before.state}"
        due = "" if row.state != "waiting" else f", due {_at(row.due_at)}"
        lease = "" if row.state != "leased" else f", {row.lease} until {_at(row.lease_until)}"
        text = f"    dispatch {row.id} {row.endpoint} {came} > {row.state} #{row.attempts}"
        self._world.trace.add(process.name, text + due + lease)


def _at(at: int | None) -> str:
    when = None if at is None else instant(at)
    return "never" if when is None else f"{when:%H:%M:%S.%f}"

"""What is known of the database and of the pushes, as the invariants need it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.endpoints.from_settings import endpoint_of
from dispatcher.retrying.outcome import Answer
from receiver.store.base import StoredReport
from receiver.store.instants import micros
from receiver.store.sqlite.rows import COLUMNS, stored_report
from tests.simulation.faults.customers import Met
from tests.simulation.faults.plan import Plan

if TYPE_CHECKING:
    from tests.simulation.faults.process import Process

OPEN = ("waiting", "leased")


class Row(NamedTuple):
    """A dispatch as it lies in the database. Instants are microseconds since 1970."""

    id: int
    endpoint: str
    state: str
    attempts: int
    due_at: int | None
    lease: str | None
    lease_until: int | None
    replay: int | None


class AttemptRow(NamedTuple):
    """A recorded attempt."""

    id: int
    dispatch: int
    number: int
    started_at: int
    status: int | None
    outcome: str


def message_of(report: StoredReport) -> tuple[str, int]:
    """The message of a report: its source's. Told here and not asked of production code."""
    return report.source, report.message_key


@dataclass(slots=True)
class Lent:
    """A lease, as it was seen in the database."""

    dispatch: int
    token: str
    process: Process
    at: float  # seconds that had passed when its claim began
    due_at: int
    until: int


@dataclass(slots=True)
class Sent:
    """A push. `met` None: it never came to the customer. `answer` None: it was not heard."""

    process: Process
    dispatch: int
    name: str
    endpoint: str
    number: int
    token: str
    at: float
    started_at: datetime
    met: Met | None = None
    answer: Answer | None = None
    ended: float = 0.0
    ended_at: datetime | None = None


@dataclass(slots=True)
class Ledger:
    """Facts, in the order in which they became known."""

    connection: sqlite3.Connection
    plan: Plan
    rows: dict[int, Row] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    attempts: dict[int, list[AttemptRow]] = field(default_factory=dict)
    reports: list[StoredReport] = field(default_factory=list)
    lent: dict[tuple[int, str], Lent] = field(default_factory=dict)
    sent: dict[int, list[Sent]] = field(default_factory=dict)  # by dispatch
    last_attempt: int = 0
    endpoints: dict[str, Endpoint] = field(init=False)

    def __post_init__(self) -> None:
        self.endpoints = {each.name: endpoint_of(each) for each in self.plan.endpoints}

    def new_attempts(self) -> list[AttemptRow]:
        found = [
            AttemptRow(*row)
            for row in self.connection.execute(
                "SELECT id, dispatch, number, started_at, status, outcome FROM attempt"
                " WHERE id > ? ORDER BY id",
                (self.last_attempt,),
            )
        ]
        if found:
            self.last_attempt = found[-1].id
        for each in found:
            self.attempts.setdefault(each.dispatch, []).append(each)
        return found

    def changed_rows(self) -> list[tuple[Row | None, Row]]:
        """Dispatches that are new or have changed: as they were known, and as they are."""
        query = (
            "SELECT id, endpoint, state, attempts, due_at, lease, lease_until, replay"
            " FROM dispatch ORDER BY id"
        )
        changed = []
        for found in self.connection.execute(query):
            before, row = self.rows.get(found[0]), Row(*found)
            if before != row:
                changed.append((before, row))
                self.rows[row.id] = row
            if before is None:
                self.members[row.id] = self._members(row.id)
        return changed

    def new_reports(self) -> None:
        last = self.reports[-1].id if self.reports else 0
        rows = self.connection.execute(
            f"SELECT {COLUMNS} FROM report WHERE id > ? ORDER BY id", (last,)
        )
        self.reports += map(stored_report, rows.fetchall())

    def send_of(self, attempt: AttemptRow, process: Process) -> Sent | None:
        """The push that this attempt tells of."""
        for sent in reversed(self.sent.get(attempt.dispatch, [])):
            if sent.process is process and sent.number == attempt.number and sent.answer:
                return sent
        return None

    def recorded_send(self, dispatch: int, number: int) -> Sent | None:
        """The push that is recorded as this attempt."""
        for attempt in self.attempts.get(dispatch, []):
            if attempt.number == number:
                for sent in self.sent[dispatch]:
                    if sent.number == number and micros(sent.started_at) == attempt.started_at:
                        return sent
        return None

    def _members(self, dispatch: int) -> list[int]:
        found = self.connection.execute(
            "SELECT report FROM dispatch_report WHERE dispatch = ? ORDER BY report", (dispatch,)
        )
        return [report for (report,) in found]

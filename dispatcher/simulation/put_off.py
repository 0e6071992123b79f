"""What a simulation's queue has decided and stores later: many in one go.

Nobody reads a dispatch in a simulation until it is due again, or at the end. So what is formed,
claimed and recorded by then is gathered and stored together, by the statements of production: a
statement for many rows takes a fraction of the time of many statements. What the database would
have answered is predicted, and compared when it is stored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec import structs

from dispatcher.forming.new_dispatch import NewDispatch, dispatches_of, leased_of
from dispatcher.queue.base import Forming, Lease, Leased, Record
from dispatcher.queue.names import DispatchNames
from dispatcher.queue.sqlite.insert_dispatch import insert_dispatches
from dispatcher.queue.sqlite.queue import claimed_rows, record_attempts, take_over
from dispatcher.simulation.database_in_place import DatabaseInPlace
from receiver.store.instants import micros

MOST = 512
"""How many attempts are gathered, with the dispatches that were formed meanwhile."""


class OtherwiseStored(Exception):
    """The database has not answered as predicted: a defect."""


class PutOff:
    """The queue of one endpoint that does not keep the order. Only one worker forms, claims and
    records its dispatches, and all its leases have one token: none is ever late."""

    def __init__(
        self, database: DatabaseInPlace, names: DispatchNames, new_id: Callable[[], str]
    ) -> None:
        database.first = self._store
        self._database = database
        self._names = names
        self._new_id = new_id
        self._formings: list[Forming] = []
        self._new: list[NewDispatch] = []
        self._last = 0  # the highest id of a dispatch
        self._claimed: list[Leased] = []  # in the order in which they were due
        self._claimed_at: datetime | None = None  # the last of them
        self._records: list[Record] = []
        self._first_due: datetime | None = None  # of what the records leave waiting

    def claim(self, now: datetime, claimed: Sequence[Leased]) -> None:
        """These were claimed, in the order in which they were due."""
        if self._first_due is not None and self._first_due <= now:
            self._database.aside(self._store)  # so that nothing is claimed twice until it is stored
        self._claimed += claimed
        self._claimed_at = now

    def form(self, now: datetime, leases: Mapping[str, Lease], forming: Forming) -> list[Leased]:
        """As DispatchQueue.form, for buckets that all have their bytes."""
        new = dispatches_of(forming, leases, now, self._new_id)
        numbers = range(self._last + 1, self._last + 1 + len(new))
        self._last += len(new)
        self._formings.append(forming)
        self._new += [dispatch for dispatch, _ in new]
        return leased_of(self._names, numbers, new)

    def record(self, records: Sequence[Record]) -> list[bool]:
        """As DispatchQueue.record, for dispatches that are leased."""
        self._records += records
        for each in records:
            due_at = each.due_at
            if due_at is not None and (self._first_due is None or due_at < self._first_due):
                self._first_due = due_at
        if len(self._records) >= MOST:
            self._database.aside(self._store)
        return [True] * len(records)

    def _store(self, connection: sqlite3.Connection) -> None:
        """Store all of it. Raises OtherwiseStored, each time that it is tried again."""
        if self._formings:
            first, last = self._formings[0], self._formings[-1]
            if not take_over(connection, structs.replace(first, read_to=last.read_to)):
                raise OtherwiseStored("another one has read these reports")
            numbers = insert_dispatches(connection, self._new)
            if numbers and numbers[-1] != self._last:
                raise OtherwiseStored(f"dispatch {numbers[-1]} instead of {self._last}")
        if self._claimed and self._claimed_at is not None:
            self._store_claims(connection, self._claimed_at)
        if not all(record_attempts(connection, self._records)):
            raise OtherwiseStored("another one has the lease of a recorded attempt")
        self._formings, self._new, self._records, self._first_due = [], [], [], None
        self._claimed = []

    def _store_claims(self, connection: sqlite3.Connection, now: datetime) -> None:
        """Claim at once what was claimed one by one. The order is the same: what records have left
        waiting meanwhile was not due before the last of it was claimed."""
        last = self._claimed[-1]
        rows = claimed_rows(connection, now, last.endpoint, last.lease, len(self._claimed))
        stored = sorted((due_at, number, made) for number, _, _, _, made, due_at, *_ in rows)
        if stored != [(micros(each.due_at), each.id, each.attempts_made) for each in self._claimed]:
            raise OtherwiseStored("other dispatches are due than those that were tried")

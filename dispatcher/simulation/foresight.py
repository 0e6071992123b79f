"""The queue of a simulation: production's, which answers from memory what has gone through it.

One worker alone works on it, for one endpoint. So whatever is due, leased or unread got there
through its own calls, and most of a simulation's questions need no database: they took a third of
the whole. It never decides what is done: dispatches are formed, claimed and recorded by SqliteQueue
as ever. A test compares timelines with and without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from heapq import heappop, heappush

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import Forming, Lease, Leased, Pending, Record
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.simulation.database_in_place import DatabaseInPlace
from dispatcher.simulation.put_off import PutOff


class ForeseeingQueue(SqliteQueue):
    """The queue of one endpoint, for which one worker alone forms dispatches. Call `arrived` for
    each report that comes in."""

    knows = True
    """Whether all that is due or leased is known. No more after what only a fault can do."""

    def __init__(self, database: DatabaseInPlace, name: str, new_id: Callable[[], str]) -> None:
        super().__init__(database, name, new_id)
        self._put_off = PutOff(database, self._names, new_id)
        self._endpoint = ""
        self._sees = False  # what is unread
        self._arrived = self._read_to = 0  # reports; their ids count from 1
        self._due: list[datetime] = []  # a heap: when what waits is due
        self._leases: list[tuple[datetime, str]] = []  # a heap: ends, and tokens
        self._held: dict[str, int] = {}  # by token, how many dispatches are leased under it

    async def adopt(self, endpoints: Sequence[Endpoint]) -> None:
        (endpoint,) = endpoints
        self._endpoint = endpoint.name
        self._sees = not endpoint.ordered  # that holds reports back
        await super().adopt(endpoints)

    # --- what is foreseen ---------------------------------------------------------------------

    def arrived(self, reports: int) -> None:
        self._arrived += reports

    @property
    def _foresees(self) -> bool:
        return self.knows and self._sees

    @property
    def all_read(self) -> bool:
        """Whether there is surely nothing unread."""
        return self._foresees and self._read_to >= self._arrived

    def idle(self, now: datetime) -> bool:
        """Whether there is surely nothing to claim now."""
        # Asked five times for each attempt, so without a call to `all_read`.
        if self._read_to < self._arrived or not (self.knows and self._sees):
            return False
        return not self._due or self._due[0] > now

    # --- asked ----------------------------------------------------------------------------------

    async def pending(self, now: datetime) -> Pending:
        if self._foresees:
            is_due = bool(self._due) and self._due[0] <= now
            return Pending(
                frozenset([self._endpoint] if is_due else ()),
                {self._endpoint: self._read_to} if self._read_to < self._arrived else {},
            )
        pending = await super().pending(now)
        unread = {
            name: read_to
            for name, read_to in pending.unread.items()
            if read_to < self._arrived or name in pending.freed
        }
        return Pending(pending.due, unread, pending.freed)

    async def next_due(self, endpoints: Sequence[str] | None = None) -> datetime | None:
        if not self.knows:
            return await super().next_due(endpoints)
        return min(self._due[:1] + self._next_lease_end(), default=None)

    async def release_expired(self, now: datetime) -> int:
        if self.knows and not ((ends := self._next_lease_end()) and ends[0] <= now):
            return 0
        self.knows = False
        return await super().release_expired(now)

    def _next_lease_end(self) -> list[datetime]:
        while self._leases and not self._held.get(self._leases[0][1]):
            self._held.pop(heappop(self._leases)[1], None)
        return [self._leases[0][0]] if self._leases else []

    # --- told -------------------------------------------------------------------------------------

    async def claim_due(
        self, now: datetime, leases: Mapping[str, Lease], room: Mapping[str, int]
    ) -> list[Leased]:
        claimed = self._put_off.claim(now, leases, room)
        for each in claimed:
            heappop(self._due)  # what is due first is claimed first
            self._lent(each.lease)
        return claimed

    async def form(
        self, now: datetime, leases: Mapping[str, Lease], formings: Sequence[Forming]
    ) -> list[Leased]:
        if self._foresees and all(None not in each.bodies for each in formings):
            formed = self._put_off.form(now, leases, formings)
        else:
            formed = await super().form(now, leases, formings)
        for each in formed:
            self._lent(each.lease)
        for forming in formings:
            self._read_to = forming.read_to
        # A bucket without bytes waits, and is due at once.
        self.knows = self.knows and len(formed) == sum(len(each.buckets) for each in formings)
        return formed

    async def record(self, records: Sequence[Record]) -> list[bool]:
        if self._foresees:
            recorded = self._put_off.record(records)
        else:
            recorded = await super().record(records)
        for each, was_held in zip(records, recorded, strict=True):
            if was_held:
                self._held[each.token] = self._held.get(each.token, 0) - 1
                if each.due_at is not None:
                    heappush(self._due, each.due_at)
        return recorded

    async def release(
        self, dispatches: Sequence[Leased], *, broken_off: datetime | None = None
    ) -> None:
        self.knows = False
        await super().release(dispatches, broken_off=broken_off)

    def _lent(self, lease: Lease) -> None:
        if lease.token not in self._held:
            self._held[lease.token] = 0
            heappush(self._leases, (lease.until, lease.token))
        self._held[lease.token] += 1

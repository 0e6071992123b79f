"""The queue of a simulation: production's, which answers from memory what has gone through it.

One worker alone works on it, for one endpoint. So whatever is due, leased or unread got there
through its own calls, and most of a simulation's questions need no database: they took a third of
the whole. It never decides what is done: what it foretells of a claim, production's own claim has
to find (put_off.py). A test compares timelines with and without.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from heapq import heappop, heappush
from itertools import count

from msgspec import structs

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
        # A heap: what waits, by due time and id, as it was pushed last and after so many attempts.
        self._waiting: list[tuple[datetime, int, Leased, int]] = []
        self._leases: deque[tuple[datetime, int]] = deque()  # their ends, and of which dispatches
        self._held: dict[int, Leased] = {}  # what is leased, by id
        self._tokens = count()

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
        return not self._waiting or self._waiting[0][0] > now

    # --- asked ----------------------------------------------------------------------------------

    async def pending(self, now: datetime) -> Pending:
        if self._foresees:
            is_due = bool(self._waiting) and self._waiting[0][0] <= now
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

    def new_token(self) -> str:
        """For a lease. What is foreseen is stored in one claim, and so under one token."""
        return "foreseen" if self._foresees else str(next(self._tokens))

    async def next_due(self, endpoints: Sequence[str] | None = None) -> datetime | None:
        if not self.knows:
            return await super().next_due(endpoints)
        instants = self._next_lease_end()
        if self._waiting:
            instants.append(self._waiting[0][0])
        return min(instants, default=None)

    async def release_expired(self, now: datetime) -> int:
        if self.knows and not ((ends := self._next_lease_end()) and ends[0] <= now):
            return 0
        self.knows = False
        return await super().release_expired(now)

    def _next_lease_end(self) -> list[datetime]:
        while self._leases:
            until, number = self._leases[0]
            dispatch = self._held.get(number)
            if dispatch is not None and dispatch.lease.until == until:
                return [until]
            self._leases.popleft()  # it has been recorded since
        return []

    # --- told -------------------------------------------------------------------------------------

    async def claim_due(
        self, now: datetime, leases: Mapping[str, Lease], room: Mapping[str, int]
    ) -> list[Leased]:
        if self._foresees:
            claimed = self._first_of(now, leases[self._endpoint], room[self._endpoint])
            self._put_off.claim(now, claimed)
        else:
            claimed = await super().claim_due(now, leases, room)
            for _ in claimed if self.knows else ():
                heappop(self._waiting)  # what is due first is claimed first
        for each in claimed:
            self._lent(each)
        return claimed

    def _first_of(self, now: datetime, lease: Lease, places: int) -> list[Leased]:
        """What the database will claim: of what is due, as much as there is room for."""
        claimed: list[Leased] = []
        waiting = self._waiting
        while len(claimed) < places and waiting and waiting[0][0] <= now:
            due_at, _, pushed, made = heappop(waiting)
            claimed.append(structs.replace(pushed, attempts_made=made, due_at=due_at, lease=lease))
        return claimed

    async def form(
        self, now: datetime, leases: Mapping[str, Lease], formings: Sequence[Forming]
    ) -> list[Leased]:
        (forming,) = formings  # of one endpoint
        if self._foresees and None not in forming.bodies:
            formed = self._put_off.form(now, leases, forming)
        else:
            formed = await super().form(now, leases, formings)
        for each in formed:
            self._lent(each)
        self._read_to = forming.read_to
        # A bucket without bytes waits, and is due at once.
        self.knows = self.knows and len(formed) == len(forming.buckets)
        return formed

    async def record(self, records: Sequence[Record]) -> list[bool]:
        if self._foresees:
            recorded = self._put_off.record(records)
        else:
            recorded = await super().record(records)
        for each, was_held in zip(records, recorded, strict=True):
            if was_held:
                pushed = self._held.pop(each.dispatch)
                if each.due_at is not None:
                    waits = (each.due_at, each.dispatch, pushed, each.number)
                    heappush(self._waiting, waits)
        return recorded

    async def release(
        self, dispatches: Sequence[Leased], *, broken_off: datetime | None = None
    ) -> None:
        self.knows = False
        await super().release(dispatches, broken_off=broken_off)

    def _lent(self, dispatch: Leased) -> None:
        self._held[dispatch.id] = dispatch
        self._leases.append((dispatch.lease.until, dispatch.id))  # all leases are equally long

"""The worker: takes what is to be done, sends, judges and records. No loop, no sleep.

The shortest path of a report on its way out is `claim` and then `attempt`. The loop around them is
runner.py in production; a simulation calls `tick` and moves its clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Protocol

from dispatcher.bucket import Filling, encode, fill
from dispatcher.clock import Clock
from dispatcher.dispatch import after_attempt
from dispatcher.endpoint import Endpoint
from dispatcher.events import AttemptMade, Listener
from dispatcher.outcome import judge
from dispatcher.queue.base import DispatchQueue, Formed, Forming, Lease, Leased, Pending, Record
from dispatcher.schedule import RetrySchedule
from dispatcher.sender import Sender
from dispatcher.window import InFlight, Room, room
from receiver.store.base import StoredReport
from receiver.writer import GroupCommit

LEASE_MARGIN = timedelta(seconds=10)
"""How much longer a lease lasts than an attempt can: the time to record it, in the world's time."""

READ_AHEAD = 5_000
"""The most reports that are read from the store for one look."""


class Outbox(Protocol):
    """The store as the dispatcher sees it: reports wait there until they are read off."""

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]: ...


class Worker:
    """Brings reports to endpoints, at least once."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        queue: DispatchQueue,
        sender: Sender,
        clock: Clock,
        endpoints: Iterable[Endpoint],
        schedule: RetrySchedule,
        new_token: Callable[[], str],
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.endpoints: Mapping[str, Endpoint] = {e.name: e for e in endpoints}
        self._outbox = outbox
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._schedule = schedule
        self._new_token = new_token
        self._listeners = listeners
        self._records = GroupCommit(queue.record)
        self._in_flight = {name: InFlight() for name in self.endpoints}

    async def tick(self) -> int:
        """Do everything that is due at this instant, once. Returns how many attempts were made."""
        await self._queue.release_expired(self._clock.now())
        leased = await self.claim()
        await asyncio.gather(*(self.attempt(dispatch) for dispatch in leased))
        return len(leased)

    async def claim(self) -> list[Leased]:
        """Take on what there is to do, as far as each endpoint's window has room.

        What is returned is leased and must be given to `attempt` or to `give_back`.
        """
        pending = await self._queue.pending(self._clock.now())
        places = {name: room(e.window, self._in_flight[name]) for name, e in self.endpoints.items()}
        leased = await self._claim_due(pending, places)
        for dispatch in leased:
            self._count(dispatch, +1)
            places[dispatch.endpoint] = _one_less(places[dispatch.endpoint])
        fresh = await self._form(pending, places)
        for dispatch in fresh:
            self._count(dispatch, +1)
        return leased + fresh

    async def attempt(self, dispatch: Leased) -> None:
        """Make one attempt and record it. Raises StoreUnavailable when it cannot be recorded: the
        lease then runs out, and the attempt is repeated."""
        try:
            started_at = self._clock.now()
            answer = await self._sender.send(dispatch, self.endpoints[dispatch.endpoint])
            outcome = judge(answer)
            number = dispatch.attempts_made + 1
            following = after_attempt(
                outcome, attempts_made=number, started_at=started_at, schedule=self._schedule
            )
            record = Record(
                dispatch=dispatch.id,
                token=dispatch.lease.token,
                number=number,
                started_at=started_at,
                answer=answer,
                outcome=outcome,
                state=following.state,
                due_at=following.due_at,
            )
            if await self._records.submit(record):
                self._tell(dispatch, record)
        finally:
            self._count(dispatch, -1)

    async def give_back(self, dispatches: Sequence[Leased]) -> None:
        """Release leases that were not used, or whose attempt was broken off."""
        if dispatches:
            await self._queue.release(dispatches)

    async def _claim_due(self, pending: Pending, places: Mapping[str, Room]) -> list[Leased]:
        wanted = {name: places[name].retries for name in pending.due if places[name].retries}
        if not wanted:
            return []
        leases = {name: self._lease(name) for name in wanted}
        return await self._queue.claim_due(self._clock.now(), leases, wanted)

    async def _form(self, pending: Pending, places: Mapping[str, Room]) -> list[Leased]:
        """Read new reports off the store. Endpoints that have read equally far read together."""
        readers = [name for name in pending.unread if places[name].all]
        readers.sort(key=lambda name: pending.unread[name])
        formings: list[Forming] = []
        for read_to, group in groupby(readers, key=lambda name: pending.unread[name]):
            names = list(group)
            most = max(places[name].all * self.endpoints[name].bucket_size for name in names)
            reports = await self._outbox.reports_after(read_to, min(most, READ_AHEAD))
            for name in names:
                endpoint = self.endpoints[name]
                filling = fill(endpoint, reports, places[name].all, read_to)
                formings.append(await self._forming(endpoint, filling, read_to))
        return await self._queue.form(formings, self._clock.now()) if formings else []

    async def _forming(self, endpoint: Endpoint, filling: Filling, read_from: int) -> Forming:
        return Forming(
            endpoint=endpoint,
            lease=self._lease(endpoint.name),
            read_from=read_from,
            read_to=filling.read_to,
            buckets=await _encode(endpoint, filling),
        )

    def _lease(self, endpoint: str) -> Lease:
        length = (self.endpoints[endpoint].attempt_time + LEASE_MARGIN) * self._clock.speed
        return Lease(self._new_token(), self._clock.now() + length)

    def _count(self, dispatch: Leased, change: int) -> None:
        self._in_flight[dispatch.endpoint].count(dispatch.attempts_made, change)

    def _tell(self, dispatch: Leased, record: Record) -> None:
        event = AttemptMade(
            dispatch=dispatch.name,
            endpoint=dispatch.endpoint,
            url=dispatch.url,
            reports=dispatch.reports,
            number=record.number,
            started_at=record.started_at,
            answer=record.answer,
            outcome=record.outcome,
            state=record.state,
            due_at=record.due_at,
        )
        for listener in self._listeners:
            listener(event)


def _one_less(places: Room) -> Room:
    return Room(retries=places.retries - 1, all=places.all - 1)


async def _encode(endpoint: Endpoint, filling: Filling) -> list[Formed]:
    if endpoint.content_type == "application/xml":
        # 80 us a report: a few buckets would hold up the event loop for everybody.
        return await asyncio.to_thread(_encode_all, endpoint, filling)
    return _encode_all(endpoint, filling)


def _encode_all(endpoint: Endpoint, filling: Filling) -> list[Formed]:
    return [
        Formed(encode(endpoint, bucket), [report.id for report in bucket.reports])
        for bucket in filling.buckets
    ]

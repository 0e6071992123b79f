"""The worker: takes what is to be done, sends, judges and records. No loop, no sleep.

The shortest path of a report on its way out is `claim` and then `attempt`. The loop around them is
runner.py in production; a simulation calls `tick` and moves its clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count, groupby
from random import Random
from typing import Protocol

from msgspec import Struct, structs

from dispatcher.clocks.clock import Clock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.flow.gate import Gate
from dispatcher.flow.window import Room
from dispatcher.forming.bucket import Bucket, fill
from dispatcher.forming.encoding import made_into_bytes
from dispatcher.forming.order import fill_in_order
from dispatcher.forming.routing import Reading
from dispatcher.observe.events import AttemptMade, Listener
from dispatcher.pushing.sender import Sender
from dispatcher.queue.base import DispatchQueue, Forming, Lease, Leased, Pending, Record
from dispatcher.retrying.dispatch import after_attempt
from dispatcher.retrying.outcome import judge
from dispatcher.retrying.schedule import RetrySchedule
from receiver.store.base import StoredReport
from receiver.store.writer import GroupCommit

LEASE_MARGIN = timedelta(seconds=10)
"""How much longer a lease lasts than an attempt can: the time to record it, in the world's time."""

READ_AHEAD = 5_000
"""The most reports that are read from the store for one look."""

XML_AHEAD = 500
"""Reports that are made into XML for one look, by all endpoints together and but for the last
bucket. One takes 80 us, and until it is done the other endpoints' pushes are not begun."""


class Untaken(Struct, frozen=True):
    """A dispatch that is due, and for how long it could have been taken."""

    endpoint: str
    waited: timedelta


class Filled(Struct, frozen=True):
    """What an endpoint could take over, and the buckets that are to be made into bytes for it."""

    forming: Forming
    buckets: Sequence[Bucket]


class Outbox(Protocol):
    """The store as the dispatcher sees it: reports wait there until they are read off."""

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]: ...

    async def reports_by_id(self, report_ids: Sequence[int]) -> list[StoredReport]: ...


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
        rng: Random | None = None,
    ) -> None:
        self._gates: dict[str, Gate] = {}  # of all endpoints that there have been
        self._names: tuple[str, ...] = ()  # of those that there are
        # When what was due was taken last, or there was no room to take it.
        self._taken_at: dict[str, datetime] = {}
        self._outbox = outbox
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._schedule = schedule
        self._new_token = new_token
        self._listeners = listeners
        self._rng = Random() if rng is None else rng
        self._records = GroupCommit(queue.record)
        # Two claims at once would each take all the room that there is.
        self._claiming = asyncio.Lock()
        self._turns = count(1)
        self._had_turn: dict[str, int] = {}  # endpoints that take XML: which turn was its last
        self.use(endpoints)
        self.behind = False
        """Whether the last `claim` only read reports that go nowhere, and there may be more."""

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        return {name: self._gates[name].endpoint for name in self._names}

    def use(self, endpoints: Iterable[Endpoint]) -> None:
        """Work for these endpoints from now on. What is under way to others still ends."""
        now, names = self._clock.now(), []
        for endpoint in endpoints:
            names.append(endpoint.name)
            self._taken_at.setdefault(endpoint.name, now)
            gate = self._gates.get(endpoint.name)
            if gate is None:
                self._gates[endpoint.name] = Gate(endpoint, now, self._clock.speed)
            elif gate.endpoint != endpoint:
                gate.use(endpoint, now)
        self._names = tuple(names)

    async def next_at(self) -> datetime | None:
        """The next instant at which there may be something to do, if nothing new happens before.

        Endpoints without room are left out unless they open by themselves: the end of an attempt,
        or whoever resumes them, wakes for them.
        """
        now = self._clock.now()
        open_now = [name for name in self._names if self._gates[name].room(now).retries]
        instants = [self._gates[name].opens_at() for name in self._names]
        if open_now:
            instants.append(await self._queue.next_due(open_now))
        return min((at for at in instants if at is not None), default=None)

    async def longest_untaken(self) -> Untaken | None:
        """Of what is due and could be taken now, what could have been for the longest.

        A backlog that is worked off waits, but not untaken: each look takes some of it.
        """
        now = self._clock.now()
        ready = [name for name in self._names if self._gates[name].room(now).retries]
        due = await self._queue.first_due(ready)
        waits = [(now - max(at, self._taken_at[name]), name) for name, at in due.items()]
        waited, name = max(waits, default=(timedelta(), ""))
        return Untaken(name, waited) if waited > timedelta() else None

    async def tick(self) -> int:
        """Do everything that is due at this instant, once. Returns how many attempts were made."""
        await self._queue.release_expired(self._clock.now())
        leased = await self.claim()
        while self.behind:  # though nothing was formed, retries may have been claimed
            leased += await self.claim()
        await asyncio.gather(*(self.attempt(dispatch) for dispatch in leased))
        return len(leased)

    async def claim(self) -> list[Leased]:
        """Take on what there is to do, as far as each endpoint's window has room.

        What is returned is leased and must be given to `attempt` or to `give_back`.
        """
        async with self._claiming:
            return await self._claim()

    async def _claim(self) -> list[Leased]:
        self.behind = False
        now = self._clock.now()
        places = {name: self._gates[name].room(now) for name in self._names}
        full = {name for name, place in places.items() if not place.retries}
        self._taken_at.update(dict.fromkeys(full, now))
        if not any(place.all for place in places.values()):
            return []
        pending = await self._queue.pending(now)
        leased = await self._claim_due(pending, places)
        for dispatch in leased:
            self._taken_at[dispatch.endpoint] = now
            places[dispatch.endpoint] = _one_less(places[dispatch.endpoint])
        readers = [name for name in pending.unread if name in places and places[name].all]
        leased += await self._form(readers, pending, places)
        # Counted last: of a claim that fails half-way nothing comes back that would count down.
        for dispatch in leased:
            self._gates[dispatch.endpoint].begin(dispatch.attempts_made)
        return leased

    async def attempt(self, dispatch: Leased) -> None:
        """Make one attempt and record it; none if the lease has run out. Raises StoreUnavailable
        when it cannot be recorded: the lease then runs out, and the attempt is repeated."""
        gate = self._gates[dispatch.endpoint]
        try:
            started_at = self._clock.now()
            if started_at >= dispatch.lease.until:
                return  # the process stood still: it is another's by now, or will be
            endpoint = gate.endpoint
            schedule = self._schedule if endpoint.schedule is None else endpoint.schedule
            rules = schedule.rules if endpoint.outcome is None else endpoint.outcome
            answer = await self._sender.send(dispatch, endpoint)
            outcome = judge(answer, rules)
            ended_at = self._clock.now()
            gate.judge(outcome.acknowledges, ended_at)
            number = dispatch.attempts_made + 1
            following = after_attempt(
                outcome,
                attempts_made=number,
                started_at=started_at,
                schedule=schedule,
                ended_at=ended_at,
                answer=answer,
                rules=rules,
                rng=self._rng,
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
            gate.end(dispatch.attempts_made)

    async def give_back(self, dispatches: Sequence[Leased]) -> None:
        """Release leases that were not used, or whose attempt was broken off."""
        if dispatches:
            await self._queue.release(dispatches)

    async def _claim_due(self, pending: Pending, places: Mapping[str, Room]) -> list[Leased]:
        wanted = {
            name: place.retries
            for name, place in places.items()
            if place.retries and name in pending.due
        }
        if not wanted:
            return []
        leases = {name: self._lease(name) for name in wanted}
        return await self._queue.claim_due(self._clock.now(), leases, wanted)

    async def _form(
        self, readers: Sequence[str], pending: Pending, places: Mapping[str, Room]
    ) -> list[Leased]:
        """Read new reports off the store. Endpoints that have read equally far read together."""
        filled: list[Filled] = []
        unread = pending.unread
        for read_to, group in groupby(sorted(readers, key=unread.__getitem__), unread.__getitem__):
            names = list(group)
            rooms = {n: self._room_to_form(n, places[n]) for n in names}
            most = max(rooms[n] * self._gates[n].endpoint.bucket_size for n in names)
            reports = await self._outbox.reports_after(read_to, min(most, READ_AHEAD))
            reading = Reading()
            for name in names:
                # One that keeps the order no more may still have reports that were held for it.
                in_order = self._gates[name].endpoint.ordered or name in pending.freed
                make = self._filled_in_order if in_order else self._filled
                filled.append(await make(name, reports, rooms[name], read_to, reading))
        formings = await self._made_into_bytes(filled)
        leased = await self._queue.form(formings, self._clock.now()) if formings else []
        self.behind = not leased and any(each.read_to > each.read_from for each in formings)
        return leased

    def _room_to_form(self, name: str, place: Room) -> int:
        endpoint = self._gates[name].endpoint
        if endpoint.may_be_xml:
            return min(place.all, max(1, XML_AHEAD // endpoint.bucket_size))
        return place.all

    async def _made_into_bytes(self, filled: Sequence[Filled]) -> list[Forming]:
        """As many as XML_AHEAD allows, first those that have not had a turn for longest. The others
        are not read off, and come with the next look."""
        formings = []
        left = XML_AHEAD
        for each in sorted(filled, key=lambda each: self._last_turn(each.forming.endpoint)):
            endpoint = each.forming.endpoint
            if endpoint.may_be_xml and each.buckets:
                if left <= 0:
                    continue
                left -= sum(len(bucket.reports) for bucket in each.buckets)
                self._had_turn[endpoint.name] = next(self._turns)
            buckets = await made_into_bytes(endpoint, each.buckets)
            formings.append(structs.replace(each.forming, buckets=buckets))
        return formings

    def _last_turn(self, endpoint: Endpoint) -> int:
        return self._had_turn.get(endpoint.name, 0)

    async def _filled(
        self, name: str, reports: Sequence[StoredReport], room: int, read_to: int, read: Reading
    ) -> Filled:
        endpoint = self._gates[name].endpoint
        filling = fill(endpoint, reports, room, read_to, read)
        forming = Forming(
            endpoint=endpoint,
            lease=self._lease(name),
            read_from=read_to,
            read_to=filling.read_to,
            buckets=(),
        )
        return Filled(forming, filling.buckets)

    async def _filled_in_order(
        self, name: str, reports: Sequence[StoredReport], room: int, read_to: int, read: Reading
    ) -> Filled:
        """As `_filled`, with a look at what is under way and what is held."""
        endpoint = self._gates[name].endpoint
        freed_ids = await self._queue.freed(endpoint.name, room * endpoint.bucket_size)
        freed = await self._outbox.reports_by_id(freed_ids)
        keys = [report.message_key for report in (*freed, *reports)]
        blocked = await self._queue.blocked(endpoint.name, keys, freed_ids)
        filling = fill_in_order(
            endpoint, freed, reports, blocked=blocked, room=room, read_to=read_to, read=read
        )
        placed = {report.id for bucket in filling.buckets for report in bucket.reports}
        gone = set(freed_ids) - {report.id for report in freed}  # erased while they were held
        forming = Forming(
            endpoint=endpoint,
            lease=self._lease(endpoint.name),
            read_from=read_to,
            read_to=filling.read_to,
            buckets=(),
            hold=[(report.id, report.message_key) for report in filling.hold],
            freed=[report for report in freed_ids if report in placed | gone],
        )
        return Filled(forming, filling.buckets)

    def _lease(self, endpoint: str) -> Lease:
        attempt_time = self._gates[endpoint].endpoint.attempt_time
        length = (attempt_time + LEASE_MARGIN) * self._clock.speed
        return Lease(self._new_token(), self._clock.now() + length)

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

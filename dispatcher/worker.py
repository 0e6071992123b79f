"""The worker: takes on what is to be done, as far as each endpoint has room. No loop, no sleep.

A dispatch's trip, from top to bottom: `claim` leases what is due and forms dispatches of what is
new (forming/former.py); `attempt` pushes one and records what came of it (attempts.py). The loop
around them is runner.py in production; a simulation calls `tick` and moves its clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random

from msgspec import Struct

from dispatcher.attempts import Attempts, Sender
from dispatcher.clocks.clock import Clock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.flow.alternation import Alternation
from dispatcher.flow.gate import CLOSED, Flows, Gate
from dispatcher.flow.share import NOTHING, Share
from dispatcher.flow.total import Total
from dispatcher.flow.window import Room
from dispatcher.forming.former import Former, Reader
from dispatcher.observe.events import Listener
from dispatcher.queue.base import DispatchQueue, Lease, Leased, Outbox, Pending
from dispatcher.queue.records import Records
from dispatcher.retrying.schedule import RetrySchedule
from receiver.store.base import StoreUnavailable

LEASE_MARGIN = timedelta(seconds=10)
"""How much longer a lease lasts than an attempt can: the time to record it, in the world's time."""


class Untaken(Struct, frozen=True):
    """A dispatch that is due, and for how long it could have been taken."""

    endpoint: str
    waited: timedelta


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
        total: Total | None = None,
        grouped: bool = True,
    ) -> None:
        """`total` None: each endpoint has its window, whatever the others have. `grouped`: as
        Records."""
        self._gates: dict[str, Gate] = {}  # also of removed endpoints with pushes under way
        self._names: tuple[str, ...] = ()  # of the endpoints that it works for
        self._lease_lasts: dict[str, timedelta] = {}  # by endpoint
        # When a due dispatch was taken last, or there was no room to take one.
        self._taken_at: dict[str, datetime] = {}
        self._queue = queue
        self._clock = clock
        self._new_token = new_token
        self._total = total
        self.records = Records(queue, grouped=grouped)
        self._former = Former(outbox, queue, clock, self.records.form)
        self._alternation = Alternation(clock.speed)
        self._attempts = Attempts(
            outbox=outbox,
            queue=queue,
            sender=sender,
            clock=clock,
            schedule=schedule,
            rng=Random() if rng is None else rng,
            records=self.records,
            listeners=listeners,
        )
        # Two claims at once would each take all the room that there is.
        self._claiming = asyncio.Lock()
        self._shares: Mapping[str, Share] | None = None
        self.shares_hold_until: datetime | None = None
        """After this instant it takes on nothing, because others may have taken its shares.
        None: its shares hold for ever."""
        self.use(endpoints)
        self._saw: Pending | None = None  # what the last claim saw, if it found nothing to do
        self._fresh: Collection[str] = ()  # endpoints of whose reports it saw new ones
        self.more_to_read = False
        """Whether the last `claim` only read reports that go nowhere, and there may be more."""

    async def tick(self) -> int:
        """Do everything that is due at this instant, once. Returns how many attempts were made."""
        await self._queue.release_expired(self._clock.now())
        leased = await self.claim()
        try:
            while self.more_to_read:  # though nothing was formed, retries may have been claimed
                leased += await self.claim()
        finally:  # a claim that fails leaves what the ones before it have taken
            await asyncio.gather(*(self.attempt(dispatch) for dispatch in leased))
        return len(leased)

    # --- claim: what is due, and what is new ----------------------------------------------------

    async def claim(self) -> list[Leased]:
        """Take on what there is to do, as far as each endpoint's window has room.

        What is returned is leased and must be given to `attempt` or to `give_back`.
        """
        async with self._claiming:
            return await self._claim()

    async def _claim(self) -> list[Leased]:
        self.more_to_read, self._saw = False, None
        self._forget_the_gone()
        now = self._clock.now()
        places = self._places(now)
        for name, place in places.items():
            if not place.retries:
                self._taken_at[name] = now
        self._alternation.look(now)
        if left := self._alternation.until:
            places = {name: CLOSED if name in left else each for name, each in places.items()}
        if not any(place.all for place in places.values()):
            return []
        pending = await self._queue.pending(now)
        self._fresh = pending.unread.keys()
        if not pending.due and not pending.unread:
            self._saw = pending
            return []
        places = self._without_what_is_kept(places)
        if self._total is not None:
            wanting = pending.due | pending.unread.keys()
            places = self._total.divided(places, wanting, self._gates, now)
        leased = await self._claim_due(pending, places)
        for dispatch in leased:
            self._taken_at[dispatch.endpoint] = now
            places[dispatch.endpoint] = _one_less(places[dispatch.endpoint])
        try:
            leased += await self._form(pending, places, now)
        except Exception:
            with suppress(StoreUnavailable):  # then these leases will run out
                await self.give_back(leased)
            raise
        # Counted last: of a claim that fails half-way nothing comes back that would count down.
        for dispatch in leased:
            self._gates[dispatch.endpoint].begin(dispatch.attempts_made)
        return leased

    def _places(self, now: datetime) -> dict[str, Room]:
        """How much more each endpoint may be given now, if it has something to do."""
        if self.shares_hold_until is not None and now > self.shares_hold_until:
            return dict.fromkeys(self._names, CLOSED)
        places = {name: self._gates[name].room(now) for name in self._names}
        if self._total is None:
            return places
        return self._total.open_to(places, self._gates, now)

    def _without_what_is_kept(self, places: Mapping[str, Room]) -> dict[str, Room]:
        """These places, without keeping any for new reports where the last claim saw none."""
        return {
            name: place if name in self._fresh else self._gates[name].for_retries_alone(place)
            for name, place in places.items()
        }

    def _forget_the_gone(self) -> None:
        """Forget endpoints that no longer exist and have nothing under way: each replay to a URL
        leaves one."""
        if len(self._gates) == len(self._names):
            return
        for name in self._gates.keys() - set(self._names):
            if self._gates[name].idle:
                del self._gates[name], self._lease_lasts[name]
                self._taken_at.pop(name, None)
                self._former.forget(name)
                self._alternation.forget(name)

    async def _claim_due(self, pending: Pending, places: Mapping[str, Room]) -> list[Leased]:
        """Lease dispatches that are due again."""
        if not pending.due:
            return []
        wanted = {
            name: place.retries
            for name, place in places.items()
            if place.retries and name in pending.due
        }
        if not wanted:
            return []
        return await self._queue.claim_due(self._clock.now(), self._leases(wanted), wanted)

    async def _form(
        self, pending: Pending, places: Mapping[str, Room], began: datetime
    ) -> Sequence[Leased]:
        """Make dispatches, leased, of reports that are new in the store. `began`: this look."""
        unread = {n: at for n, at in pending.unread.items() if n in places and places[n].all}
        awaited = self._alternation.awaited(unread, self._clock.now())
        readers = [
            Reader(self._gates[name].endpoint, places[name].all)
            for name in unread
            if name not in awaited
        ]
        if not readers:
            return []
        formed = await self._former.form(readers, pending, self._leases)
        self.more_to_read, now = formed.only_read, self._clock.now()
        if formed.leased:
            others = {name: self._gates[name].others for name in formed.read_to}
            self._alternation.formed(formed.read_to, others, began, now)
        self._alternation.overtaken(formed.overtaken, now)
        return formed.leased

    def _leases(self, names: Iterable[str]) -> dict[str, Lease]:
        """A new lease for each of these endpoints."""
        now, stepped, lasts = self._clock.now(), self.records.stepped, self._lease_lasts
        return {name: Lease(self._new_token(), now + lasts[name], stepped) for name in names}

    # --- attempt ----------------------------------------------------------------------------------

    async def attempt(self, dispatch: Leased) -> None:
        """Make one attempt and record it; none if the lease has run out. Raises StoreUnavailable
        when it cannot be recorded: the lease then runs out, and the attempt is repeated."""
        gate = self._gates[dispatch.endpoint]
        try:
            made = await self._attempts.make(dispatch, gate.endpoint)
            if made is not None:
                gate.judge(made.record.outcome.acknowledges, made.ended_at)
                await self._attempts.record(made)
        finally:
            gate.end(dispatch.attempts_made)

    async def give_back(self, dispatches: Sequence[Leased], *, broken_off: bool = False) -> None:
        """Release leases that were not used, or whose attempts were broken off."""
        if dispatches:
            at = self._clock.now() if broken_off else None
            await self._queue.release(dispatches, broken_off=at)

    # --- for whom it works, and what it waits for -----------------------------------------------

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
                share = self._share_of(endpoint.name)
                self._gates[endpoint.name] = Gate(endpoint, now, self._clock.speed, share)
            elif gate.endpoint != endpoint:
                gate.use(endpoint, now)
            lasts = (endpoint.attempt_time + LEASE_MARGIN) * self._clock.speed
            self._lease_lasts[endpoint.name] = lasts
        self._names = tuple(names)

    @property
    def gates(self) -> Mapping[str, Gate]:
        """Those of the endpoints that it works for."""
        return {name: self._gates[name] for name in self._names}

    @property
    def left_to_others(self) -> Mapping[str, datetime]:
        """The endpoints that the last `claim` has left to other dispatchers, or that the next one
        will, and until when."""
        return self._alternation.until

    @property
    def over(self) -> list[str]:
        """Endpoints, also removed ones, with more pushes under way than its share."""
        return [name for name, gate in self._gates.items() if gate.under_way > gate.window]

    async def use_shares(self, shares: Mapping[str, Share] | None) -> None:
        """Keep to these shares from now on; an endpoint that is not among them gets nothing. None:
        all is its own. When it returns, no claim is under way that was made by earlier ones."""
        if self._shares is shares is None:
            return
        self._shares = shares
        now = self._clock.now()
        for name, gate in self._gates.items():
            gate.use_share(self._share_of(name), now)
        async with self._claiming:
            pass

    def _share_of(self, endpoint: str) -> Share | None:
        return None if self._shares is None else self._shares.get(endpoint, NOTHING)

    def clock_stepped(self, by: timedelta) -> None:
        """The clock has gone so far in one step. All that waits here waits as long as before; what
        lies in the queue is moved by whoever moved the clock."""
        self.records.stepped += by
        self._taken_at = {name: at + by for name, at in self._taken_at.items()}
        until = self.shares_hold_until
        self.shares_hold_until = until and until + by
        self._alternation.clock_stepped(by)
        for gate in self._gates.values():
            gate.clock_stepped(by)

    @property
    def total(self) -> Total | None:
        """What limits the pushes to all endpoints together."""
        return self._total

    @property
    def under_way(self) -> int:
        """Pushes to all endpoints."""
        return Total.used(self._gates)

    def flows(self) -> Flows:
        """How much each endpoint is given now."""
        now = self._clock.now()
        return Flows(
            {name: self._gates[name].flow(now) for name in self._names}, self._former.set_aside(now)
        )

    async def next_at(self, *, after_claim: bool = False) -> datetime | None:
        """The next instant at which there may be something to do, if nothing new happens before.
        `after_claim`: since the last claim nothing has happened that nobody wakes for, and what it
        saw is not asked for once more.

        Endpoints without room are left out unless they open by themselves: the end of an attempt,
        or whoever resumes them, wakes for them.
        """
        now = self._clock.now()
        places = self._without_what_is_kept(self._places(now))
        open_now = [name for name, place in places.items() if place.retries]
        instants = [self._gates[name].opens_at(now) for name in self._names]
        instants += self._former.set_aside(now).values()
        if open_now and after_claim and self._saw is not None:
            instants.append(self._saw.next_due(open_now))
        elif open_now:
            instants.append(await self._queue.next_due(open_now))
        return min((at for at in instants if at is not None), default=None)

    async def longest_untaken(self) -> Untaken | None:
        """The dispatch that is due and could have been taken for the longest; None: there is none.

        A backlog that is worked off does not count: each look takes some of it.
        """
        now = self._clock.now()
        ready = [name for name, place in self._places(now).items() if place.retries]
        due = await self._queue.first_due(ready)
        waits = [(now - max(at, self._taken_at[name]), name) for name, at in due.items()]
        waited, name = max(waits, default=(timedelta(), ""))
        return Untaken(name, waited) if waited > timedelta() else None


def _one_less(places: Room) -> Room:
    return Room(retries=places.retries - 1, all=places.all - 1)

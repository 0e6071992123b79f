"""The worker: takes what is to be done, sends, judges and records. No loop, no sleep.

A dispatch's trip, from top to bottom: `claim` leases what is due and forms dispatches of what is
new, `attempt` pushes one and records what came of it. The loop around them is runner.py in
production; a simulation calls `tick` and moves its clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count, groupby
from pathlib import Path
from random import Random
from traceback import extract_tb
from typing import Protocol

from msgspec import Struct, structs

from dispatcher.clocks.clock import Clock
from dispatcher.endpoints.endpoint import Endpoint, Target
from dispatcher.flow.gate import Gate
from dispatcher.flow.total import Total
from dispatcher.flow.window import Room
from dispatcher.forming.bucket import encode, encoded, fill, shape_of
from dispatcher.forming.routing import ReportReader
from dispatcher.observe.events import AttemptMade, Listener
from dispatcher.queue.base import Bucket, DispatchQueue, Forming, Lease, Leased, Pending, Record
from dispatcher.retrying.dispatch import after_attempt
from dispatcher.retrying.outcome import Answer, Outcome, judge
from dispatcher.retrying.schedule import RetrySchedule
from receiver.store.base import StoredReport, StoreUnavailable
from receiver.store.writer import GroupCommit

log = logging.getLogger("dlr.dispatcher")

LEASE_MARGIN = timedelta(seconds=10)
"""How much longer a lease lasts than an attempt can: the time to record it, in the world's time."""

READ_AHEAD = 5_000
"""The most reports that are read from the store for one look."""

XML_AHEAD = 500
"""Reports that are made into XML for one look, by all endpoints together and but for the last
bucket. One takes 80 us, and until it is done the other endpoints' pushes are not begun."""


SET_ASIDE = timedelta(minutes=1)
"""In the world's time: for how long an endpoint gets no new dispatches when these cannot be formed
for a reason that nobody has foreseen. What waits for its retry goes on."""


class Outbox(Protocol):
    """The store as the dispatcher sees it: reports wait there until they are read off."""

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]: ...

    async def reports_by_id(self, report_ids: Sequence[int]) -> list[StoredReport]: ...


class Sender(Protocol):
    """Makes one HTTP try."""

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:
        """Push the dispatch's body and tell what came back.

        Never raises for what the endpoint or the network does: that is an answer too. If it raises
        all the same, the attempt has failed.
        """


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
    ) -> None:
        """`total` None: each endpoint has its window, whatever the others have."""
        self._gates: dict[str, Gate] = {}  # also of endpoints that are gone, until all has ended
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
        self._total = total
        self._rng = Random() if rng is None else rng
        self._write_records = queue.record
        self._records = GroupCommit(self._record)
        self._stepped = timedelta()  # all steps of the clock together
        # Two claims at once would each take all the room that there is.
        self._claiming = asyncio.Lock()
        self._turns = count(1)
        self._had_turn: dict[str, int] = {}  # endpoints that take XML: which turn was its last
        self._aside_until: dict[str, datetime] = {}  # for whom nothing is formed meanwhile
        self.use(endpoints)
        self.more_to_read = False
        """Whether the last `claim` only read reports that go nowhere, and there may be more."""

    async def tick(self) -> int:
        """Do everything that is due at this instant, once. Returns how many attempts were made."""
        await self._queue.release_expired(self._clock.now())
        leased = await self.claim()
        while self.more_to_read:  # though nothing was formed, retries may have been claimed
            leased += await self.claim()
        await asyncio.gather(*(self.attempt(dispatch) for dispatch in leased))
        return len(leased)

    # --- claim: what is due, and what is new -----------------------------------------------------

    async def claim(self) -> list[Leased]:
        """Take on what there is to do, as far as each endpoint's window has room.

        What is returned is leased and must be given to `attempt` or to `give_back`.
        """
        async with self._claiming:
            return await self._claim()

    async def _claim(self) -> list[Leased]:
        self.more_to_read = False
        self._forget_the_gone()
        now = self._clock.now()
        places = self._places(now)
        full = {name for name, place in places.items() if not place.retries}
        self._taken_at.update(dict.fromkeys(full, now))
        if not any(place.all for place in places.values()):
            return []
        pending = await self._queue.pending(now)
        if self._total is not None:
            wanting = pending.due | pending.unread.keys()
            places = self._total.divided(places, wanting, self._gates, now)
        leased = await self._claim_due(pending, places)
        for dispatch in leased:
            self._taken_at[dispatch.endpoint] = now
            places[dispatch.endpoint] = _one_less(places[dispatch.endpoint])
        try:
            leased += await self._form(pending, places)
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
        places = {name: self._gates[name].room(now) for name in self._names}
        if self._total is None:
            return places
        return self._total.open_to(places, self._gates, now)

    def _forget_the_gone(self) -> None:
        """Endpoints that are no more, with nothing under way: each replay to a URL leaves one."""
        if len(self._gates) == len(self._names):
            return
        for name in self._gates.keys() - set(self._names):
            if self._gates[name].idle:
                for known in (self._gates, self._taken_at, self._had_turn, self._aside_until):
                    known.pop(name, None)

    async def _claim_due(self, pending: Pending, places: Mapping[str, Room]) -> list[Leased]:
        """Lease dispatches that are due again."""
        wanted = {
            name: place.retries
            for name, place in places.items()
            if place.retries and name in pending.due
        }
        if not wanted:
            return []
        return await self._queue.claim_due(self._clock.now(), self._leases(wanted), wanted)

    async def _form(self, pending: Pending, places: Mapping[str, Room]) -> list[Leased]:
        """Make dispatches, leased, of reports that are new in the store."""
        readers = [name for name in pending.unread if name in places and places[name].all]
        filled = await self._fill(self._not_aside(readers), pending, places)
        formings = await self._encoded(filled)
        if not formings:
            return []
        leased = await self._form_apart(formings)
        self.more_to_read = not leased and any(each.read_to > each.read_from for each in formings)
        return leased

    async def _form_apart(self, formings: Sequence[Forming]) -> list[Leased]:
        """In one transaction; each alone when that fails and it is not the store's fault."""
        try:
            leases = self._leases(each.endpoint.name for each in formings)
            return await self._queue.form(self._clock.now(), leases, formings)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - told, and nobody else's failure
            if len(formings) == 1:
                self._set_aside(formings[0].endpoint.name, error)
                return []
        return [leased for forming in formings for leased in await self._form_apart([forming])]

    def _set_aside(self, name: str, error: Exception) -> None:
        _tell_unforeseen(
            f"no dispatch can be formed for {name}, which is set aside for a minute", error
        )
        self._aside_until[name] = self._clock.now() + SET_ASIDE * self._clock.speed

    def _not_aside(self, names: Iterable[str]) -> list[str]:
        """Without those that are set aside now."""
        now = self._clock.now()
        over = [name for name, until in self._aside_until.items() if until <= now]
        for name in over:
            del self._aside_until[name]
        return [name for name in names if name not in self._aside_until]

    async def _fill(
        self, readers: Sequence[str], pending: Pending, places: Mapping[str, Room]
    ) -> list[Forming]:
        """Put new reports into buckets. Endpoints that have read equally far read together."""
        filled: list[Forming] = []
        unread = pending.unread
        for read_to, group in groupby(sorted(readers, key=unread.__getitem__), unread.__getitem__):
            names = list(group)
            rooms = {name: self._room_to_form(name, places[name]) for name in names}
            most = max(rooms[name] * self._gates[name].endpoint.bucket_size for name in names)
            reports = await self._outbox.reports_after(read_to, min(most, READ_AHEAD))
            read = ReportReader()
            for name in names:
                endpoint, room = self._gates[name].endpoint, rooms[name]
                try:
                    # One that keeps the order no more may still have reports held for it.
                    if endpoint.ordered or name in pending.freed:
                        forming = await self._fill_in_order(endpoint, reports, room, read_to, read)
                    else:
                        forming = fill(endpoint, reports, room=room, read_from=read_to, read=read)
                except StoreUnavailable:
                    raise
                except Exception as error:  # noqa: BLE001 - told, and nobody else's failure
                    self._set_aside(name, error)
                else:
                    filled.append(forming)
        return filled

    def _room_to_form(self, name: str, place: Room) -> int:
        endpoint = self._gates[name].endpoint
        if endpoint.may_be_xml:
            return min(place.all, max(1, XML_AHEAD // endpoint.bucket_size))
        return place.all

    async def _fill_in_order(
        self,
        endpoint: Endpoint,
        reports: Sequence[StoredReport],
        room: int,
        read_from: int,
        read: ReportReader,
    ) -> Forming:
        """With a look at what is under way and what is held."""
        freed_ids = await self._queue.freed(endpoint.name, room * endpoint.bucket_size)
        freed = await self._outbox.reports_by_id(freed_ids)
        messages = [report.message for report in (*freed, *reports)]
        blocked = await self._queue.blocked(endpoint.name, messages, freed_ids)
        forming = fill(
            endpoint,
            reports,
            room=room,
            read_from=read_from,
            freed=freed,
            blocked=blocked,
            read=read,
        )
        erased = set(freed_ids) - {report.id for report in freed}  # while they were held
        return structs.replace(forming, freed=[*forming.freed, *erased])

    async def _encoded(self, filled: Sequence[Forming]) -> list[Forming]:
        """As many as XML_AHEAD allows, first those that have not had a turn for longest. The others
        are not read off, and come with the next look."""
        formings = []
        left = XML_AHEAD
        for forming in sorted(filled, key=lambda each: self._had_turn.get(each.endpoint.name, 0)):
            endpoint = forming.endpoint
            if endpoint.may_be_xml and forming.buckets:
                if left <= 0:
                    continue
                left -= sum(len(bucket.reports) for bucket in forming.buckets)
                self._had_turn[endpoint.name] = next(self._turns)
            formings.append(await encoded(forming))
        return formings

    def _leases(self, names: Iterable[str]) -> dict[str, Lease]:
        """A new lease for each of these endpoints."""
        now, speed = self._clock.now(), self._clock.speed
        lengths = {name: self._gates[name].endpoint.attempt_time + LEASE_MARGIN for name in names}
        return {
            name: Lease(self._new_token(), now + length * speed) for name, length in lengths.items()
        }

    # --- attempt: one push, and what came of it --------------------------------------------------

    async def attempt(self, dispatch: Leased) -> None:
        """Make one attempt and record it; none if the lease has run out. Raises StoreUnavailable
        when it cannot be recorded: the lease then runs out, and the attempt is repeated."""
        gate = self._gates[dispatch.endpoint]
        try:
            endpoint, answer = gate.endpoint, None
            if not dispatch.encoded:
                dispatch, answer = await self._encoded_late(dispatch, endpoint)
            started_at, stepped = self._clock.now(), self._stepped
            if started_at >= dispatch.lease.until:
                return  # the process stood still: it is another's by now, or will be
            if endpoint.holds_secrets and not endpoint.own_urls:
                # Another process may have moved it: secrets go to the URL that came with them.
                dispatch = structs.replace(dispatch, url=endpoint.url)
            if answer is None:
                answer = await self._answer(dispatch, endpoint, started_at)
            ended_at = self._clock.now()
            started_at += self._stepped - stepped
            record = self._judged(dispatch, endpoint, answer, started_at, ended_at)
            gate.judge(record.outcome.acknowledges, ended_at)
            if await self._recorded(record):
                self._tell(dispatch, record)
        finally:
            gate.end(dispatch.attempts_made)

    async def _answer(self, dispatch: Leased, endpoint: Endpoint, started_at: datetime) -> Answer:
        """What comes of a push. What nobody has foreseen is its failure, and no one else's."""
        try:
            return await self._sender.send(dispatch, endpoint)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            failed: BaseException = error  # nobody has cancelled us: it came out of a library
        except Exception as error:  # noqa: BLE001 - told, and recorded as a failed attempt
            failed = error
        passed = (self._clock.now() - started_at) / self._clock.speed
        _tell_unforeseen(f"a push to {endpoint.name} failed", failed)
        return Answer(passed / timedelta(milliseconds=1), failure=Outcome.FAILED, error=_of(failed))

    async def _encoded_late(
        self, dispatch: Leased, endpoint: Endpoint
    ) -> tuple[Leased, Answer | None]:
        """The dispatch with the bytes that it had none of: what was in the way may be over by now.
        Otherwise that is the answer, and nothing is pushed."""
        found = await self._queue.dispatch(dispatch.name)
        reports = await self._outbox.reports_by_id(found[0].report_ids if found else ())
        to = Target(dispatch.url, dispatch.content_type, dispatch.authorization)
        try:
            body = encode(Bucket(reports, shape_of(reports[0], endpoint)[0], to))
        except Exception as error:  # noqa: BLE001 - told, and recorded as a failed attempt
            _tell_unforeseen(f"reports for {endpoint.name} cannot be encoded", error)
            return dispatch, Answer(0.0, failure=Outcome.FAILED, error=_of(error))
        await self._queue.keep_body(dispatch, body)
        return structs.replace(dispatch, body=body, encoded=True), None

    def _judged(
        self,
        dispatch: Leased,
        endpoint: Endpoint,
        answer: Answer,
        started_at: datetime,
        ended_at: datetime,
    ) -> Record:
        """As `_judge`. An answer that cannot be judged is a failure."""
        try:
            return self._judge(dispatch, endpoint, answer, started_at, ended_at)
        except Exception as error:  # noqa: BLE001 - told, and recorded as a failed attempt
            _tell_unforeseen(f"an answer of {endpoint.name} cannot be evaluated", error)
            plain = structs.replace(
                answer, failure=Outcome.FAILED, error=_of(error), retry_after=None
            )
            return self._judge(dispatch, endpoint, plain, started_at, ended_at)

    async def _recorded(self, record: Record) -> bool:
        """Whether it was recorded. What an answer says may be what no database takes; what it means
        is recorded all the same."""
        try:
            return await self._records.submit((record, self._stepped))
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - told, and recorded without the answer
            _tell_unforeseen("the answer of an endpoint cannot be recorded", error)
            told = record.answer
            plain = Answer(told.duration_ms, told.status, told.failure, _of(error))
            return await self._records.submit(
                (structs.replace(record, answer=plain), self._stepped)
            )

    async def _record(self, records: Sequence[tuple[Record, timedelta]]) -> Sequence[bool]:
        """Each record comes with what the steps of the clock were when it was judged."""
        return await self._write_records(
            [
                record if stepped == self._stepped else _moved(record, self._stepped - stepped)
                for record, stepped in records
            ]
        )

    def _judge(
        self,
        dispatch: Leased,
        endpoint: Endpoint,
        answer: Answer,
        started_at: datetime,
        ended_at: datetime,
    ) -> Record:
        """What the answer means, and what becomes of the dispatch."""
        schedule = self._schedule if endpoint.schedule is None else endpoint.schedule
        rules = schedule.rules if endpoint.outcome is None else endpoint.outcome
        outcome = judge(answer, rules)
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
        return Record(
            dispatch=dispatch.id,
            token=dispatch.lease.token,
            number=number,
            started_at=started_at,
            answer=answer,
            outcome=outcome,
            state=following.state,
            due_at=following.due_at,
        )

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

    async def give_back(self, dispatches: Sequence[Leased], *, broken_off: bool = False) -> None:
        """Release leases that were not used, or whose attempts were broken off."""
        if dispatches:
            at = self._clock.now() if broken_off else None
            await self._queue.release(dispatches, broken_off=at)

    # --- for whom it works, and what it waits for ------------------------------------------------

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

    def clock_stepped(self, by: timedelta) -> None:
        """The clock has gone so far in one step. All that waits here waits as long as before; what
        lies in the queue is moved by whoever moved the clock."""
        self._stepped += by
        self._taken_at = {name: at + by for name, at in self._taken_at.items()}
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

    async def next_at(self) -> datetime | None:
        """The next instant at which there may be something to do, if nothing new happens before.

        Endpoints without room are left out unless they open by themselves: the end of an attempt,
        or whoever resumes them, wakes for them.
        """
        now = self._clock.now()
        open_now = [name for name, place in self._places(now).items() if place.retries]
        instants = [self._gates[name].opens_at(now) for name in self._names]
        instants += (until for until in self._aside_until.values() if until > now)
        if open_now:
            instants.append(await self._queue.next_due(open_now))
        return min((at for at in instants if at is not None), default=None)

    async def longest_untaken(self) -> Untaken | None:
        """Of what is due and could be taken now, what could have been for the longest.

        A backlog that is worked off waits, but not untaken: each look takes some of it.
        """
        now = self._clock.now()
        ready = [name for name, place in self._places(now).items() if place.retries]
        due = await self._queue.first_due(ready)
        waits = [(now - max(at, self._taken_at[name]), name) for name, at in due.items()]
        waited, name = max(waits, default=(timedelta(), ""))
        return Untaken(name, waited) if waited > timedelta() else None


def _tell_unforeseen(what: str, error: BaseException) -> None:
    """In one line, and without the error's text, which may hold a secret. The rest at `debug`."""
    frames = extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    log.error("%s; this is a defect of dlr: %s%s", what, type(error).__name__, where)
    log.debug("%s", what, exc_info=error)


def _of(error: BaseException) -> str:
    return f"unforeseen: {type(error).__name__}"


def _moved(record: Record, by: timedelta) -> Record:
    due_at = record.due_at and record.due_at + by
    return structs.replace(record, started_at=record.started_at + by, due_at=due_at)


def _one_less(places: Room) -> Room:
    return Room(retries=places.retries - 1, all=places.all - 1)

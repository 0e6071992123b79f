"""The loop around the worker: wake-ups, slots, orderly stop.

The loop sleeps until something wakes it: a commit of new reports in this process, the end of an
attempt, or an APScheduler job: the next due time, or a look for what another process has committed.
A third job tells the time to other processes. There is never a job for each report or dispatch.
While nothing happens a look is one round trip to the database, and there are no others. Where other
dispatchers work on it too, a look brings along what they tell, and once a second this one tells
them what it does (sharing.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from msgspec.structs import replace

from dispatcher.clocks.clock import Clock, SystemClock
from dispatcher.clocks.common_time import CommonTime
from dispatcher.clocks.repeating import Repeating
from dispatcher.clocks.wakeups import Job, Wakeups
from dispatcher.endpoints.endpoint import EndpointsInForce
from dispatcher.flow.gate import Flows
from dispatcher.queue.base import DispatchQueue, Leased, News
from dispatcher.sharing import Sharing
from dispatcher.worker import Worker
from receiver.callbacks.events import Sparing
from receiver.store.base import StoreUnavailable

log = logging.getLogger("dlr.dispatcher")

LOOK_EVERY = timedelta(milliseconds=200)
"""How often to look for what another process (`dlr receive`) has committed, and for leases that ran
out. So a report of another process waits 0.1 s on average for its first push, and 0.2 s at most;
one of this process wakes the loop and waits for no look. An idle process has no other round trips
to the database: five a second.

PostgreSQL could wake it by LISTEN and NOTIFY. That would gain the 0.1 s, and takes a connection of
each dispatcher, a transaction of the receiver's for each group of callbacks with a lock that all
databases of the server share, and a second way for poolers that know no LISTEN. A look costs the
server 0.05 ms, so that a hundred idle dispatchers take 3 % of one of its cores."""

TELL_TIME_EVERY = timedelta(seconds=1)
"""How often a clock that has moved off is told to the other processes."""

PLANS_END_AFTER = timedelta(seconds=15)
"""For how long after a step of the clock there may be work that was planned by the old time, in the
world's time. The longest is a commit that waits 10 s for another process."""

AFTER_STORE_FAILURE = timedelta(seconds=1)
"""How long to leave the store alone after it could not be used."""

SHORTEST_SLEEP = timedelta(milliseconds=20)
"""What is due may have to wait for room in its window: without this the loop would look for it
4,000 times a second."""

SHORTEST_WAIT = timedelta(milliseconds=1)
"""The shortest wait for an endpoint that is left to other dispatchers: timers are not finer."""

SHORT_AGAIN = timedelta(seconds=60)
"""How long there must have been enough places for pushes before a shortage is logged again."""

STUCK_AFTER = timedelta(seconds=60)
"""The process is not ready if the loop has stood still for this long, or if a dispatch that could
be taken has been due for this long, in the world's time. Up to 10 s are normal, because a commit
waits that long for another process, and a few times as much on a slow disk."""


class EndpointSource(EndpointsInForce, Protocol):
    """Tells when they have changed."""

    async def version(self) -> int:
        """A number that is another after each change."""


class Alarms(Protocol):
    """What wakes the runner by the clock; in service `Wakeups`."""

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    def every(self, interval: timedelta, job: Job) -> None: ...

    def after(self, sleep: timedelta, job: Job) -> None:
        """Run `job` once; a time that it was given before is forgotten."""


class Runner:
    """Keeps a worker at work until it is stopped. `start`, then `stop`."""

    def __init__(
        self,
        worker: Worker,
        queue: DispatchQueue,
        clock: Clock,
        endpoints: EndpointSource | None = None,
        common_time: CommonTime | None = None,
        wakeups: Alarms | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        """`sharing` None: no other dispatcher works on the database."""
        self._worker = worker
        self._sharing = sharing
        self._queue = queue
        self._clock = clock
        self._endpoints = endpoints
        self._version: int | None = None
        self._common_time = common_time
        self._seen: object = None  # the version of the database that was looked at last
        self._tell: list[Callable[[News], None]] = []
        self.ended = 0
        """How many attempts have ended."""
        self._wakeups = Wakeups() if wakeups is None else wakeups
        self._loop = Repeating(
            self._turn,
            log=log,
            waits="the dispatcher waits until the database can be used",
            fails="the dispatcher's loop failed and is started again",
            again_after=AFTER_STORE_FAILURE.total_seconds(),
        )
        self._failures = Sparing(most=1)  # of each kind, in a minute: it is tried again soon
        self._quiet = asyncio.Event()  # a turn has found nothing to do, and nothing is under way
        self._running: dict[asyncio.Task[None], Leased] = {}
        self._alarm_at: datetime | None = None
        self._due_at: datetime | None = None  # what the loop waits for
        self._turning = False  # a turn has begun, and none has come through since
        self._turned_at = clock.now()
        self._unmoved = timedelta()  # a step that what lies in the store has not made yet
        self._stepped: tuple[timedelta, datetime] | None = None  # the last one, and its instant
        if common_time is not None and isinstance(clock, SystemClock):
            clock.steps_by_itself = False
        self._short_until: datetime | None = None

    async def start(self) -> None:
        await self._queue.adopt(list(self._worker.endpoints.values()))
        await self._refresh()
        if self._sharing is not None:
            try:
                await self._sharing.join()
            except StoreUnavailable as error:  # such as a full disk: the looks try again
                log.error("nothing is pushed before the database can be written: %s", error)
        self._wakeups.every(LOOK_EVERY, self._look)
        self._wakeups.every(TELL_TIME_EVERY, self._tell_time)
        self._wakeups.start()
        self._turned_at = self._clock.now()
        self._loop.start()

    async def stop(self, limit: timedelta) -> None:
        """Take on nothing more, let running attempts end within `limit`, give back the rest."""
        await self._loop.stop()
        self._worker.records.go_on()
        self._quiet.set()  # whoever waits for it waits in vain
        if self._sharing is not None:
            self._sharing.retire()
        if self._running:  # meanwhile the others hear that it lives
            await asyncio.wait(self._running, timeout=limit.total_seconds())
        await self._wakeups.stop()
        broken_off = dict(self._running)
        for task in broken_off:
            task.cancel()
        await asyncio.gather(*broken_off, return_exceptions=True)
        try:
            await self._worker.give_back(list(broken_off.values()), broken_off=True)
        except StoreUnavailable as error:
            # These leases will run out: nothing is lost, but it takes longer.
            log.error(
                "leases could not be given back; their attempts are made when the leases end: %s",
                error,
            )
        if self._sharing is not None:
            await self._sharing.leave()

    # --- the loop --------------------------------------------------------------------------------

    def wake(self) -> None:
        """There may be something to do."""
        self._loop.wake()

    def on_change(self, tell: Callable[[News], None]) -> None:
        """Call `tell` after a look that found something committed, or after the clock was moved.
        Whoever commits in this process knows at once and needs no call."""
        self._tell.append(tell)

    async def _turn(self) -> float | None:
        """Take on what there is to do. Returns in how many seconds to look again: 0 when there may
        be more, None when somebody wakes for it."""
        self._worker.records.hold()
        again = None
        try:
            again = await self._look_for_work()
        finally:
            if again != 0:
                self._worker.records.go_on()
        return again

    async def _look_for_work(self) -> float | None:
        """As `_turn`."""
        self._turning, at = True, self._clock.now()
        leased = await self._worker.claim()
        self._tell_of_shortage()
        if not leased and not self._worker.left_to_others:
            await self._set_alarm(at)
        self._turning = False
        self._turned_at = self._clock.now()
        for dispatch in leased:
            self._begin(dispatch)
        if leased or self._worker.more_to_read:
            # Whoever was recorded along with these makes room first.
            await asyncio.sleep(0)
            return 0
        if not self._running and not self._loop.woken:
            self._quiet.set()
        if left := self._worker.left_to_others:
            sleep = (min(left.values()) - self._clock.now()) / self._clock.speed
            return max(sleep, SHORTEST_WAIT).total_seconds()
        return None

    def _tell_of_shortage(self) -> None:
        """Log it once, and again only after it has been over for SHORT_AGAIN."""
        total = self._worker.total
        if total is None or not total.short:
            return
        now = self._clock.now()
        if self._short_until is None or now >= self._short_until:
            text = "pushes run short: %d may be under way at once (open files), and endpoints wait"
            log.warning(text, total.most)
        self._short_until = now + SHORT_AGAIN * self._clock.speed

    def _begin(self, dispatch: Leased) -> None:
        task = asyncio.create_task(self._worker.attempt(dispatch))
        self._running[task] = dispatch
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        dispatch = self._running.pop(task)
        self.ended += 1
        if not task.cancelled() and (error := task.exception()) is not None:
            # If it is not recorded, the lease will run out and the attempt be repeated.
            log.error(
                "dispatch %s: its attempt may not be recorded, and is made again then: %s",
                dispatch.name,
                error,
            )
        if dispatch.endpoint not in self._worker.left_to_others:  # there it looks by itself
            self.wake()

    async def _set_alarm(self, looked_at: datetime) -> None:
        """Have the loop woken at the next due time or earlier: an alarm that comes before it stays,
        because it looks for the next one. The clock may run faster than the world."""
        due, before = await self._worker.next_at(after_claim=True), self._due_at
        self._due_at = due
        in_vain = due is not None and due == before and due <= looked_at
        if due is not None and due <= self._clock.now():
            await self._rescue()  # due, and nothing was claimed: it may be the end of a lease
        if due is None or (self._alarm_at is not None and self._alarm_at <= due):
            return
        self._alarm_at = due
        sleep = (due - self._clock.now()) / self._clock.speed
        # A look in vain: what it waits for gives no sign.
        shortest = LOOK_EVERY if in_vain else SHORTEST_SLEEP
        self._wakeups.after(max(sleep, shortest), self._alarm)

    async def _alarm(self) -> None:
        self._alarm_at = None
        self.wake()

    # --- beside it: commits of others, endpoints that change, leases that ran out ----------------

    async def _look(self) -> None:
        self._worker.records.let_go()
        try:
            at = self._clock.now()
            news = await self._queue.news(at)
            if self._sharing is not None and await self._sharing.look(news.notices, at):
                self.wake()
            if news.expired:
                await self._rescue()
            if news.version != self._seen:
                await self._refresh(news.endpoints)
                self._seen = news.version
                self.wake()
                for tell in self._tell:
                    tell(news)
        except StoreUnavailable as error:
            if self._failures.admit("look") is not None:
                log.error("the dispatcher cannot use the database and tries again: %s", error)
            return
        now = self._clock.now()
        if self._due_at is not None and self._due_at <= now:
            self.wake()  # its alarm is late: a clock that follows the wall clock may run faster
        elif not self._turning and not self._loop.woken:
            self._turned_at = now  # it has nothing to do

    async def _refresh(self, seen: int | None = None) -> None:
        """Notice endpoints that any process has added, changed, paused or removed. `seen`: their
        version, if it is known."""
        if self._endpoints is None or (seen is not None and seen == self._version):
            return
        version = await self._endpoints.version()
        if version != self._version:
            endpoints = await self._endpoints.endpoints()
            await self._queue.adopt(endpoints)
            self._worker.use(endpoints)
            if self._sharing is not None:
                self._sharing.serve()
            self._version = version

    async def _rescue(self) -> None:
        if released := await self._queue.release_expired(self._clock.now()):
            log.warning("%d leases ran out; their attempts may be made again", released)
            self.wake()

    async def _tell_time(self) -> None:
        if self._common_time is None:
            return
        try:
            await self._follow(self._common_time)
        except StoreUnavailable as error:
            if self._failures.admit("time") is not None:
                text = "the time could not be shared with other processes and is tried again: %s"
                log.error(text, error)

    async def _follow(self, common_time: CommonTime) -> None:
        """Tell the time, and step with a wall clock that is off by days and believed by now. All
        that waits, in memory and in the store, waits as long as it would have."""
        by = self._clock.due_step() if isinstance(self._clock, SystemClock) else None
        if by is not None:
            self._clock_stepped(by)
        if self._unmoved:
            # Asked for at once: whatever is written by the new time comes after it.
            await common_time.step(self._unmoved)
            self._stepped = self._unmoved, self._clock.now()
            self._unmoved = timedelta()
            self.wake()
        elif self._stepped and self._clock.now() >= self._stepped[1] + PLANS_END_AFTER:
            await common_time.step(self._stepped[0], again=True)
            self._stepped = None
            self.wake()
        await common_time.tell()

    def _clock_stepped(self, by: timedelta) -> None:
        assert isinstance(self._clock, SystemClock)
        log.warning(
            "the machine's clock was set by %s; due times and leases were moved with it", by
        )
        self._clock.step(by)
        self._unmoved += by
        self._worker.clock_stepped(by)
        if self._sharing is not None:
            self._sharing.clock_stepped(by)
        self._turned_at += by
        self._short_until = self._short_until and self._short_until + by
        self._alarm_at = self._seen = None

    # --- what others ask -------------------------------------------------------------------------

    async def settle(self) -> None:
        """Return when nothing is under way, and nothing can be taken at this instant, by the
        endpoints as they are now. Raises StoreUnavailable when the process stops before."""
        await self._refresh()
        self._quiet.clear()
        self.wake()
        await self._quiet.wait()
        if self._loop.stopping:
            raise StoreUnavailable("the process is stopping")

    async def next_at(self) -> datetime | None:
        """When there may be something to do next, if nothing new happens before."""
        return await self._worker.next_at()

    def clock_moved(self) -> None:
        """The clock was moved forward: what was thought to be far off may be due."""
        self._alarm_at = None
        self._seen = None  # the next look tells the others
        self.wake()

    def flows(self) -> Flows:
        """How much each endpoint is given now."""
        flows = self._worker.flows()
        return flows if self._sharing is None else replace(flows, dispatchers=self._sharing.count)

    @property
    def alive(self) -> bool:
        """Whether the loop runs. It ends only by `stop`; anything else is a defect to be seen."""
        return self._loop.alive

    async def trouble(self) -> str | None:
        """Why nobody should rely on this runner; None when all is well."""
        if not self.alive:
            return "the dispatcher's loop has ended"
        limit = STUCK_AFTER * self._clock.speed
        still = self._clock.now() - self._turned_at
        if still > limit:
            return f"the dispatcher's loop has stood still for {self._in_the_world(still)}"
        untaken = await self._worker.longest_untaken()
        if untaken is not None and untaken.waited > limit:
            waited = self._in_the_world(untaken.waited)
            return f"a dispatch to {untaken.endpoint} has been due for {waited} and is not taken"
        return None

    def _in_the_world(self, time: timedelta) -> str:
        return f"{time.total_seconds() / self._clock.speed:.0f} s"

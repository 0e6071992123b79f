"""The exact engine: the worker of production on a virtual clock, with a scripted endpoint.

Store, queue, worker and schedule are those of `dlr serve`, on a database in memory. What is here
is only the loop around them, which moves the clock to the next instant at which something happens:
an arrival, the end of an attempt, or what the worker waits for. At one instant the order is: what
ends, what arrives, what is claimed. Nothing depends on the machine, so that a scenario and its seed
give the same timeline everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from random import Random

import uvloop

from dispatcher.clocks.clock import VirtualClock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.observe.events import AttemptMade
from dispatcher.queue.base import Leased
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.retrying.outcome import Answer
from dispatcher.runner import LOOK_EVERY
from dispatcher.simulation.arrivals import Arrivals
from dispatcher.simulation.database_in_place import DatabaseInPlace
from dispatcher.simulation.endpoint_model import EndpointModel
from dispatcher.simulation.foresight import Foresight
from dispatcher.simulation.recorded import recorded
from dispatcher.simulation.scenario import START, Scenario, ends_at_latest
from dispatcher.simulation.timeline import Timeline, Watch
from dispatcher.simulation.virtual_time import Sleepers
from dispatcher.worker import Worker
from receiver.store.callback import Callback
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.sqlite.store import SqliteStore

WATCHED_EVERY = 256
"""Instants between two calls of the watch: some ten milliseconds."""

RESCUE_EVERY = timedelta(seconds=1)
"""How often to look for leases that ran out."""


class SimulatedSender:
    """Implements Sender: an attempt takes virtual time, and several are under way at once."""

    def __init__(self, model: EndpointModel, clock: VirtualClock, sleepers: Sleepers) -> None:
        self._model = model
        self._clock = clock
        self._sleepers = sleepers

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:  # noqa: ARG002
        now = self._clock.now()
        reaction = self._model.meet(now - START)
        if reaction.takes:
            await self._sleepers.sleep_until(now + reaction.takes)
        return reaction.answer


class ExactRun:
    """One run of a scenario: `run`, then `timeline`. `make` opens its database."""

    def __init__(
        self,
        scenario: Scenario,
        arrivals: Arrivals,
        database: DatabaseInPlace,
        queue: SqliteQueue,
    ) -> None:
        self._scenario = scenario
        self._arrivals = arrivals
        self._coming: Iterator[Callback] = arrivals.callbacks()
        self._next = next(self._coming, None)
        self._expected = max(1, arrivals.expected())
        self._arrived = self._ended = 0  # reports
        self._ends_at = START + ends_at_latest(scenario, arrivals.duration)
        self._database = database
        self._store = SqliteStore(database)
        self._queue = queue
        self._sleepers = Sleepers()
        self._running: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None
        self._partial = False
        self._rescued_at = START
        self._ended_at = START  # the last that has happened
        self.foresight = Foresight(scenario.customer)
        self.clock = VirtualClock(START)
        self.worker = self._worker()

    @classmethod
    async def make(cls, scenario: Scenario, arrivals: Arrivals) -> ExactRun:
        database = DatabaseInPlace()
        await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
        queue = await SqliteQueue.open(database, lambda: "simulated", lambda: "simulated")
        await queue.adopt([scenario.customer])
        return cls(scenario, arrivals, database, queue)

    def _worker(self) -> Worker:
        scenario, tokens = self._scenario, count()
        customer = scenario.customer
        model = EndpointModel(scenario.phase, customer, Random(f"{scenario.seed} endpoint"))
        return Worker(
            outbox=self._store,
            queue=self._queue,
            sender=SimulatedSender(model, self.clock, self._sleepers),
            clock=self.clock,
            endpoints=[customer],
            schedule=scenario.retry_schedule,
            new_token=lambda: str(next(tokens)),
            listeners=[self._count],
            rng=Random(f"{scenario.seed} jitter"),
        )

    async def run(self, watch: Watch = lambda _: True) -> None:
        """Until nothing waits any more, or the watch breaks it off."""
        for step in count(1):
            await self._work()
            at = await self._next_at()
            if at is None:
                break
            if at > self._ends_at:
                # It may have been the end of a lease that is over meanwhile.
                self.foresight.looked(await self._queue.next_due())
                if await self._next_at() is not None:
                    self._ended_at = self._ends_at
                break
            if step % WATCHED_EVERY == 0 and not watch(self._share()):
                self._partial, self._ended_at = True, self.clock.now()
                break
            self.clock.advance_to(at)
            self._sleepers.wake(at)
            await self._settle()
            await self._arrive(at)
            await self._rescue(at)
        for task in self._running:  # what has no end by now is not recorded
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def timeline(self) -> Timeline:
        """What the database tells of the run."""
        return await self._database.read(
            lambda connection: recorded(
                connection,
                self._scenario,
                duration=self._arrivals.duration,
                ended_at=self._ended_at,
                partial=self._partial,
            )
        )

    async def close(self) -> None:
        await self._database.close()

    async def _work(self) -> None:
        """Do all that can be done at this instant."""
        while not await self._idle():
            leased = await self.worker.claim()
            self.foresight.claimed(leased)
            for dispatch in leased:
                self._begin(dispatch)
            await self._settle()
            if not leased and not self.worker.more_to_read:
                return

    async def _idle(self) -> bool:
        if self.foresight.stale:
            self.foresight.looked(await self._queue.next_due())
        return self.foresight.idle(self.clock.now())

    async def _rescue(self, now: datetime) -> None:
        """As the runner's looks do, though not as often. A lease outlasts its attempt, so that this
        has nothing to do unless somebody has injected a fault."""
        if now >= self._rescued_at + RESCUE_EVERY:
            self.foresight.stale |= bool(await self._queue.release_expired(now))
            self._rescued_at = now

    def _begin(self, dispatch: Leased) -> None:
        task = asyncio.create_task(self.worker.attempt(dispatch))
        self._running.add(task)
        self._ended_at = self.clock.now()
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            self._failed = self._failed or task.exception()

    async def _settle(self) -> None:
        """Wait until every attempt is either recorded or asleep."""
        # They wait for nothing but their turn in the loop.
        while len(self._running) > len(self._sleepers):  # noqa: ASYNC110
            await asyncio.sleep(0)
        if self._failed is not None:
            raise self._failed  # a defect: nothing here is the network's fault

    async def _next_at(self) -> datetime | None:
        """When something happens next."""
        coming = None if self._next is None else self._next.received_at
        instants = [at for at in (self._sleepers.next_at(), coming) if at is not None]
        first = min(instants, default=None)
        if first is not None and self.foresight.idle(first):
            return first  # the worker does not wait for anything before
        at = await self._worker_at()
        return first if at is None else at if first is None else min(at, first)

    async def _worker_at(self) -> datetime | None:
        """What the worker waits for. It has done what it could at this instant; when it names one
        that has passed, it waits for something else: the next due time, or the next of the looks
        that the runner has it take anyway."""
        now = self.clock.now()
        if self.foresight.due_at is not None and self.foresight.due_at <= now:
            # It may have been the end of a lease that is over meanwhile.
            self.foresight.looked(await self._queue.next_due())
        due_at = self.foresight.due_at
        if self.foresight.idle(now):
            return due_at  # if there is no room then, it will be asked for what it waits
        at = await self.worker.next_at()
        if at is None or not (self.foresight.all_read or at <= now):
            return at
        if due_at is None:
            return None
        at = max(at, due_at)
        return at if at > now else now + LOOK_EVERY

    async def _arrive(self, now: datetime) -> None:
        arriving: list[Callback] = []
        while self._next is not None and self._next.received_at <= now:
            arriving.append(self._next)
            self._next = next(self._coming, None)
        if arriving:
            self._ended_at = now
            counts = await self._store.add(arriving)
            stored = sum(each.stored for each in counts)
            self._arrived += stored
            self.foresight.arrived(stored)

    def _count(self, event: AttemptMade) -> None:
        self.foresight.recorded(event.due_at)
        self._ended_at = self.clock.now()
        if event.due_at is None:
            self._ended += event.reports

    def _share(self) -> float:
        return min(1.0, (self._arrived + self._ended) / (2 * self._expected))


def simulate_exact(scenario: Scenario, watch: Watch = lambda _: True) -> Timeline:
    """The timeline of a scenario, exactly. It runs an event loop of its own.

    Raises ConfigurationError when the file of replayed reports cannot be read.
    """

    async def run() -> Timeline:
        simulation = await ExactRun.make(scenario, arrivals)
        try:
            await simulation.run(watch)
            return await simulation.timeline()
        finally:
            await simulation.close()

    arrivals = Arrivals(scenario)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())

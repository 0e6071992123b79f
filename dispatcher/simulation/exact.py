"""The exact engine: the worker of production on a virtual clock, with a scripted endpoint.

Store, queue, worker and schedule are those of `dlr serve`, on a database in memory. What is here
is only the loop around them, which moves the clock to the next instant at which something happens:
an arrival, the end of an attempt, or what the worker waits for. At one instant the order is: what
ends, what arrives, what is claimed. Nothing depends on the machine, so that a scenario and its seed
give the same timeline everywhere.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from random import Random

import uvloop

from dispatcher.clocks.clock import VirtualClock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.observe.events import AttemptMade
from dispatcher.queue.base import Leased
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.retrying.outcome import Answer
from dispatcher.runner import LOOK_EVERY
from dispatcher.simulation.arrivals import Arrivals
from dispatcher.simulation.arriving import Arriving
from dispatcher.simulation.database_in_place import DatabaseInPlace
from dispatcher.simulation.endpoint_model import EndpointModel
from dispatcher.simulation.foresight import ForeseeingQueue
from dispatcher.simulation.recorded import recorded
from dispatcher.simulation.scenario import START, Scenario, ends_at_latest
from dispatcher.simulation.timeline import Timeline, Watch
from dispatcher.simulation.unasked import drop_unasked
from dispatcher.simulation.virtual_time import Sleep, Sleepers
from dispatcher.worker import Worker
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.sqlite.store import SqliteStore

WATCHED_EVERY = 256
"""Instants between two calls of the watch: some ten milliseconds."""

RESCUE_EVERY = timedelta(seconds=1)
"""How often to look for leases that ran out."""


class SimulatedSender:
    """Implements Sender: an attempt takes virtual time, and several are under way at once."""

    def __init__(self, model: EndpointModel, clock: VirtualClock) -> None:
        self._model = model
        self._clock = clock

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:  # noqa: ARG002
        now = self._clock.now()
        reaction = self._model.meet(now - START)
        if reaction.takes:
            await Sleep(now + reaction.takes)
        return reaction.answer


class ExactRun:
    """One run of a scenario: `run`, then `timeline`. `make` opens its database."""

    def __init__(
        self,
        scenario: Scenario,
        arrivals: Arrivals,
        arriving: Arriving,
        database: DatabaseInPlace,
        queue: ForeseeingQueue,
    ) -> None:
        self._scenario = scenario
        self._arrivals = arrivals
        self._expected = max(1, arrivals.expected())
        self._arrived = self._ended = 0  # reports
        self._ends_at = START + ends_at_latest(scenario, arrivals.duration)
        self._database = database
        self._arriving = arriving
        self._queue = queue
        self._attempts = Sleepers()
        self._partial = False
        self._rescue_at = START + RESCUE_EVERY
        self._ended_at = START  # the last that has happened
        self.clock = VirtualClock(START)
        self.worker = self._worker()

    @classmethod
    async def make(cls, scenario: Scenario, arrivals: Arrivals) -> ExactRun:
        database = DatabaseInPlace()
        await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
        await database.write(lambda connection: drop_unasked(connection, scenario.customer))
        queue = await ForeseeingQueue.open(database, lambda: "simulated", lambda: "simulated")
        await queue.adopt([scenario.customer])
        arriving = await Arriving.begin(SqliteStore(database), arrivals.callbacks())
        return cls(scenario, arrivals, arriving, database, queue)

    def _worker(self) -> Worker:
        scenario, customer = self._scenario, self._scenario.customer
        model = EndpointModel(scenario.phase, customer, Random(f"{scenario.seed} endpoint"))
        return Worker(
            outbox=self._arriving,
            queue=self._queue,
            sender=SimulatedSender(model, self.clock),
            clock=self.clock,
            endpoints=[customer],
            schedule=scenario.retry_schedule,
            new_token=self._queue.new_token,
            listeners=[self._count],
            rng=Random(f"{scenario.seed} jitter"),
            grouped=False,  # the queue puts off what is to be stored
        )

    async def run(self, watch: Watch = lambda _: True) -> None:
        """Until nothing waits any more, or the watch breaks it off."""
        for step in count(1):
            if not self._queue.idle(self.clock.now()):
                await self._work()
            at = _earlier(self._attempts.next_at(), self._arriving.next_at())
            if at is None or not self._queue.idle(at):  # the worker may wait for something before
                at = _earlier(at, await self._worker_at())
            if at is None:
                break
            if at > self._ends_at:
                self._ended_at = self._ends_at
                break
            if step % WATCHED_EVERY == 0 and not watch(self._share()):
                self._partial, self._ended_at = True, self.clock.now()
                break
            self.clock.advance_to(at)
            self._attempts.wake(at)
            if self._arriving.comes_by(at):
                await self._arrive(at)
            if at >= self._rescue_at:
                await self._rescue(at)
        self._attempts.close()  # what has no end by now is not recorded

    async def timeline(self) -> Timeline:
        """What the database tells of the run."""
        await self._database.write(self._arriving.forget_the_rest)
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
        while not self._queue.idle(self.clock.now()):
            leased = await self.worker.claim()
            for dispatch in leased:
                self._ended_at = self.clock.now()
                self._attempts.run(self.worker.attempt(dispatch))
            if not leased and not self.worker.more_to_read:
                return

    async def _rescue(self, now: datetime) -> None:
        """Release expired leases, as the runner does, but less often. A lease outlasts its attempt,
        so there are none unless a fault was injected."""
        await self._queue.release_expired(now)
        self._rescue_at = now + RESCUE_EVERY

    async def _worker_at(self) -> datetime | None:
        """What the worker waits for. It has done what it could at this instant; when it names one
        that has passed, it waits for something else: the next due time, or the next of the looks
        that the runner has it take anyway."""
        now, due_at = self.clock.now(), await self._queue.next_due()
        if self._queue.idle(now):
            return due_at  # if there is no room then, it will be asked for what it waits
        at = await self.worker.next_at()
        if at is None or not (self._queue.all_read or at <= now):
            return at
        if due_at is None:
            return None
        at = max(at, due_at)
        return at if at > now else now + LOOK_EVERY

    async def _arrive(self, now: datetime) -> None:
        reports = await self._arriving.arrive(now)
        self._ended_at = now
        self._arrived += reports
        self._queue.arrived(reports)

    def _count(self, event: AttemptMade) -> None:
        self._ended_at = self.clock.now()
        if event.due_at is None:
            self._ended += event.reports

    def _share(self) -> float:
        return min(1.0, (self._arrived + self._ended) / (2 * self._expected))


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


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
    with _little_collecting(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


@contextmanager
def _little_collecting() -> Iterator[None]:
    """Have the garbage collector look less often: an attempt makes many objects and no cycles, and
    looking for these took up to a seventh of the whole."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)

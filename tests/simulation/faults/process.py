"""One dispatcher process: what `dlr serve` puts together, on virtual time and open to faults.

Runner, worker, group commit, gates, registry, feeder, clock and common time are those of
production. Replaced are what wakes the runner (APScheduler goes by the wall clock), the connection
of the database and the sender.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import ContextVar, copy_context
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from dispatcher.attempts import Attempts
from dispatcher.clocks.clock import SystemClock
from dispatcher.clocks.common_time import CommonTime
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.endpoints.registry import Registry
from dispatcher.queue.base import Leased
from dispatcher.queue.sqlite.common_time import SqliteTime
from dispatcher.queue.sqlite.endpoints import SqliteEndpoints
from dispatcher.queue.sqlite.outbox import SqliteOutbox
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.queue.sqlite.replay_selection import SqliteSelector
from dispatcher.queue.sqlite.replays import SqliteReplays
from dispatcher.replay.feeder import Feeder, Feeding
from dispatcher.replay.replaying import Replaying
from dispatcher.retrying.outcome import Answer
from dispatcher.runner import Runner
from dispatcher.sharing import Sharing
from dispatcher.worker import Worker
from receiver.store.base import Counts, StoreUnavailable
from receiver.store.callback import Callback
from receiver.store.sqlite.store import SqliteStore
from receiver.store.writer import GroupCommit
from tests.simulation.faults.customers import FAILED
from tests.simulation.faults.database import SteppedDatabase
from tests.simulation.faults.faults import Befalls, Unforeseen
from tests.simulation.faults.wakeups import Wakeups

if TYPE_CHECKING:
    from tests.simulation.faults.world import World

T = TypeVar("T")

OWNER: ContextVar[Process | None] = ContextVar("process", default=None)
"""The process that a task belongs to: what it starts belongs to it too, and dies with it."""

STOP_LIMIT = timedelta(seconds=1)
"""How long an orderly stop lets attempts go on."""


class ApartClock(SystemClock):
    """The clock of production, as far apart from the others' as lease margins allow for."""

    def __init__(
        self, skew: float, wall: Callable[[], datetime], elapsed: Callable[[], timedelta]
    ) -> None:
        super().__init__(wall=wall, elapsed=elapsed)
        self._skew = timedelta(seconds=skew)

    def now(self) -> datetime:
        return super().now() + self._skew


class WatchedWorker(Worker):
    """The worker of production, whose claims and attempts are looked at."""

    def __init__(self, process: Process, **given: Any) -> None:
        self._process = process
        super().__init__(**given)
        of_attempts = {k: v for k, v in given.items() if k not in ("endpoints", "new_token")}
        self._attempts = WatchedAttempts(process, records=self.records, **of_attempts)

    def use(self, endpoints: Iterable[Endpoint]) -> None:
        super().use(endpoints)
        self._process.world.claims.used(self._process, self)

    async def claim(self) -> list[Leased]:
        begun = self._process.world.claims.begin(self._process)
        try:
            leased = await super().claim()
        finally:
            self._process.world.claims.broken_off(begun)
        self._process.world.claims.end(begun, leased)
        return leased

    async def attempt(self, dispatch: Leased) -> None:
        try:
            await super().attempt(dispatch)
        finally:
            self._process.world.claims.attempted(self._process, dispatch)


class WatchedAttempts(Attempts):
    """The attempts of production, of which those that push nothing are looked at."""

    def __init__(self, process: Process, **given: Any) -> None:
        self._process = process
        super().__init__(**given)

    async def _encoded_late(
        self, dispatch: Leased, endpoint: Endpoint
    ) -> tuple[Leased, Answer | None]:
        encoded, failed = await super()._encoded_late(dispatch, endpoint)
        if failed is not None and self._process.clock.now() < dispatch.lease.until:
            self._process.world.pushes.not_encoded(self._process, dispatch, endpoint)
        return encoded, failed


class Process:
    """Lives from `begin` until it is `gone`: dead, or stopped in order."""

    def __init__(self, world: World, name: str, skew: float) -> None:
        self.world = world
        self.name = name
        self.clock = ApartClock(skew, world.wall, world.elapsed)
        self.skew = skew
        self.dead = False
        self.ready = False
        self.gone = asyncio.Event()
        self.troubled_until = -1.0
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self._frozen_until = 0.0
        self._troubles = 0
        self._tokens = count(1)
        self.wakeups = Wakeups()
        self.database = SteppedDatabase(world.connection, self)
        self.store = SqliteStore(self.database)
        self._ids = count(1)
        self.replays = SqliteReplays(self.database, self._new_id)
        self.registry = Registry(SqliteEndpoints(self.database), world.plan.endpoints)
        self.replaying = Replaying(
            self.replays,
            SqliteSelector(self.database, self.store),
            self.registry.all,
            self.clock.now,
        )
        self._commit = GroupCommit(self.store.add)

    def begin(self) -> None:
        self.spawn(self._start())

    async def receive(self, callback: Callback) -> Counts:
        """As the receiver: when this returns, the callback is answered 200."""
        counts = await self._commit.submit(callback)
        self.wake()
        return counts

    def wake(self) -> None:
        if self.ready:
            self.runner.wake()

    async def stop(self) -> None:
        """In order, as after SIGTERM."""
        befallen_until = self.troubled_until
        self.trouble("is asked to stop")
        troubles = self._troubles
        await self.feeding.stop()
        await self.runner.stop(STOP_LIMIT)
        if self._troubles == troubles:
            self.world.watch.stopped(self, befallen_until)
        self.die("has stopped")

    def _new_id(self) -> str:
        return f"{self.name}:{next(self._ids)}"

    async def _start(self) -> None:
        try:
            await self._put_together()
        except StoreUnavailable:
            self.die("could not start")

    async def _put_together(self) -> None:
        """As dispatcher/service.py does."""
        self.queue = await SqliteQueue.open(self.database, lambda: "db", self._new_id)
        time = CommonTime(SqliteTime(self.database), self.clock, self.world.boot)
        await time.join()
        endpoints = await self.registry.endpoints()
        self.worker = WatchedWorker(
            self,
            outbox=SqliteOutbox(self.database),
            queue=self.queue,
            sender=self,
            clock=self.clock,
            endpoints=endpoints,
            schedule=self.world.plan.schedule,
            new_token=lambda: f"{self.name}:{next(self._tokens)}",
            listeners=[self.world.watch.told],
            rng=Random(self.name),
        )
        sharing = Sharing(self.queue, self.worker, self.clock)
        self.runner = Runner(
            self.worker, self.queue, self.clock, self.registry, time, self.wakeups, sharing
        )
        await self.runner.start()
        feeder = Feeder(self.replays, self.registry, self.clock.now)
        runner = self.runner
        self.feeding = Feeding(feeder, self.clock, runner.wake, lambda: runner.ended)
        runner.on_change(lambda news: self.feeding.wake() if news.replays else None)
        self.feeding.start()
        self.ready = True

    def claim(self, name: str) -> bool:
        holder = self.world.locks.get(name)
        if holder is not None and not holder.dead:
            return False
        self.world.locks[name] = self
        return True

    # --- life and death -------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run as a part of this process."""
        context = copy_context()
        context.run(OWNER.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    def own(self, task: asyncio.Task[Any]) -> None:
        self.tasks[task] = None
        task.add_done_callback(self._disown)

    def _disown(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.world.raised(self, error)

    def trouble(self, what: str, seconds: float = 0.0) -> None:
        """Something befell: that explains a lease that runs out until then."""
        self.world.trace.add(self.name, f"! {what}" + (f" for {seconds:.3f} s" if seconds else ""))
        self.world.claims.happens()
        self._troubles += 1
        self.troubled_until = max(self.troubled_until, self.world.passed + seconds)

    def die(self, why: str) -> None:
        """All that is in memory is gone: no line of this process runs any more."""
        if self.dead:
            return
        self.trouble(why)
        self.dead, self.ready = True, False
        self.wakeups.end()
        for task in list(self.tasks):
            task.cancel()
        self.gone.set()

    # --- steps ----------------------------------------------------------------------------------

    async def step(self, name: str, act: Callable[[], Awaitable[T]], *, writes: bool) -> T:
        """A call of the database."""
        befalls = self.world.faults.next(of_store=True)
        await self._before(name, befalls)
        result = await act()
        self.world.trace.add(self.name, name)
        if writes:
            self.world.claims.happens()
            self.world.watch.written(self, name)
        await self._after(name, befalls)
        return result

    def flushed(self) -> None:
        self.world.disk.flushed()

    def unflushed(self) -> None:
        self.world.disk.unflushed()

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:
        """A push, as a Sender makes it."""
        sent = self.world.pushes.begin(self, dispatch, endpoint)
        befalls = self.world.faults.next(of_store=False)
        await self._before("connect", befalls)
        met = self.world.customers.meet(endpoint, self.world.passed)
        self.world.pushes.met(sent, met)
        await asyncio.sleep(met.seconds)
        await self._after("answer", befalls)
        try:
            self.world.faults.unforeseen("sending")
        except Unforeseen:
            self.world.pushes.heard(sent, FAILED)
            raise
        self.world.pushes.heard(sent, met.answer)
        return met.answer

    async def _before(self, name: str, befalls: Befalls) -> None:
        await self._wait(befalls.wait)
        if befalls.first:
            await self._befall(f"before {name}", befalls)

    async def _after(self, name: str, befalls: Befalls) -> None:
        if not befalls.first:
            await self._befall(f"after {name}", befalls)

    async def _befall(self, when: str, befalls: Befalls) -> None:
        match befalls.fault:
            case "crash":
                self.die(f"dies {when}")
                raise asyncio.CancelledError
            case "fails before" | "fails after":
                self.trouble(f"store fails {when}")
                raise StoreUnavailable(f"{befalls.fault}: {when}")
            case "slow":
                self.trouble(f"slow {when}", befalls.seconds)
                await self._wait(befalls.seconds)
            case "freeze":
                self.trouble(f"freezes {when}", befalls.seconds)
                self._frozen_until = self.world.passed + befalls.seconds
                await self._wait(0.0)

    async def _wait(self, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        if (frozen := self._frozen_until - self.world.passed) > 0:
            await asyncio.sleep(frozen)
        if self.dead:
            raise asyncio.CancelledError


def owned_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Have each task belong to the process in whose name it is started."""

    def new_task(loop: asyncio.AbstractEventLoop, work: Any, **given: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **given)
        context = given.get("context")
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is not None:
            owner.own(task)
        return task

    loop.set_task_factory(new_task)

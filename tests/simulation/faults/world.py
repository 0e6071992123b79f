"""One seed: processes on one database, faults for a while, then none, and all must come to rest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from unittest.mock import patch

from dispatcher import attempts, runner, worker
from dispatcher.forming import bucket
from dispatcher.queue.base import Bucket
from dispatcher.replay import feeder
from receiver.store.base import StoreUnavailable
from receiver.store.callback import Callback
from tests.simulation.faults.claims import Claims
from tests.simulation.faults.customers import Customers
from tests.simulation.faults.database import Disk, new_database
from tests.simulation.faults.faults import Faults
from tests.simulation.faults.ledger import Ledger, Lent
from tests.simulation.faults.operator import Operator
from tests.simulation.faults.plan import Act, Plan, plan_of
from tests.simulation.faults.platform import Platform
from tests.simulation.faults.process import Process, owned_tasks
from tests.simulation.faults.pushes import MARK, Pushes
from tests.simulation.faults.rest import Rest
from tests.simulation.faults.trace import SHOWN, Trace, Violation
from tests.simulation.faults.virtual_loop import VirtualLoop
from tests.simulation.faults.watch import Watch

START = datetime(2026, 3, 2, 12, tzinfo=UTC)

LOOK = 0.5
"""Seconds between two looks at whether an invariant was hurt, or all is at rest."""

REST_WITHIN = 400.0
"""Seconds after the last fault within which everything must have come to rest: a lease, the longest
wait, a clock that was set back, and a second in which many push at a low rate."""

STAYS_AT_REST = 6.0


class World:
    """All that there is for one seed."""

    def __init__(self, plan: Plan, keep: int | None = SHOWN) -> None:
        self.plan = plan
        self._loop = asyncio.get_running_loop()
        self.connection = new_database()
        self.disk = Disk(self.connection)
        self.trace = Trace(lambda: self.passed, keep)
        self.faults = Faults(self._rng("faults"), plan.rates, plan.unforeseen)
        self.customers = Customers(
            self._rng("customers"), moody=plan.moody, loses_answers=plan.loses_answers
        )
        self.ledger = Ledger(self.connection, plan)
        self.claims, self.pushes, self.watch = Claims(self), Pushes(self), Watch(self)
        self.platform = Platform(self, self._rng("platform"), self._rng("tenants"))
        self.operator = Operator(self, self._rng("operator"))
        self.processes: dict[int, Process] = {}
        self.locks: dict[str, Process] = {}
        self._starts = self._rng("starts")
        self._violation: str | None = None
        self._wall_ahead = timedelta()
        self._booted_at = 0.0
        self._boots = 1
        self._jumps: list[float] = []
        self._ending = False

    def _rng(self, of: str) -> Random:
        return Random(f"{of} {self.plan.seed}")

    # --- time -----------------------------------------------------------------------------------

    @property
    def passed(self) -> float:
        """Seconds that have really passed since the start."""
        return self._loop.time()

    @property
    def boot(self) -> str:
        return f"boot {self._boots}"

    @property
    def rebooted(self) -> bool:
        return self._boots > 1

    def wall(self) -> datetime:
        return START + timedelta(seconds=self.passed) + self._wall_ahead

    def elapsed(self) -> timedelta:
        return timedelta(seconds=self.passed - self._booted_at)

    def set_clock(self, by: timedelta) -> None:
        """Somebody sets the machine's wall clock."""
        self.trace.add("machine", f"! the wall clock is set by {by}")
        self._wall_ahead += by
        self.claims.happens()
        if abs(by) > timedelta(days=1):
            self._jumps.append(self.passed)

    def reboot(self, off: timedelta) -> None:
        """The power is cut, and the machine starts anew with a wall clock that is off."""
        self.trace.add("machine", f"! loses its power, then its clock is off by {off}")
        for process in list(self.processes.values()):
            process.die("the power is cut")
        if self.disk.cut_power():
            self.watch.undone()
        self._wall_ahead += off
        self._booted_at = self.passed
        self._boots += 1
        self._jumps.append(self.passed)

    def jumps_since(self, at: float) -> int:
        """How often the processes' clocks may have jumped since then."""
        return sum(jump >= at for jump in self._jumps)

    # --- what others ask ------------------------------------------------------------------------

    def holds(self, true: bool, what: str) -> None:
        """Note what does not hold. Not raised here: production code might swallow it."""
        if not true and self._violation is None:
            self._violation = what
            self.trace.add("VIOLATED", what)

    def raised(self, process: Process, error: BaseException) -> None:
        """A task of a process ended with this error."""
        # The second is what SQLite says to `a_refused_callback`.
        if not isinstance(error, StoreUnavailable | OverflowError):
            self.holds(False, f"{process.name}: {error!r}")

    def explained(self, lent: Lent) -> bool:
        """Whether something befell the process since it got this lease, or its clock."""
        return lent.process.troubled_until >= lent.at or self.jumps_since(lent.at) > 0

    def any_process(self, rng: Random) -> Process | None:
        ready = [process for process in self.processes.values() if process.ready]
        return rng.choice(ready) if ready else None

    def removed(self) -> set[str]:
        """Of the endpoints of the settings file."""
        rows = self.connection.execute("SELECT name FROM endpoint WHERE removed")
        return {name for (name,) in rows} & self.ledger.endpoints.keys()

    def mark_of(self, report: int) -> int:
        found = MARK.search(self.ledger.reports[report - 1].item)
        assert found is not None
        return int(found[1])

    def taken_in(self, callback: Callback) -> None:
        """It was answered 200: then its reports are on disk."""
        stored = {self.mark_of(report.id) for report in self.ledger.reports}
        for entry in callback.verdict.entries:
            found = MARK.search(entry.item)
            assert found is not None
            self.holds(int(found[1]) in stored, f"answered 200, and not stored: {entry.item!r}")

    # --- the run --------------------------------------------------------------------------------

    async def run(self) -> Trace:
        """Raises Violation."""
        owned_tasks(self._loop)
        with _as_here(self):
            keeping = [asyncio.create_task(self._keep(n)) for n in range(len(self.plan.skews))]
            callbacks = self.platform.start()
            operating = asyncio.create_task(self.operator.work())
            await self._go_on(self.plan.faults_for)
            await operating
            await self._heal()
            await self._stop(keeping)
            await asyncio.gather(*callbacks)
        self.disk.close()
        return self.trace

    async def _keep(self, number: int) -> None:
        """A supervisor: starts a process again and again."""
        lives = 0
        while not self._ending:
            lives += 1
            name = f"p{number}.{lives}"
            process = self.processes[number] = Process(self, name, self.plan.skews[number])
            self.trace.add(name, "starts")
            process.begin()
            await process.gone.wait()
            await asyncio.sleep(self._starts.choice((0.1, 2, 20)) * self._starts.random())

    async def _go_on(self, seconds: float) -> None:
        until = self.passed + seconds
        while self.passed < until:
            await asyncio.sleep(LOOK)
            self._check()

    async def _heal(self) -> None:
        self.trace.add("world", "the faults end")
        self.faults.heal()
        self.customers.heal()
        healing = asyncio.create_task(self.operator.heal())
        rest, begun = Rest(self), self.passed
        while (unrest := rest.unrest()) or not healing.done():
            self._check()
            if self.passed > begun + REST_WITHIN:
                self.holds(False, f"does not come to rest: {unrest}")
            await asyncio.sleep(LOOK)
        await healing
        rest.check()
        pushes = self.pushes.count
        await self._go_on(STAYS_AT_REST)
        self.holds(self.pushes.count == pushes, "pushes go on after all has come to rest")

    async def _stop(self, keeping: list[asyncio.Task[None]]) -> None:
        self._ending = True
        for process in list(self.processes.values()):
            if process.ready:
                await asyncio.wait([process.spawn(process.stop())])
        await asyncio.gather(*keeping)
        self._check()

    def _check(self) -> None:
        if self._violation is not None:
            shown = "\n".join(self.trace.lines)
            raise Violation(
                f"seed {self.plan.seed}: {self._violation}\n\n{shown}\n\n{self.plan}\n"
                f"the whole story: python -m tests.simulation.faults {self.plan.seed}\n"
                f"as a test: DLR_DST_SEED={self.plan.seed} pytest tests/simulation/faults"
            )


class _Defects(logging.Handler):
    """What production code logs with a traceback is a defect of ours."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._world.holds(False, f"{record.getMessage()}: {record.exc_info[1]!r}")


def _may_fail(world: World) -> Callable[[Bucket], bytes]:
    """Encoding, which may raise what nobody has foreseen."""
    encode = bucket.encode

    def may_fail(given: Bucket) -> bytes:
        world.faults.unforeseen("encoding")
        return encode(given)

    return may_fail


@contextmanager
def _as_here(world: World) -> Iterator[None]:
    """Rarer looks where nothing hangs on them, shorter leases, and a log that is listened to."""
    log, defects = logging.getLogger("dlr.dispatcher"), _Defects(world)
    with ExitStack() as stack:
        for module, name, value in (
            (runner, "LOOK_EVERY", timedelta(seconds=world.plan.look_every)),
            (runner, "SHORTEST_SLEEP", timedelta(seconds=0.05)),
            (runner, "TELL_TIME_EVERY", timedelta(seconds=1.5)),
            (feeder, "LOOK_SECONDS", world.plan.feeds_every),
            (worker, "LEASE_MARGIN", timedelta(seconds=3)),
        ):
            stack.enter_context(patch.object(module, name, value))
        for module in (bucket, attempts):
            stack.enter_context(patch.object(module, "encode", _may_fail(world)))
        stack.enter_context(patch.object(log, "propagate", False))
        log.addHandler(defects)
        stack.callback(log.removeHandler, defects)
        yield


def violations(seeds: Iterable[int], acts: tuple[Act, ...] = ()) -> Iterator[Violation]:
    """What goes wrong with these seeds, at most one violation each."""
    for seed in seeds:
        try:
            play(seed, acts=acts)
        except Violation as violation:
            yield violation


def play(seed: int, keep: int | None = SHOWN, acts: tuple[Act, ...] = ()) -> Trace:
    """All that happens with this seed. Raises Violation."""

    async def run() -> Trace:
        return await World(plan_of(seed, acts), keep).run()

    with asyncio.Runner(loop_factory=VirtualLoop) as loop:
        return loop.run(run())

"""Two dispatchers on one endpoint form for it in turns.

Both see the same new reports, and while one commits its dispatches the endpoint is locked. The
other one read and encoded the same reports in vain, again and again until that commit was done: of
five looks four were lost, and a push cost twice the CPU. Here a commit takes four milliseconds of a
clock that is moved by hand, and what is lost is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count

import pytest

from dispatcher.clocks.clock import VirtualClock
from dispatcher.flow.share import Limits, share_of
from dispatcher.queue.base import Forming, Lease, Leased
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.simulation.database_in_place import DatabaseInPlace
from dispatcher.storage import MIGRATIONS, new_id, of_sqlite
from dispatcher.worker import Worker
from receiver.store.base import ReportItem
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import START, Bench, an_endpoint

ACME = an_endpoint(window=16, bucket_size=1)
MILLISECOND = timedelta(milliseconds=1)
COMMIT = 4 * MILLISECOND
REPORTS = 200


class Time:
    """Moves the clock on when all who live by it wait. The database answers at once."""

    def __init__(self, clock: VirtualClock, alive: int) -> None:
        self._clock = clock
        self.alive = alive
        self._waiting: list[tuple[datetime, int, asyncio.Event]] = []
        self._order = count()

    async def pass_by(self, time: timedelta) -> None:
        event = asyncio.Event()
        heappush(self._waiting, (self._clock.now() + time, next(self._order), event))
        self.go_on()
        await event.wait()

    def go_on(self) -> None:
        if self._waiting and len(self._waiting) == self.alive:
            at, _, event = heappop(self._waiting)
            self._clock.advance_to(at)
            event.set()


class Slow(SqliteQueue):
    """A queue whose commits take a while, as on PostgreSQL: meanwhile others see the database as it
    was, and find the endpoint locked."""

    time: Time
    is_locked = False
    formed = lost = 0

    async def form(
        self, now: datetime, leases: Mapping[str, Lease], formings: Sequence[Forming]
    ) -> list[Leased]:
        if self.is_locked:
            leased = []
        else:
            self.is_locked = True
            await self.time.pass_by(COMMIT)
            leased = await super().form(now, leases, formings)
            self.is_locked = False
        if leased:
            self.formed += 1
        else:
            self.lost += 1
        return leased


async def dispatch(worker: Worker, queue: Slow) -> None:
    """Look, and look again when pushes end: two in each millisecond, one millisecond at least
    after they began. Until all is pushed."""
    under_way: list[Leased] = []
    while under_way or (await queue.pending(START)).unread or queue.is_locked:
        taken = await worker.claim()
        await queue.time.pass_by(MILLISECOND)
        under_way += taken
        for ended in under_way[:2]:
            await worker.attempt(ended)
        del under_way[:2]
    queue.time.alive -= 1
    queue.time.go_on()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    database = DatabaseInPlace()
    await database.migrate(MIGRATIONS)
    queue = await Slow.open(database, lambda: "db", new_id)
    await queue.adopt([ACME])
    yield Bench(of_sqlite(database, queue), VirtualClock(START))
    await database.close()


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_dispatchers_take_turns(
    bench: Bench, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, few looks are lost and few reports are read for nothing."""
    queue, read, reports_after = bench.queue, 0, bench.outbox.reports_after
    assert isinstance(queue, Slow)
    queue.time = Time(bench.clock, number)

    async def counted(report_id: int, limit: int) -> Sequence[ReportItem]:
        nonlocal read
        reports = await reports_after(report_id, limit)
        read += len(reports)
        return reports

    monkeypatch.setattr(bench.outbox, "reports_after", counted)
    await bench.receive(*(an_sms(f"m{n}") for n in range(REPORTS)))
    limits = {str(n): {"acme": Limits(ACME.window)} for n in range(number)}
    workers = [bench.another_worker(ACME) for _ in limits]
    for name, worker in zip(limits, workers, strict=True):
        if number > 1:
            await worker.use_shares({"acme": share_of("acme", name, limits)})

    async with asyncio.timeout(10):
        await asyncio.gather(*(dispatch(worker, queue) for worker in workers))

    assert await bench.states() == ["acknowledged"] * REPORTS
    assert queue.lost <= queue.formed / 10
    assert read <= REPORTS * 1.1

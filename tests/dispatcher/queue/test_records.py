"""Attempts that end while dispatches are being formed are recorded in the same transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast

import pytest

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import DispatchQueue, Forming, Lease, Leased, Record
from dispatcher.queue.records import Records
from dispatcher.retrying.outcome import Answer, Outcome
from dispatcher.runner import Runner
from receiver.store.base import ReportItem, StoreUnavailable
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import START, a_bench, an_endpoint

FORMING = cast(Sequence[Forming], ["a forming"])
MINUTE = timedelta(minutes=1)


class Noting:
    """A queue that notes what it is told to write, and fails as it is told to."""

    takes_records_along = True

    def __init__(self) -> None:
        self.written: list[tuple[int, list[int]]] = []  # how many formings, and the records
        self.due: list[datetime | None] = []
        self.fails: Exception | None = None
        self.late = {99}

    async def form(self, _: object, __: object, formings: Sequence[Forming]) -> list[Leased]:
        self.written.append((len(formings), []))
        return []

    async def record(self, records: Sequence[Record]) -> list[bool]:
        self.written.append((0, [each.dispatch for each in records]))
        self.due += [each.due_at for each in records]
        return [each.dispatch not in self.late for each in records]

    async def form_and_record(
        self, _: object, __: object, formings: Sequence[Forming], records: Sequence[Record]
    ) -> tuple[list[Leased], list[bool]]:
        if self.fails is not None:
            raise self.fails
        self.written.append((len(formings), [each.dispatch for each in records]))
        self.due += [each.due_at for each in records]
        return [], [each.dispatch not in self.late for each in records]


@pytest.fixture
def queue() -> Noting:
    return Noting()


@pytest.fixture
def records(queue: Noting) -> Records:
    return Records(cast(DispatchQueue, queue))


def a_record(dispatch: int) -> Record:
    answer = Answer(1.0, status=503)
    return Record(dispatch, "t", 1, START, answer, Outcome.FAILED, "waiting", START + MINUTE)


async def submitted(records: Records, *dispatches: int) -> list[asyncio.Task[bool]]:
    tasks = [asyncio.create_task(records.submit(a_record(each))) for each in dispatches]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_during_a_look_goes_along(queue: Noting, records: Records) -> None:
    records.hold()
    ended = await submitted(records, 1, 99)
    assert queue.written == []
    await records.form(START, {}, FORMING)
    assert queue.written == [(1, [1, 99])]
    assert await asyncio.gather(*ended) == [True, False]

    again = await submitted(records, 2)  # during the transaction: it goes with the next
    await records.form(START, {}, FORMING)
    assert await asyncio.gather(*again) == [True]
    assert queue.written[1:] == [(1, [2])]


async def test_nothing_waits_when_nothing_is_formed(queue: Noting, records: Records) -> None:
    """Records that have waited for a look which forms nothing are written after it, and those that
    come when there is none are written at once."""
    records.hold()
    ended = await submitted(records, 1, 2)
    records.go_on()
    assert await asyncio.gather(*ended) == [True, True]
    assert await records.submit(a_record(3))
    await records.form(START, {}, FORMING)
    assert queue.written == [(0, [1, 2]), (0, [3]), (1, [])]


async def test_who_is_at_fault_fails_alone(queue: Noting, records: Records) -> None:
    """If both together cannot be written, each is tried by itself."""
    queue.fails = OverflowError()
    records.hold()
    ended = await submitted(records, 1)
    await records.form(START, {}, FORMING)
    assert await asyncio.gather(*ended) == [True]
    assert sorted(queue.written) == [(0, [1]), (1, [])]


async def test_a_full_disk_may_have_room_for_the_records(queue: Noting, records: Records) -> None:
    """The customer has acknowledged: what is not recorded is pushed again."""
    queue.fails = StoreUnavailable("disk full")
    records.hold()
    (ended,) = await submitted(records, 1)
    with pytest.raises(StoreUnavailable):
        await records.form(START, {}, FORMING)
    assert await ended
    assert queue.written == [(0, [1])]


async def test_a_look_that_takes_long_is_not_waited_for(queue: Noting, records: Records) -> None:
    """Otherwise its lease may run out, and it is pushed again."""
    records.hold()
    (ended,) = await submitted(records, 1)
    records.let_go()
    assert await ended

    later = await submitted(records, 2)  # the look goes on
    await records.form(START, {}, FORMING)
    assert await asyncio.gather(*later) == [True]
    assert queue.written == [(0, [1]), (1, [2])]


async def test_a_step_of_the_clock_while_they_wait(queue: Noting, records: Records) -> None:
    """What waits to be recorded is planned by the new time, as if it had ended after the step."""
    records.hold()
    ended = await submitted(records, 1)
    records.stepped += timedelta(days=3)
    await records.form(START, {}, FORMING)
    await asyncio.gather(*ended)
    assert queue.due == [START + timedelta(days=3) + MINUTE]


class Halting:
    """Answers each other push at once, and the rest when somebody says so."""

    def __init__(self) -> None:
        self.pushes = 0
        self.go = asyncio.Event()

    async def send(self, _: Leased, __: Endpoint) -> Answer:
        self.pushes += 1
        if self.pushes % 2 == 0:
            await self.go.wait()
        return Answer(5.0, status=200)


async def test_under_load_one_transaction_does_both() -> None:
    """A look forms what takes the place of two pushes. Two more end while it reads the reports, and
    are recorded in its transaction."""
    acme = an_endpoint(window=4, bucket_size=1)
    async with a_bench(acme) as bench:
        await bench.receive(*(an_sms(f"m{n}") for n in range(40)))
        sender, along = Halting(), []
        both, reports_after = bench.queue.form_and_record, bench.outbox.reports_after

        async def read(report_id: int, limit: int) -> Sequence[ReportItem]:
            found = await reports_after(report_id, limit)
            if sender.pushes >= 4:
                sender.go.set()
                for _ in range(9):  # they end
                    await asyncio.sleep(0)
            return found

        async def counted(
            now: datetime,
            leases: Mapping[str, Lease],
            formings: Sequence[Forming],
            records: Sequence[Record],
        ) -> tuple[list[Leased], list[bool]]:
            along.append(len(records))
            return await both(now, leases, formings, records)

        bench.outbox.reports_after = read  # type: ignore[method-assign]
        bench.queue.form_and_record = counted  # type: ignore[method-assign]
        runner = Runner(bench.another_worker(acme, sender=sender), bench.queue, bench.clock)
        await runner.start()
        await runner.settle()
        await runner.stop(MINUTE)

        assert along[0] == 2
        assert await bench.states() == ["acknowledged"] * 40
        assert sender.pushes == 40

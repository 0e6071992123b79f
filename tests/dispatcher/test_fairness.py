"""One dead endpoint among a hundred costs the others nothing: what holds, on a clock that stands.

How long it takes on real sockets is measured in tests/benchmarks/fairness.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming import bucket
from dispatcher.forming.former import XML_AHEAD
from dispatcher.queue.base import Bucket, Leased
from dispatcher.retrying.outcome import Answer, Outcome
from receiver.store.base import ReportItem
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import MINUTE, Bench, a_bench, an_endpoint, since_start

DEAD = "dead"
HEALTHY = [f"e{number}" for number in range(99)]
SECOND = timedelta(seconds=1)


def a_hundred(**dead: object) -> list[Endpoint]:
    return [*(an_endpoint(name, bucket_size=10) for name in HEALTHY), an_endpoint(DEAD, **dead)]


async def an_afternoon(bench: Bench) -> dict[str, list[timedelta]]:
    """Reports come every ten minutes for six hours; when each healthy endpoint was pushed to."""
    for number in range(36):
        for _ in range(1 + number % 3):
            await bench.receive()
        await bench.run_until_idle(number * 10 * MINUTE)
        bench.clock.advance_to(bench.clock.now() + 10 * MINUTE)
    return {name: bench.timeline(name) for name in HEALTHY}


@pytest.mark.parametrize("reaction", [503, Outcome.TIMED_OUT, Outcome.UNREACHABLE])
async def test_the_others_are_pushed_to_at_the_same_instants(reaction: int | Outcome) -> None:
    """Every push to the 99 healthy ones comes when it would with a healthy hundredth."""
    timelines = []
    for of_the_hundredth in (200, reaction):
        async with a_bench(*a_hundred()) as bench:
            bench.sender.always(of_the_hundredth, endpoint=DEAD)
            timelines.append(await an_afternoon(bench))

    assert timelines[0] == timelines[1]
    assert sum(map(len, timelines[0].values())) == 99 * 36


class Stalling:
    """Implements Sender: the dead endpoint never answers, the others at once."""

    def __init__(self) -> None:
        self.pushes: Counter[str] = Counter()

    async def send(self, _: Leased, endpoint: Endpoint) -> Answer:
        self.pushes[endpoint.name] += 1
        if endpoint.name == DEAD:
            await asyncio.Event().wait()
        return Answer(5.0, status=200)


class Desk:
    """A bench whose hundredth endpoint stalls, with all windows filled as far as they go."""

    def __init__(self, bench: Bench, endpoints: Sequence[Endpoint]) -> None:
        self.sender = Stalling()
        self.bench = bench
        self.worker = bench.another_worker(*endpoints, sender=self.sender)
        self.read: list[tuple[int, int]] = []  # from which report, and how many
        self._stalled: set[asyncio.Task[None]] = set()
        reports_after = bench.outbox.reports_after

        async def counted(report_id: int, limit: int) -> Sequence[ReportItem]:
            found = await reports_after(report_id, limit)
            self.read.append((report_id, len(found)))
            return found

        bench.outbox.reports_after = counted  # type: ignore[method-assign]

    async def look(self) -> Counter[str]:
        """Claim once, and have all attempts made that end. Returns the dispatches by endpoint."""
        leased = await self.worker.claim()
        stalls = [each for each in leased if each.endpoint == DEAD]
        self._stalled |= {asyncio.create_task(self.worker.attempt(each)) for each in stalls}
        await asyncio.gather(
            *(self.worker.attempt(each) for each in leased if each.endpoint != DEAD)
        )
        return Counter(each.endpoint for each in leased)

    async def end(self) -> None:
        for task in self._stalled:
            task.cancel()
        await asyncio.gather(*self._stalled, return_exceptions=True)


@asynccontextmanager
async def a_desk(**dead: object) -> AsyncIterator[Desk]:
    endpoints = a_hundred(**dead)
    async with a_bench(*endpoints) as bench:
        desk = Desk(bench, endpoints)
        try:
            yield desk
        finally:
            await desk.end()


async def test_a_full_window_holds_up_nobody() -> None:
    """Though the dead one's window is full and its reports pile up, each new report goes to all
    others at the first look; and what piles up is not read again and again."""
    async with a_desk(window=3) as desk:
        for _ in range(3):
            await desk.bench.receive()
            await desk.look()
        for _ in range(20):
            await desk.bench.receive()
            desk.read.clear()
            assert await desk.look() == Counter(HEALTHY)
            assert [count for _, count in desk.read] == [1]

        assert desk.sender.pushes[DEAD] == 3


async def test_one_far_behind_is_read_apart() -> None:
    """When the dead one has room again, it reads what it can send; the others read what is new."""
    async with a_desk(window=1, bucket_size=10) as desk:
        for _ in range(50):
            await desk.bench.receive()
            await desk.look()
        desk.worker.use(a_hundred(window=2, bucket_size=10))
        await desk.bench.receive()
        desk.read.clear()

        assert await desk.look() == Counter([*HEALTHY, DEAD])
        assert sorted(desk.read) == [(1, 10), (50, 1)]


async def test_a_backlog_of_retries_takes_its_window_and_no_more() -> None:
    """Of 200 retries that are due at once one look takes three quarters of the window, and every
    other endpoint gets its report in the same look."""
    async with a_bench(*a_hundred(window=20, bucket_size=1)) as bench:
        bench.sender.answers(*[*[503] * 10, 200] * 20, endpoint=DEAD)
        for _ in range(220):
            await bench.receive()
            await bench.work()
        bench.clock.advance(since_start("01:00"))
        await bench.receive()

        leased = Counter(each.endpoint for each in await bench.worker.claim())

        assert leased.pop(DEAD) == 15 + 1  # and its fresh report has a place that is kept for it
        assert leased == Counter(HEALTHY)


async def test_one_that_refuses_at_once_is_given_a_window_a_second() -> None:
    """Where connections are refused a thousand retries are always due, and each fails before the
    next is looked for: in a minute no more than sixty windows are tried."""
    async with a_bench(*a_hundred(window=5, bucket_size=1)) as bench:
        bench.sender.always(Outcome.UNREACHABLE, endpoint=DEAD)
        await bench.receive(*(an_sms(f"m{number}") for number in range(1_000)))
        await bench.run_until_idle(2 * MINUTE)
        spent = len(bench.timeline(DEAD))

        await bench.run_until_idle(3 * MINUTE)

        assert len(bench.timeline(DEAD)) - spent == 60 * 5


async def test_a_look_costs_the_same_however_much_waits() -> None:
    """The statements of a look with nothing to do do not grow with the dead one's backlog."""
    async with a_bench(*a_hundred(bucket_size=1)) as bench:
        bench.sender.always(503, endpoint=DEAD)
        statements: list[str] = []
        await bench.database.read(lambda c: c.set_trace_callback(statements.append))
        counted = []
        for _ in range(3):
            for _ in range(20):
                await bench.receive()
                await bench.work()
            statements.clear()
            assert await bench.worker.claim() == []
            await bench.next_due()
            counted.append(len(statements))

        assert counted[0] == counted[1] == counted[2]
        assert counted[0] < 20


async def test_no_look_makes_too_much_xml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints that take XML and have fallen far behind take turns; one that takes JSON is served
    at every look, and waits for no more XML than is made for one look."""
    made: list[int] = []
    encode = bucket.encode

    def counted(made_now: Bucket) -> bytes:
        if made_now.target.content_type == "application/xml":
            made.append(len(made_now.reports))
        return encode(made_now)

    monkeypatch.setattr(bucket, "encode", counted)
    xml = [an_endpoint(f"x{n}", content_type="application/xml") for n in range(3)]
    async with a_bench(*xml, an_endpoint("json")) as bench:
        await bench.receive(*(an_sms(f"m{number}") for number in range(2 * XML_AHEAD)))
        looks = []
        while leased := await bench.worker.claim():
            looks.append(Counter(each.endpoint for each in leased))
            assert sum(made) <= XML_AHEAD
            made.clear()
            await asyncio.gather(*(bench.worker.attempt(each) for each in leased))

    buckets = XML_AHEAD // 100
    assert looks[0] == Counter(x0=buckets, json=2 * buckets)
    assert looks[1:] == [Counter({name: buckets}) for name in ("x1", "x2", "x0", "x1", "x2")]
    assert bench.sender.pushes[-1].reports == 100


async def test_a_little_xml_is_made_for_all() -> None:
    """While they keep up, every endpoint that takes XML gets a new report at the first look."""
    xml = [an_endpoint(f"x{n}", content_type="application/xml") for n in range(20)]
    async with a_bench(*xml) as bench:
        await bench.receive()

        assert len(await bench.worker.claim()) == 20


async def test_a_bucket_of_too_much_xml_is_made_all_the_same() -> None:
    """An endpoint with buckets of 2,000 gets whole ones, one a look."""
    size = 2 * XML_AHEAD
    endpoint = an_endpoint(content_type="application/xml", bucket_size=size)
    async with a_bench(endpoint) as bench:
        await bench.receive(*(an_sms(f"m{number}") for number in range(2 * size)))

        (first,) = await bench.worker.claim()
        (second,) = await bench.worker.claim()

        assert first.reports == second.reports == size

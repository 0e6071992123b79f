"""Readiness is proof: a retry loop that is dead, stuck or blind cannot look green."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from dispatcher.clocks.clock import CompressedClock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import Leased, News, Pending
from dispatcher.runner import STUCK_AFTER, Runner
from dispatcher.service import Parts, service
from receiver.store.base import StoreUnavailable
from tests.contracts.report_store import an_sms
from tests.dispatcher.observe.test_metrics import settings
from tests.dispatcher.support import MINUTE, START, Bench, a_bench, an_endpoint

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
LIMIT = 10.0  # seconds after which a test has failed


@pytest.fixture(autouse=True)
def nothing_but_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner looks only when it is woken."""
    monkeypatch.setattr("dispatcher.runner.LOOK_EVERY", HOUR)
    monkeypatch.setattr("dispatcher.runner.TELL_TIME_EVERY", HOUR)


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Runner]:
    runner = Runner(bench.worker, bench.queue, bench.clock)
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop(timedelta(seconds=LIMIT))


async def one_fails(bench: Bench, endpoint: str = "acme") -> None:
    """A dispatch waits for its retry, which is due in a minute."""
    bench.sender.answers(503, endpoint=endpoint)
    await bench.receive()
    await bench.work()


async def test_a_hanging_claim_is_seen() -> None:
    """When a claim hangs, the loop has not turned for a minute, and that is said."""
    async with a_bench() as bench:
        begun, let_go = asyncio.Event(), asyncio.Event()
        pending = bench.queue.pending

        async def hangs(now: Any) -> Pending:
            begun.set()
            await let_go.wait()
            return await pending(now)

        bench.queue.pending = hangs  # type: ignore[method-assign]
        async with running(bench) as runner:
            await asyncio.wait_for(begun.wait(), LIMIT)
            bench.clock.advance(STUCK_AFTER)
            assert await runner.trouble() is None
            bench.clock.advance(SECOND)
            assert await runner.trouble() == "the dispatcher's loop has stood still for 61 s"
            let_go.set()


async def test_an_idle_loop_is_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that has nothing to do does not turn: as long as it looks, all is well. When it cannot
    look either, that is said."""
    monkeypatch.setattr("dispatcher.runner.LOOK_EVERY", timedelta(milliseconds=5))
    async with a_bench() as bench:
        news, looked = bench.queue.news, asyncio.Semaphore(0)

        async def told(now: Any) -> News:
            looked.release()
            return await news(now)

        bench.queue.news = told  # type: ignore[method-assign]
        async with running(bench) as runner:
            await runner.settle()
            bench.clock.advance(HOUR)
            for _ in range(3):
                await looked.acquire()
            assert await runner.trouble() is None

            async def unavailable(_: Any) -> News:
                looked.release()
                raise StoreUnavailable("disk gone")

            bench.queue.news = unavailable  # type: ignore[assignment, method-assign]
            bench.clock.advance(HOUR)
            for _ in range(3):
                await looked.acquire()
            assert "stood still" in (await runner.trouble() or "")


async def test_a_dead_loop_is_seen() -> None:
    """A loop that has ended, by whatever defect, is said at once."""
    async with a_bench() as bench, running(bench) as runner:
        assert await runner.trouble() is None
        dying = asyncio.Event()

        async def ends_the_loop(_: Any) -> Pending:
            dying.set()
            raise asyncio.CancelledError

        bench.queue.pending = ends_the_loop  # type: ignore[method-assign, assignment]
        runner.wake()
        await asyncio.wait_for(dying.wait(), LIMIT)
        await asyncio.sleep(0)

        assert await runner.trouble() == "the dispatcher's loop has ended"


async def test_a_loop_that_turns_and_takes_nothing_is_seen() -> None:
    """The loop may turn as it likes: what is due and not taken for a minute is said."""
    async with a_bench() as bench:
        await one_fails(bench)

        async def nothing(*_: object) -> list[Leased]:
            return []

        bench.queue.claim_due = nothing  # type: ignore[assignment]
        runner = Runner(bench.worker, bench.queue, bench.clock)
        await runner.start()
        try:
            bench.clock.advance(2 * MINUTE)  # a minute after it was due
            await runner.settle()
            assert await runner.trouble() is None
            bench.clock.advance(SECOND)
            assert await bench.worker.claim() == []
            assert await runner.trouble() == (
                "a dispatch to acme has been due for 61 s and is not taken"
            )
        finally:
            await runner.stop(timedelta(0))


async def longest_after(bench: Bench, time: timedelta) -> timedelta | None:
    """What is untaken when nobody has looked for so long, after the worker has looked once."""
    for dispatch in await bench.worker.claim():
        await bench.worker.give_back([dispatch])
    bench.clock.advance(time)
    found = await bench.worker.longest_untaken()
    return None if found is None else found.waited


async def test_what_waits_for_its_time_is_in_order() -> None:
    """A dispatch whose retry is not due yet has waited for nothing."""
    async with a_bench() as bench:
        await one_fails(bench)
        assert await longest_after(bench, MINUTE) is None
        assert await longest_after(bench, HOUR) == HOUR


@pytest.mark.parametrize("changes", [{"paused": True}, {"rate_limit": 0.001}])
async def test_what_may_not_go_is_in_order(changes: dict[str, Any]) -> None:
    """A dispatch is not untaken while its endpoint is paused, or its rate is used up."""
    async with a_bench(an_endpoint(**changes)) as bench:
        bench.worker.use([an_endpoint()])
        await one_fails(bench)
        bench.clock.advance(HOUR)
        bench.worker.use([an_endpoint(**changes)])
        await bench.receive()
        await bench.worker.give_back(await bench.worker.claim())  # what the rate lets through
        bench.clock.advance(MINUTE)
        assert await bench.worker.longest_untaken() is None

        assert await longest_after(bench, 10 * MINUTE) is None
        bench.worker.use([an_endpoint()])
        assert await longest_after(bench, 10 * SECOND) == 10 * SECOND


async def test_behind_an_open_breaker_is_in_order() -> None:
    """While the breaker keeps an endpoint's backlog back, that is no fault of the loop."""
    endpoint = an_endpoint(breaker_failures=1, breaker_probe=HOUR)
    async with a_bench(endpoint) as bench:
        await one_fails(bench)
        bench.clock.advance(10 * MINUTE)
        assert await bench.worker.longest_untaken() is None

        bench.clock.advance(HOUR)
        assert await bench.worker.longest_untaken() is not None


async def test_a_full_window_is_in_order() -> None:
    """A backlog that is being worked off has waited for long, but is not untaken."""
    async with a_bench(an_endpoint(window=2, bucket_size=1)) as bench:
        bench.sender.always(503)
        for _ in range(10):
            await bench.receive()
            await bench.work()
        bench.clock.advance(HOUR)
        leased = await bench.worker.claim()
        assert await bench.worker.longest_untaken() is None  # no room

        await asyncio.gather(*(bench.worker.attempt(each) for each in leased))
        bench.clock.advance(SECOND)
        found = await bench.worker.longest_untaken()

        assert found is not None
        assert found.waited == SECOND  # due for an hour, but the worker took some a second ago


async def test_after_a_start_the_backlog_is_no_reproach() -> None:
    """What fell due while no dispatcher ran counts from the start."""
    async with a_bench() as bench:
        await one_fails(bench)
        bench.clock.advance(48 * HOUR)
        late = bench.another_worker(an_endpoint())
        assert await late.longest_untaken() is None

        bench.clock.advance(2 * MINUTE)
        found = await late.longest_untaken()
        assert found is not None
        assert (found.endpoint, found.waited) == ("acme", 2 * MINUTE)


async def test_the_longest_is_said() -> None:
    """Of several endpoints the one that has waited longest is named."""
    async with a_bench(an_endpoint("acme"), an_endpoint("beta")) as bench:
        await one_fails(bench, "beta")
        bench.clock.advance(30 * SECOND)
        await one_fails(bench, "acme")
        bench.clock.advance(2 * MINUTE)

        found = await bench.worker.longest_untaken()

        assert found is not None
        assert (found.endpoint, found.waited) == ("beta", 90 * SECOND)


async def test_the_limit_is_the_worlds() -> None:
    """On a clock sixty times as fast, an hour of it is the minute."""

    class Fast(CompressedClock):
        at = START

        def now(self) -> Any:
            return self.at

    async with a_bench() as bench:
        clock = Fast(60.0)
        worker = bench.another_worker(an_endpoint(), clock=clock)
        runner = Runner(worker, bench.queue, clock)
        await runner.start()
        clock.at += 59 * MINUTE
        assert await runner.trouble() is None
        clock.at += 2 * MINUTE
        assert await runner.trouble() == "the dispatcher's loop has stood still for 61 s"
        await runner.stop(timedelta(0))


async def ready(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as response:
        return response.status, await response.text()


async def test_readyz_says_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """/readyz is 503 and names the fault; a process that only receives does not ask."""

    async def stuck(_: Runner) -> str:
        return "the dispatcher's loop has stood still for 61 s"

    monkeypatch.setattr(Runner, "trouble", stuck)
    async with service(settings(tmp_path)) as both:
        status, text = await ready(both.url)
        assert status == 503
        assert "stood still for 61 s" in text
    async with service(settings(tmp_path), parts=Parts(dispatches=False)) as receiving:
        assert (await ready(receiving.url))[0] == 200


async def test_a_hundred_endpoints_are_asked_in_one_query() -> None:
    """Asking costs one read of the database, however many endpoints there are."""
    endpoints: list[Endpoint] = [an_endpoint(f"e{number}") for number in range(100)]
    async with a_bench(*endpoints) as bench:
        await bench.receive(an_sms("m"))
        bench.sender.always(503, endpoint="e7")
        await bench.work()
        bench.clock.advance(HOUR)
        reads = 0
        read = bench.database.read

        async def counted(work: Any) -> Any:
            nonlocal reads
            reads += 1
            return await read(work)

        bench.database.read = counted  # type: ignore[method-assign]
        found = await bench.worker.longest_untaken()

        assert found is not None
        assert found.endpoint == "e7"
        assert reads == 1

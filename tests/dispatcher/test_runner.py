"""The loop around the worker. Every test waits for a named event; nothing waits for time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from dispatcher.clocks.clock import Clock, CompressedClock
from dispatcher.clocks.wakeups import Job
from dispatcher.commands.scripted_endpoint import Script, ScriptedEndpoint
from dispatcher.endpoints.endpoint import Rules
from dispatcher.flow.alternation import FIRST
from dispatcher.observe.events import AttemptMade
from dispatcher.pushing.http_sender import HttpSender
from dispatcher.queue.base import Forming, Lease, Leased, News, Pending
from dispatcher.retrying.outcome import Outcome
from dispatcher.runner import SHORTEST_SLEEP, Runner
from dispatcher.sharing import Sharing
from dispatcher.worker import Worker
from receiver.store.base import StoreUnavailable
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import START, YEAR, Bench, a_bench, an_endpoint

HOUR = timedelta(hours=1)
SOON = timedelta(milliseconds=5)
LIMIT = 10.0  # seconds after which a test has failed


@pytest.fixture(autouse=True)
def nothing_but_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner looks and rescues by itself only in the tests that are about it."""
    monkeypatch.setattr("dispatcher.runner.LOOK_EVERY", HOUR)
    monkeypatch.setattr("dispatcher.runner.TELL_TIME_EVERY", HOUR)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as made:
        yield made


@asynccontextmanager
async def running(
    bench: Bench, worker: Worker | None = None, clock: Clock | None = None
) -> AsyncIterator[Runner]:
    runner = Runner(worker or bench.worker, bench.queue, clock or bench.clock)
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop(timedelta(seconds=LIMIT))


class ByHand:
    """Implements Alarms: notes what is set, and nothing rings by itself."""

    def __init__(self) -> None:
        self.set: list[timedelta] = []
        self._job: Job | None = None

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    def every(self, interval: timedelta, job: Job) -> None: ...

    def after(self, sleep: timedelta, job: Job) -> None:
        self.set.append(sleep)
        self._job = job

    async def ring(self) -> None:
        assert self._job is not None
        await self._job()


class Heard:
    """A listener that can be waited for."""

    def __init__(self, bench: Bench, wanted: Callable[[AttemptMade], bool]) -> None:
        self._event = asyncio.Event()
        self._wanted = wanted
        bench.listeners.append(self._hear)

    def _hear(self, event: AttemptMade) -> None:
        if self._wanted(event):
            self._event.set()

    async def wait(self) -> None:
        await asyncio.wait_for(self._event.wait(), LIMIT)


def acknowledged(event: AttemptMade) -> bool:
    return event.outcome is Outcome.ACKNOWLEDGED


async def test_begins_with_what_waits(bench: Bench) -> None:
    """What was stored before the start is sent at once."""
    heard = Heard(bench, acknowledged)
    await bench.receive()

    async with running(bench) as runner:
        await heard.wait()
        assert runner.alive

    assert await bench.states() == ["acknowledged"]
    assert not runner.alive


async def test_wakes_when_told(bench: Bench) -> None:
    """`wake` after a commit is all it takes for a report to be sent."""
    heard = Heard(bench, acknowledged)
    async with running(bench) as runner:
        await bench.receive()
        runner.wake()
        await heard.wait()


async def test_looks_for_what_others_commit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports that another process has stored are found without being told of."""
    monkeypatch.setattr("dispatcher.runner.LOOK_EVERY", SOON)
    heard = Heard(bench, acknowledged)
    async with running(bench):
        await bench.receive()
        await heard.wait()


async def test_one_that_cannot_tell_the_others_pushes_nothing_yet(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It starts with a full disk, as it always did. When there is room again it joins the other
    dispatchers, and pushes what waits."""
    put_up, full, looks = bench.queue.put_up, True, asyncio.Semaphore(0)

    async def told(notice: bytes) -> str:
        looks.release()
        if full:
            raise StoreUnavailable("database or disk is full")
        return await put_up(notice)

    monkeypatch.setattr(bench.queue, "put_up", told)
    monkeypatch.setattr("dispatcher.runner.LOOK_EVERY", SOON)
    heard = Heard(bench, acknowledged)
    await bench.receive()
    sharing = Sharing(bench.queue, bench.worker, bench.clock)
    runner = Runner(bench.worker, bench.queue, bench.clock, sharing=sharing)
    await runner.start()
    bench.clock.advance(timedelta(seconds=1))
    for _ in range(3):
        await looks.acquire()
    assert bench.sender.pushes == []

    full = False
    await heard.wait()
    await runner.stop(timedelta(seconds=LIMIT))
    assert "nothing is pushed before the database can be written" in caplog.text
    assert (await bench.queue.news(bench.clock.now())).notices == {}


async def test_an_idle_look_asks_one_thing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing has changed a look asks whether anything has, and wakes nobody."""
    news, looks = bench.queue.news, asyncio.Semaphore(0)
    changes: list[bool] = []

    async def told(now: Any) -> News:
        looks.release()
        return await news(now)

    monkeypatch.setattr(bench.queue, "news", told)
    monkeypatch.setattr("dispatcher.runner.LOOK_EVERY", SOON)
    claim, claims = bench.worker.claim, 0

    async def counted() -> Any:
        nonlocal claims
        claims += 1
        return await claim()

    monkeypatch.setattr(bench.worker, "claim", counted)
    runner = Runner(bench.worker, bench.queue, bench.clock)
    runner.on_change(lambda _: changes.append(True))
    await runner.start()
    try:
        for _ in range(10):
            await looks.acquire()
        before = claims, len(changes)
        for _ in range(10):
            await looks.acquire()
        assert (claims, len(changes)) == before

        await bench.receive()  # as another process would
        for _ in range(2):
            await looks.acquire()
        assert len(changes) > before[1]
    finally:
        await runner.stop(timedelta(seconds=LIMIT))


async def test_an_open_breaker_does_not_spin() -> None:
    """While an open breaker would let a probe through and nothing is due, the loop waits for what
    is. It looked 47 times a second, because the instant of the probe had passed."""
    alarms = ByHand()
    async with a_bench(
        an_endpoint(breaker_failures=1, breaker_probe=timedelta(seconds=5))
    ) as bench:
        bench.sender.answers(503)
        await bench.receive()
        await bench.work()
        bench.clock.advance(timedelta(seconds=10))
        runner = Runner(bench.worker, bench.queue, bench.clock, wakeups=alarms)
        await runner.start()
        await runner.settle()
        await runner.stop(timedelta(seconds=LIMIT))

    assert alarms.set == [timedelta(seconds=50)]


async def test_what_is_looked_for_in_vain_waits_for_the_next_look(bench: Bench) -> None:
    """Whatever it is that is due and cannot be taken, it costs no more than the looks do."""
    alarms = ByHand()

    async def next_at(**_: bool) -> datetime:
        return START

    bench.worker.next_at = next_at  # type: ignore[method-assign]
    runner = Runner(bench.worker, bench.queue, bench.clock, wakeups=alarms)
    await runner.start()
    await runner.settle()
    await alarms.ring()
    await runner.settle()
    await runner.stop(timedelta(seconds=LIMIT))

    assert alarms.set == [SHORTEST_SLEEP, HOUR]  # LOOK_EVERY is an hour here


async def test_an_alarm_that_is_late_is_noticed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that follows a wall clock which was set runs faster than the alarm counts: what is
    due is taken at the next look."""
    bench.sender.answers(503)
    await bench.receive()
    await bench.work()
    heard = Heard(bench, acknowledged)
    monkeypatch.setattr("dispatcher.runner.LOOK_EVERY", SOON)

    async with running(bench):  # its alarm is a minute away
        bench.clock.advance(timedelta(minutes=1))
        await heard.wait()


async def test_an_alarm_that_comes_first_is_left(bench: Bench) -> None:
    """The alarm is set anew only for what is due before it: to set it for each of a thousand
    pushes a second, whose leases all end a little later, cost more than their transactions."""
    alarms = ByHand()
    due = [5]

    async def next_at(**_: bool) -> datetime:
        return START + timedelta(minutes=due[-1])

    bench.worker.next_at = next_at  # type: ignore[method-assign]
    runner = Runner(bench.worker, bench.queue, bench.clock, wakeups=alarms)
    await runner.start()
    try:
        for minutes in (5, 9, 5, 2):
            due.append(minutes)
            await runner.settle()
        assert alarms.set == [timedelta(minutes=5), timedelta(minutes=2)]

        await alarms.ring()
        await runner.settle()

        assert len(alarms.set) == 3
    finally:
        await runner.stop(timedelta(seconds=LIMIT))


async def test_a_full_window_is_not_looked_behind(bench: Bench) -> None:
    """While no endpoint has room, a claim asks the store nothing."""
    full = an_endpoint(window=1, bucket_size=1)
    bench.worker.use([full])
    await bench.receive(an_sms("a"), an_sms("b"))
    (leased,) = await bench.worker.claim()
    statements: list[str] = []
    await bench.database.read(lambda c: c.set_trace_callback(statements.append))
    statements.clear()

    assert await bench.worker.claim() == []
    assert await bench.worker.next_at() is None
    assert [each for each in statements if "SELECT" in each] == []

    await bench.worker.attempt(leased)
    assert len(await bench.worker.claim()) == 1


async def test_rescues_leases_that_ran_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dispatch of a worker that died is taken over when its lease has run out."""
    await bench.receive()
    await bench.another_worker(an_endpoint()).claim()
    bench.clock.advance(HOUR)
    monkeypatch.setattr("dispatcher.runner.TELL_TIME_EVERY", SOON)
    heard = Heard(bench, acknowledged)

    async with running(bench):
        await heard.wait()

    assert [view.attempts for view in await bench.dispatches()] == [1]


async def test_retries_at_the_due_time_of_a_compressed_clock() -> None:
    """On a clock that runs faster than the world all 21 attempts are made, none before its time."""
    clock = CompressedClock(2_000_000)
    async with a_bench() as bench:
        bench.sender.always(503)
        await bench.receive()
        heard = Heard(bench, lambda event: event.state == "exhausted")

        async with running(bench, bench.another_worker(an_endpoint(), clock=clock), clock):
            await heard.wait()

        assert [event.number for event in bench.events] == list(range(1, 22))
        for before, after in zip(bench.events, bench.events[1:], strict=False):
            assert before.due_at is not None
            assert after.started_at >= before.due_at


async def test_over_real_sockets() -> None:
    """With the real sender and a real endpoint that fails twice, the report arrives."""
    endpoint = ScriptedEndpoint(Script(fail_first=2))
    await endpoint.start()
    try:
        async with HttpSender() as sender, a_bench() as bench:
            acme = replace(an_endpoint(), url=endpoint.url)
            clock = CompressedClock(100_000)
            worker = bench.another_worker(acme, sender=sender, clock=clock)
            heard = Heard(bench, acknowledged)
            await bench.receive(an_sms("m1"))
            async with running(bench, worker, clock):
                await heard.wait()
    finally:
        await endpoint.stop()

    assert [(push.attempt, push.answered) for push in endpoint.pushes] == [
        ("1", 503),
        ("2", 503),
        ("3", 200),
    ]
    (webhook_id,) = {push.dispatch for push in endpoint.pushes}
    assert webhook_id is not None
    assert webhook_id.startswith("db-1-")
    assert len({push.body for push in endpoint.pushes}) == 1


async def test_stop_lets_attempts_end(bench: Bench) -> None:
    """An orderly stop waits for the attempts that are under way and records them."""
    bench.sender.hold()
    await bench.receive()
    runner = Runner(bench.worker, bench.queue, bench.clock)
    await runner.start()
    await asyncio.wait_for(bench.sender.held.wait(), LIMIT)

    stopping = asyncio.create_task(runner.stop(timedelta(seconds=LIMIT)))
    await bench.receive()  # is not taken on any more
    runner.wake()
    bench.sender.let_go()
    await stopping

    assert await bench.states() == ["acknowledged"]
    assert (await bench.queue.pending(bench.clock.now())).unread


async def test_stop_gives_back_what_does_not_end(bench: Bench) -> None:
    """What is still under way when the time is up is broken off, and due for whoever comes next."""
    bench.sender.hold()
    await bench.receive()
    runner = Runner(bench.worker, bench.queue, bench.clock)
    await runner.start()
    await asyncio.wait_for(bench.sender.held.wait(), LIMIT)

    await runner.stop(timedelta(0))

    assert [(view.state, view.attempts) for view in await bench.dispatches()] == [("waiting", 0)]
    bench.sender.let_go()
    assert await bench.another_worker(an_endpoint()).tick() == 1
    assert await bench.states() == ["acknowledged"]


async def test_stops_without_a_store(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When leases cannot be given back the stop is orderly all the same: they will run out."""

    async def unavailable(_: object, **__: object) -> None:
        raise StoreUnavailable("disk full")

    bench.sender.hold()
    await bench.receive()
    runner = Runner(bench.worker, bench.queue, bench.clock)
    await runner.start()
    await asyncio.wait_for(bench.sender.held.wait(), LIMIT)
    monkeypatch.setattr(bench.queue, "release", unavailable)

    await runner.stop(timedelta(0))

    assert "disk full" in caplog.text


async def test_never_started() -> None:
    """What was not started can be stopped, and is not alive."""
    async with a_bench() as bench:
        runner = Runner(bench.worker, bench.queue, bench.clock)
        assert not runner.alive
        await runner.stop(timedelta(0))


async def test_survives_an_unavailable_store(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the store cannot be used the loop waits and says so, once; then it goes on."""
    monkeypatch.setattr("dispatcher.runner.AFTER_STORE_FAILURE", SOON)
    pending = bench.queue.pending
    failures = [StoreUnavailable("disk full"), StoreUnavailable("disk full")]

    async def flaky(now: Any) -> Pending:
        if failures:
            raise failures.pop()
        return await pending(now)

    monkeypatch.setattr(bench.queue, "pending", flaky)
    heard = Heard(bench, acknowledged)
    await bench.receive()

    async with running(bench) as runner:
        await heard.wait()
        assert runner.alive

    assert [
        record.getMessage() for record in caplog.records if record.name == "dlr.dispatcher"
    ] == ["the dispatcher waits until the database can be used: disk full"]


async def test_attempt_that_cannot_be_recorded_is_repeated(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An attempt whose record fails is made again when its lease has run out."""
    caplog.set_level(logging.ERROR)
    record = bench.queue.record
    failed = asyncio.Event()

    async def flaky(records: Any) -> list[bool]:
        if not failed.is_set():
            failed.set()
            raise StoreUnavailable("disk full")
        return await record(records)

    monkeypatch.setattr(bench.queue, "record", flaky)
    monkeypatch.setattr("dispatcher.runner.TELL_TIME_EVERY", SOON)
    heard = Heard(bench, acknowledged)
    await bench.receive()

    async with running(bench, bench.another_worker(an_endpoint())):
        await asyncio.wait_for(failed.wait(), LIMIT)
        bench.clock.advance(YEAR)
        await heard.wait()

    assert len(bench.sender.pushes) == 2
    assert "db-1: its attempt may not be recorded, and is made again then: disk full" in caplog.text


async def test_full_window_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    """While what is due waits for room in its window, the loop sleeps; the end of an attempt wakes
    it.

    Once the alarm for a due time that had passed went off at once, and again, 4,000 times a second.
    """
    monkeypatch.setattr("dispatcher.runner.SHORTEST_SLEEP", HOUR)
    async with a_bench(an_endpoint(window=1, bucket_size=1)) as bench:
        bench.sender.answers(503, 503)
        await bench.receive(an_sms("a"), an_sms("b"))
        await bench.work()
        bench.clock.advance(HOUR)
        bench.sender.hold()
        looks = 0
        pending = bench.queue.pending

        async def counted(now: Any) -> Pending:
            nonlocal looks
            looks += 1
            return await pending(now)

        monkeypatch.setattr(bench.queue, "pending", counted)
        done = Heard(bench, lambda event: acknowledged(event) and event.dispatch == "db-2")

        async with running(bench):
            await asyncio.wait_for(bench.sender.held.wait(), LIMIT)
            for _ in range(100):  # turns of the database's thread, which a spinning loop would use
                await bench.next_due()
            assert looks < 10
            bench.sender.let_go()
            await done.wait()


async def test_reads_past_what_goes_elsewhere() -> None:
    """A wanted report behind many unwanted ones is sent without waiting for the next look."""
    endpoint = an_endpoint(window=1, bucket_size=1, rules=Rules(final=True))
    async with a_bench(endpoint) as bench:
        heard = Heard(bench, acknowledged)
        await bench.receive(*(an_sms(f"m{n}", "PENDING_ENROUTE") for n in range(30)))
        await bench.receive(an_sms("wanted"))

        async with running(bench):
            await heard.wait()


async def test_leaves_new_reports_to_the_dispatcher_that_is_faster(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another dispatcher is just forming of the same reports. Meanwhile the loop leaves them alone,
    and then it takes what is left, though nobody wakes it.

    Once it formed the same reports in vain until that commit was done, without a pause.
    """
    heard, formed, form = Heard(bench, acknowledged), asyncio.Queue[int](), bench.queue.form
    commits = True

    async def counted(
        now: datetime, leases: Mapping[str, Lease], formings: Sequence[Forming]
    ) -> list[Leased]:
        formed.put_nowait(len(formings))
        return [] if commits else await form(now, leases, formings)

    monkeypatch.setattr(bench.queue, "form", counted)
    await bench.receive()

    async with running(bench) as runner:
        await asyncio.wait_for(formed.get(), LIMIT)
        for _ in range(100):  # turns of the database's thread, which a spinning loop would use
            runner.wake()  # as the end of a push to another endpoint does
            await bench.next_due()
        assert formed.empty()
        commits = False
        bench.clock.advance(FIRST)
        await heard.wait()

"""Replays become dispatches: at their pace, once, whatever dies in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from dispatcher.clocks.clock import VirtualClock
from dispatcher.queue.sqlite.retention import NeededByEndpoints
from dispatcher.replay.feeder import AHEAD, LOOK_SECONDS, Feeder, Feeding, Waits
from dispatcher.replay.replay import InvalidReplay, Replay, UnknownReplay, eta
from receiver.dlr import json_format, xml_format
from receiver.dlr.model import Report
from receiver.store.base import StoreUnavailable
from receiver.store.sqlite.database import Database
from tests.contracts.report_store import an_sms
from tests.dispatcher.replay.replaying import ReplayBench, a_replay_bench
from tests.dispatcher.support import START, an_endpoint
from tests.receiver.payloads import a_v3_item

TICK = timedelta(seconds=0.1)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def bench() -> AsyncIterator[ReplayBench]:
    """Acme, one report a push."""
    async with a_replay_bench() as made:
        yield made


def pushed(bench: ReplayBench, endpoint: str = "acme") -> list[str | None]:
    """The messages that an endpoint was sent, in order."""
    return [
        report.message_id
        for push in bench.bench.sender.pushes
        if push.endpoint == endpoint
        for report in (xml_format if "xml" in push.content_type else json_format).decode_body(
            push.body
        )
        if isinstance(report, Report)
    ]


# --- everything comes back -----------------------------------------------------------------------


async def test_brings_what_was_exhausted(bench: ReplayBench) -> None:
    """What could not be brought in 41 hours is brought by one replay, each report once."""
    await bench.exhaust(30)

    replay = await bench.ask(state="exhausted")
    await bench.run()

    assert pushed(bench) == [f"m{n}" for n in range(30)]
    ended = await bench.now_at(replay)
    assert (ended.state, ended.total, ended.fed) == ("done", 30, 30)
    assert ended.counts == {"acknowledged": 30, "waiting": 0, "leased": 0}
    assert not ended.failed


async def test_a_replayed_dispatch_is_one_like_all_others(bench: ReplayBench) -> None:
    """A replayed push that fails is repeated on the whole schedule, under an id of its own."""
    await bench.exhaust(1)
    await bench.ask(state="exhausted")
    bench.bench.sender.answers(*[503] * 20, 200)
    start = bench.bench.clock.now()

    await bench.feed()
    await bench.bench.run_until_idle()

    assert len(bench.bench.sender.pushes) == 21
    assert bench.bench.clock.now() - start == timedelta(hours=41, minutes=30)
    assert {push.name for push in bench.bench.sender.pushes} == {"db-2"}
    assert await bench.bench.states() == ["exhausted", "acknowledged"]


async def test_exhausted_again(bench: ReplayBench) -> None:
    """A replay whose pushes all fail ends done, with failures, and can be asked for again."""
    await bench.exhaust(2)
    bench.bench.sender.always(503)
    replay = await bench.ask(state="exhausted")
    await bench.feed()
    await bench.bench.run_until_idle()
    await bench.feed()

    ended = await bench.now_at(replay)
    assert (ended.state, ended.counts["exhausted"], ended.failed) == ("done", 2, True)
    assert ended.failed_attempts == ended.attempts == 42
    assert len(await bench.select(state="exhausted")) == 2


async def test_says_that_it_is_a_replay(bench: ReplayBench) -> None:
    """The worker gets a replayed dispatch with its replay, and other dispatches without."""
    await bench.exhaust(1)
    replay = await bench.ask(state="exhausted")
    await bench.feed()
    await bench.bench.receive()

    leased = await bench.bench.worker.claim()

    assert {each.replay for each in leased} == {replay.id, None}


async def test_the_shape_of_the_target() -> None:
    """Bodies are of the target's content type and generation, in buckets of its size; its rules
    are not asked."""
    beta = an_endpoint("beta", content_type="application/xml", generation="v3", bucket_size=2)
    async with a_replay_bench(an_endpoint(), beta) as bench:
        await bench.bench.receive(*[an_sms(f"m{n}") for n in range(4)], a_v3_item(messageId="m4"))
        await bench.bench.work()
        bench.bench.sender.pushes.clear()

        await bench.ask(source="default", toEndpoint="beta")
        await bench.run()

        pushes = [push for push in bench.bench.sender.pushes if push.endpoint == "beta"]
        assert [push.reports for push in pushes] == [2, 2, 1]
        assert pushed(bench, "beta") == [f"m{n}" for n in range(5)]
        assert all(b"<sender>" in push.body for push in pushes)
        assert pushed(bench) == []


async def test_shapes_are_kept_apart() -> None:
    """An endpoint that takes reports as they came gets a bucket for each shape."""
    async with a_replay_bench(an_endpoint()) as bench:
        await bench.bench.receive(an_sms("old"), a_v3_item(messageId="new"), an_sms("older"))
        await bench.bench.work()
        bench.bench.sender.pushes.clear()

        await bench.ask(source="default")
        await bench.run()

        assert [push.reports for push in bench.bench.sender.pushes] == [2, 1]


# --- pace ----------------------------------------------------------------------------------------


async def fed_over_time(bench: ReplayBench, replay: Replay, step: timedelta) -> list[timedelta]:
    """When each report was fed, since the first look, at looks a `step` apart."""
    start, times = bench.bench.clock.now(), list[timedelta]()
    while (await bench.now_at(replay)).state == "running":
        fed = await bench.feed()
        times += [bench.bench.clock.now() - start] * fed
        await bench.bench.work()
        await bench.feeder.look()
        bench.bench.clock.advance(step)
    return times


async def test_the_rate_is_exact(bench: ReplayBench) -> None:
    """At 50/s the n-th report goes in the look that follows n/50 s, neither earlier nor later."""
    await bench.exhaust(200)
    replay = await bench.ask(state="exhausted", rate="50/s")

    times = await fed_over_time(bench, replay, TICK)

    assert len(times) == 200
    for number, at in enumerate(times):
        earliest = timedelta(seconds=number / 50)
        assert earliest <= at < earliest + TICK + timedelta(milliseconds=1)


async def test_the_original_pace(bench: ReplayBench) -> None:
    """With the original pace and a speed of ten, reports that came a second apart go a tenth of a
    second apart."""
    await bench.exhaust(20, gap=SECOND)
    replay = await bench.ask(state="exhausted", pace="original", speed=10)

    times = await fed_over_time(bench, replay, TICK)

    assert times == [TICK * number for number in range(20)]


async def test_a_rate_after_an_outage(bench: ReplayBench) -> None:
    """After an hour in which no dispatcher ran, a rate of 10/s does not burst."""
    await bench.exhaust(100)
    replay = await bench.ask(state="exhausted", rate="10/s")
    await bench.feed()
    bench.bench.clock.advance(timedelta(hours=1))

    assert await bench.another_feeder().look() <= 11
    assert (await bench.now_at(replay)).fed <= 12


async def test_feeds_no_more_than_the_endpoint_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a rate the endpoint's window holds back: what waits untried stays bounded."""
    monkeypatch.setattr("dispatcher.replay.feeder.BATCH", 30)
    acme = an_endpoint(bucket_size=1, window=2)
    async with a_replay_bench(acme) as bench:
        await bench.bench.receive(*[an_sms(f"m{n}") for n in range(50)])
        await bench.bench.work()
        replay = await bench.ask(source="default")

        assert await bench.feed() == 30  # one piece, and then it is full
        while (await bench.replays.untried(replay.id, {"acme": 99}))["acme"] >= 2 * AHEAD:
            assert await bench.feed() == 0
            await bench.bench.worker.tick()
        assert await bench.feed() == 20


async def test_a_paused_endpoint_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of two endpoints one is paused: the other still gets all of the replay."""
    monkeypatch.setattr("dispatcher.replay.feeder.BATCH", 30)
    acme, beta = (an_endpoint(name, bucket_size=1, window=1) for name in ("acme", "beta"))
    async with a_replay_bench(acme, beta) as bench:
        await bench.bench.receive(*[an_sms(f"m{n}") for n in range(60)])
        await bench.bench.work()
        bench.bench.worker.use([acme, structs.replace(beta, paused=True)])
        bench.bench.sender.pushes.clear()

        await bench.ask(source="default")
        for _ in range(70):
            await bench.feed()
            await bench.bench.worker.tick()

        assert pushed(bench) == [f"m{n}" for n in range(60)]
        assert pushed(bench, "beta") == []


# --- once, whatever happens ----------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


class Crashing:
    """Implements what the replays use of a database, and dies around the n-th transaction."""

    def __init__(self, database: Database, dies: Callable[[], bool], after: bool) -> None:
        self._database = database
        self._dies = dies
        self._after = after

    async def read(self, work: Any) -> Any:
        return await self._around(self._database.read(work))

    async def write(self, work: Any, *, brief: bool = False) -> Any:
        return await self._around(self._database.write(work, brief=brief))

    async def _around(self, going: Any) -> Any:
        dies = self._dies()
        if dies and not self._after:
            going.close()
            raise Crash
        result = await going
        if dies:
            raise Crash
        return result


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 12))
async def test_a_crash_between_any_two_steps(
    bench: ReplayBench, number: int, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A feeder that dies before or after any of its transactions leaves nothing out and nothing
    twice: another goes on where the database says."""
    monkeypatch.setattr("dispatcher.replay.feeder.BATCH", 4)
    await bench.exhaust(10)
    replay = await bench.ask(state="exhausted")
    left = [number]

    def dies() -> bool:
        left[0] -= 1
        return left[0] == 0

    dying = bench.another_feeder(Crashing(bench.database, dies, after))

    async def run_until_it_dies() -> None:
        while True:
            await dying.look()
            await bench.bench.work()

    with pytest.raises(Crash):
        await run_until_it_dies()
    await bench.run()

    assert await bench.dispatched(replay) == list(range(1, 11))
    assert len(bench.bench.sender.pushes) == 10
    assert (await bench.now_at(replay)).state == "done"


async def test_two_feeders(bench: ReplayBench) -> None:
    """Of two feeders that have read the same, one feeds and the other does nothing."""
    await bench.exhaust(10)
    replay = await bench.ask(state="exhausted")
    as_read = await bench.now_at(replay)
    first, other = bench.feeder_that_read(as_read), bench.feeder_that_read(as_read)

    assert await first.look() == 10
    assert await other.look() == 0
    await bench.run()

    assert await bench.dispatched(replay) == list(range(1, 11))


async def test_a_restart(bench: ReplayBench) -> None:
    """A replay goes on with a new feeder where the old one was, and its counts with it."""
    await bench.exhaust(50)
    replay = await bench.ask(state="exhausted", rate="10/s")
    for _ in range(20):
        await bench.feed()
        await bench.bench.work()
        bench.bench.clock.advance(TICK)
    assert 10 < (await bench.now_at(replay)).fed < 30

    bench.feeder = bench.another_feeder()
    await bench.run()

    assert await bench.dispatched(replay) == list(range(1, 51))
    assert (await bench.now_at(replay)).counts["acknowledged"] == 50


async def test_a_report_that_has_gone(bench: ReplayBench) -> None:
    """What retention or an erasure took meanwhile is counted as dropped, and the rest comes."""
    await bench.exhaust(5)
    replay = await bench.ask(state="exhausted")
    await bench.unlink(2, 4)
    await bench.run()

    ended = await bench.now_at(replay)
    assert (ended.state, ended.dropped, ended.counts["acknowledged"]) == ("done", 2, 3)
    assert ended.failed


async def test_a_report_that_goes_while_it_is_encoded(bench: ReplayBench) -> None:
    """A recipient who is erased between the reading and the writing does not come back."""
    await bench.exhaust(3)
    replay = await bench.ask(state="exhausted")
    feed = bench.replays.feed

    async def late(*given: Any) -> bool:
        await bench.unlink(2)
        return await feed(*given)

    bench.replays.feed = late  # type: ignore[method-assign, assignment]
    assert await bench.feeder.look() == 0
    assert await bench.dispatched(replay) == []
    bench.replays.feed = feed  # type: ignore[method-assign]
    await bench.run()
    assert await bench.dispatched(replay) == [1, 3]


async def test_an_endpoint_that_has_gone(bench: ReplayBench) -> None:
    """What was to go to an endpoint that is removed meanwhile is dropped, and the replay ends."""
    await bench.exhaust(3)
    replay = await bench.ask(state="exhausted")
    await bench.known.remove("acme")
    await bench.run()

    ended = await bench.now_at(replay)
    assert (ended.state, ended.dropped) == ("done", 3)


# --- stop and cancel -----------------------------------------------------------------------------


async def test_stops_on_errors(bench: ReplayBench) -> None:
    """When more than the allowed share of attempts fails the replay is stopped: what waits of it
    is cancelled, and nothing more is fed, not even much later."""
    await bench.exhaust(200)
    bench.bench.sender.always(503)
    replay = await bench.ask(state="exhausted", rate="100/s", stopOnErrors=0.2)
    await bench.run()

    stopped = await bench.now_at(replay)
    assert stopped.state == "stopped"
    assert 20 <= stopped.tried < 40
    assert stopped.waiting == 0
    assert stopped.counts["cancelled"] == stopped.fed
    pushes = len(bench.bench.sender.pushes)
    bench.bench.clock.advance(timedelta(days=9))
    await bench.feed()
    await bench.bench.work()
    assert len(bench.bench.sender.pushes) == pushes


async def test_is_not_stopped_by_few_errors(bench: ReplayBench) -> None:
    """Fewer than 20 tried dispatches are not judged, and no share that is allowed."""
    await bench.exhaust(40)
    bench.bench.sender.answers(*[503] * 10)
    replay = await bench.ask(state="exhausted", rate="10/s", stopOnErrors=0.35)

    await bench.run()

    ended = await bench.now_at(replay)
    assert (ended.state, ended.failed_attempts) == ("stopped", 10)
    assert ended.tried == 20

    bench.bench.sender.answers(503, 503)
    second = await bench.ask(state="exhausted", rate="10/s", stopOnErrors=0.1)
    await bench.run()
    ended = await bench.now_at(second)
    assert (ended.state, ended.failed_attempts, ended.tried) == ("done", 2, 30)


async def test_cancel(bench: ReplayBench) -> None:
    """A cancelled replay sends nothing more; what was brought stays brought."""
    await bench.exhaust(50)
    replay = await bench.ask(state="exhausted", rate="10/s")
    for _ in range(10):
        await bench.feed()
        await bench.bench.work()
        bench.bench.clock.advance(TICK)
    await bench.feed()  # fed, and not sent yet
    before = await bench.now_at(replay)

    await bench.replaying.cancel(replay.id)
    await bench.run()
    await bench.bench.work()

    cancelled = await bench.now_at(replay)
    assert cancelled.state == "cancelled"
    assert cancelled.fed == before.fed
    assert cancelled.counts["acknowledged"] == before.counts["acknowledged"]
    assert cancelled.counts["cancelled"] == before.waiting
    assert len(bench.bench.sender.pushes) == before.counts["acknowledged"]


async def test_what_was_under_way_at_the_cancel(bench: ReplayBench) -> None:
    """A push that is under way when its replay is cancelled is not repeated when it fails."""
    await bench.exhaust(1)
    replay = await bench.ask(state="exhausted")
    await bench.feed()
    (leased,) = await bench.bench.worker.claim()
    await bench.replaying.cancel(replay.id)
    bench.bench.sender.always(503)

    await bench.bench.worker.attempt(leased)

    assert await bench.bench.states() == ["exhausted", "cancelled"]
    assert await bench.bench.queue.next_due() is None


async def test_a_lease_that_runs_out_after_the_cancel(bench: ReplayBench) -> None:
    """A worker that dies with a push of a cancelled replay leaves nothing that is sent again."""
    await bench.exhaust(1)
    replay = await bench.ask(state="exhausted")
    await bench.feed()
    await bench.bench.worker.claim()
    await bench.replaying.cancel(replay.id)

    bench.bench.clock.advance(timedelta(hours=1))
    await bench.bench.work()

    assert await bench.bench.states() == ["exhausted", "cancelled"]


async def test_an_ended_replay_stays_ended(bench: ReplayBench) -> None:
    """What has ended cannot be cancelled, and what never was neither."""
    await bench.exhaust(1)
    replay = await bench.ask(state="exhausted")
    await bench.run()

    with pytest.raises(InvalidReplay, match="cannot go from done to cancelled"):
        await bench.replaying.cancel(replay.id)
    with pytest.raises(UnknownReplay):
        await bench.replaying.cancel(77)


async def test_is_cleared_away(bench: ReplayBench) -> None:
    """An ended replay leaves its row and its counts, and no items; when it went to a URL its
    endpoint is removed, after the last push."""
    await bench.exhaust(3)
    replay = await bench.ask(state="exhausted", to="http://elsewhere.example/")
    bench.known.given["replay-1"] = an_endpoint("replay-1")
    bench.bench.worker.use(bench.known.given.values())
    await bench.bench.queue.adopt([*bench.known.given.values()])
    await bench.run()
    assert bench.known.removed == []
    await bench.feed()

    assert bench.known.removed == ["replay-1"]
    assert await bench.items(replay) == []
    assert await bench.replays.unfinished() == []
    assert (await bench.now_at(replay)).counts["acknowledged"] == 3


async def test_of_nothing(bench: ReplayBench) -> None:
    """A replay of nothing is done at once, and its key remembers that."""
    empty = await bench.ask(state="exhausted", key="once")
    await bench.exhaust(1)

    assert (empty.state, empty.total) == ("done", 0)
    assert (await bench.ask(state="exhausted", key="once")).id == empty.id


# --- what can be seen ----------------------------------------------------------------------------


async def test_tells_when_it_will_end(bench: ReplayBench) -> None:
    """The estimate is that of the pace so far, and none before there is one."""
    await bench.exhaust(100)
    replay = await bench.ask(state="exhausted", rate="10/s")
    assert eta(replay, bench.bench.clock.now()) is None
    start = bench.bench.clock.now()
    for _ in range(50):
        await bench.feed()
        await bench.bench.work()
        bench.bench.clock.advance(TICK)

    estimate = eta(await bench.now_at(replay), bench.bench.clock.now())
    assert estimate is not None
    assert abs((estimate - start) - timedelta(seconds=10)) < SECOND


async def test_retention_spares_what_is_to_go(bench: ReplayBench) -> None:
    """Reports that a running replay has not fed yet are still needed; after it they are not. Those
    between them were held back too, as long as the replay ran."""
    await bench.exhaust(10)

    async def needed() -> set[int]:
        holders = await bench.database.read(
            lambda c: NeededByEndpoints().holders(c, list(range(1, 11)))
        )
        return set().union(*holders.values())

    assert await needed() == set()
    await bench.ask(ids=[4, 6, 9])
    assert await needed() == {4, 6, 9}
    await bench.run()
    assert await needed() == set()


async def test_the_loop_goes_on_after_a_failure() -> None:
    """A store that cannot be used and a defect stop one look, and not the loop."""
    looks: Iterator[Exception | int] = iter(
        [StoreUnavailable("locked"), RuntimeError("a defect"), 3, 0, 0]
    )
    woken: list[bool] = []

    class Scripted(Feeder):
        def __init__(self) -> None:
            self.waits = Waits(soon=True)

        async def look(self) -> int:
            told = next(looks)
            if isinstance(told, Exception):
                raise told
            return told

    feeder = Scripted()
    loop = Feeding(feeder, VirtualClock(START), lambda: woken.append(True), lambda: 0)

    assert [await loop.once() for _ in range(4)] == [LOOK_SECONDS, LOOK_SECONDS, 0, LOOK_SECONDS]
    assert woken == [True]
    feeder.waits = Waits()
    assert await loop.once() is None  # until something has changed


async def test_a_replay_that_fails_does_not_fill_the_log(
    bench: ReplayBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Something that nobody has foreseen happens at each look, ten times a second. It is told with
    its traceback once a minute."""
    await bench.exhaust(1)
    await bench.ask(state="exhausted")

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("dispatcher.replay.feeder.allowance", fail)
    for _ in range(20):
        assert await bench.feeder.look() == 0

    assert [record.message for record in caplog.records] == [
        "replay 1 failed and is tried again; `dlr replays cancel 1` ends it"
    ]

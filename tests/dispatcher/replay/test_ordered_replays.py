"""A replay to an endpoint with `ordered = true` keeps the order of the reports of one message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from dispatcher.api.replays import ReplayAnswer
from dispatcher.queue.sqlite.endpoints import SqliteEndpoints
from dispatcher.queue.sqlite.erasure import erase_from_dispatches
from dispatcher.queue.sqlite.retention import NeededByEndpoints
from dispatcher.replay.replay import Replay
from dispatcher.storage import new_id
from receiver.store.recipient import Recipient
from tests.contracts.report_store import an_sms
from tests.dispatcher.replay.replaying import ReplayBench, a_replay_bench
from tests.dispatcher.replay.test_feeder import Crash, Crashing
from tests.dispatcher.support import MINUTE, START, an_endpoint

ACME = an_endpoint(ordered=True, bucket_size=1)


@pytest.fixture
async def bench() -> AsyncIterator[ReplayBench]:
    """Acme keeps the order, and takes one report a push."""
    async with a_replay_bench(ACME) as made:
        yield made


async def brought(bench: ReplayBench, *names: str) -> None:
    """These reports have come in and are acknowledged. The first letter is the message."""
    for name in names:
        await bench.bench.receive(an_sms(name[0], callbackData=name, error={"id": ord(name[-1])}))
    await bench.bench.run_until_idle()
    bench.bench.sender.pushes.clear()
    bench.bench.events.clear()


async def comes(bench: ReplayBench, name: str) -> None:
    """A report by itself."""
    await bench.bench.receive(an_sms(name[0], callbackData=name, error={"id": ord(name[-1])}))


def names(bodies: Iterator[bytes]) -> list[str]:
    return [
        item["callbackData"] for body in bodies for item in msgspec.json.decode(body)["results"]
    ]


def pushed(bench: ReplayBench) -> list[str]:
    return names(push.body for push in bench.bench.sender.pushes)


def acknowledged(bench: ReplayBench) -> list[str]:
    """In the order of acknowledgement."""
    bodies = {push.name: push.body for push in bench.bench.sender.pushes}
    done = [event.dispatch for event in bench.bench.events if event.state == "acknowledged"]
    return names(bodies[name] for name in done)


async def go_on(bench: ReplayBench, most: int = 200) -> None:
    """Feed and push, from due time to due time, until nothing is left to be done."""
    for _ in range(most):
        fed, made = await bench.feed(), await bench.bench.work()
        if fed or made:
            continue
        if (due := await bench.bench.next_due()) is None:
            await bench.feed()
            return
        bench.bench.clock.advance_to(due)
    raise AssertionError("it does not end")


# --- who waits for whom --------------------------------------------------------------------------


async def test_a_later_report_waits_for_the_retries_of_the_earlier(bench: ReplayBench) -> None:
    """Of a replay, the second report of a message goes after the first one's retries; another
    message goes at once."""
    await brought(bench, "a1", "a2", "b1")
    replay = await bench.ask(source="default")
    bench.bench.sender.answers(503, 200, 503)
    start = bench.bench.clock.now()

    await go_on(bench)

    assert pushed(bench) == ["a1", "b1", "a1", "a1", "a2"]
    at = [push.at - start for push in bench.bench.sender.pushes]
    assert at == [MINUTE * 0] * 2 + [MINUTE, MINUTE * 3, MINUTE * 3]
    ended = await bench.now_at(replay)
    assert (ended.state, ended.held, ended.counts["acknowledged"]) == ("done", 0, 3)


async def test_one_bucket_holds_them_in_order() -> None:
    """Where a bucket has room for both, they go together, in the order of arrival."""
    async with a_replay_bench(an_endpoint(ordered=True)) as bench:
        await brought(bench, "a1", "b1", "a2")
        await bench.ask(source="default")

        await go_on(bench)

        assert pushed(bench) == ["a1", "b1", "a2"]
        assert len(bench.bench.sender.pushes) == 1


async def test_what_comes_by_itself_waits_for_what_is_replayed(bench: ReplayBench) -> None:
    """A report that comes in while an earlier one of its message is replayed goes after it."""
    await brought(bench, "a1", "a2")
    await bench.ask(source="default")
    bench.bench.sender.answers(503)
    await bench.feed()
    await bench.bench.work()  # a1 has to be repeated, and a2 is held

    await comes(bench, "a3")
    await comes(bench, "b1")
    await go_on(bench)

    assert pushed(bench) == ["a1", "b1", "a1", "a2", "a3"]


async def test_what_is_replayed_waits_for_what_came_by_itself(bench: ReplayBench) -> None:
    """A replay holds a report whose message has another on its way, and nothing else."""
    await brought(bench, "a1", "b1")
    bench.bench.sender.answers(503)
    await comes(bench, "a2")
    await bench.bench.work()

    replay = await bench.ask(ids=[1, 2])
    await bench.feed()
    await bench.bench.work()

    assert pushed(bench) == ["a2", "b1"]
    now = await bench.now_at(replay)
    assert (now.fed, now.held, now.waiting, now.settled) == (2, 1, 1, 1)
    assert ReplayAnswer.of(now, bench.bench.clock.now()).waiting == 1
    await go_on(bench)
    assert pushed(bench) == ["a2", "b1", "a2", "a1"]


async def test_the_earlier_goes_first_whoever_brings_it(bench: ReplayBench) -> None:
    """Reports of one message that are held side by side, for two replays and by themselves, go in
    the order in which they arrived."""
    await brought(bench, "a1", "a2", "a3")
    bench.bench.sender.answers(503)
    await comes(bench, "a4")
    await bench.bench.work()
    await bench.ask(ids=[3])
    await bench.feed()
    await comes(bench, "a5")
    await bench.bench.work()
    await bench.ask(ids=[1, 2])

    await go_on(bench)

    assert pushed(bench) == ["a4", "a4", "a1", "a2", "a3", "a5"]


async def test_what_is_not_read_yet_goes_by_itself_first(bench: ReplayBench) -> None:
    """A replay of reports that the endpoint has still to read comes after these."""
    paused = structs.replace(ACME, paused=True)
    bench.bench.worker.use([paused])
    await comes(bench, "a1")
    await comes(bench, "a2")
    await bench.ask(ids=[2], toEndpoint="acme")
    await bench.feed()
    bench.bench.worker.use([ACME])

    await go_on(bench)

    assert pushed(bench) == ["a1", "a2", "a2"]


async def test_an_endpoint_that_keeps_no_order_is_not_asked(bench: ReplayBench) -> None:
    """Where no order is kept, a report does not wait for another one of its message."""
    bench.known.given["acme"] = loose = structs.replace(ACME, ordered=False)
    bench.bench.worker.use([loose])
    await brought(bench, "a1", "a2")
    bench.bench.sender.answers(503)
    await bench.ask(source="default")

    await go_on(bench)

    assert pushed(bench) == ["a1", "a2", "a1"]


# --- ends ----------------------------------------------------------------------------------------


async def held_up(bench: ReplayBench) -> Replay:
    """a1 of a replay waits for its retry, a2 of it is held, and a3 that came by itself too."""
    await brought(bench, "a1", "a2")
    replay = await bench.ask(source="default")
    bench.bench.sender.answers(503)
    await bench.feed()
    await bench.bench.work()
    await comes(bench, "a3")
    await bench.bench.work()
    return replay


async def test_a_cancelled_replay_holds_up_nobody(bench: ReplayBench) -> None:
    """When a replay is cancelled what it held is let go, and what waited for it goes at once."""
    replay = await held_up(bench)
    await bench.replaying.cancel(replay.id)

    await bench.bench.work()

    assert pushed(bench) == ["a1", "a3"]
    cancelled = await bench.now_at(replay)
    assert (cancelled.held, cancelled.waiting) == (0, 0)


async def test_a_cancel_while_the_push_is_under_way(bench: ReplayBench) -> None:
    """A push that fails after its replay was cancelled is not repeated, and frees its message."""
    await brought(bench, "a1")
    replay = await bench.ask(source="default")
    await bench.feed()
    (leased,) = await bench.bench.worker.claim()
    await comes(bench, "a2")
    await bench.bench.work()
    await bench.replaying.cancel(replay.id)
    bench.bench.sender.answers(503)

    await bench.bench.worker.attempt(leased)
    await bench.bench.work()

    assert pushed(bench) == ["a1", "a2"]


async def test_a_dispatch_that_is_cancelled_by_hand_frees_the_replay(bench: ReplayBench) -> None:
    """The end of the earlier dispatch frees the later report, whatever ends it."""
    await held_up(bench)
    (open_one,) = [each for each in await bench.bench.dispatches() if each.state == "waiting"]
    await bench.bench.queue.cancel(open_one.id)

    await go_on(bench)

    assert pushed(bench) == ["a1", "a2", "a3"]


async def test_an_endpoint_that_is_removed(bench: ReplayBench) -> None:
    """What is held for a replay when its endpoint is removed is dropped by it, and counted."""
    replay = await held_up(bench)
    await SqliteEndpoints(bench.database).remove("acme", lambda _: None, known=())
    await bench.known.remove("acme")
    bench.bench.worker.use([])
    await bench.feed()

    ended = await bench.now_at(replay)
    assert (ended.state, ended.dropped, ended.counts["cancelled"]) == ("done", 1, 1)


async def test_an_order_that_is_not_kept_any_more(bench: ReplayBench) -> None:
    """What was held goes although the endpoint was told to keep no order meanwhile."""
    await held_up(bench)
    bench.known.given["acme"] = loose = structs.replace(ACME, ordered=False)
    bench.bench.worker.use([loose])

    await go_on(bench)

    assert pushed(bench) == ["a1", "a1", "a2", "a3"]


async def test_a_held_report_that_is_erased(bench: ReplayBench) -> None:
    """A report that is erased while it is held is dropped, and holds up no later one."""
    replay = await held_up(bench)
    await bench.unlink(2)

    await go_on(bench)

    assert pushed(bench) == ["a1", "a1", "a3"]
    assert (await bench.now_at(replay)).dropped == 1


async def test_a_held_report_that_came_by_itself_and_is_erased(bench: ReplayBench) -> None:
    """Once it stayed held for ever, and every later report of its message behind it."""
    await held_up(bench)
    await bench.unlink(3)
    await comes(bench, "a4")

    await go_on(bench)

    assert pushed(bench) == ["a1", "a1", "a2", "a4"]


async def test_an_erasure_moves_the_duty(bench: ReplayBench) -> None:
    """An erasure forms a waiting dispatch anew: later reports of the others in it go on waiting.

    Once it freed nobody, and they waited for ever.
    """
    wide = structs.replace(ACME, bucket_size=2)
    bench.bench.worker.use([wide])
    bench.bench.sender.answers(503)
    await bench.bench.receive(an_sms("a", callbackData="a1"), an_sms("b", to="41799999999"))
    await bench.bench.work()
    await comes(bench, "a2")
    await bench.bench.work()

    who = Recipient(to="41799999999")
    await bench.database.write(lambda c: erase_from_dispatches(c, who, [1], [2], new_id))
    await bench.unlink(2)
    await bench.bench.run_until_idle()

    assert names(push.body for push in bench.bench.sender.pushes[1:]) == ["a1", "a2"]
    assert bench.bench.sender.pushes[1].at == START + MINUTE


async def test_retention_spares_what_is_held(bench: ReplayBench) -> None:
    """A report that is held is still needed: nothing else carries it."""
    await held_up(bench)

    holders = await bench.database.read(lambda c: NeededByEndpoints().holders(c, [1, 2, 3]))

    assert set().union(*holders.values()) == {1, 2, 3}


# --- whatever happens ----------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 16))
async def test_a_crash_between_any_two_steps(bench: ReplayBench, number: int, after: bool) -> None:
    """A feeder that dies before or after any of its steps leaves nothing out, brings nothing twice
    and nothing too early."""
    await brought(bench, "a1", "a2", "b1", "a3")
    replay = await bench.ask(source="default")
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
    await go_on(bench)

    assert sorted(pushed(bench)) == ["a1", "a2", "a3", "b1"]
    assert [name for name in acknowledged(bench) if name[0] == "a"] == ["a1", "a2", "a3"]
    assert (await bench.now_at(replay)).state == "done"


async def test_two_feeders(bench: ReplayBench) -> None:
    """Of two feeders that have read the same freed report, one forms it and the other nothing."""
    await held_up(bench)
    bench.bench.clock.advance(MINUTE)
    await bench.bench.work()
    (as_read,) = await bench.replays.unfinished()

    assert await bench.feeder_that_read(as_read).look() == 1
    assert await bench.feeder_that_read(as_read).look() == 0
    await go_on(bench)

    assert pushed(bench) == ["a1", "a1", "a2", "a3"]


async def test_a_worker_that_was_faster(bench: ReplayBench) -> None:
    """A piece that was made when the message was free is not fed when it is free no more."""
    await brought(bench, "a1", "a2")
    replay = await bench.ask(source="default")
    feed: Callable[..., object] = bench.replays.feed
    bench.bench.sender.answers(503)

    async def late(*given: object) -> object:
        await comes(bench, "a3")
        await bench.bench.work()
        return await feed(*given)  # type: ignore[misc]

    bench.replays.feed = late  # type: ignore[method-assign, assignment]
    assert await bench.feeder.look() == 0
    bench.replays.feed = feed  # type: ignore[method-assign, assignment]

    assert (await bench.now_at(replay)).fed == 0
    await go_on(bench)
    assert pushed(bench) == ["a3", "a3", "a1", "a2"]


_Step = tuple[str, str, int]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["comes", "replay", "wait"]), st.sampled_from("ab"), st.integers(0, 2)
        ),
        min_size=2,
        max_size=10,  # with twenty failures at most none is exhausted
    ),
    st.integers(1, 3),
    st.integers(1, 3),
)
async def test_never_two_at_once(steps: list[_Step], bucket_size: int, window: int) -> None:
    """Whatever is replayed and whatever fails: no message has two dispatches open at once, each
    replay brings its reports in the order of arrival, and everything ends."""
    endpoint = an_endpoint(ordered=True, bucket_size=bucket_size, window=window)
    async with a_replay_bench(endpoint) as bench:
        came = 0
        for what, message, failures in steps:
            bench.bench.sender.answers(*[503] * failures)
            match what:
                case "comes":
                    came += 1
                    await comes(bench, f"{message}{came:02}")
                case "replay":
                    await bench.ask(source="default", toEndpoint="acme")
                case _:
                    bench.bench.clock.advance(MINUTE)
            await bench.feeder.look()
            await bench.bench.worker.tick()
            assert await _most_open(bench) <= 1
        await go_on(bench)

        assert {replay.state for replay in await bench.replays.all()} <= {"done"}
        assert set(await bench.bench.states()) <= {"acknowledged"}
        assert await _left(bench) == []
        for run in (await _in_order_of_end(bench)).values():
            for message in "ab":
                of_message = [name for name in run if name[0] == message]
                assert of_message == sorted(of_message)


async def _most_open(bench: ReplayBench) -> int:
    statement = (
        "SELECT coalesce(max(n), 0) FROM (SELECT count(DISTINCT dispatch.id) AS n FROM dispatch"
        " JOIN dispatch_report ON dispatch = dispatch.id JOIN report ON report.id = report"
        " WHERE state IN ('waiting', 'leased') GROUP BY message_key)"
    )
    found: int = await bench.database.read(lambda c: c.execute(statement).fetchone()[0])
    return found


async def _left(bench: ReplayBench) -> list[tuple[object, ...]]:
    return await bench.database.read(
        lambda c: [
            *c.execute("SELECT * FROM held_report").fetchall(),
            *c.execute("SELECT * FROM message_under_way").fetchall(),
        ]
    )


async def _in_order_of_end(bench: ReplayBench) -> dict[int | None, list[str]]:
    """What was acknowledged, by replay (None: by itself)."""
    rows = await bench.database.read(
        lambda c: c.execute("SELECT 'db-' || id, replay FROM dispatch").fetchall()
    )
    of = dict(rows)
    bodies = {push.name: push.body for push in bench.bench.sender.pushes}
    runs: dict[int | None, list[str]] = {}
    for event in bench.bench.events:
        if event.state == "acknowledged":
            runs.setdefault(of[event.dispatch], []).extend(names(iter([bodies[event.dispatch]])))
    return runs


async def test_a_replay_at_a_rate_keeps_it(bench: ReplayBench) -> None:
    """What is freed does not count against the rate, and the rate goes on for the others."""
    await brought(bench, "a1", "a2", "b1", "c1")
    bench.bench.sender.answers(503)
    replay = await bench.ask(source="default", rate="1/s")
    start = bench.bench.clock.now()

    for _ in range(40):
        await bench.feed()
        await bench.bench.work()
        bench.bench.clock.advance(timedelta(seconds=2))

    at = {
        name: push.at - start
        for name, push in zip(pushed(bench), bench.bench.sender.pushes, strict=True)
    }
    assert at["c1"] <= timedelta(seconds=6)
    assert at["a2"] >= MINUTE
    assert (await bench.now_at(replay)).state == "done"

"""What an endpoint is given: pause, rate limit, breaker."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dispatcher.flow.breaker import Breaker
from dispatcher.flow.gate import Gate
from dispatcher.flow.rate_limit import RateLimit
from dispatcher.flow.window import Room
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import MINUTE, START, a_bench, an_endpoint, since_start

SECOND = timedelta(seconds=1)


def test_a_rate_limit_is_even() -> None:
    """At five a second a push goes every 200 ms, and after a long pause there is no wave."""
    limit = RateLimit.fresh(5.0, START)
    gone: list[int] = []
    while len(gone) < 4:
        limit = limit.at_instant(max(limit.at, limit.next_at()) if gone else START)
        limit = limit.taken(limit.free)
        gone.append(round((limit.at - START) / timedelta(milliseconds=1)))

    assert gone == [0, 200, 400, 600]
    assert limit.at_instant(START + 60 * MINUTE).free == 1


def test_a_clock_that_goes_back_gives_no_pushes() -> None:
    """Setting the clock back neither fills the limit nor stops it for longer than one push."""
    spent = RateLimit.fresh(1.0, START).taken(1)
    back = spent.at_instant(START - 60 * MINUTE)

    assert back.free == 0
    assert back.next_at() - back.at <= SECOND + timedelta(microseconds=1)


def test_a_breaker_opens_after_failures_in_a_row() -> None:
    """Three failures in a row open it; an acknowledgement between them starts the count anew."""
    breaker = Breaker(3, 30 * SECOND)
    for acknowledged in (False, False, True, False, False):
        breaker = breaker.after(acknowledged, START)
    assert not breaker.is_open

    breaker = breaker.after(False, START)

    assert breaker.is_open
    assert not breaker.may_probe(START + 29 * SECOND)
    assert breaker.may_probe(START + 30 * SECOND)


def test_a_failed_probe_waits_again() -> None:
    """A probe that fails puts the next one off; one that is acknowledged closes the breaker."""
    breaker = Breaker(1, 30 * SECOND).after(False, START)
    breaker = breaker.after(False, START + 40 * SECOND)

    assert breaker.probe_at == START + 70 * SECOND
    assert not breaker.after(True, START + 71 * SECOND).is_open


def test_no_threshold_never_opens() -> None:
    """Without a threshold there is no breaker."""
    breaker = Breaker(0, SECOND)
    for _ in range(100):
        breaker = breaker.after(False, START)

    assert not breaker.is_open


@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_the_rate_limit_is_the_worlds(speed: float) -> None:
    """On a clock sixty times as fast a customer still gets no more requests a second."""
    gate = Gate(an_endpoint(rate_limit=2.0), START, speed)
    gate.begin(0)
    assert gate.room(START) == Room(0, 0)

    opens_at = gate.opens_at(START)

    assert opens_at is not None
    assert (opens_at - START) / speed == pytest.approx(SECOND / 2, abs=timedelta(milliseconds=1))
    assert gate.room(opens_at).all == 1


def test_new_settings_keep_what_is_under_way() -> None:
    """A window that shrinks while pushes are under way counts them."""
    gate = Gate(an_endpoint(window=4), START, 1.0)
    for _ in range(3):
        gate.begin(0)

    gate.use(an_endpoint(window=3), START)

    assert gate.room(START).all == 0
    gate.end(0)
    assert gate.room(START).all == 1


def failing(gate: Gate, number: int) -> Gate:
    """So many attempts have failed in a row, each at once."""
    for _ in range(number):
        gate.begin(1)
        gate.judge(False, START)
        gate.end(1)
    return gate


def test_a_retry_goes_as_soon_as_it_may_while_no_fresh_report_waits() -> None:
    """A rate limit keeps a quarter for fresh reports only while one waits. At an endpoint that
    failed at once, retries looked again when they had a place with that quarter kept, which was up
    to a third of a second late, unless somebody happened to look before."""
    gate = failing(Gate(an_endpoint(window=1, rate_limit=0.8), START, 1.0), 1)
    now = START + 2 * SECOND
    gate.room(now)
    gate.begin(1)

    for_fresh = gate.opens_at(now)
    assert for_fresh == now + 1.25 * SECOND
    alone = gate.opens_at(for_fresh)
    assert alone == now + timedelta(microseconds=1_333_334)

    gate.end(1)
    assert gate.room(for_fresh) == Room(retries=0, all=1)
    assert gate.for_retries_alone(gate.room(for_fresh)).retries == 0
    assert gate.for_retries_alone(gate.room(alone)).retries == 1


def test_an_endpoint_that_fails_at_once_is_given_a_window_a_second() -> None:
    """After a whole window of failures in a row no more than a window goes in a second, evenly,
    however fast each of them fails."""
    gate = failing(Gate(an_endpoint(window=4), START, 1.0), 4)
    now, begun = START, 0
    while now < START + 10 * SECOND:
        while gate.room(now).all:
            gate.begin(0)
            gate.judge(False, now)
            gate.end(0)
            begun += 1
        opens_at = gate.opens_at(now)
        assert opens_at is not None
        assert opens_at > now
        now = opens_at

    assert begun == 40


def test_a_compressed_clock_has_no_patience() -> None:
    """There the second would be minutes or days of the schedule: 500 retries of a dead endpoint
    that are due together took half a minute, in which the schedule's year was over."""
    gate = failing(Gate(an_endpoint(window=4), START, 60.0), 100)

    assert gate.room(START).all == 4


def test_an_open_breaker_that_may_probe_opens_no_more() -> None:
    """Its instant has passed, and there is room: who waits, waits for something to be due.

    It went on naming the instant, and the loop looked 47 times a second for what was due in an
    hour.
    """
    gate = failing(Gate(an_endpoint(breaker_failures=1, breaker_probe=MINUTE), START, 1.0), 1)
    assert gate.opens_at(START) == START + MINUTE

    later = START + 2 * MINUTE

    assert gate.room(later) == Room(retries=1, all=1)
    assert gate.opens_at(later) is None


def test_a_rate_limit_and_patience_at_once() -> None:
    """There is room when both have some, for fresh reports and for retries each by itself: what
    either gives alone is no room yet."""
    limited = an_endpoint(window=8, rate_limit=1.0)
    gate = Gate(limited, START, 1.0)
    now = START
    for _ in range(60):  # failures and looks at whatever instant is named
        for _ in range(8):
            gate.judge(False, now)
        room = gate.room(now)
        if room.all:
            gate.begin(0)
            gate.end(0)
        at = gate.opens_at(now)
        assert at is not None
        assert at > now
        before, after = gate.room(at - timedelta(microseconds=1)), gate.room(at)
        assert (after.all, after.retries) != (before.all, before.retries)
        now = at


def test_an_acknowledgement_ends_the_patience() -> None:
    """As soon as one attempt is acknowledged the whole window is there again."""
    gate = failing(Gate(an_endpoint(window=4), START, 1.0), 100)
    assert gate.room(START + MINUTE).all == 1

    gate.judge(True, START + MINUTE)

    assert gate.room(START + MINUTE) == Room(retries=3, all=4)
    assert gate.opens_at(START + MINUTE) is None


def test_failures_among_others_are_not_slowed() -> None:
    """An endpoint that acknowledges now and then keeps its window."""
    gate = Gate(an_endpoint(window=4), START, 1.0)
    for _ in range(10):
        failing(gate, 3)
        gate.judge(True, START)

    assert gate.room(START).all == 4


async def test_a_rate_limit_does_not_starve_fresh_reports() -> None:
    """While a backlog of retries goes out at the rate limit, every fourth push is a fresh report
    as long as such wait.

    Once retries took every place that the rate gave, and what was new waited for the last of them.
    """
    limited = an_endpoint(window=50, rate_limit=4.0, bucket_size=1)
    async with a_bench(limited) as bench:
        bench.sender.answers(*[503] * 40)
        await bench.receive(*(an_sms(f"old-{n}") for n in range(40)))
        await bench.run_until_idle(timedelta(seconds=11))
        bench.worker.use([replace(limited, paused=True)])
        bench.clock.advance(60 * MINUTE)
        await bench.receive(*(an_sms(f"new-{n}") for n in range(40)))
        bench.worker.use([limited])
        bench.sender.pushes.clear()
        start = bench.clock.now() - START

        await bench.run_until_idle(start + timedelta(seconds=8))

        numbers = [push.number for push in bench.sender.pushes]
        assert len(numbers) == pytest.approx(32, abs=2)
        assert numbers.count(1) >= 7
        assert numbers.count(2) >= 15


@given(
    per_second=st.floats(0.01, 500),
    looks=st.lists(st.integers(0, 5_000_000), max_size=30),
    takes=st.sets(st.integers(0, 29)),
)
def test_looks_leave_a_rate_limit_as_it_is(
    per_second: float, looks: list[int], takes: set[int]
) -> None:
    """Its state depends on what went when, and not on how often anybody has looked between. Sums
    of rounded parts differed by a microsecond after some looks."""
    seldom = often = RateLimit.fresh(per_second, START)
    now = START
    for number, microseconds in enumerate(looks):
        now += timedelta(microseconds=microseconds)
        often = often.at_instant(now)
        if number in takes:
            seldom = seldom.at_instant(now).taken(1)
            often = often.taken(1)
        assert seldom.at_instant(now) == often
        if not often.free:
            assert seldom.next_at() == often.next_at()


async def test_a_retry_that_may_use_what_is_kept_is_waited_for() -> None:
    """While no new report waits, a retry may use all of the rate. So its due time is what is
    waited for, though the part of the rate that retries always have is used up. It began 0.2 s late
    here.
    """
    limited, step = an_endpoint(rate_limit=1.5, bucket_size=1), timedelta(milliseconds=700)
    async with a_bench(limited) as bench:
        bench.sender.always(503)
        for _ in range(3):
            await bench.receive()
            await bench.work()
            bench.clock.advance(step)

        await bench.run_until_idle(timedelta(seconds=90))

        assert bench.timeline() == [0 * step, step, 2 * step] + [
            MINUTE + number * step for number in range(3)
        ]


async def test_is_not_looked_for_before_it_may_go() -> None:
    """When retries are due and must wait for the limit, the next look is when it gives one."""
    async with a_bench(an_endpoint(window=4, bucket_size=1)) as bench:
        bench.sender.always(503)
        await bench.receive(*(an_sms(f"m{n}") for n in range(20)))
        await bench.run_until_idle(timedelta(seconds=30))
        bench.clock.advance(60 * MINUTE)
        looks = 0
        until = bench.clock.now() + 10 * SECOND
        while (at := await bench.next_due()) is not None and at < until:
            bench.clock.advance_to(at)
            await bench.work()
            looks += 1

        assert looks <= 60


async def test_a_pause_spends_no_retries() -> None:
    """While an endpoint is paused nothing is sent, and no attempt is used up; then all goes on."""
    async with a_bench() as bench:
        bench.sender.answers(503)
        await bench.receive()
        await bench.work()
        bench.worker.use([an_endpoint(paused=True)])
        await bench.receive()
        bench.clock.advance(100 * MINUTE)
        await bench.run_until_idle()
        assert bench.timeline() == [since_start("00:00")]

        bench.worker.use([an_endpoint()])
        await bench.run_until_idle()

        assert bench.timeline() == [since_start(at) for at in ("00:00", "01:40", "01:40")]
        assert [dispatch.attempts for dispatch in await bench.dispatches()] == [2, 1]


async def test_the_backlog_is_released_at_the_rate() -> None:
    """After an outage the backlog goes out at the endpoint's rate, the oldest first."""
    async with a_bench(an_endpoint(window=50, rate_limit=1.0)) as bench:
        bench.sender.always(503)
        for _ in range(5):
            await bench.receive()
            await bench.work()
            bench.clock.advance(SECOND)
        bench.worker.use([an_endpoint(window=50, rate_limit=1.0, paused=True)])
        bench.clock.advance(60 * MINUTE)
        bench.worker.use([an_endpoint(window=50, rate_limit=1.0)])
        bench.sender.always(200)
        before = len(bench.sender.pushes)
        await bench.run_until_idle()

        released = bench.sender.pushes[before:]
        gaps = [b.at - a.at for a, b in pairwise(released)]
        assert [push.number for push in released] == [2] * 5
        assert min(gaps) >= SECOND
        assert [push.name for push in released] == sorted(push.name for push in released)


async def test_an_open_breaker_lets_one_probe_through() -> None:
    """While the breaker is open only a probe goes out at a time; then the whole backlog."""
    broken = an_endpoint(breaker_failures=5, breaker_probe=10 * MINUTE)
    async with a_bench(broken) as bench:
        bench.sender.always(503)
        for _ in range(20):
            await bench.receive(an_sms("m"), an_sms(f"n{len(bench.sender.pushes)}"))
            await bench.work()
        spent = len(bench.sender.pushes)
        bench.clock.advance(35 * MINUTE)
        await bench.work()
        assert len(bench.sender.pushes) == spent + 1

        bench.sender.always(200)
        await bench.run_until_idle()

        assert set(await bench.states()) == {"acknowledged"}
        assert max(dispatch.attempts for dispatch in await bench.dispatches()) <= 3


async def test_one_that_is_removed_is_not_pushed_to() -> None:
    """Pushes under way to an endpoint that is taken out still end and are recorded."""
    async with a_bench() as bench:
        await bench.receive()
        leased = await bench.worker.claim()
        bench.worker.use([])

        await bench.worker.attempt(leased[0])

        assert await bench.states() == ["acknowledged"]
        await bench.receive()
        assert await bench.work() == 0


def test_paused_is_a_setting_of_the_endpoint() -> None:
    """A paused endpoint has no room and does not open by itself."""
    gate = Gate(replace(an_endpoint(), paused=True), START, 1.0)

    assert gate.room(START) == Room(0, 0)
    assert gate.opens_at(START) is None

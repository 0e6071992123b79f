"""Schedules and rules of endpoints as the worker plays them, on a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count, pairwise
from random import Random

from msgspec.structs import replace

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import Leased
from dispatcher.retrying.outcome import Answer, OutcomeRules, statuses
from dispatcher.retrying.presets import PRESETS
from dispatcher.retrying.retry_after import RetryAfter
from dispatcher.retrying.schedule import INFOBIP, RetrySchedule
from dispatcher.worker import Worker
from tests.dispatcher.support import (
    MINUTE,
    START,
    Bench,
    ScriptedSender,
    a_bench,
    an_endpoint,
    since_start,
)

HOUR = timedelta(hours=1)


class AskingSender(ScriptedSender):
    """Answers as it was told, with a Retry-After in the next answers, after a time."""

    asks: list[str]
    takes = timedelta(0)

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:
        answer = await super().send(dispatch, endpoint)
        self._clock.advance(self.takes)  # type: ignore[attr-defined]
        return replace(answer, retry_after=self.asks.pop(0)) if self.asks else answer


@asynccontextmanager
async def bench_with(
    *endpoints: Endpoint, seed: int = 1, schedule: RetrySchedule = INFOBIP
) -> AsyncIterator[tuple[Bench, AskingSender]]:
    """A bench whose sender asks for later, and whose worker has a seeded generator."""
    async with a_bench(*endpoints) as bench:
        sender = AskingSender(bench.clock)
        sender.asks = []
        bench.sender = sender
        tokens = count()
        bench.worker = Worker(
            outbox=bench.outbox,
            queue=bench.queue,
            sender=sender,
            clock=bench.clock,
            endpoints=endpoints,
            schedule=schedule,
            new_token=lambda: f"token-{next(tokens)}",
            listeners=[bench.events.append],
            rng=Random(seed),
        )
        yield bench, sender


async def test_stop_on_exhausts_at_once() -> None:
    """Gone is gone: a status of stop_on ends the dispatch with its retries unspent."""
    rules = OutcomeRules(stop_on=statuses("410"))
    async with bench_with(an_endpoint(outcome=rules)) as (bench, sender):
        sender.answers(503, 410)
        await bench.receive()

        await bench.run_until_idle()

        assert bench.timeline() == [timedelta(0), MINUTE]
        assert await bench.states() == ["exhausted"]
        assert [event.outcome.value for event in bench.events] == ["failed", "stopped"]


async def test_without_stop_on_410_is_repeated() -> None:
    """By default every status but 2xx is repeated, 410 too."""
    async with bench_with(an_endpoint()) as (bench, sender):
        sender.answers(410)
        await bench.receive()

        await bench.run_until_idle()

        assert await bench.states() == ["acknowledged"]


async def test_a_wrong_body_is_repeated() -> None:
    """200 without the body that acknowledges counts as a failure, and is repeated."""
    preset = PRESETS["jasmin-default"]  # the scripted endpoint says "said", never ACK/Jasmin
    async with bench_with(an_endpoint(schedule=preset)) as (bench, _):
        await bench.receive()

        await bench.run_until_idle()

        half = timedelta(seconds=30)
        assert bench.timeline() == [0 * half, half, 2 * half, 3 * half]
        assert await bench.states() == ["exhausted"]
        assert {event.outcome.value for event in bench.events} == {"wrong_answer"}


async def test_each_endpoint_has_its_schedule() -> None:
    """An endpoint with a preset keeps to it; beside it the others keep to the worker's."""
    plivo = an_endpoint("plivo", schedule=PRESETS["plivo-sms"])
    async with bench_with(an_endpoint(), plivo) as (bench, sender):
        sender.always(500)
        sender.always(500, endpoint="plivo")
        await bench.receive()

        await bench.run_until_idle()

        minutes = [offset // MINUTE for offset in bench.timeline("plivo")]
        assert minutes == [0, 1, 3, 7]
        assert len(bench.timeline("acme")) == 21
        assert bench.timeline("acme")[-1] == since_start("41:30")


async def test_retry_after_postpones_the_next_attempt() -> None:
    """An endpoint that asks for an hour is left alone for an hour, and then on schedule again."""
    rules = OutcomeRules(retry_after=RetryAfter())
    async with bench_with(an_endpoint(outcome=rules)) as (bench, sender):
        sender.asks = ["3600"]
        sender.answers(429, 503, 200)
        await bench.receive()

        await bench.run_until_idle()

        assert bench.timeline() == [timedelta(0), HOUR, HOUR + 2 * MINUTE]


async def test_retry_after_costs_no_attempts() -> None:
    """An endpoint that asks for 0 s at each attempt still gets its 41:30 h."""
    rules = OutcomeRules(retry_after=RetryAfter())
    async with bench_with(an_endpoint(outcome=rules)) as (bench, sender):
        sender.asks = ["0"] * 21
        sender.always(503)
        await bench.receive()

        await bench.run_until_idle()

        assert bench.timeline()[-1] == since_start("41:30")
        assert len(bench.timeline()) == 21


async def test_retry_after_is_ignored_by_default() -> None:
    """Without a rule the schedule alone decides."""
    async with bench_with(an_endpoint()) as (bench, sender):
        sender.asks = ["3600"]
        sender.answers(429)
        await bench.receive()

        await bench.run_until_idle()

        assert bench.timeline() == [timedelta(0), MINUTE]


async def _shares(seed: int, schedule: RetrySchedule) -> list[float]:
    """Each wait that was played, as a share of that in the table."""
    async with bench_with(an_endpoint(), seed=seed, schedule=schedule) as (bench, sender):
        sender.always(500)
        await bench.receive()
        await bench.run_until_idle()
        timeline = bench.timeline()
    played = [b - a for a, b in pairwise(timeline)]
    return [wait / planned for wait, planned in zip(played, schedule.waits, strict=True)]


async def test_jitter_comes_from_the_seed() -> None:
    """The same seed gives the same waits, another one others, all within ±20 %."""
    first, again, other = [await _shares(seed, PRESETS["svix"]) for seed in (1, 1, 2)]

    assert first == again
    assert first != other
    assert all(0.8 <= share <= 1.2 for share in first + other)
    assert any(share < 1 for share in first + other)
    assert any(share > 1 for share in first + other)


async def test_jitter_that_only_shortens() -> None:
    """DIDWW takes 50 to 100 % of each wait."""
    assert all(0.5 <= share <= 1 for share in await _shares(3, PRESETS["didww-ps"]))


async def test_waits_count_from_where_the_schedule_says() -> None:
    """With slow attempts a schedule from the end drifts, and one from the start does not."""
    starts = RetrySchedule("starts", (MINUTE, MINUTE), "", counted_from="start")
    ends = RetrySchedule("ends", (MINUTE, MINUTE), "", counted_from="end")
    slow = timedelta(seconds=8)
    timelines = []
    for schedule in (starts, ends):
        async with bench_with(an_endpoint(), schedule=schedule) as (bench, sender):
            sender.takes = slow
            sender.always(500)
            await bench.receive()
            await bench.run_until_idle()
            timelines.append(bench.timeline())

    assert timelines == [
        [timedelta(0), MINUTE, 2 * MINUTE],
        [timedelta(0), MINUTE + slow, 2 * (MINUTE + slow)],
    ]


async def test_a_wait_of_nothing() -> None:
    """A retry at once is due at the very instant of the attempt before."""
    async with bench_with(an_endpoint(), schedule=PRESETS["github"]) as (bench, sender):
        sender.always(500)
        await bench.receive()
        await bench.run_until_idle()
        assert bench.timeline() == [timedelta(0)]

    at_once = RetrySchedule("at once", (timedelta(0),), "")
    async with bench_with(an_endpoint(), schedule=at_once) as (bench, sender):
        sender.always(500)
        await bench.receive()
        await bench.run_until_idle()
        assert bench.timeline() == [timedelta(0), timedelta(0)]
        assert bench.clock.now() == START

"""How long an endpoint may go on failing before its first dispatch is exhausted."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import CollectorRegistry

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.observe.first_loss import OLDEST, Loss, first_loss
from dispatcher.observe.metrics import LossMetrics
from dispatcher.retrying.schedule import INFOBIP, RetrySchedule
from receiver.store.base import StoreUnavailable
from tests.dispatcher.support import MINUTE, START, Bench, a_bench, an_endpoint, since_start

HOUR = timedelta(hours=1)
SHORT = RetrySchedule("short", (MINUTE, 5 * MINUTE), "a test")


def test_after_the_first_failure_nearly_all_is_left() -> None:
    """A dispatch that failed once, just now, has its 41:30 h and twenty attempts before it."""
    waiting = [(1, START + INFOBIP.waits[0])]

    assert first_loss(waiting, INFOBIP, START) == Loss(since_start("41:30"), 20)


def test_before_the_last_attempt_only_its_wait_is_left() -> None:
    """With one attempt left, the time left is that until it is due."""
    assert first_loss([(20, START + HOUR)], INFOBIP, START) == Loss(HOUR, 1)


def test_what_is_overdue_takes_no_time_to_come() -> None:
    """A dispatch that waits for room, or for a paused endpoint, loses no time by it."""
    assert first_loss([(2, START - HOUR)], SHORT, START) == Loss(timedelta(), 1)
    assert first_loss([(1, START - HOUR)], SHORT, START) == Loss(5 * MINUTE, 2)


def test_the_first_to_be_lost_counts() -> None:
    """Of several the one whose time is up first, which need not be the oldest."""
    waiting = [(1, START + 9 * HOUR), (2, START + MINUTE), (1, START)]

    assert first_loss(waiting, SHORT, START) == Loss(MINUTE, 1)


def test_untried_and_overtried() -> None:
    """A replayed dispatch has all its attempts; one of a schedule that was shortened, the next."""
    assert first_loss([(0, START)], SHORT, START) == Loss(6 * MINUTE, 3)
    assert first_loss([(9, START + MINUTE)], SHORT, START) == Loss(MINUTE, 1)
    assert first_loss([], SHORT, START) is None


class Known:
    """The endpoints in force."""

    def __init__(self, *endpoints: Endpoint) -> None:
        self._endpoints = list(endpoints)

    async def endpoints(self) -> list[Endpoint]:
        return self._endpoints


class Shown:
    """What /metrics shows."""

    def __init__(self, bench: Bench, *endpoints: Endpoint) -> None:
        self._registry = CollectorRegistry()
        self._metrics = LossMetrics(
            self._registry, bench.storage.figures, Known(*endpoints), INFOBIP, bench.clock.now
        )

    async def of(self, endpoint: str = "acme") -> tuple[float | None, float | None]:
        await self._metrics.measure()
        seconds, attempts = (
            self._registry.get_sample_value(
                f"dlr_endpoint_{what}_to_first_loss", {"endpoint": endpoint}
            )
            for what in ("seconds", "attempts")
        )
        return seconds, attempts


async def test_the_figure_comes_true() -> None:
    """An endpoint that fails for ever loses its first dispatch when it was said, to the second."""
    async with a_bench() as bench:
        shown = Shown(bench, an_endpoint())
        bench.sender.always(503)
        await bench.receive()
        await bench.work()
        bench.clock.advance(MINUTE / 2)
        seconds, attempts = await shown.of()
        assert (seconds, attempts) == (since_start("41:30").total_seconds() - 30, 20)

        await bench.receive()
        await bench.run_until_idle(since_start("20:00"))
        seconds, attempts = await shown.of()
        assert seconds is not None
        foretold = bench.clock.now() + timedelta(seconds=seconds)
        await bench.run_until_idle()

        exhausted = [event for event in bench.events if event.state == "exhausted"]
        assert exhausted[0].started_at == foretold
        assert await shown.of() == (None, None)


async def test_each_endpoint_by_its_own_schedule() -> None:
    """A schedule of its own is what an endpoint is judged by; one without waiting is not shown."""
    acme, beta = an_endpoint("acme"), an_endpoint("beta", schedule=SHORT)
    async with a_bench(acme, beta) as bench:
        bench.sender.always(503, endpoint="beta")
        await bench.receive()
        await bench.work()
        shown = Shown(bench, acme, beta)

        assert await shown.of("acme") == (None, None)
        assert await shown.of("beta") == (6 * 60.0, 2.0)


async def test_only_the_oldest_are_looked_at() -> None:
    """However many wait, so many are read, those that were formed first."""
    async with a_bench(an_endpoint(window=100)) as bench:
        bench.sender.always(503)
        for _ in range(2 * OLDEST):
            await bench.receive()
            await bench.work()
            bench.clock.advance(MINUTE / 60)

        found = await bench.storage.figures.oldest_waiting(["acme"], OLDEST)

    assert [due_at - START for _, due_at in found["acme"]] == [
        MINUTE * (1 + number / 60) for number in range(OLDEST)
    ]


async def test_an_unavailable_store_leaves_the_last_figures() -> None:
    """While the database cannot be read, the figures stay as they were."""
    async with a_bench() as bench:
        bench.sender.always(503)
        await bench.receive()
        await bench.work()
        shown = Shown(bench, an_endpoint())
        before = await shown.of()

        async def unavailable(_: object) -> None:
            raise StoreUnavailable("gone")

        bench.database.question = unavailable  # type: ignore[assignment, method-assign]

        assert await shown.of() == before

"""What every database counts of the attempts of the last hours (AttemptActivity in
dispatcher/observe/base.py). An implementation's test derives a class from the contract and gives it
a fixture `backend`."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest

from dispatcher.observe.base import Activity, AttemptActivity
from receiver.store.histogram import bin_of, middle_of
from tests.contracts.dispatch_queue import ACME, BETA, MINUTE, NOON, Desk, a_record
from tests.contracts.storages import StorageBackend, unbroken

HOUR = timedelta(hours=1)
LONG_AGO = NOON - timedelta(days=30)


def told(activity: Activity) -> Counter[tuple[str, str, int]]:
    """Attempts by endpoint, outcome and class of status."""
    counts: Counter[tuple[str, str, int]] = Counter()
    for each in activity.attempts:
        counts[each.endpoint, each.outcome, each.status_class] += each.attempts
    return counts


class AttemptActivityContract:
    @pytest.fixture
    async def desk(self, backend: StorageBackend) -> Desk:
        await backend.storage.queue.adopt([ACME, BETA])
        return Desk(backend.storage)

    @pytest.fixture
    def activity(self, backend: StorageBackend) -> AttemptActivity:
        return backend.storage.activity

    async def attempt(
        self, desk: Desk, status: int = 200, at: datetime = NOON, name: str = "acme"
    ) -> None:
        (leased,) = await desk.dispatches(1, ACME if name == "acme" else BETA)
        state = "acknowledged" if status == 200 else "waiting"
        record = a_record(leased, state, status=status, started_at=at)  # type: ignore[arg-type]
        assert await desk.queue.record([record]) == [True]

    async def test_of_nothing(self, activity: AttemptActivity) -> None:
        assert await activity.activity("minute", LONG_AGO) == Activity([], [], 0)
        assert await activity.catch_up() == 0

    @pytest.mark.parametrize("followed", [0, 2, 9])
    async def test_counts_what_was_attempted(
        self, desk: Desk, activity: AttemptActivity, followed: int
    ) -> None:
        """However far it has come, each attempt is counted once, under how it ended."""
        for status in (200, 200, 503, 500, 404):
            await self.attempt(desk, status)
        await activity.turn(followed)

        for span in ("minute", "hour"):
            found = await activity.activity(span, NOON)
            assert told(found) == {
                ("acme", "acknowledged", 2): 2,
                ("acme", "failed", 5): 2,
                ("acme", "failed", 4): 1,
            }
            assert {each.bin for each in found.attempts} == {bin_of(12)}
            assert found.lag == 0

    async def test_a_part_of_the_time(self, desk: Desk, activity: AttemptActivity) -> None:
        """Whole minutes, or whole hours, from the one asked for; each endpoint by itself."""
        for minutes in (0, 1, 59, 61):
            await self.attempt(desk, 503, NOON + minutes * MINUTE)
        await self.attempt(desk, 503, NOON + 61 * MINUTE, "beta")

        for _ in range(2):
            late = await activity.activity("minute", NOON + MINUTE + timedelta(seconds=59))
            assert told(late) == {("acme", "failed", 5): 3, ("beta", "failed", 5): 1}
            of_beta = await activity.activity("minute", NOON, "beta")
            assert told(of_beta) == {("beta", "failed", 5): 1}
            hours = await activity.activity("hour", NOON + 2 * HOUR - MINUTE)
            assert told(hours) == {("acme", "failed", 5): 1, ("beta", "failed", 5): 1}
            await activity.catch_up()

    @pytest.mark.parametrize("followed", [0, 9])
    async def test_lateness(self, desk: Desk, activity: AttemptActivity, followed: int) -> None:
        """From the receipt of a report to the end of the attempt that brought it. What failed
        brought nothing, and what retention has removed has no time of receipt."""
        await self.attempt(desk, 503, NOON + 5 * MINUTE)
        await self.attempt(desk, 200, NOON + 7 * MINUTE)
        await activity.turn(followed)

        (late,) = (await activity.activity("minute", NOON)).lateness

        assert (late.endpoint, late.reports) == ("acme", 1)
        assert middle_of(late.bin) == pytest.approx(7 * 60_000 + 12, rel=1 / 16)

    async def test_old_counts_go(self, desk: Desk, activity: AttemptActivity) -> None:
        """Minutes go after hours and hours after a day, when newer attempts are counted."""
        await self.attempt(desk, 503, NOON)
        await activity.catch_up()
        await self.attempt(desk, 503, NOON + 3 * HOUR)
        await activity.catch_up()
        assert told(await activity.activity("minute", LONG_AGO)).total() == 1
        assert told(await activity.activity("hour", LONG_AGO)).total() == 2

        await self.attempt(desk, 503, NOON + 40 * HOUR)
        await activity.catch_up()

        assert told(await activity.activity("hour", LONG_AGO)).total() == 1

    async def test_two_processes(self, backend: StorageBackend, desk: Desk) -> None:
        """Both count, and each attempt is counted once."""
        other = (await backend.another()).activity
        for each in (backend.storage.activity, other) * 3:
            await self.attempt(desk, 503)
            await self.attempt(desk, 503)
            await each.turn(1)

        assert told(await other.activity("hour", NOON)).total() == 12

    async def test_a_store_that_goes_away(
        self, backend: StorageBackend, desk: Desk, activity: AttemptActivity
    ) -> None:
        """What could not be written is counted by the next turn, and nothing of it twice."""
        for status in (200, 503):
            await self.attempt(desk, status)

        async def counts() -> object:
            return await activity.activity("minute", LONG_AGO)

        before = await counts()
        await unbroken(backend, activity.turn, counts)

        assert await counts() == before
        assert await activity.turn() == 0

"""Retention while a process runs: at the start, every minute, and stopped between two batches."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from dispatcher.clocks.clock import VirtualClock
from dispatcher.endpoints.base import Readers
from dispatcher.settings.settings import RetentionSettings
from dispatcher.upkeep import retention
from dispatcher.upkeep.retention import EVERY, IN_FORCE, Upkeep, readers_of
from receiver.store.base import StoreUnavailable
from tests.dispatcher.clocks.test_clock import MONTH, Machine
from tests.dispatcher.support import START

LIMIT = 10.0  # seconds after which a test has failed


class NoEndpoints:
    """A registry of none, and a retention that needs to know no more."""

    has_file = False

    def __init__(self, gone: frozenset[str] = frozenset()) -> None:
        self.worked: list[timedelta] = []
        self._readers = Readers(gone=gone)
        self.last: datetime | None = None

    async def last_stored_at(self) -> datetime | None:
        return self.last

    async def work(self, until: timedelta) -> None:
        self.worked.append(until)

    async def readers(self) -> Readers:
        return self._readers

    def reading(self, readers: Readers) -> NoEndpoints:
        self._readers = readers
        return self


def an_upkeep(
    monkeypatch: pytest.MonkeyPatch, purge: Any, none: NoEndpoints | None = None, **given: Any
) -> Upkeep:
    """One that does this in place of a purge."""
    monkeypatch.setattr(retention, "purge", purge)
    none = none or NoEndpoints()
    parts = {"received": True, "dispatched": True, **given}
    clock = parts.pop("clock", VirtualClock(START))
    return Upkeep(cast(Any, none), RetentionSettings(), clock, cast(Any, none), **parts)


async def test_a_purge_that_is_running_ends_with_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop waits for the batch, not for the purge: the rest goes after the next start."""
    begun, may_go_on = asyncio.Event(), asyncio.Event()
    batches = 0

    async def endless(
        *_: object, pause: Callable[[], Awaitable[None]], **__: object
    ) -> dict[str, int]:
        nonlocal batches
        while True:
            batches += 1
            begun.set()
            await may_go_on.wait()
            await pause()

    upkeep = an_upkeep(monkeypatch, endless)
    upkeep.start()
    await asyncio.wait_for(begun.wait(), LIMIT)
    stopping = asyncio.create_task(upkeep.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    may_go_on.set()
    await asyncio.wait_for(stopping, LIMIT)

    assert batches == 1


async def test_a_purge_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was removed is one line; a purge of nothing, and one that fails, put off none."""
    caplog.set_level(logging.INFO)
    results: list[dict[str, int] | Exception] = [
        {"report": 3, "dispatch": 0},
        {},
        StoreUnavailable("locked"),
    ]

    async def purge(*_: object, **__: object) -> dict[str, int]:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    upkeep = an_upkeep(monkeypatch, purge)

    assert [await upkeep.once() for _ in range(3)] == [EVERY.total_seconds()] * 3

    lines = [(each.getMessage(), vars(each).get("facts")) for each in caplog.records]
    assert lines == [
        ("retention", {"report": 3}),
        ("retention waits until the database can be used: locked", None),
    ]


async def test_it_says_for_whom_the_process_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each purge renews it, and the stop takes it back; a process that pushes nothing says
    nothing."""

    async def nothing(*_: object, **__: object) -> dict[str, int]:
        return {}

    pushing, receiving = NoEndpoints(), NoEndpoints()
    upkeep = an_upkeep(monkeypatch, nothing, pushing)
    await upkeep.once()
    await upkeep.once()
    await upkeep.stop()
    await an_upkeep(monkeypatch, nothing, receiving, dispatched=False).once()

    assert pushing.worked == [IN_FORCE, IN_FORCE, timedelta()]
    assert receiving.worked == []


async def test_what_stays_is_told_and_looked_at_more_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of reports that are held back is told for whom; a purge that took long because of them rests
    ten times as long."""
    passed = iter([100.0, 130.0, 200.0, 230.0])
    monkeypatch.setattr("dispatcher.upkeep.retention.monotonic", lambda: next(passed))
    told: list[Mapping[str, int]] = []
    holds = iter([{"acme": 7}, {}])

    async def purge(*_: object, held: Counter[str], **__: object) -> dict[str, int]:
        held.update(next(holds))
        return {}

    upkeep = an_upkeep(monkeypatch, purge, tell=told.append)

    assert [await upkeep.once() for _ in range(2)] == [300.0, EVERY.total_seconds()]
    assert told == [{"acme": 7}, {}]


@pytest.mark.parametrize(
    ("dispatches", "has_file", "judges"),
    [(True, False, True), (False, True, True), (False, False, False)],
)
async def test_who_does_not_know_the_endpoints_judges_none(
    dispatches: bool, has_file: bool, judges: bool
) -> None:
    """`dlr receive` may have a file without endpoints while those of `dlr dispatch` are in another:
    that they are not in its own does not make them gone."""
    registry = NoEndpoints(frozenset({"acme"}))
    registry.has_file = has_file

    readers = await readers_of(cast(Any, registry), dispatches=dispatches)

    assert bool(readers.gone) == judges


async def test_a_clock_that_leaps_removes_nothing_for_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine that starts with a clock a month ahead, and one whose clock goes astray later: by
    that clock everything is too old. What has been so for an hour is believed."""
    machine, none, purged = Machine(), NoEndpoints(), list[datetime]()
    monkeypatch.setattr("dispatcher.upkeep.retention.elapsed", lambda: machine.running)

    async def purge(*given: Any, **_: object) -> dict[str, int]:
        purged.append(given[2])
        return {}

    async def is_purged_after(minutes: int) -> bool:
        before = len(purged)
        for _ in range(minutes):
            await upkeep.once()
            machine.pass_time(EVERY)
        return len(purged) > before

    none.last = START
    machine.set_clock(MONTH)  # as it is when the machine starts
    clock = machine.clock()
    upkeep = an_upkeep(monkeypatch, purge, none, clock=clock)
    assert not await is_purged_after(59)
    machine.set_clock(-MONTH)
    clock.step(-MONTH)
    assert await is_purged_after(1)

    machine.set_clock(MONTH)
    clock.step(MONTH)
    assert not await is_purged_after(59)
    assert await is_purged_after(3)
    assert all(at <= machine.wall for at in purged)


async def test_a_clock_that_is_moved_by_hand_is_not_doubted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sandbox's clock is moved by months on purpose."""
    none, purged = NoEndpoints(), list[datetime]()

    async def purge(*given: Any, **_: object) -> dict[str, int]:
        purged.append(given[2])
        return {}

    none.last = START - MONTH
    await an_upkeep(monkeypatch, purge, none).once()

    assert purged == [START]


async def test_who_is_gone_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when that is only known after a while, because a process that worked for the endpoint
    was killed."""

    async def nothing(*_: object, **__: object) -> dict[str, int]:
        return {}

    none = NoEndpoints()
    upkeep = an_upkeep(monkeypatch, nothing, none)
    await upkeep.once()
    assert caplog.text == ""
    for _ in range(2):
        none.reading(Readers(gone=frozenset({"acme"})))
        await upkeep.once()

    (line,) = caplog.records
    assert line.getMessage() == "endpoint acme is no longer in the settings: see `dlr endpoints`"

"""Retention while a process runs: at the start, every minute, and stopped between two batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from dispatcher.clocks.clock import VirtualClock
from dispatcher.settings.settings import RetentionSettings
from dispatcher.upkeep import retention
from dispatcher.upkeep.retention import EVERY, Upkeep
from receiver.store.base import StoreUnavailable
from tests.dispatcher.support import START

LIMIT = 10.0  # seconds after which a test has failed


def an_upkeep(monkeypatch: pytest.MonkeyPatch, purge: Any) -> Upkeep:
    """One that does this in place of a purge."""
    monkeypatch.setattr(retention, "purge", purge)
    kept, clock = RetentionSettings(), VirtualClock(START)
    return Upkeep(cast(Any, None), kept, clock, received=True, dispatched=True)


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
        ("retention waits for the store: locked", None),
    ]

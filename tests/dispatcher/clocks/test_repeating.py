"""The loop beside the requests: looks, waits, looks again, stops in order, survives failures.

Nothing waits for time: a look of a test waits for nothing, until it is woken, or for an hour that
somebody cuts short.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dispatcher.clocks.repeating import Repeating
from receiver.store.base import StoreUnavailable
from tests.simulation.faults.virtual_loop import VirtualLoop

LIMIT = 10.0  # seconds after which a test has failed
HOUR = 3600.0

log = logging.getLogger("dlr.test")


class Looks:
    """Looks that return, or raise, what they are told; then they wait for an hour."""

    def __init__(self, *told: float | BaseException | None) -> None:
        self._told = list(told)
        self._begun: asyncio.Queue[None] = asyncio.Queue()
        self.ended = 0
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def look(self) -> float | None:
        self._begun.put_nowait(None)
        await self.may_end.wait()
        self.ended += 1
        told = self._told.pop(0) if self._told else HOUR
        if isinstance(told, BaseException):
            raise told
        return told

    async def begin(self, times: int = 1) -> None:
        """Return when so many more looks have begun."""
        for _ in range(times):
            await asyncio.wait_for(self._begun.get(), LIMIT)

    @property
    def pending(self) -> int:
        """Looks that have begun and that nobody has waited for."""
        return self._begun.qsize()


def repeating(looks: Looks, **given: Any) -> Repeating:
    texts = {"waits": "the test waits for its store", "fails": "the test failed; it goes on"}
    return Repeating(looks.look, log=log, **{"again_after": 0, **texts, **given})


@asynccontextmanager
async def running(loop: Repeating) -> AsyncIterator[Repeating]:
    loop.start()
    try:
        yield loop
    finally:
        await loop.stop()


async def turns() -> None:
    """Whatever could happen at once has happened."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_looks_again_at_once() -> None:
    """A look that returns 0 is followed by the next; one that names a time, by nothing yet."""
    looks = Looks(0, 0)
    async with running(repeating(looks)):
        await looks.begin(3)
        await turns()

        assert looks.pending == 0


def test_looks_again_when_the_time_is_over() -> None:
    """The next look comes when the time that a look named is over, and not before."""

    async def begun_at() -> list[float]:
        loop = asyncio.get_running_loop()
        looks, instants = Looks(3.0, 0.5, StoreUnavailable("disk full")), []
        async with running(repeating(looks, again_after=2.0)):
            for _ in range(4):
                await looks.begin()
                instants.append(loop.time())
        return instants

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(begun_at()) == [0.0, 3.0, 3.5, 5.5]


@pytest.mark.parametrize("wait", [HOUR, None])
async def test_wakes(wait: float | None) -> None:
    """`wake` ends a wait, be it for a time or without an end."""
    looks = Looks(wait)
    async with running(repeating(looks)) as loop:
        await looks.begin()
        await turns()
        loop.wake()
        await looks.begin()


async def test_woken_during_a_look() -> None:
    """Whoever wakes it while it looks has it look again: what is new may have been missed."""
    looks = Looks(None)
    looks.may_end.clear()
    async with running(repeating(looks)) as loop:
        await looks.begin()
        assert not loop.woken
        loop.wake()
        assert loop.woken
        looks.may_end.set()
        await looks.begin()


async def test_a_failure_is_logged_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    """A store that cannot be used is one line, a defect one with its traceback; both times the
    next look comes."""
    looks = Looks(StoreUnavailable("disk full"), RuntimeError("a defect"))
    async with running(repeating(looks)) as loop:
        await looks.begin(3)
        assert loop.alive

    said = [(each.getMessage(), each.exc_info is not None) for each in caplog.records]
    assert said == [
        ("the test waits for its store: disk full", False),
        ("the test failed; it goes on", True),
    ]


async def test_an_outage_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """A database that is gone fails each look, and that is told once a minute."""
    looks = Looks(*(StoreUnavailable("gone") for _ in range(5)))
    async with running(repeating(looks)):
        await looks.begin(6)

    assert [each.getMessage() for each in caplog.records] == ["the test waits for its store: gone"]


async def test_waits_after_a_failure() -> None:
    """What failed is left alone for as long as was asked for."""
    looks = Looks(StoreUnavailable("disk full"))
    async with running(repeating(looks, again_after=HOUR)):
        await looks.begin()
        await turns()

        assert (looks.ended, looks.pending) == (1, 0)


async def test_what_else_is_expected_to_fail(caplog: pytest.LogCaptureFixture) -> None:
    """A failure of the network that is expected now and then has no traceback."""
    looks = Looks(ConnectionResetError("reset"))
    loop = repeating(looks, expected=(OSError,))

    assert await loop.once() == 0

    (said,) = caplog.records
    assert (said.getMessage(), said.exc_info) == ("the test waits for its store: reset", None)


async def test_stop_lets_a_look_end() -> None:
    """An orderly stop waits for the look that is going on, and none comes after it."""
    looks = Looks(0)
    looks.may_end.clear()
    loop = repeating(looks)
    loop.start()
    await looks.begin()

    stopping = asyncio.create_task(loop.stop())
    await turns()
    assert loop.stopping
    assert not stopping.done()
    looks.may_end.set()
    await stopping

    assert (looks.ended, looks.pending) == (1, 0)
    assert not loop.alive


async def test_stop_breaks_off() -> None:
    """A look that may be broken off is not waited for."""
    looks = Looks()
    looks.may_end.clear()
    loop = repeating(looks, breaks_off=True)
    loop.start()
    await looks.begin()

    await loop.stop()

    assert looks.ended == 0
    assert (loop.alive, loop.died) == (False, False)


async def test_never_started() -> None:
    """What was not started can be stopped; it is not alive, and has not died."""
    loop = repeating(Looks())
    assert (loop.alive, loop.died) == (False, False)
    await loop.stop()
    assert (loop.alive, loop.died) == (False, False)


async def test_a_death_is_seen() -> None:
    """A loop that has ended though nobody stopped it says so."""
    loop = repeating(Looks(asyncio.CancelledError()))
    loop.start()
    assert (loop.alive, loop.died) == (True, False)
    await turns()
    assert (loop.alive, loop.died) == (False, True)
    await loop.stop()

"""Group commit: what waits together is committed together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from receiver.store.base import StoreUnavailable
from receiver.store.writer import GroupCommit


class Ledger:
    """Commits items as a store does: all of a group or none, and one group at a time.

    A commit lasts until the test lets it go on.
    """

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.begun = asyncio.Event()
        self.refused: dict[str, Exception] = {}
        self._gate = asyncio.Event()
        self._gate.set()
        self._running = 0

    def hold(self) -> None:
        self._gate.clear()

    def let_go(self) -> None:
        self._gate.set()

    async def commit(self, items: Sequence[str]) -> list[str]:
        self._running += 1
        assert self._running == 1, "two commits at a time"
        self.groups.append(list(items))
        self.begun.set()
        try:
            await self._gate.wait()
            for item in items:
                if item in self.refused:
                    raise self.refused[item]
            return [item.upper() for item in items]
        finally:
            self._running -= 1


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


async def waiting(writer: GroupCommit[str, str], items: str) -> list[asyncio.Task[str]]:
    """Submissions of these items that have come as far as they can."""
    tasks = [asyncio.create_task(writer.submit(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def test_gives_each_its_result(ledger: Ledger) -> None:
    """Who submits an item gets what the commit said of that item."""
    writer = GroupCommit(ledger.commit)

    assert await asyncio.gather(*(writer.submit(item) for item in "abc")) == ["A", "B", "C"]


async def test_idle_writer_commits_at_once(ledger: Ledger) -> None:
    """There is no timer: one item of an idle writer is a group."""
    writer = GroupCommit(ledger.commit)

    assert await writer.submit("a") == "A"
    assert await writer.submit("b") == "B"
    assert ledger.groups == [["a"], ["b"]]


async def test_all_that_waits_goes_together(ledger: Ledger) -> None:
    """Whatever comes while a commit runs goes into the next one, in the order it came."""
    writer = GroupCommit(ledger.commit)
    ledger.hold()
    first = await waiting(writer, "a")
    await ledger.begun.wait()
    later = await waiting(writer, "bcdefg")
    ledger.let_go()
    await asyncio.gather(*first, *later)

    assert ledger.groups == [["a"], list("bcdefg")]


async def test_groups_have_a_largest_size(ledger: Ledger) -> None:
    """No group grows beyond its limit; the rest goes into the next."""
    writer = GroupCommit(ledger.commit, largest_group=3)
    await asyncio.gather(*await waiting(writer, "abcdefgh"))

    assert ledger.groups == [list("abc"), list("def"), list("gh")]


async def test_failing_item_costs_its_neighbours_nothing(ledger: Ledger) -> None:
    """When a group fails, each item is tried alone: only those at fault fail."""
    ledger.refused = {"b": OverflowError("b"), "d": ValueError("d")}
    writer = GroupCommit(ledger.commit)

    a, b, c, d = await asyncio.gather(*await waiting(writer, "abcd"), return_exceptions=True)

    assert (a, c) == ("A", "C")
    assert isinstance(b, OverflowError)
    assert isinstance(d, ValueError)
    assert ledger.groups == [list("abcd"), ["a"], ["b"], ["c"], ["d"]]


async def test_item_at_fault_alone(ledger: Ledger) -> None:
    """An item that fails alone is not tried a second time."""
    ledger.refused = {"a": OverflowError("a")}

    with pytest.raises(OverflowError):
        await GroupCommit(ledger.commit).submit("a")
    assert ledger.groups == [["a"]]


async def test_unavailable_store_is_asked_once(ledger: Ledger) -> None:
    """When the store is unavailable, that is the answer to the whole group at once.

    Once each item was then tried alone. A database that another program kept locked made each wait
    for ten seconds: the last of 512 callbacks got its 503 after 85 minutes.
    """
    ledger.refused = {"b": StoreUnavailable("locked")}
    writer = GroupCommit(ledger.commit)

    answers = await asyncio.gather(*await waiting(writer, "abc"), return_exceptions=True)

    assert [str(answer) for answer in answers] == ["locked"] * 3
    assert ledger.groups == [list("abc")]


@pytest.mark.parametrize("error", [StoreUnavailable("full"), OverflowError("too large")])
async def test_goes_on_after_a_failure(ledger: Ledger, error: Exception) -> None:
    """A failed commit is over: the next submit works."""
    ledger.refused = {"a": error}
    writer = GroupCommit(ledger.commit)
    with pytest.raises(type(error)):
        await writer.submit("a")

    ledger.refused = {}
    assert await writer.submit("a") == "A"


async def test_what_comes_during_a_failure_is_committed(ledger: Ledger) -> None:
    """Items that came while a commit failed are committed after it."""
    ledger.refused = {"a": StoreUnavailable("full")}
    writer = GroupCommit(ledger.commit)
    ledger.hold()
    first = await waiting(writer, "a")
    await ledger.begun.wait()
    later = await waiting(writer, "bc")
    ledger.let_go()

    failed, b, c = await asyncio.gather(*first, *later, return_exceptions=True)
    assert isinstance(failed, StoreUnavailable)
    assert (b, c) == ("B", "C")


async def test_cancelled_submitter_does_not_break_the_group(ledger: Ledger) -> None:
    """Who stops waiting takes nothing away from the others, whether the commit runs or not.

    Its item is committed all the same: a callback whose sender has gone is stored.
    """
    writer = GroupCommit(ledger.commit)
    ledger.hold()
    running = await waiting(writer, "ab")
    await ledger.begun.wait()
    queued = await waiting(writer, "cd")
    running[0].cancel()
    queued[0].cancel()
    ledger.let_go()

    a, b, c, d = await asyncio.gather(*running, *queued, return_exceptions=True)

    assert isinstance(a, asyncio.CancelledError)
    assert isinstance(c, asyncio.CancelledError)
    assert (b, d) == ("B", "D")
    assert ledger.groups == [["a", "b"], ["c", "d"]]
    assert await writer.submit("e") == "E"


@pytest.mark.parametrize("error", [StoreUnavailable("full"), OverflowError("too large")])
async def test_cancelled_submitter_of_a_failing_group(ledger: Ledger, error: Exception) -> None:
    """Who stopped waiting for an item that fails hurts nobody either."""
    ledger.refused = {"a": error}
    writer = GroupCommit(ledger.commit)
    ledger.hold()
    (alone,) = await waiting(writer, "a")
    await ledger.begun.wait()
    alone.cancel()
    ledger.let_go()
    with pytest.raises(asyncio.CancelledError):
        await alone

    assert await writer.submit("b") == "B"


async def test_many_submitters(ledger: Ledger) -> None:
    """Of many submitters each gets its own result, in few commits."""
    writer = GroupCommit(ledger.commit)
    items = [f"i{number}" for number in range(1000)]

    results = await asyncio.gather(*(writer.submit(item) for item in items))

    assert results == [item.upper() for item in items]
    assert len(ledger.groups) <= 3


async def test_nobody_waits_longer_than_the_patience(ledger: Ledger) -> None:
    """Neither for its own commit, nor for the one before it. What nobody waits for any more is not
    committed, unless that has begun: a database that is gone would have to make up for all that
    came meanwhile, and of each was told that it is not stored."""
    writer = GroupCommit(ledger.commit, patience=0.01)
    ledger.hold()
    first = await waiting(writer, "a")
    await ledger.begun.wait()
    later = await waiting(writer, "bc")
    answers = await asyncio.gather(*first, *later, return_exceptions=True)
    assert [str(each) for each in answers] == ["the database has not answered for 0.01 s"] * 3
    assert all(isinstance(each, StoreUnavailable) for each in answers)

    patient = await waiting(writer, "d")
    ledger.let_go()
    assert await asyncio.gather(*patient) == ["D"]
    assert ledger.groups == [["a"], ["d"]]

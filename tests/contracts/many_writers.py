"""What every store does that several receivers write to at the same time.

A SQLite file takes one transaction at a time, so that none of this can happen there. An
implementation's test derives a class from `ManyWritersContract` and gives it a fixture `backend`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

import pytest

from receiver.store.base import Counts, ReportStore
from receiver.store.callback import Callback
from tests.contracts.report_store import (
    DAY,
    NOON,
    StoreBackend,
    a_callback,
    an_sms,
    everything,
    ids,
    message_ids,
)

MIDNIGHT = NOON.replace(hour=0)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


class ManyWritersBackend(StoreBackend, Protocol):
    async def another(self) -> ManyWritersBackend: ...

    def adding(
        self, *callbacks: Callback, fails: bool = False
    ) -> AbstractAsyncContextManager[None]:
        """Callbacks that are written and not committed yet. At the end they are, or not at all."""

    async def until_somebody_waits(self) -> None:
        """Until a transaction of this database waits for another one."""


class ManyWritersContract:
    @pytest.fixture
    def store(self, backend: ManyWritersBackend) -> ReportStore:
        return backend.store

    # --- ids become visible in order -----------------------------------------------------------
    #
    # Ids are given while transactions run, so that 12 may be committed before 11. A reader that
    # goes on from 12 would never see 11: it would never be pushed.

    async def test_a_slow_writer_is_not_skipped(
        self, backend: ManyWritersBackend, store: ReportStore
    ) -> None:
        """While one writer is slow, readers stop before its reports, and then get all of them."""
        other = await backend.another()
        await store.add([a_callback(an_sms("first"))])
        (first,) = ids(await everything(store))

        async with other.adding(a_callback(an_sms("slow-1"), an_sms("slow-2"))):
            for name in ("a", "b", "c"):
                assert await store.add([a_callback(an_sms(name))]) == [Counts(1, 0, 0)]
                assert await store.reports_after(first, 9) == []
                assert await store.newest_report() == first
            assert await backend.read_model.catch_up() == 1

        assert message_ids(await store.reports_after(first, 2)) == ["slow-1", "slow-2"]
        assert message_ids(await everything(store)) == ["first", "slow-1", "slow-2", "a", "b", "c"]
        assert await store.newest_report() == max(ids(await everything(store)))
        assert await backend.read_model.catch_up() == 5

    async def test_readers_go_on_when_a_slow_writer_fails(
        self, backend: ManyWritersBackend, store: ReportStore
    ) -> None:
        """Ids that a writer took and did not use hold nobody up after it has ended."""
        other = await backend.another()
        await store.add([a_callback(an_sms("first"))])
        await everything(store)

        async with other.adding(a_callback(an_sms("slow")), fails=True):
            await store.add([a_callback(an_sms("a"))])
            assert message_ids(await everything(store)) == ["first"]

        assert message_ids(await everything(store)) == ["first", "a"]

    async def test_readers_go_on_as_far_as_they_can(
        self, backend: ManyWritersBackend, store: ReportStore
    ) -> None:
        """With one slow writer after the other a reader still goes on: it gets what came before the
        writers that are under way."""
        await store.add([a_callback(an_sms("first"))])
        await everything(store)
        slow = [await backend.another() for _ in range(2)]

        async with slow[0].adding(a_callback(an_sms("slow-1"))):
            await store.add([a_callback(an_sms("a"))])
            assert message_ids(await everything(store)) == ["first"]
            later = slow[1].adding(a_callback(an_sms("slow-2")))
            await later.__aenter__()
        try:
            await store.add([a_callback(an_sms("b"))])
            assert message_ids(await everything(store)) == ["first", "slow-1", "a"]
        finally:
            await later.__aexit__(None, None, None)
        assert message_ids(await everything(store)) == ["first", "slow-1", "a", "slow-2", "b"]

    async def test_nothing_is_skipped_in_a_crowd(
        self, backend: ManyWritersBackend, store: ReportStore
    ) -> None:
        """Four writers at full speed and a reader that goes on at once: it gets each report once,
        in order. Settled ids once rested on the last transaction that had ended: younger ones were
        under way, and their reports were skipped."""
        writers = [(await backend.another()).store for _ in range(4)]
        writing = len(writers)

        async def write(number: int) -> None:
            nonlocal writing
            for n in range(60):
                await writers[number].add([a_callback(an_sms(f"{number}-{n}"))])
            writing -= 1

        async def read() -> list[int]:
            found: list[int] = []
            ended = False
            while not ended:
                ended = not writing  # what was stored before is read once more
                while page := await store.reports_after(found[-1] if found else 0, 100):
                    found += ids(page)
            return found

        *_, found = await asyncio.gather(*map(write, range(len(writers))), read())

        assert found == ids(await everything(store))
        assert len(found) == 240

    async def test_a_new_process_knows_the_newest(
        self, backend: ManyWritersBackend, store: ReportStore
    ) -> None:
        """A process that has just started knows nothing of what is settled. It was told that there
        was no report while a writer was slow, and began with the first one of all."""
        await store.add([a_callback(an_sms("old"))])
        fresh = await backend.another()
        async with backend.adding(a_callback(an_sms("slow"))):
            asked = asyncio.create_task(fresh.store.newest_report())
            await asyncio.sleep(0)

        assert await asked >= ids(await everything(store))[0]

    # --- duplicates ----------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("one", "two"),
        [
            (NOON, NOON),
            (MIDNIGHT - SECOND, MIDNIGHT + SECOND),
            (MIDNIGHT + SECOND, MIDNIGHT - SECOND),
            (MIDNIGHT - 6 * MINUTE, MIDNIGHT - 4 * MINUTE),
            (MIDNIGHT + 6 * MINUTE, MIDNIGHT + 4 * MINUTE),
        ],
    )
    async def test_the_same_report_at_once(
        self, backend: ManyWritersBackend, store: ReportStore, one: datetime, two: datetime
    ) -> None:
        """Of two receivers that are brought one report at the same time, one stores it and the
        other counts it: also when it is a day later there already."""
        other = await backend.another()
        async with other.adding(a_callback(an_sms("own-1"), an_sms("m1"), at=one)):
            adding = asyncio.create_task(
                store.add([a_callback(an_sms("m1"), an_sms("own-2"), an_sms("m1"), at=two)])
            )
            await backend.until_somebody_waits()

        assert await adding == [Counts(1, 2, 0)]
        (stored,) = await store.reports_of("m1")
        assert stored.duplicates == 2
        assert stored.received_at == one
        assert message_ids(await everything(store)) == ["own-1", "m1", "own-2"]
        again = a_callback(an_sms("m1"), an_sms("own-1"), an_sms("own-2"), at=two + DAY)
        assert await store.add([again]) == [Counts(0, 3, 0)]

    async def test_the_other_one_fails(
        self, backend: ManyWritersBackend, store: ReportStore
    ) -> None:
        """A report that another receiver could not store after all is stored here."""
        other = await backend.another()
        async with other.adding(a_callback(an_sms("m1")), fails=True):
            adding = asyncio.create_task(store.add([a_callback(an_sms("m1"))]))
            await backend.until_somebody_waits()

        assert await adding == [Counts(1, 0, 0)]
        assert [report.duplicates for report in await store.reports_of("m1")] == [0]

    @pytest.mark.parametrize("order", [list, reversed])
    async def test_no_deadlock(
        self,
        backend: ManyWritersBackend,
        store: ReportStore,
        order: Callable[[list[str]], list[str]],
    ) -> None:
        """Receivers that are brought the same reports in another order do not wait for each other
        for ever, be the reports new or repeated."""
        names = [f"m{n}" for n in range(200)]
        there = a_callback(*map(an_sms, names))
        back = a_callback(*map(an_sms, order(names)))
        others = [(await backend.another()).store for _ in range(3)]

        for times in range(1, 4):
            await asyncio.gather(
                *(each.add([there, a_callback(b"!")]) for each in others),
                *(each.add([back, a_callback(b"?")]) for each in [store, *others]),
            )
            assert {each.duplicates for each in await everything(store)} == {7 * times - 1}
        assert sorted(entry.repeats for entry in await store.quarantine(None, 9)) == [8, 11]

    async def test_the_same_unreadable_bytes_at_once(
        self, backend: ManyWritersBackend, store: ReportStore
    ) -> None:
        """They are kept once, and counted."""
        other = await backend.another()
        async with other.adding(a_callback(b"!")):
            adding = asyncio.create_task(store.add([a_callback(b"!", b"?")]))
            await backend.until_somebody_waits()

        assert await adding == [Counts(0, 0, 2)]
        assert [entry.repeats for entry in await store.quarantine(None, 9)] == [0, 1]

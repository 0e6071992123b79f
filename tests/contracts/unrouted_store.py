"""What every database tells of unrouted reports (dispatcher/api/base.py)."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from dispatcher.api.base import UnroutedReports
from dispatcher.endpoints.endpoint import Rules
from dispatcher.storage import Storage
from tests.contracts.report_store import a_callback, an_sms
from tests.contracts.storages import OnStorage, StorageBackend, a_bench_on
from tests.dispatcher.support import MINUTE, Bench, an_endpoint

FINAL = an_endpoint(rules=Rules(final=True))
SWISS = an_endpoint("swiss", rules=Rules(to_prefixes=("41",)))
BOTH = ("acme", "swiss")
PENDING = "PENDING_ENROUTE"
ABROAD = "4912345"


async def step(
    storage: Storage, before: int | None = None, of: Collection[str] = BOTH
) -> UnroutedReports:
    return await storage.unrouted.unrouted(of, before, 10)


async def found(storage: Storage, of: Collection[str] = BOTH, limit: int = 1) -> list[int]:
    """The ids of the unrouted reports, newest first, by steps of so many reports each."""
    ids: list[int] = []
    before: int | None = None
    while True:
        one = await storage.unrouted.unrouted(of, before, limit)
        assert len(one.reports) <= limit
        assert one.next is None or before is None or one.next < before
        ids += [report.id for report in one.reports]
        if (before := one.next) is None:
            return ids


class UnroutedStoreContract(OnStorage):
    @pytest.fixture
    async def bench(self, backend: StorageBackend) -> Bench:
        return await a_bench_on(backend, FINAL, SWISS)

    @pytest.mark.parametrize("limit", [1, 2, 10])
    async def test_what_no_endpoint_took(
        self, backend: StorageBackend, bench: Bench, limit: int
    ) -> None:
        """A report that every endpoint has read past and none took is unrouted; one that any took
        is not, whatever became of its dispatch."""
        bench.sender.always(503, endpoint="acme")
        await bench.receive(
            an_sms("a", PENDING, to=ABROAD),
            an_sms("b", to=ABROAD),
            an_sms("c", PENDING),
            an_sms("d", PENDING, to=ABROAD),
        )
        await bench.work()

        assert await found(await backend.another(), limit=limit) == [4, 1]

    async def test_what_one_has_not_read_is_not_judged(
        self, backend: StorageBackend, bench: Bench
    ) -> None:
        """As long as one endpoint has not read a report, as while it is paused, nothing is said of
        it; the answer tells how far that is."""
        bench.worker.use([FINAL, an_endpoint("swiss", paused=True)])
        await bench.receive(an_sms("a", PENDING, to=ABROAD))
        await bench.work()

        one = await step(backend.storage)
        assert (one.reports, one.next, one.read_to) == ([], None, 0)
        one = await step(backend.storage, of=["acme"])
        assert ([report.id for report in one.reports], one.read_to) == ([1], 1)

    async def test_without_an_endpoint_all_are(self, backend: StorageBackend) -> None:
        """They wait for the first one, and are no more so when somebody has made it known."""
        await backend.storage.store.add([a_callback(an_sms("a"), an_sms("b"))])
        assert await found(backend.storage, of=()) == [2, 1]
        assert await found(backend.storage, of=["new"]) == []

        await backend.storage.queue.adopt([an_endpoint("new")])
        assert await found(backend.storage, of=["new"]) == []

    async def test_what_is_held_for_its_order_is_taken(self, backend: StorageBackend) -> None:
        """A report that waits for an earlier one of its message has an endpoint."""
        bench = await a_bench_on(backend, an_endpoint(ordered=True))
        bench.sender.always(503)
        for status in (PENDING, "DELIVERED_TO_HANDSET"):
            await bench.receive(an_sms("a", status))
            await bench.work()

        assert await found(backend.storage, of=["acme"]) == []

    async def test_of_what_is_purged_nothing_is_said(
        self, backend: StorageBackend, bench: Bench
    ) -> None:
        """When retention has removed dispatches, nobody can say who took the reports of their time:
        they are left out, and the answer says up to where."""
        await bench.receive(an_sms("a", PENDING, to=ABROAD), an_sms("b"))
        await bench.work()
        bench.clock.advance(MINUTE)
        await bench.receive(an_sms("c", PENDING, to=ABROAD))
        await bench.work()
        assert await found(backend.storage) == [3, 1]

        async def at_once() -> None: ...

        await backend.storage.retention.purge_dispatches(
            before=bench.clock.now(), most=0, pause=at_once
        )
        assert await found(backend.storage) == [3]
        assert (await step(backend.storage)).forgotten_to == 2

    async def test_what_is_forgotten_stays_forgotten(self, backend: StorageBackend) -> None:
        """Up to the last report of all dispatches that went, whichever went last."""
        bench = await a_bench_on(backend, an_endpoint())
        bench.sender.answers(503)
        for names in (("a", "b"), ("c", "d", "e")):
            await bench.receive(*(an_sms(name) for name in names))
            await bench.work()

        async def purge() -> int:
            async def at_once() -> None: ...

            bench.clock.advance(MINUTE)
            await backend.storage.retention.purge_dispatches(
                before=bench.clock.now(), most=0, pause=at_once
            )
            return (await step(backend.storage, of=["acme"])).forgotten_to

        assert await purge() == 5
        await bench.work()
        assert await bench.states() == ["acknowledged"]
        assert await purge() == 5
        assert await bench.dispatches() == []

    async def test_gaps(self, backend: StorageBackend, bench: Bench) -> None:
        """Reports that are gone are passed over, at the ends too; the cursor may be one of them."""
        await bench.receive(*(an_sms(f"m{n}", PENDING, to=ABROAD) for n in range(9)))
        await bench.work()
        await backend.delete_reports([1, 2, 5, 8, 9])

        assert await found(backend.storage) == [7, 6, 4, 3]
        assert [report.id for report in (await step(backend.storage, before=5)).reports] == [4, 3]
        assert (await step(backend.storage, before=1)).next is None

    async def test_reports_are_told_whole(self, backend: StorageBackend, bench: Bench) -> None:
        """As the store has them."""
        await bench.receive(an_sms("a", PENDING, to=ABROAD))
        await bench.work()

        assert list((await step(backend.storage)).reports) == await bench.store.reports_after(0, 9)

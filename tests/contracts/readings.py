"""What every database tells of how far endpoints are with a report, and of reports by what became
of them (dispatcher/queue/base.py)."""

from __future__ import annotations

import pytest
from msgspec import structs

from dispatcher.endpoints.base import StoredEndpoint
from dispatcher.endpoints.endpoint import Rules
from dispatcher.queue.base import Reading, Readings
from dispatcher.retrying.dispatch import DispatchState
from tests.contracts.report_store import an_sms
from tests.contracts.storages import OnStorage, StorageBackend, a_bench_on
from tests.dispatcher.support import Bench, an_endpoint

PENDING = "PENDING_ENROUTE"


async def readings(backend: StorageBackend, report: int) -> Readings:
    """As another process is told."""
    storage = await backend.another()
    (stored,) = await storage.store.reports_by_id([report])
    return await storage.queue.readings(stored)


async def places(
    backend: StorageBackend, endpoint: str | None, state: DispatchState | None, limit: int
) -> list[int]:
    """All of them, by steps of so many reports."""
    queue, found, before = (await backend.another()).queue, list[int](), None
    while True:
        step = await queue.reports_in(endpoint, state, before, limit)
        assert len(step.reports) <= limit
        found += step.reports
        if (before := step.next) is None:
            return found


class ReadingsContract(OnStorage):
    async def test_how_far_each_has_read(self, backend: StorageBackend, bench: Bench) -> None:
        """Each endpoint by its name, with where it began: the first ones with the first report, one
        that comes later with the next. One that was removed is left out."""
        await bench.receive(an_sms("a"), an_sms("b"))
        await bench.work()
        await bench.queue.adopt([an_endpoint(), an_endpoint("later")])
        await bench.receive(an_sms("c"))

        assert (await readings(backend, 3)) == Readings(
            {"acme": Reading(read_to=2, read_from=0), "later": Reading(read_to=2, read_from=2)}, 0
        )
        await backend.storage.endpoints.remove("later", lambda _: None, known=())
        assert list((await readings(backend, 3)).by_endpoint) == ["acme"]
        await backend.storage.endpoints.put("later", lambda _: StoredEndpoint(), known=())
        again = (await readings(backend, 3)).by_endpoint["later"]
        assert (again.read_to, again.read_from) == (3, 3)

    async def test_what_is_held(self, backend: StorageBackend) -> None:
        """It waits for a dispatch of its message, and when that has ended, for nothing. The same
        report is not held at another endpoint."""
        ordered = an_endpoint(ordered=True)
        bench = await a_bench_on(backend, ordered, an_endpoint("beta"))
        bench.sender.always(503)
        await bench.receive(an_sms("a", PENDING))
        await bench.work()
        await bench.receive(an_sms("a"), an_sms("a", "EXPIRED_EXPIRED"), an_sms("b"))
        await bench.work()
        (holding, *_) = await bench.dispatches()

        for report in (2, 3):
            found = (await readings(backend, report)).by_endpoint
            assert (found["acme"].held, found["acme"].freed) == (True, False)
            assert found["acme"].waits_for == holding.id
            assert (found["beta"].held, found["beta"].waits_for) == (False, None)
        assert not (await readings(backend, 4)).by_endpoint["acme"].held

        await bench.queue.cancel(holding.id)
        acme = (await readings(backend, 2)).by_endpoint["acme"]
        assert (acme.held, acme.freed, acme.waits_for) == (True, True, None)

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_reports_by_what_became_of_them(
        self, backend: StorageBackend, limit: int
    ) -> None:
        """By the endpoint, and by the state of the newest dispatch to an endpoint, newest first:
        what was pushed again and acknowledged is exhausted no more."""
        one_each = [
            an_endpoint("acme", bucket_size=1),
            an_endpoint("beta", rules=Rules(final=True)),
        ]
        bench = await a_bench_on(backend, *one_each)
        assert await places(backend, None, None, limit) == []
        bench.sender.answers(503, 200, 503)
        await bench.receive(an_sms("a"), an_sms("b", PENDING), an_sms("c", PENDING))
        await bench.work()
        await bench.receive(an_sms("d", "EXPIRED_EXPIRED"))
        await bench.work()
        await bench.receive(an_sms("e"))
        first, *_ = await bench.dispatches("acme")
        await bench.queue.cancel(first.id)

        assert await places(backend, None, None, limit) == [4, 3, 2, 1]
        assert await places(backend, "beta", None, limit) == [4, 1]
        assert await places(backend, "acme", "waiting", limit) == [3]
        assert await places(backend, None, "cancelled", limit) == [1]
        assert await places(backend, "acme", "acknowledged", limit) == [4, 2]
        assert await places(backend, None, "acknowledged", limit) == [4, 2, 1]
        assert await places(backend, "nobody", None, limit) == []

    async def test_who_took_reports(self, backend: StorageBackend) -> None:
        """Each report with every endpoint that took it, whatever became of it there. A report that
        was not asked for is not told, and one that nobody took is left out."""
        one_each = [an_endpoint("acme"), an_endpoint("beta", rules=Rules(final=True))]
        bench = await a_bench_on(backend, *one_each)
        bench.sender.answers(503)
        await bench.receive(an_sms("a"), an_sms("b", PENDING), an_sms("c"))
        await bench.work()
        await bench.receive(an_sms("d"))
        queue = (await backend.another()).queue

        taken = [tuple(each) for each in await queue.takers([4, 2, 1])]
        assert taken == [(1, "acme"), (1, "beta"), (2, "acme")]
        assert list(await queue.takers([])) == []

    async def test_who_fails(self, backend: StorageBackend) -> None:
        """The attempts of each endpoint that have failed since one was acknowledged there."""
        one_each = [an_endpoint(name, bucket_size=1) for name in ("acme", "beta")]
        bench = await a_bench_on(backend, *one_each)
        await bench.receive(an_sms("a"))
        await bench.work()
        bench.sender.always(503)
        await bench.receive(an_sms("b"), an_sms("c"))
        await bench.work()

        found = (await readings(backend, 1)).by_endpoint
        assert (found["acme"].failures, found["beta"].failures) == (2, 0)
        bench.sender.always(200)
        await bench.run_until_idle()
        assert (await readings(backend, 1)).by_endpoint["acme"].failures == 0

    @pytest.mark.parametrize("most", [0, 1])
    async def test_what_is_forgotten(
        self, backend: StorageBackend, bench: Bench, most: int
    ) -> None:
        """Retention that has removed a dispatch leaves how far nobody knows any more."""
        await bench.receive(an_sms("a"))
        await bench.work()
        await bench.receive(an_sms("b"))
        await bench.work()

        async def no_pause() -> None:
            pass

        await backend.storage.retention.purge_dispatches(before=None, most=most, pause=no_pause)

        found = await readings(backend, 1)
        assert found.forgotten_to == most
        assert structs.replace(found.by_endpoint["acme"], read_to=0) == Reading(0, 0)

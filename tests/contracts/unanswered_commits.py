"""What becomes of a push when a connection breaks while a transaction is committed.

It is committed, and the worker is told that the store is unavailable.

Whatever the worker was doing then, it does not do it again by itself. What it has leased without
knowing it is pushed when the lease ends; what it has recorded without knowing it stays recorded.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta
from types import SimpleNamespace
from typing import Protocol, cast

import pytest

from dispatcher.clocks.clock import VirtualClock
from dispatcher.queue.base import Forming
from dispatcher.storage import Storage
from dispatcher.worker import LEASE_MARGIN
from receiver.store.base import StoreUnavailable
from tests.contracts.dispatch_queue import QueueBackend, a_bucket, leases
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import START, Bench, an_endpoint

ACME = an_endpoint()
LEASE = ACME.attempt_time + LEASE_MARGIN


class UnansweringBackend(QueueBackend, Protocol):
    def unanswered(self) -> AbstractContextManager[None]:
        """Within the block the next transaction that writes is committed, and told as lost."""


class UnansweredCommitContract:
    @pytest.fixture
    async def bench(self, backend: UnansweringBackend) -> Bench:
        await backend.queue.adopt([ACME])
        storage = SimpleNamespace(store=backend.store, outbox=backend.store, queue=backend.queue)
        return Bench(cast(Storage, storage), VirtualClock(START), ACME)

    async def test_forming(self, backend: UnansweringBackend, bench: Bench) -> None:
        """The reports are read off, and their dispatch is leased to nobody who knows of it. It is
        pushed once, when the lease ends; its history tells that it may have been pushed before."""
        await bench.receive(an_sms("a"), an_sms("b"))
        with backend.unanswered(), pytest.raises(StoreUnavailable):
            await bench.worker.tick()
        assert await bench.states() == ["leased"]
        assert await bench.work() == 0

        await bench.run_until_idle()

        assert bench.timeline() == [LEASE]
        assert await bench.states() == ["acknowledged"]
        (dispatch,) = await bench.dispatches()
        assert len(dispatch.report_ids) == 2
        (attempt,) = (await bench.queue.attempts([dispatch.id]))[dispatch.id]
        assert (attempt.number, attempt.unrecorded) == (1, 1)

    async def test_claiming(self, backend: UnansweringBackend, bench: Bench) -> None:
        """What was claimed comes back when the lease ends, with the attempts that it had."""
        bench.sender.answers(503, 200)
        await bench.receive()
        await bench.work()
        due = await bench.next_due()
        assert due is not None
        bench.clock.advance_to(due)
        with backend.unanswered(), pytest.raises(StoreUnavailable):
            await bench.worker.tick()

        await bench.run_until_idle()

        assert bench.timeline() == [timedelta(), due - START + LEASE]
        assert await bench.states() == ["acknowledged"]

    @pytest.mark.parametrize("status", [200, 503])
    async def test_recording(self, backend: UnansweringBackend, bench: Bench, status: int) -> None:
        """The attempt is recorded once, and its push not repeated before its time."""
        bench.sender.answers(status, 200)
        await bench.receive()
        (leased,) = await bench.worker.claim()
        with backend.unanswered(), pytest.raises(StoreUnavailable):
            await bench.worker.attempt(leased)

        (dispatch,) = await bench.dispatches()
        assert (dispatch.state, dispatch.attempts) == (
            "acknowledged" if status == 200 else "waiting",
            1,
        )
        await bench.run_until_idle()
        attempts = (await bench.queue.attempts([dispatch.id]))[dispatch.id]
        assert [(each.number, each.unrecorded) for each in attempts] == [
            (n + 1, 0) for n in range(1 if status == 200 else 2)
        ]
        due_at = [] if dispatch.due_at is None else [dispatch.due_at - START]
        assert bench.timeline()[1:] == due_at

    async def test_keeping_bytes(self, backend: UnansweringBackend, bench: Bench) -> None:
        """Bytes that were made late are kept, and pushed with the next lease."""
        await bench.receive()
        reports = await backend.store.reports_after(0, 9)
        bucket = a_bucket(ACME, reports)
        forming = Forming(ACME, 0, reports[-1].id, [bucket], [None])
        await bench.queue.form(START, leases(), [forming])
        (leased,) = await bench.worker.claim()
        assert not leased.encoded
        with backend.unanswered(), pytest.raises(StoreUnavailable):
            await bench.worker.attempt(leased)
        assert bench.timeline() == []

        await bench.run_until_idle()

        assert bench.timeline() == [LEASE]
        assert await bench.states() == ["acknowledged"]

    async def test_giving_back(self, backend: UnansweringBackend, bench: Bench) -> None:
        """What was given back is free at once."""
        await bench.receive()
        leased = await bench.worker.claim()
        with backend.unanswered(), pytest.raises(StoreUnavailable):
            await bench.worker.give_back(leased)

        other = bench.another_worker(ACME)
        assert await other.tick() == 1
        assert await bench.states() == ["acknowledged"]

    async def test_rescuing(self, backend: UnansweringBackend, bench: Bench) -> None:
        """Leases that ran out are rescued once."""
        await bench.receive()
        await bench.worker.claim()
        bench.clock.advance_to(START + LEASE)
        other = bench.another_worker(ACME)
        with backend.unanswered(), pytest.raises(StoreUnavailable):
            await other.tick()

        assert await other.tick() == 1
        (dispatch,) = await bench.dispatches()
        (attempt,) = (await bench.queue.attempts([dispatch.id]))[dispatch.id]
        assert (dispatch.state, attempt.unrecorded) == ("acknowledged", 1)

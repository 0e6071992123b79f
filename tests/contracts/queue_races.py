"""What every queue of dispatches does when two processes write at the same instant.

Each case has two transactions, and runs in both orders: the one that begins first is done but for
its commit when the other one begins (tests/transactions.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import count
from random import Random
from typing import Any, Protocol, TypeVar

import pytest
from msgspec.structs import replace

from dispatcher.clocks.clock import VirtualClock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import DispatchQueue, Forming, Lease, Leased, NotWaiting
from dispatcher.retrying.dispatch import InvalidTransition
from dispatcher.retrying.outcome import Answer
from dispatcher.retrying.schedule import INFOBIP
from dispatcher.worker import Worker
from tests.contracts.dispatch_queue import (
    ACME,
    BETA,
    MINUTE,
    NOON,
    Desk,
    QueueBackend,
    a_record,
    a_report,
    leases,
    names,
)
from tests.contracts.report_store import a_callback, an_sms

T = TypeVar("T")
U = TypeVar("U")
Act = Callable[[], Awaitable[T]]

IN_ORDER = replace(ACME, ordered=True)


class RacingBackend(QueueBackend, Protocol):
    async def at_once(self, first: Act[T], second: Act[U]) -> tuple[T, U]:
        """`first` writes by the backend's own queue or store, and has done all but its commit when
        `second` begins. It commits when that has ended or waits for it."""

    async def remove_endpoint(self, name: str) -> None:
        """As an operator does, by the backend's own connection."""


async def _told(act: Awaitable[Any]) -> str:
    """What became of it, as far as these cases ask."""
    try:
        return str(await act)
    except (InvalidTransition, NotWaiting) as error:
        return type(error).__name__


class QueueRacesContract:
    @pytest.fixture
    async def desk(self, backend: RacingBackend) -> Desk:
        await backend.queue.adopt([ACME])
        return Desk(backend)

    @pytest.fixture
    async def other(self, backend: RacingBackend, desk: Desk) -> DispatchQueue:
        """The queue as another process has it."""
        assert desk.queue is backend.queue
        return await backend.another_queue()

    async def test_two_claim(
        self, backend: RacingBackend, desk: Desk, other: DispatchQueue
    ) -> None:
        """None gets what is the other's, and each gets as much as it has room for."""
        waiting = await desk.waiting(6)

        async def claim(queue: DispatchQueue, token: str) -> list[Leased]:
            lease = Lease(token, NOON + 2 * MINUTE)
            return await queue.claim_due(NOON + MINUTE, {"acme": lease}, {"acme": 3})

        mine, others = await backend.at_once(
            lambda: claim(desk.queue, "mine"), lambda: claim(other, "other")
        )

        assert names(mine) == names(waiting[:3])
        assert names(others) == names(waiting[3:])
        records = [a_record(each, "exhausted") for each in (*mine, *others)]
        assert await other.record(records) == [True] * 6

    async def test_two_form(self, backend: RacingBackend, desk: Desk, other: DispatchQueue) -> None:
        """Of the same reports one makes dispatches, and the other one nothing."""
        forming = await desk.forming(await desk.receive(3))

        mine, others = await backend.at_once(
            lambda: desk.queue.form(NOON, leases(), [forming]),
            lambda: other.form(NOON, leases(), [forming]),
        )

        assert (len(mine), len(others)) == (3, 0)
        assert (await desk.queue.counts())["acme"] == {"leased": 3}

    async def test_two_take_what_was_freed(
        self, backend: RacingBackend, desk: Desk, other: DispatchQueue
    ) -> None:
        """A report that was held goes once."""
        first, second = await desk.of_one_message()
        (leased,) = await desk.in_order([first], hold=[second])
        await desk.queue.record([a_record(leased, "acknowledged", status=200)])
        forming = await desk.forming_in_order([second], freed=[second])

        mine, others = await backend.at_once(
            lambda: desk.queue.form(NOON, leases(), [forming]),
            lambda: other.form(NOON, leases(), [forming]),
        )

        assert (len(mine), len(others)) == (1, 0)

    @pytest.mark.parametrize("state", ["acknowledged", "exhausted"])
    @pytest.mark.parametrize("ends_first", [True, False])
    async def test_an_end_while_a_report_is_held_for_it(
        self, backend: RacingBackend, desk: Desk, other: DispatchQueue, ends_first: bool, state: Any
    ) -> None:
        """Whoever holds a report has seen that its message is under way; at the same instant it is
        no more. The report would be held for ever if neither saw the other."""
        first, second = await desk.of_one_message()
        (leased,) = await desk.in_order([first], read_to=first)
        held = [a_report(second, desk.keys[second])]
        forming = Forming(IN_ORDER, first, second, hold=held)
        record = a_record(leased, state)
        acts: list[Callable[[DispatchQueue], Awaitable[object]]] = [
            lambda queue: queue.record([record]),
            lambda queue: queue.form(NOON, leases(), [forming]),
        ]
        if not ends_first:
            acts.reverse()

        await backend.at_once(lambda: acts[0](desk.queue), lambda: acts[1](other))

        assert await other.freed("acme", 9) == [second]
        assert (await other.pending(NOON)).freed == {"acme"}

    @pytest.mark.parametrize("records_first", [True, False])
    async def test_a_record_while_its_lease_is_taken_over(
        self, backend: RacingBackend, desk: Desk, other: DispatchQueue, records_first: bool
    ) -> None:
        """Either the attempt is recorded or the lease taken over, never both."""
        (leased,) = await desk.dispatches()
        record = a_record(leased, "acknowledged", status=200)

        def records(queue: DispatchQueue) -> Act[Any]:
            return lambda: queue.record([record])

        def rescues(queue: DispatchQueue) -> Act[Any]:
            return lambda: queue.release_expired(NOON + MINUTE)

        told: Sequence[Any]
        if records_first:
            told = await backend.at_once(records(desk.queue), rescues(other))
        else:
            told = await backend.at_once(rescues(desk.queue), records(other))

        view, history = await desk.look(leased)
        if records_first:
            assert told == ([True], 0)
            assert (view.state, len(history), history[0].unrecorded) == ("acknowledged", 1, 0)
        else:
            assert told == (1, [False])
            assert (view.state, history) == ("waiting", [])

    async def test_two_rescue(
        self, backend: RacingBackend, desk: Desk, other: DispatchQueue
    ) -> None:
        """A lease that ran out is rescued once, and its attempt once told of as not recorded."""
        (leased,) = await desk.dispatches()

        rescued = await backend.at_once(
            lambda: desk.queue.release_expired(NOON + MINUTE),
            lambda: other.release_expired(NOON + MINUTE),
        )
        (again,) = await desk.claim()
        await desk.queue.record([a_record(again)])

        assert rescued == (1, 0)
        assert [each.unrecorded for each in (await desk.look(leased))[1]] == [1]

    @pytest.mark.parametrize("claims_first", [True, False])
    @pytest.mark.parametrize("by_hand", ["cancel", "retry"])
    async def test_by_hand_while_it_is_claimed(
        self,
        backend: RacingBackend,
        desk: Desk,
        other: DispatchQueue,
        claims_first: bool,
        by_hand: str,
    ) -> None:
        """What is claimed cannot be cancelled or tried now, and what was cancelled not claimed."""
        (waiting,) = await desk.waiting()

        def claims(queue: DispatchQueue) -> Act[Any]:
            lease = Lease("t2", NOON + 2 * MINUTE)
            return lambda: queue.claim_due(NOON + MINUTE, {"acme": lease}, {"acme": 9})

        def touches(queue: DispatchQueue) -> Act[str]:
            at: tuple[datetime, ...] = (NOON,) if by_hand == "retry" else ()
            return lambda: _told(getattr(queue, by_hand)(waiting.name, *at))

        if claims_first:
            claimed, told = await backend.at_once(claims(desk.queue), touches(other))
            assert names(claimed) == [waiting.name]
            assert told == {"cancel": "InvalidTransition", "retry": "NotWaiting"}[by_hand]
            assert (await desk.view(waiting)).state == "leased"
        else:
            told, claimed = await backend.at_once(touches(desk.queue), claims(other))
            assert told == "None"
            if by_hand == "cancel":
                assert claimed == []
                assert (await desk.view(waiting)).state == "cancelled"

    @pytest.mark.parametrize("returns_first", [True, False])
    @pytest.mark.parametrize("how", ["release", "record", "release_expired"])
    async def test_a_dispatch_returns_while_its_endpoint_is_removed(
        self,
        backend: RacingBackend,
        desk: Desk,
        other: DispatchQueue,
        returns_first: bool,
        how: str,
    ) -> None:
        """It is cancelled as what waited is. The removal has not seen it wait, and what returned
        has not seen the endpoint go: it would wait for ever, and be pushed to an endpoint that
        comes back under the same name."""
        (leased,) = await desk.dispatches()
        (waiting,) = await desk.waiting()

        def returns(queue: DispatchQueue) -> Act[Any]:
            acts: dict[str, Act[Any]] = {
                "release": lambda: queue.release([leased]),
                "record": lambda: queue.record([a_record(leased)]),
                "release_expired": lambda: queue.release_expired(NOON + MINUTE),
            }
            return acts[how]

        def removes() -> Awaitable[None]:
            return backend.remove_endpoint("acme")

        if returns_first:
            await backend.at_once(returns(desk.queue), removes)
        else:
            await backend.at_once(removes, returns(other))

        for each in (leased, waiting):
            view = await desk.view(each)
            assert (view.state, view.due_at) == ("cancelled", None)
        assert (await desk.queue.counts())["acme"] == {"cancelled": 2}

    async def test_an_endpoint_begins_while_a_report_is_stored(
        self, backend: RacingBackend, desk: Desk, other: DispatchQueue
    ) -> None:
        """It begins after a report before which none comes later: it would never be read, though
        whoever sent it was told that it is stored after the endpoint was there."""
        await desk.receive()
        elsewhere = await backend.another_store()

        async def begin() -> None:
            await elsewhere.add([a_callback(an_sms("later"))])
            await other.adopt([ACME, BETA])
            stored = await elsewhere.reports_by_id(range(9))
            begun = (await other.readings(stored[0])).by_endpoint["beta"].read_from
            assert begun is not None
            assert [each.id for each in stored if each.id <= begun] == [*range(1, begun + 1)]

        await backend.at_once(lambda: desk.store.add([a_callback(an_sms("earlier"))]), begin)

        assert len(await desk.store.reports_after(0, 9)) == 3

    async def test_a_report_is_stored_while_later_ones_are_read(
        self, backend: RacingBackend, desk: Desk, other: DispatchQueue
    ) -> None:
        """A report has its place before those of another process, and is committed after them.
        Whoever read on to these would never come back for it."""
        elsewhere = await backend.another_store()
        reader = Desk(backend)
        reader.queue = other

        async def a_later_one_is_stored_and_read() -> int:
            await elsewhere.add([a_callback(an_sms("later"))])
            return await reader.read_on(9)

        _, read = await backend.at_once(
            lambda: desk.store.add([a_callback(an_sms("earlier"))]), a_later_one_is_stored_and_read
        )
        while await reader.read_on(9):
            pass

        stored = [report.id for report in await desk.store.reports_after(0, 9)]
        formed = await desk.queue.dispatches(endpoint="acme")
        assert read in (0, 2)
        assert len(stored) == 2
        assert [each for view in reversed(formed) for each in view.report_ids] == stored
        assert (await desk.queue.pending(NOON)).unread == {}

    async def test_two_workers_bring_all_in_order(
        self, backend: RacingBackend, desk: Desk, other: DispatchQueue
    ) -> None:
        """Whatever they do at the same time, an endpoint that keeps the order gets each report of a
        message after the one before it has ended, and every report is acknowledged once."""
        queues, clock, sender = [desk.queue, other], VirtualClock(NOON), _FailsSometimes()
        for queue in queues:
            await queue.adopt([IN_ORDER])
        outboxes = [desk.store, await backend.another_store()]
        tokens = count()
        workers = [
            Worker(
                outbox=outbox,
                queue=queue,
                sender=sender,
                clock=clock,
                endpoints=[replace(IN_ORDER, bucket_size=2)],
                schedule=INFOBIP,
                new_token=lambda: f"token-{next(tokens)}",
                rng=Random(1),
            )
            for outbox, queue in zip(outboxes, queues, strict=True)
        ]
        reports = [await desk.of_one_message(3) for _ in range(12)]

        while True:
            if any(await asyncio.gather(*(worker.tick() for worker in workers))):
                continue
            if (await desk.queue.pending(clock.now())).unread:
                continue
            at = await desk.queue.next_due()
            if at is None:
                break
            clock.advance_to(max(at, clock.now()))

        carried = {view.id: view.report_ids for view in await desk.queue.dispatches(limit=1_000)}
        taken = [report for name in sender.acknowledged for report in carried[name]]
        assert sorted(taken) == sorted(each for of_message in reports for each in of_message)
        for of_message in reports:
            assert [each for each in taken if each in of_message] == of_message
        assert await desk.queue.counts() == {"acme": {"acknowledged": len(carried)}}


class _FailsSometimes:
    """Implements Sender: three of ten pushes are answered 503."""

    def __init__(self) -> None:
        self._rng = Random(7)
        self.acknowledged: list[str] = []

    async def send(self, dispatch: Leased, _: Endpoint) -> Answer:
        await asyncio.sleep(0)
        if self._rng.random() < 0.3:
            return Answer(1.0, status=503)
        self.acknowledged.append(dispatch.name)
        return Answer(1.0, status=200)

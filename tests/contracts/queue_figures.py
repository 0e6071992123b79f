"""What every database tells of the queue: figures and history (dispatcher/observe/base.py)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from dispatcher.observe.base import (
    AttemptHistory,
    Backlog,
    Depths,
    QueueFigures,
    RecordedAttempt,
    Remaining,
)
from dispatcher.queue.base import Leased
from tests.contracts.dispatch_queue import (
    ACME,
    BETA,
    MINUTE,
    NOON,
    Desk,
    a_forming,
    a_record,
    leases,
)
from tests.contracts.report_store import a_callback, an_sms
from tests.contracts.storages import StorageBackend, a_bench_on
from tests.dispatcher.support import START, an_endpoint

HOUR = timedelta(hours=1)


class _OnDesk:
    @pytest.fixture
    async def desk(self, backend: StorageBackend) -> Desk:
        """A queue that has read everything and knows Acme and Beta."""
        await backend.storage.queue.adopt([ACME, BETA])
        return Desk(backend.storage)


async def failed(desk: Desk, formed_at: datetime, due_at: datetime = NOON + MINUTE) -> Leased:
    """A dispatch to Acme that was formed then, has failed once and waits."""
    (leased,) = await desk.dispatches(1, at=formed_at)
    assert await desk.queue.record([a_record(leased, due_at=due_at)]) == [True]
    return leased


class QueueFiguresContract(_OnDesk):
    @pytest.fixture
    def figures(self, backend: StorageBackend) -> QueueFigures:
        return backend.storage.figures

    # --- depths --------------------------------------------------------------------------------

    async def test_of_nothing(self, figures: QueueFigures) -> None:
        """A new database has no figures at all, and nothing to do."""
        assert await figures.depths() == Depths({}, {}, {}, {})
        assert await figures.oldest_waiting(["acme"], 5) == {"acme": []}
        assert await figures.idle()

    async def test_depths(self, backend: StorageBackend, desk: Desk) -> None:
        """Dispatches by state, reports to read, and since when the oldest of each is there."""
        await failed(desk, NOON + MINUTE)
        await failed(desk, NOON + 2 * MINUTE)
        (done,) = await desk.dispatches(1)
        await desk.queue.record([a_record(done, "acknowledged", status=200)])
        await desk.store.add([a_callback(an_sms("late"), at=NOON + HOUR)])

        found = await (await backend.another()).figures.depths()

        assert {which: count for which, count in found.dispatches.items() if count} == {
            ("acme", "waiting"): 2,
            ("acme", "acknowledged"): 1,
        }
        assert found.oldest_waiting == {"acme": NOON + MINUTE}
        assert found.unread == {"acme": 1, "beta": 4}
        assert found.oldest_unread == {"acme": NOON + HOUR, "beta": NOON}

    async def test_the_oldest_waiting_is_the_first_formed(
        self, desk: Desk, figures: QueueFigures
    ) -> None:
        """In the order in which they were formed, in which instants need not ascend: a clock that
        was set back makes no dispatch older than one from before."""
        for minutes in (5, 3, 4):
            await failed(desk, NOON + minutes * MINUTE)

        assert (await figures.depths()).oldest_waiting == {"acme": NOON + 5 * MINUTE}

    async def test_the_oldest_unread_is_the_first_stored(
        self, desk: Desk, figures: QueueFigures
    ) -> None:
        """In the order of arrival, in which instants need not ascend."""
        for minutes in (5, 3, 4):
            await desk.store.add([a_callback(an_sms(f"{minutes}"), at=NOON + minutes * MINUTE)])

        assert (await figures.depths()).oldest_unread["acme"] == NOON + 5 * MINUTE

    async def test_a_gap_behind_it_does_not_count(
        self, backend: StorageBackend, desk: Desk, figures: QueueFigures
    ) -> None:
        """Ids that are missing may count as unread only where something is behind them."""
        reports = await desk.receive(4)
        await backend.delete_reports(reports[1:3])
        (last,) = await desk.queue.form(NOON, leases(), [await desk.forming(reports[3:])])
        assert last.reports == 1

        found = await figures.depths()
        assert found.unread["acme"] == 0
        assert "acme" not in found.oldest_unread
        assert 2 <= found.unread["beta"] <= 4

    async def test_a_removed_endpoint_has_nothing_to_read(
        self, backend: StorageBackend, desk: Desk, figures: QueueFigures
    ) -> None:
        """Its dispatches are counted on; it has neither unread reports nor ages of such."""
        await failed(desk, NOON)
        await desk.receive()
        await backend.storage.endpoints.remove("acme", lambda _: None, known=())

        found = await figures.depths()
        assert {which: count for which, count in found.dispatches.items() if count} == {
            ("acme", "cancelled"): 1
        }
        assert (list(found.unread), list(found.oldest_unread)) == (["beta"], ["beta"])
        assert found.oldest_waiting == {}

    async def test_what_has_gone_is_not_unread(
        self, backend: StorageBackend, desk: Desk, figures: QueueFigures
    ) -> None:
        """Nobody has less than nothing to read, though the newest reports are gone."""
        await desk.dispatches(3)
        await backend.delete_reports([2, 3])

        assert (await figures.depths()).unread == {"acme": 0, "beta": 1}

    # --- what was not brought to anybody --------------------------------------------------------

    async def test_nothing_remains_of_nothing(self, figures: QueueFigures) -> None:
        """A new database has nothing of it, and no oldest report."""
        assert await figures.remaining(["acme"], 5) == Remaining(0, 0, {}, None)

    async def test_what_no_endpoint_took(
        self, backend: StorageBackend, desk: Desk, figures: QueueFigures
    ) -> None:
        """Reports that all have read past and none took, those that are final apart; among the
        newest so many that all have read. What somebody has still to read does not count."""
        for sms in (an_sms("f"), an_sms("p", status="PENDING_ENROUTE"), an_sms("g")):
            await desk.store.add([a_callback(sms, at=NOON + HOUR)])
        both = ["acme", "beta"]
        assert (await figures.remaining(both, 9)).unrouted == 0
        for endpoint in (ACME, BETA):
            await desk.queue.form(NOON, leases(), [a_forming(endpoint, {}, read_to=3)])

        found = await (await backend.another()).figures.remaining(both, 9)

        assert (found.unrouted, found.unrouted_final) == (3, 2)
        assert found.oldest_report == NOON + HOUR
        newest = await figures.remaining(both, 1)
        assert (newest.unrouted, newest.unrouted_final) == (1, 1)

    async def test_exhausted_and_not_pushed_again(self, desk: Desk, figures: QueueFigures) -> None:
        """Exhausted dispatches by endpoint. One whose reports a later dispatch to the same endpoint
        carries, however that stands, is not counted; one to another endpoint changes nothing."""
        gone = await desk.dispatches(3)
        await desk.queue.record([a_record(each, "exhausted") for each in gone])
        assert (await figures.remaining(["acme"], 9)).exhausted == {"acme": 3}
        assert (await figures.remaining(["acme"], 2)).exhausted == {"acme": 2}

        again = a_forming(ACME, {b"first": [1]}, read_from=3, read_to=3)
        elsewhere = a_forming(BETA, {b"second": [2]}, read_to=3)
        assert len(await desk.queue.form(NOON, leases(), [again, elsewhere])) == 2

        assert (await figures.remaining(["acme"], 9)).exhausted == {"acme": 2}

    # --- those that are lost first -------------------------------------------------------------

    async def test_the_oldest_waiting(self, desk: Desk, figures: QueueFigures) -> None:
        """So many of each endpoint, in the order in which they were formed; how often each was
        tried, and when it is due. One that is under way does not wait."""
        await failed(desk, NOON + MINUTE, due_at=NOON + 3 * HOUR)
        await failed(desk, NOON + 2 * MINUTE, due_at=NOON + 5 * HOUR)
        await failed(desk, NOON + 3 * MINUTE, due_at=NOON + 4 * HOUR)
        await desk.dispatches(1, at=NOON)
        (other,) = await desk.waiting(1, BETA, due_at=NOON + HOUR)
        assert other.attempts_made == 0

        assert await figures.oldest_waiting(["acme", "gone"], 2) == {
            "acme": [(1, NOON + 3 * HOUR), (1, NOON + 5 * HOUR)],
            "gone": [],
        }
        found = await figures.oldest_waiting(["acme", "beta"], 9)
        assert [len(found[name]) for name in ("acme", "beta")] == [3, 1]

    # --- what waits ----------------------------------------------------------------------------

    async def test_backlogs(self, desk: Desk, figures: QueueFigures) -> None:
        """What waits of each endpoint, with its reports, and how much of it is due; counted up to a
        bound. What is under way does not wait."""
        for minutes in (1, 2, 3):
            await failed(desk, NOON, due_at=NOON + minutes * MINUTE)
        await desk.dispatches(1)

        assert await figures.backlogs(["acme", "gone"], NOON + 2 * MINUTE, 10) == {
            "acme": Backlog(3, 3, 2),
            "gone": Backlog(0, 0, 0),
        }
        assert await figures.backlogs(["acme"], NOON + HOUR, 2) == {"acme": Backlog(2, 2, 2)}

    # --- whether there is anything to do -------------------------------------------------------

    async def test_idle_without_endpoints(
        self, backend: StorageBackend, desk: Desk, figures: QueueFigures
    ) -> None:
        """What a removed endpoint has not read is nothing to do."""
        await desk.receive()
        await backend.storage.endpoints.remove("acme", lambda _: None, known=())
        assert not await figures.idle()
        await backend.storage.endpoints.remove("beta", lambda _: None, known=())

        assert await figures.idle()

    async def test_idle(self, backend: StorageBackend) -> None:
        """As soon as every endpoint has read everything, and no dispatch is open. What is held for
        the order's sake is to do, also when it waits for nothing any more."""
        bench = await a_bench_on(backend, an_endpoint(ordered=True))
        figures = (await backend.another()).figures
        assert await figures.idle()
        bench.sender.always(503)
        await bench.store.add([a_callback(an_sms("a", "PENDING_ENROUTE"), at=START)])
        assert not await figures.idle()  # unread
        await bench.work()
        assert not await figures.idle()  # waiting
        await bench.store.add([a_callback(an_sms("a"), at=START)])
        await bench.work()

        (first,) = await bench.dispatches()
        await bench.queue.cancel(first.id)
        assert not await figures.idle()  # held
        bench.sender.always(200)
        (leased,) = await bench.worker.claim()
        assert not await figures.idle()  # leased
        await bench.worker.attempt(leased)

        assert await figures.idle()


async def all_after(history: AttemptHistory, attempt: int, limit: int = 2) -> list[RecordedAttempt]:
    """As a reader of the stream goes on, page by page."""
    found: list[RecordedAttempt] = []
    while page := await history.after(attempt, limit):
        assert len(page) <= limit
        assert page[-1].id > attempt, "a reader that goes on would never end"
        attempt = page[-1].id
        found += page
    return found


class AttemptHistoryContract(_OnDesk):
    @pytest.fixture
    def history(self, backend: StorageBackend) -> AttemptHistory:
        return backend.storage.history

    async def test_none(self, history: AttemptHistory) -> None:
        """Where nothing was ever tried."""
        assert await history.newest() == 0
        assert await history.after(0, 10) == []

    async def test_what_is_told(self, desk: Desk, history: AttemptHistory) -> None:
        """An attempt with all that is known of it, and of its dispatch."""
        (leased,) = await desk.dispatches(1)
        due_at = NOON + timedelta(microseconds=1)
        await desk.queue.record([a_record(leased, due_at=due_at, started_at=NOON + HOUR)])

        assert await history.after(0, 10) == [
            RecordedAttempt(
                id=await history.newest(),
                dispatch=leased.name,
                endpoint="acme",
                number=1,
                reports=1,
                started_at=NOON + HOUR,
                duration_ms=12.5,
                status=503,
                outcome="failed",
                error=None,
                state="waiting",
                due_at=due_at,
            )
        ]

    async def test_the_dispatch_is_as_it_is_now(self, desk: Desk, history: AttemptHistory) -> None:
        """Told later, an attempt comes with what has become of its dispatch meanwhile."""
        await desk.waiting(1)
        (again,) = await desk.claim()
        await desk.queue.record([a_record(again, "acknowledged", status=200)])

        told = [(each.number, each.state, each.due_at) for each in await history.after(0, 10)]
        assert told == [(1, "acknowledged", None), (2, "acknowledged", None)]

    async def test_a_reader_goes_on_from_an_id(
        self, backend: StorageBackend, desk: Desk, history: AttemptHistory
    ) -> None:
        """Page by page, whatever the process: nothing is missed, and nothing told twice."""
        leased = await desk.dispatches(7)
        await desk.queue.record([a_record(each) for each in leased[:4]])
        first = await all_after(history, 0, 3)
        await desk.queue.record([a_record(each) for each in leased[4:]])
        there = (await backend.another()).history
        rest = await all_after(there, first[-1].id, 3)

        assert [each.dispatch for each in first + rest] == [each.name for each in leased]
        assert await there.newest() == rest[-1].id

    async def test_in_the_order_in_which_they_were_recorded(
        self, desk: Desk, history: AttemptHistory
    ) -> None:
        """Though a later dispatch was tried first, and the instants do not ascend."""
        leased = await desk.dispatches(3)
        for n, each in enumerate(reversed(leased)):
            await desk.queue.record([a_record(each, started_at=NOON - n * HOUR)])

        told = await all_after(history, 0, 1)
        assert [each.dispatch for each in told] == [each.name for each in reversed(leased)]
        assert [each.started_at for each in told] == [NOON, NOON - HOUR, NOON - 2 * HOUR]

    async def test_gaps(self, backend: StorageBackend, desk: Desk, history: AttemptHistory) -> None:
        """What retention has removed is passed over; ids are not used again, nor is the newest."""
        leased = await desk.dispatches(5)
        ended = [a_record(each, "acknowledged", status=200) for each in leased]
        await desk.queue.record([ended[0], a_record(leased[1]), *ended[2:4], a_record(leased[4])])
        before = [each.id for each in await history.after(0, 10)]
        newest = await history.newest()

        async def at_once() -> None: ...

        await backend.storage.retention.purge_dispatches(
            before=NOON + MINUTE, most=0, pause=at_once
        )
        assert [each.id for each in await all_after(history, 0, 1)] == [before[1], before[4]]

        await desk.queue.cancel(leased[1].name)
        await desk.queue.cancel(leased[4].name)
        await backend.storage.retention.purge_dispatches(
            before=NOON + MINUTE, most=0, pause=at_once
        )
        assert await history.newest() == newest
        (again,) = await desk.dispatches(1)
        await desk.queue.record([a_record(again)])
        assert [each.id > newest for each in await all_after(history, 0)] == [True]

    async def test_a_reader_beside_two_writers_misses_nothing(
        self, backend: StorageBackend, desk: Desk
    ) -> None:
        """An attempt that is committed late never has an id that the reader has passed already."""
        leased = await desk.dispatches(20)
        queues = (backend.storage.queue, (await backend.another()).queue)
        writing = [
            asyncio.create_task(queues[n % 2].record([a_record(each)]))
            for n, each in enumerate(leased)
        ]
        told: list[str] = []
        reader, at = (await backend.another()).history, 0
        while len(told) < len(leased):
            over = all(task.done() for task in writing)
            page = await reader.after(at, 3)
            assert page or not over, "an attempt was passed over"
            told += [each.dispatch for each in page]
            at = page[-1].id if page else at
        await asyncio.gather(*writing)

        assert sorted(told) == sorted(each.name for each in leased)

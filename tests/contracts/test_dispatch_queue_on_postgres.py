"""The contract of the queue over PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from unittest.mock import patch

import psycopg
import pytest

from dispatcher.queue.base import DispatchQueue
from dispatcher.queue.postgres import counts
from receiver.store.postgres.database import Connection, row_of
from tests.contracts.dispatch_queue import (
    ACME,
    BETA,
    NOON,
    Desk,
    DispatchQueueContract,
    LostStoreContract,
    a_record,
    leases,
)
from tests.contracts.queue_on_postgres import PostgresQueueBackend, postgres_queue_backend
from tests.contracts.queue_races import QueueRacesContract
from tests.contracts.replay_races import ReplayRacesContract
from tests.contracts.unanswered_commits import UnansweredCommitContract
from tests.postgres import EmptyDatabase


@pytest.fixture
async def backend(
    empty_postgres: EmptyDatabase, foreign_postgres: EmptyDatabase
) -> AsyncIterator[PostgresQueueBackend]:
    async with AsyncExitStack() as stack:
        yield await postgres_queue_backend(stack, empty_postgres, foreign_postgres)


class TestPostgresQueue(DispatchQueueContract):
    @pytest.mark.usefixtures("desk")
    async def test_no_news(self, queue: DispatchQueue) -> None:
        """The version is that of all transactions of the server, which other tests use too: two
        looks are equal as soon as none of these ends between them."""
        for _ in range(10_000):
            if await queue.news(NOON) == await queue.news(NOON):
                return
        raise AssertionError("each look has news, though nothing is committed here")

    @pytest.mark.usefixtures("desk")
    async def test_a_renewed_notice_is_no_news(self, queue: DispatchQueue) -> None:
        """Dispatchers with nothing to do renew their notices each second. Once each of them looked
        for work then, and an idle pair made eight round trips a second each."""
        one, two = await queue.put_up(b"one"), await queue.put_up(b"two")
        for _ in range(1_000):
            before = await queue.news(NOON)
            for name in (one, two, one):
                assert await queue.renew(name, b"it lives")
            after = await queue.news(NOON)
            if after.version == before.version:
                break
        else:
            raise AssertionError("a renewed notice is news")

        await queue.take_down(two)
        await queue.adopt([BETA])
        assert (await queue.news(NOON)).version != after.version


class TestPostgresQueueWithoutItsStore(LostStoreContract):
    pass


class TestPostgresQueueRaces(QueueRacesContract):
    async def test_a_machine_that_is_cut_off_while_it_forms(
        self, backend: PostgresQueueBackend, desk: Desk, other: DispatchQueue
    ) -> None:
        """Its transaction stays open until the server gives it up, with its endpoint locked. The
        other endpoints' reports wait for nothing."""
        await backend.queue.adopt([ACME, BETA])
        reports = await desk.receive(2)
        acme, beta = await desk.forming(reports), await desk.forming(reports, BETA)

        async def form_of_both() -> int:
            formed = await other.form(NOON, leases(), [acme, beta])
            assert {each.endpoint for each in formed} == {"beta"}
            assert (await other.counts())["beta"] == {"leased": 2}  # while the first one is open
            assert "acme" not in await other.counts()
            return len(formed)

        formed, of_both = await backend.at_once(
            lambda: desk.queue.form(NOON, leases(), [acme]), form_of_both
        )

        assert (len(formed), of_both) == (2, 2)


class TestReplayRaces(ReplayRacesContract):
    pass


class TestUnansweredCommits(UnansweredCommitContract):
    pass


class TestCounts:
    """Each count is the sum of rows, which become one again and again."""

    @pytest.fixture(autouse=True)
    def often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(counts, "EVERY", 5)

    async def test_rows_stay_few(self, backend: PostgresQueueBackend) -> None:
        """However many transactions have added one, and the counts are right throughout."""
        await backend.queue.adopt([ACME])
        desk = Desk(backend)
        for number in range(1, 30):
            await desk.waiting()
            assert await backend.queue.counts() == {"acme": {"waiting": number}}

        rows = await backend.database.read(
            lambda c: row_of(c.execute("SELECT count(*) FROM dispatch_count"))[0]
        )
        assert rows < 30

    async def test_two_make_one_of_them(self, backend: PostgresQueueBackend) -> None:
        """And a third one adds at the same time: nothing is counted twice or lost."""
        await backend.queue.adopt([ACME])
        desk = Desk(backend)
        await desk.waiting(3)
        other = await backend.another_queue()
        (leased,) = await desk.dispatches()

        async def beside() -> None:
            await other.record([a_record(leased, "exhausted")])
            await (await backend.another_database()).write(counts.compact)

        await backend.at_once(lambda: backend.database.write(counts.compact), beside)

        assert await other.counts() == {"acme": {"waiting": 3, "exhausted": 1}}
        await backend.database.write(counts.compact)
        assert await other.counts() == {"acme": {"waiting": 3, "exhausted": 1}}

    async def test_a_record_is_no_failure_of_theirs(self, backend: PostgresQueueBackend) -> None:
        """An attempt that is recorded is told as recorded, though its rows cannot be made one."""
        await backend.queue.adopt([ACME])
        desk = Desk(backend)
        await desk.waiting(1)
        for _ in range(5):
            (leased,) = await desk.dispatches()
            with patch.object(counts, "compact", _lost):
                assert await backend.queue.record([a_record(leased, "exhausted")]) == [True]


def _lost(_: Connection) -> None:
    raise psycopg.OperationalError("the connection is lost")


async def test_keeps_its_name(
    empty_postgres: EmptyDatabase, foreign_postgres: EmptyDatabase
) -> None:
    """The name in front of each id is chosen once, when the database is made."""
    async with AsyncExitStack() as stack:
        first = await postgres_queue_backend(stack, empty_postgres, foreign_postgres, name="first")
        other = await first.another_queue()
        await first.queue.adopt([ACME])

        (dispatch,) = await Desk(first).dispatches()
        assert dispatch.name == "first-1"
        assert await other.dispatch(dispatch.name) is not None

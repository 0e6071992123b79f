"""What every read model does (ReadModel in receiver/store/base.py).

It counts each report exactly once, whatever happens between two turns and in one. An
implementation's test derives a class from `ReadModelContract` and gives it a fixture `backend`.
"""

from __future__ import annotations

import asyncio

import pytest

from receiver.store.base import (
    TURN,
    ReadModel,
    ReportQuery,
    ReportStore,
    StoreUnavailable,
    TotalsQuery,
)
from receiver.store.tally import DAY
from tests.contracts.report_store import (
    NOON,
    StoreBackend,
    a_callback,
    an_sms,
    everything,
    fails_as_a_whole,
    ids,
)
from tests.contracts.report_totals import END, START, check, queries
from tests.receiver.dlr.generated import generated_callbacks

REPORTS = 60
ALL = TotalsQuery(DAY, START, END)


async def followed(backend: StoreBackend) -> int:
    """How many reports the totals have when no report is there any more to add up: takes all
    reports away."""
    await backend.delete_reports()
    return sum(counted.reports for counted in (await backend.store.totals(ALL)).outcomes)


class ReadModelContract:
    @pytest.fixture
    def store(self, backend: StoreBackend) -> ReportStore:
        return backend.store

    @pytest.fixture
    def model(self, backend: StoreBackend) -> ReadModel:
        return backend.read_model

    async def test_follows_in_turns(
        self, backend: StoreBackend, store: ReportStore, model: ReadModel
    ) -> None:
        """Each turn goes on where the last one ended, and then there is nothing left."""
        await store.add(list(generated_callbacks(1, REPORTS)))
        stored = len(await everything(store))

        turns = [await model.turn(7) for _ in range(12)]

        assert turns == [7] * (stored // 7) + [stored % 7] + [0] * (11 - stored // 7)
        for query in queries():
            await check(store, query)
        assert await followed(backend) == stored

    async def test_catches_up(self, backend: StoreBackend, store: ReportStore) -> None:
        """Catching up follows all, however many turns away, and tells how many that was."""
        await store.add(list(generated_callbacks(2, REPORTS)))
        stored = len(await everything(store))
        await backend.read_model.turn(10)

        assert await backend.read_model.catch_up() == stored - 10
        assert await backend.read_model.catch_up() == 0
        assert await followed(backend) == stored

    async def test_catches_up_over_many_turns(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """What is more than one turn takes is followed to its end."""
        await store.add([a_callback(*(an_sms(f"m{n}") for n in range(TURN + 3)))])

        assert await backend.read_model.catch_up() == TURN + 3
        assert await followed(backend) == TURN + 3

    async def test_nothing_to_follow(self, model: ReadModel) -> None:
        """A turn on an empty store does nothing."""
        assert await model.turn() == 0

    async def test_has_followed_what_it_says(
        self, backend: StoreBackend, store: ReportStore, model: ReadModel
    ) -> None:
        """What a turn has followed is in the totals for good; the rest is not."""
        await store.add(list(generated_callbacks(3, REPORTS)))
        await model.turn(25)

        assert await followed(backend) == 25

    async def test_passes_over_gaps(
        self, backend: StoreBackend, store: ReportStore, model: ReadModel
    ) -> None:
        """Ids that are missing are no end: all that came later is followed."""
        await store.add([a_callback(*(an_sms(f"m{n}") for n in range(9)))])
        all = ids(await everything(store))
        await backend.delete_reports([all[0], *all[3:6]])

        assert [await model.turn(2) for _ in range(4)] == [2, 2, 1, 0]
        await store.add([a_callback(an_sms("later"))])
        assert await model.turn(2) == 1

    async def test_two_at_once(self, backend: StoreBackend, store: ReportStore) -> None:
        """Of two processes that follow at the same time each report is counted by one, while both
        receive."""
        other = await backend.another()
        await store.add(list(generated_callbacks(4, REPORTS)))

        for n in range(8):
            await asyncio.gather(
                backend.read_model.turn(11),
                other.read_model.turn(7),
                other.store.add(list(generated_callbacks(40 + n, 9))),
                store.add([a_callback(an_sms(f"new-{n}"))]),
            )
        await asyncio.gather(backend.read_model.catch_up(), other.read_model.catch_up())
        await backend.read_model.catch_up()

        stored = len(await everything(store))
        for query in queries():
            await check(store, query)
        assert await followed(backend) == stored

    async def test_the_store_goes_away_in_the_middle(
        self, backend: StoreBackend, store: ReportStore, model: ReadModel
    ) -> None:
        """Wherever the database goes away in a turn, the next turn begins anew: each report is
        counted once, and answers are whole all the time."""
        await store.add(list(generated_callbacks(5, REPORTS)))
        stored = len(await everything(store))
        await model.turn(20)

        assert await fails_as_a_whole(backend, lambda: model.turn(10)) == 10

        for query in queries():
            await check(store, query)
        await model.catch_up()
        for query in queries():
            await check(store, query)
        assert await followed(backend) == stored

    async def test_unwritable(
        self, backend: StoreBackend, store: ReportStore, model: ReadModel
    ) -> None:
        """While nothing can be written a turn says so, and searches and totals stay complete."""
        await store.add([a_callback(an_sms("m1", to="4179"), at=NOON)])
        await backend.refuse_writes()

        with pytest.raises(StoreUnavailable):
            await model.turn()

        assert len(await store.reports(ReportQuery(to="4179"))) == 1
        await check(store, ALL)

    async def test_adding_writes_no_read_model(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """The transaction that stores reports adds nothing up: each index would halve its rate."""
        await store.add(list(generated_callbacks(6, REPORTS)))

        assert await followed(backend) == 0

"""What every store of endpoints does (dispatcher/endpoints/base.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from msgspec.structs import replace

from dispatcher.endpoints.base import EndpointStore, Stored, StoredEndpoint, TakenOver
from dispatcher.storage import Storage
from tests.contracts.dispatch_queue import (
    ACME,
    BETA,
    Desk,
    a_bucket,
    a_record,
    a_report,
    leases,
)
from tests.contracts.replays import ReplayBackend, ReplayDesk
from tests.contracts.report_store import DAY, NOON, a_callback, an_sms
from tests.contracts.storages import StorageBackend, a_bench_on, unbroken
from tests.dispatcher.support import an_endpoint

SAID = StoredEndpoint('{"window":3}')


class Refused(Exception):
    """Somebody else's reason."""


def refuse(_: Stored) -> StoredEndpoint:
    raise Refused


def say(settings: str) -> Callable[[Stored], StoredEndpoint]:
    return lambda _: StoredEndpoint(settings)


async def unread(storage: Storage) -> dict[str, int]:
    """How many reports each endpoint has still to read."""
    return dict((await storage.figures.depths()).unread)


class EndpointStoreContract:
    @pytest.fixture
    def endpoints(self, backend: StorageBackend) -> EndpointStore:
        return backend.storage.endpoints

    @pytest.fixture
    def desk(self, backend: StorageBackend) -> Desk:
        return Desk(backend.storage)

    # --- what is said --------------------------------------------------------------------------

    async def test_a_new_database_knows_none(self, endpoints: EndpointStore) -> None:
        """Nothing is stored, and its version stays what it is."""
        assert await endpoints.stored() == {}
        assert await endpoints.version() == await endpoints.version()

    @pytest.mark.parametrize(
        "said",
        [
            StoredEndpoint(),
            StoredEndpoint('{"name":"ä€ \U0001f600","url":null,"x":"\\u0000"}', from_outside=True),
            StoredEndpoint("{}", paused=True),
            StoredEndpoint('{"colour":"red"}', from_outside=True, paused=True),
        ],
    )
    async def test_what_is_said_is_kept_as_it_is(
        self, backend: StorageBackend, said: StoredEndpoint
    ) -> None:
        """To the character, be it settings or what nobody can read as such; for every process."""
        await backend.storage.endpoints.put("acme", lambda _: said, known=())

        other = await backend.another()
        assert await other.endpoints.stored() == {"acme": said}

    async def test_they_come_in_the_order_of_their_names(self, endpoints: EndpointStore) -> None:
        """By code points, whatever the language of the machine."""
        names = ["b", "a", "B", "a-b", "ab", "a_b"]
        for name in names:
            await endpoints.put(name, say("{}"), known=())

        assert list(await endpoints.stored()) == sorted(names)

    async def test_names_are_compared_to_the_letter(self, endpoints: EndpointStore) -> None:
        """A change of one is none of another whose name is alike."""
        names = ["a_b", "A_B", "axb", "a%b"]
        for name in names:
            await endpoints.put(name, say(f'"{name}"'), known=())
        await endpoints.remove("a_b", lambda _: None, known=())

        stored = dict(await endpoints.stored())
        assert stored.pop("a_b").removed
        assert stored == {name: StoredEndpoint(f'"{name}"') for name in names[1:]}

    async def test_a_change_is_noticed_by_every_process(self, backend: StorageBackend) -> None:
        """The version goes up with each change, whoever makes it."""
        here, there = backend.storage.endpoints, (await backend.another()).endpoints
        seen = [await there.version()]
        for store in (here, there, here):
            await store.put("acme", say("{}"), known=())
            seen += [await there.version(), await here.version()]
        await there.remove("acme", lambda _: None, known=())
        seen.append(await here.version())

        assert seen[1::2] == seen[2::2] + seen[-1:]
        assert sorted(set(seen)) == list(dict.fromkeys(seen))
        assert len(set(seen)) == 5

    async def test_looking_changes_nothing(
        self, backend: StorageBackend, endpoints: EndpointStore
    ) -> None:
        """Endpoints that are adopted are known, and no version for it."""
        before = await endpoints.version()
        await backend.storage.queue.adopt([ACME])

        assert await endpoints.stored() == {"acme": StoredEndpoint()}
        assert await endpoints.version() == before

    async def test_what_refuses_changes_nothing(self, endpoints: EndpointStore) -> None:
        """The reason comes through; no endpoint is known by it, and no version is another."""
        await endpoints.put("acme", say("{}"), known=())
        before = await endpoints.version()

        with pytest.raises(Refused):
            await endpoints.put("acme", refuse, known=["beta"])
        with pytest.raises(Refused):
            await endpoints.remove("acme", refuse, known=["beta"])

        assert await endpoints.stored() == {"acme": StoredEndpoint("{}")}
        assert await endpoints.version() == before

    async def test_of_two_at_once_none_is_lost(self, backend: StorageBackend) -> None:
        """Each change is made of what the other has left, in two processes too."""
        stores = (backend.storage.endpoints, (await backend.another()).endpoints)

        def one_more(stored: Stored) -> StoredEndpoint:
            said = stored.get("acme", StoredEndpoint("")).settings or ""
            return StoredEndpoint(said + "x")

        changes = [store.put("acme", one_more, known=()) for store in stores * 10]
        await asyncio.gather(*changes)

        assert (await stores[0].stored())["acme"].settings == "x" * 20

    async def test_of_two_at_once_one_is_first(self, backend: StorageBackend) -> None:
        """Where only the first may, one may: it is told in the transaction that it is the first."""

        def first(stored: Stored) -> StoredEndpoint:
            return refuse(stored) if "acme" in stored else SAID

        stores = (backend.storage.endpoints, (await backend.another()).endpoints)
        done = await asyncio.gather(
            *(store.put("acme", first, known=()) for store in stores * 3), return_exceptions=True
        )

        assert sorted(type(each).__name__ for each in done) == ["NoneType", *["Refused"] * 5]

    # --- where they begin ----------------------------------------------------------------------

    async def test_the_first_ones_begin_with_the_first_report(
        self, backend: StorageBackend, desk: Desk
    ) -> None:
        """Nothing that came before any dispatcher ran is lost, to none that is known with them."""
        await desk.receive(2)
        await backend.storage.endpoints.put("acme", say("{}"), known=["beta"])

        assert await unread(backend.storage) == {"acme": 2, "beta": 2}

    async def test_a_later_one_begins_with_the_next_report(
        self, backend: StorageBackend, desk: Desk
    ) -> None:
        """A customer who is added to a store of a year does not get the year."""
        endpoints = backend.storage.endpoints
        await endpoints.put("acme", say("{}"), known=())
        await desk.receive(2)
        await endpoints.put("beta", say("{}"), known=["acme"])

        assert await unread(backend.storage) == {"acme": 2, "beta": 0}

    async def test_a_change_does_not_move_it(self, backend: StorageBackend, desk: Desk) -> None:
        """An endpoint that is changed or paused reads on from where it was."""
        endpoints = backend.storage.endpoints
        await endpoints.put("acme", say("{}"), known=())
        await desk.receive(2)
        await endpoints.put("acme", lambda _: StoredEndpoint("{}", paused=True), known=["acme"])

        assert await unread(backend.storage) == {"acme": 2}

    async def test_one_that_comes_back_is_new(self, backend: StorageBackend, desk: Desk) -> None:
        """What came before it was removed, and meanwhile, is not for it."""
        endpoints = backend.storage.endpoints
        await endpoints.put("acme", say("{}"), known=())
        await desk.receive(2)
        await endpoints.remove("acme", lambda _: None, known=())
        assert await unread(backend.storage) == {}
        await desk.receive(1)

        await endpoints.put("acme", say("{}"), known=())
        assert await unread(backend.storage) == {"acme": 0}
        await desk.receive(3)
        assert await unread(backend.storage) == {"acme": 3}

    async def test_those_known_begin_when_one_is_removed_too(
        self, backend: StorageBackend, desk: Desk
    ) -> None:
        """Whatever the first change of a database is, nothing that is stored is lost."""
        await desk.receive(2)
        await backend.storage.endpoints.remove("acme", lambda _: None, known=["beta"])

        assert await unread(backend.storage) == {"beta": 2}

    # --- removing ------------------------------------------------------------------------------

    async def test_a_removed_one_reads_nothing(self, backend: StorageBackend, desk: Desk) -> None:
        """Nor does a worker form anything for it that has not noticed yet that it is removed."""
        queue = backend.storage.queue
        await queue.adopt([ACME])
        forming = await desk.forming(await desk.receive())
        await backend.storage.endpoints.remove("acme", lambda _: None, known=())

        assert (await queue.pending(NOON)).unread == {}
        assert await queue.form(NOON, leases(), [forming]) == []
        assert await queue.counts() == {}

    async def test_no_message_is_under_way_to_a_removed_one(
        self, backend: StorageBackend, desk: Desk
    ) -> None:
        """When it comes back, what was being sent as it went holds up no later report."""
        storage = backend.storage
        await storage.queue.adopt([ACME])
        first, second = await desk.of_one_message()
        await desk.in_order([first], hold=[second])
        await storage.endpoints.remove("acme", lambda _: None, known=())
        await storage.endpoints.put("acme", say("{}"), known=())

        assert await storage.queue.blocked("acme", [desk.message(first)], []) == frozenset()

    async def test_what_a_replay_holds_for_a_removed_one_is_free(
        self, backend: StorageBackend
    ) -> None:
        """The replay finds it, and drops it: otherwise it would wait for ever."""
        storage = backend.storage
        await storage.queue.adopt([ACME])
        desk = ReplayDesk(cast(ReplayBackend, storage))
        first, second = await desk.messages()
        replay = await desk.made(first, second)
        assert await desk.feed(replay, first, hold=[second])
        await desk.claim(NOON)
        await storage.endpoints.remove("acme", lambda _: None, known=())

        freed = await storage.replays.freed(await desk.now(replay), 9)
        assert [(item.report, item.endpoint) for item in freed] == [(second, "acme")]

    async def test_what_waits_for_a_removed_one_is_cancelled(
        self, backend: StorageBackend, desk: Desk
    ) -> None:
        """It is told how many those are. What has ended stays, and so does what is another's."""
        await backend.storage.queue.adopt([ACME, BETA])
        await desk.waiting(2)
        await desk.waiting(1, BETA)
        await desk.dispatches(1)

        cancelled = await backend.storage.endpoints.remove("acme", lambda _: None, known=())

        assert cancelled == 2
        assert (await backend.storage.endpoints.stored())["acme"] == StoredEndpoint(removed=True)
        counts = await backend.storage.queue.counts()
        assert counts == {"acme": {"cancelled": 2, "leased": 1}, "beta": {"waiting": 1}}

    async def test_what_is_held_for_a_removed_one_goes(self, backend: StorageBackend) -> None:
        """A report that waits for the order's sake holds nothing back any more."""
        bench = await a_bench_on(backend, an_endpoint(ordered=True))
        bench.sender.always(503)
        for status in ("PENDING_ENROUTE", "DELIVERED_TO_HANDSET"):
            await bench.store.add([a_callback(an_sms("a", status))])
            await bench.work()
        assert not await backend.storage.figures.idle()

        await backend.storage.endpoints.remove("acme", lambda _: None, known=())

        assert await backend.storage.figures.idle()

    async def test_a_dispatch_that_comes_back_from_an_attempt_is_cancelled_too(
        self, backend: StorageBackend, desk: Desk
    ) -> None:
        """One that was leased when its endpoint was removed is never sent again."""
        await backend.storage.queue.adopt([ACME])
        await desk.dispatches(1)
        await backend.storage.endpoints.remove("acme", lambda _: None, known=())

        assert await backend.storage.queue.release_expired(NOON + DAY) == 1
        assert await backend.storage.queue.counts() == {"acme": {"cancelled": 1}}

    # --- a store that goes away ----------------------------------------------------------------

    async def test_the_store_goes_away(self, backend: StorageBackend, desk: Desk) -> None:
        """Wherever it goes, nothing of a change is there, and it can be made again."""
        storage = backend.storage
        await storage.queue.adopt([ACME])
        await desk.waiting(2)

        async def state() -> object:
            stored = await storage.endpoints.stored()
            return stored, await storage.endpoints.version(), await storage.queue.counts()

        await unbroken(backend, lambda: storage.endpoints.put("b", say("{}"), known=["c"]), state)
        removed = storage.endpoints.remove
        cancelled = await unbroken(backend, lambda: removed("acme", lambda _: 0, known=()), state)

        assert cancelled == 2
        assert list(await storage.endpoints.stored()) == ["acme", "b", "c"]

    # --- endpoints that left the settings ------------------------------------------------------

    async def test_who_works_for_whom(
        self, backend: StorageBackend, endpoints: EndpointStore
    ) -> None:
        """Every process sees for whom some process works, until it says otherwise or has said
        nothing for as long as it said."""
        await backend.storage.queue.adopt([ACME, BETA])
        other = (await backend.another()).endpoints
        assert await endpoints.worked_for(NOON) == frozenset()

        await endpoints.work_for(["acme", "beta", "nobody"], NOON + DAY)
        await other.work_for(["beta"], NOON)

        assert await other.worked_for(NOON) == {"acme"}
        assert await other.worked_for(NOON + DAY) == frozenset()

    async def test_what_waits_is_taken_over(self, backend: StorageBackend, desk: Desk) -> None:
        """Dispatches, what is held, and what the other has passed over because it only began later;
        the first one is removed, and who comes with its name again begins anew."""
        storage = backend.storage
        await storage.queue.adopt([ACME])
        await desk.waiting(2)
        await storage.store.add([a_callback(an_sms("unread"))])
        await storage.queue.adopt([BETA])
        await storage.store.add([a_callback(an_sms("by itself"))])
        acme = (await unread(storage))["acme"]
        beta = (await unread(storage))["beta"]

        taken = await storage.endpoints.take_over("acme", BETA, lambda _: None, known=())

        assert taken == TakenOver(dispatches=2, reports=acme - beta)
        assert await storage.queue.counts() == {"beta": {"waiting": 2}}
        assert {each.url for each in await storage.queue.dispatches()} == {BETA.url}
        freed = await storage.queue.freed("beta", 99)
        assert len(freed) == taken.reports
        assert await unread(storage) == {"beta": beta}
        assert (await storage.endpoints.stored())["acme"].removed

    async def test_what_is_taken_over_waits_for_what_is_under_way(
        self, backend: StorageBackend, desk: Desk
    ) -> None:
        """An endpoint that keeps the order takes over reports of a message of which it has one on
        its way. They wait for it: a report that is free and yet refused would be asked for again
        and again, and hold up all others. Another source's message waits for nothing."""
        storage = backend.storage
        await storage.queue.adopt([BETA])
        unread = await desk.of_one_message()
        await storage.store.add([a_callback(an_sms("m1"), source="other")])
        (of_another,) = [each.id for each in await storage.store.reports_after(unread[-1], 9)]
        await storage.queue.adopt([ACME])
        await storage.store.add([a_callback(an_sms("m1", error={"id": 9}))])
        (last,) = [each.id for each in await storage.store.reports_after(of_another, 9)]
        desk.keys[last] = desk.keys[unread[0]]
        (leased,) = await desk.in_order([last])

        by = replace(ACME, ordered=True)
        taken = await storage.endpoints.take_over("beta", by, lambda _: None, known=())

        assert taken == TakenOver(dispatches=0, reports=3)
        assert await storage.queue.freed("acme", 9) == [of_another]
        await storage.queue.record([a_record(leased, "acknowledged", status=200)])
        assert await storage.queue.freed("acme", 9) == [*unread, of_another]

    async def test_what_was_free_there_waits_for_what_is_under_way_here(
        self, backend: StorageBackend, desk: Desk
    ) -> None:
        """The same of reports that the endpoint which is gone had held."""
        storage = backend.storage
        await storage.queue.adopt([ACME, BETA])
        first, second = await desk.of_one_message()
        (leased,) = await desk.in_order([first], hold=[second])
        await storage.queue.record([a_record(leased, "acknowledged", status=200)])
        assert await storage.queue.freed("acme", 9) == [second]
        theirs = await desk.forming([first], BETA)
        theirs = replace(
            theirs,
            endpoint=replace(BETA, ordered=True),
            buckets=[a_bucket(BETA, [a_report(first, desk.keys[first])])],
        )
        (leased,) = await storage.queue.form(NOON, leases(), [theirs])

        by = replace(BETA, ordered=True)
        await storage.endpoints.take_over("acme", by, lambda _: None, known=())

        assert await storage.queue.freed("beta", 9) == []
        await storage.queue.record([a_record(leased, "acknowledged", status=200)])
        assert await storage.queue.freed("beta", 9) == [second]

    async def test_a_take_over_is_whole_or_not_at_all(
        self, backend: StorageBackend, desk: Desk
    ) -> None:
        """Wherever the store goes away, or when it is refused."""
        storage = backend.storage
        await storage.queue.adopt([ACME])
        await desk.waiting(2)
        await storage.store.add([a_callback(an_sms("unread"))])
        await storage.queue.adopt([BETA])

        async def state() -> object:
            return (
                await storage.endpoints.stored(),
                await storage.endpoints.version(),
                await storage.queue.counts(),
                await storage.queue.dispatches(),
                await storage.queue.freed("beta", 99),
            )

        before = await state()
        with pytest.raises(Refused):
            await storage.endpoints.take_over("acme", BETA, refuse, known=["c"])
        assert await state() == before
        take_over = storage.endpoints.take_over
        taken = await unbroken(
            backend, lambda: take_over("acme", BETA, lambda _: None, known=["c"]), state
        )
        assert taken.dispatches == 2
        assert await storage.queue.counts() == {"beta": {"waiting": 2}}

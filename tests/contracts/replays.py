"""What every store of replays, and every selector of reports, does (dispatcher/replay/base.py).

An implementation's test derives classes from the contracts and gives them a fixture `backend`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any, Protocol

import pytest
from msgspec.structs import replace

from dispatcher.queue.base import DispatchSearch, Forming, Leased, UnknownDispatch
from dispatcher.replay.base import Portion, ReplaySelector, ReplayStore
from dispatcher.replay.items import PIECE, Items
from dispatcher.replay.pace import Original, Rate
from dispatcher.replay.replay import InvalidReplay, Item, Replay, Selected, UnknownReplay
from dispatcher.replay.request import Request, Selection, read_request
from dispatcher.retrying.dispatch import DispatchState
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.store.base import AmbiguousMessage, Message, StoredReport
from tests.contracts.dispatch_queue import (
    A_LEASE,
    ACME,
    BETA,
    MINUTE,
    NOON,
    Desk,
    QueueBackend,
    a_bucket,
    a_forming,
    a_lease,
    a_record,
    a_report,
    leases,
    losing_the_store,
)
from tests.contracts.report_store import a_callback, an_sms
from tests.receiver.payloads import STATUSES

NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)


class ReplayBackend(QueueBackend, Protocol):
    """Replays, and the queue that they feed, in one empty database."""

    @property
    def replays(self) -> ReplayStore: ...

    @property
    def selector(self) -> ReplaySelector: ...

    async def another_replays(self) -> ReplayStore:
        """The replays of the same database, as another process has them."""

    async def forget(self, *reports: int) -> None:
        """These reports are no more, as after retention or an erasure."""

    async def remove(self, endpoint: str) -> None:
        """This endpoint is no more."""

    async def catch_up(self) -> None:
        """What is read from the reports for searches is brought up to date."""


class ReplayDesk(Desk):
    """Replays in the words of the tests. All goes to Acme unless said otherwise."""

    def __init__(self, backend: ReplayBackend) -> None:
        super().__init__(backend)
        self.replays = backend.replays
        self.selector = backend.selector

    async def made(self, *reports: int, to: str = "acme", **asked: Any) -> Replay:
        """A replay of these reports, which are a second apart."""
        items = Items()
        for report in reports:
            items.add(report, to, report * 1_000_000)
        request = Request(selection=Selection(ids=reports), **asked)
        return (await self.replays.create(request, items, NOON, from_outside=False))[0]

    async def now(self, replay: Replay) -> Replay:
        return await self.replays.one(replay.id)

    def portion(
        self,
        replay: Replay,
        *reports: int,
        hold: Sequence[int] = (),
        freed: Sequence[int] = (),
        dropped: int = 0,
    ) -> Portion:
        """The next items of a replay: a bucket of each of these reports, others to hold."""
        fed = len(reports) - len(freed) + len(hold) + dropped
        in_order = replace(ACME, ordered=any(report in self.keys for report in (*reports, *hold)))
        forming = Forming(
            in_order,
            0,
            0,
            [a_bucket(ACME, [self.report(report)]) for report in reports],
            [f"report {report}".encode() for report in reports],
            [self.report(report) for report in hold],
            freed,
        )
        return Portion(
            replay=replay.id,
            fed_from=replay.fed,
            fed_to=replay.fed + fed,
            dropped=dropped,
            anchor_at=NOON,
            formings=[forming],
        )

    def report(self, number: int) -> StoredReport:
        return a_report(number, self.keys.get(number))

    async def feed(self, replay: Replay, *reports: int, **given: Any) -> bool:
        """Feed these reports of a replay, which is as far as the database says."""
        portion = self.portion(await self.now(replay), *reports, **given)
        return await self.replays.feed(portion, NOON)

    async def fed(self, number: int = 1) -> Replay:
        """A replay of so many new reports, which are all fed."""
        reports = await self.receive(number)
        replay = await self.made(*reports)
        assert await self.feed(replay, *reports)
        return await self.now(replay)

    async def reads_all(self) -> None:
        """Acme reads what there is by itself, and forms nothing of it."""
        unread = (await self.queue.pending(NOON)).unread
        if ACME.name in unread:
            last = (await self.store.reports_after(0, 10_000))[-1].id
            await self.queue.form(NOON, leases(), [Forming(ACME, unread[ACME.name], last)])
            self.read_to = last

    async def messages(self, number: int = 2) -> list[int]:
        """Reports of one message, which Acme has read by itself."""
        reports = await self.of_one_message(number)
        await self.reads_all()
        return reports

    async def works(self, state: DispatchState = "acknowledged", room: int = 100) -> list[Leased]:
        """What is due is pushed once and becomes this."""
        leased = await self.claim(NOON, room)
        status = 200 if state == "acknowledged" else 503
        assert all(await self.queue.record([a_record(e, state, status=status) for e in leased]))
        return leased


class ReplayStoreContract:
    @pytest.fixture
    def replays(self, backend: ReplayBackend) -> ReplayStore:
        return backend.replays

    @pytest.fixture
    async def desk(self, backend: ReplayBackend) -> ReplayDesk:
        """A database that knows Acme and Beta."""
        await backend.queue.adopt([ACME, BETA])
        return ReplayDesk(backend)

    async def test_a_replay_takes_no_report(self, desk: ReplayDesk) -> None:
        """An endpoint to which a report is replayed has not taken it by its own rules."""
        reports = await desk.receive(2)
        assert await desk.feed(await desk.made(*reports), *reports)

        assert list(await desk.queue.takers(reports)) == []

    # --- made ----------------------------------------------------------------------------------

    async def test_made(self, replays: ReplayStore) -> None:
        """A replay runs from the start, and has what was asked for; nothing is fed yet."""
        selection = Selection(ids=(1, 2), since=NOON)
        request = Request(selection=selection, to_endpoint="acme", stop_on_errors=0.25, key="k")
        items = Items()
        items.add(1, "acme", 5)
        items.add(2, "acme", 7)

        made, new = await replays.create(request, items, NOON, from_outside=True)

        assert new
        assert made == await replays.one(made.id) == await replays.with_key("k")
        assert (made.state, made.created_at, made.total, made.fed) == ("running", NOON, 2, 0)
        assert (made.selection, made.endpoint, made.url) == (selection, "acme", None)
        assert (made.key, made.pace, made.stop_on_errors) == ("k", None, 0.25)
        assert (made.counts, made.held, made.attempts, made.tried) == ({}, 0, 0, 0)
        assert (made.started_at, made.ended_at, made.progress.anchor_at) == (None, None, None)

    @pytest.mark.parametrize("pace", [Rate(50, "s"), Original(2.5), Original(), None])
    async def test_keeps_its_pace(self, desk: ReplayDesk, pace: Rate | Original | None) -> None:
        """The pace comes back as it was given."""
        assert (await desk.now(await desk.made(1, pace=pace))).pace == pace

    async def test_of_nothing(self, desk: ReplayDesk, replays: ReplayStore) -> None:
        """A replay of nothing is done at once."""
        made = await desk.made()

        assert (made.state, made.total, made.ended_at) == ("done", 0, NOON)
        with pytest.raises(InvalidReplay):
            await replays.end(made.id, "cancelled", NOON)

    async def test_to_a_url(self, desk: ReplayDesk, replays: ReplayStore) -> None:
        """A replay to a URL has an endpoint of its own, and shows no password."""
        made = await desk.made(1, 2, to="the URL", to_url="http://me:secret@there.example/")

        assert (made.endpoint, made.url) == ("replay-1", "http://there.example/")
        assert [each.endpoint for each in await replays.following(made, 9)] == ["replay-1"] * 2

    async def test_a_key_makes_one_replay(
        self, backend: ReplayBackend, replays: ReplayStore
    ) -> None:
        """Of those that make a replay with one key, at whatever time, one does; the others get
        its."""
        others = [replays, await backend.another_replays()]
        request = Request(selection=Selection(ids=(1,)), to_endpoint="acme", key="once")
        items = Items()
        items.add(1, "acme", 0)

        made = await asyncio.gather(
            *(others[n % 2].create(request, items, NOON, from_outside=False) for n in range(8))
        )

        assert sum(new for _, new in made) == 1
        assert len({replay.id for replay, _ in made}) == 1
        assert len(await replays.all()) == 1
        assert await replays.with_key("another") is None

    async def test_lists_replays(
        self, backend: ReplayBackend, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """Replays are listed newest first, in pages, whatever gaps their ids have."""
        first, second = await desk.made(1), await desk.made(1)
        await backend.skip_ids(100)
        third = await desk.made(1)

        assert [each.id for each in await replays.all()] == [third.id, second.id, first.id]
        assert [each.id for each in await replays.all(third.id, 1)] == [second.id]
        assert [each.id for each in await replays.all(50)] == [second.id, first.id]
        assert await replays.all(first.id) == []
        assert [each.id for each in await replays.unfinished()] == [first.id, second.id, third.id]
        with pytest.raises(UnknownReplay):
            await replays.one(50)

    # --- what follows --------------------------------------------------------------------------

    @pytest.mark.parametrize("fed", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 4])
    async def test_goes_on_at_any_place(
        self, desk: ReplayDesk, replays: ReplayStore, fed: int
    ) -> None:
        """What follows is read from any place, with its offset, and ends with the last."""
        replay = await desk.made(*range(1, 2 * PIECE + 6))
        if fed:
            assert await desk.feed(replay, dropped=fed)

        following = await replays.following(await desk.now(replay), PIECE)

        last = min(fed + PIECE, 2 * PIECE + 5)
        assert following == [
            Item(report, "acme", (report - 1) * 1_000_000) for report in range(fed + 1, last + 1)
        ]

    async def test_reports_of_items(
        self, backend: ReplayBackend, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """The reports of items come by id; those that have gone are left out."""
        one, two, three = await desk.receive(3)
        await backend.forget(two)

        found = await replays.reports([Item(each, "acme", 0) for each in (three, two, one, one)])

        assert found == {each.id: each for each in await desk.store.reports_by_id([one, three])}

    # --- fed -----------------------------------------------------------------------------------

    async def test_feeds_dispatches(self, desk: ReplayDesk, replays: ReplayStore) -> None:
        """What is fed becomes dispatches that are due at once, with the bytes that were made."""
        reports = await desk.receive(2)
        replay = await desk.made(*reports)
        portion = replace(desk.portion(replay, reports[0]), anchor_at=NOON - MINUTE)

        assert await replays.feed(portion, NOON)

        now = await desk.now(replay)
        assert (now.fed, now.counts, now.waiting) == (1, {"waiting": 1}, 1)
        assert (now.progress.anchor_at, now.progress.last_at) == (NOON - MINUTE, NOON)
        assert now.started_at == NOON
        (leased,) = await desk.claim(NOON)
        assert (leased.replay, leased.body, leased.url) == (replay.id, b"report 1", ACME.url)
        assert (leased.due_at, leased.attempts_made) == (NOON, 0)
        assert (await desk.view(leased)).report_ids == reports[:1]

    async def test_started_is_the_first_feed(self, desk: ReplayDesk, replays: ReplayStore) -> None:
        """Later feeds move how far it is and not when it started, whatever the clock says."""
        reports = await desk.receive(2)
        replay = await desk.made(*reports)
        await desk.feed(replay, reports[0])
        portion = desk.portion(await desk.now(replay), reports[1], dropped=0)

        assert await replays.feed(portion, NOON - MINUTE)

        now = await desk.now(replay)
        assert (now.started_at, now.progress.last_at) == (NOON, NOON - MINUTE)

    async def test_dispatches_that_come_by_themselves_have_no_replay(
        self, desk: ReplayDesk
    ) -> None:
        """The worker can tell replayed dispatches from others."""
        replay = await desk.fed()
        (by_itself,) = await desk.dispatches()
        await desk.queue.release([by_itself])

        assert [each.replay for each in await desk.claim(NOON)] == [replay.id, None]

    async def test_its_dispatches_are_found_by_it(self, desk: ReplayDesk) -> None:
        """Those of a replay are found by it, whatever became of them; others are not."""
        replay, other = await desk.fed(3), await desk.fed()
        await desk.works(room=1)
        await desk.works("exhausted", room=1)

        async def found(number: int, **more: Any) -> list[str]:
            search = DispatchSearch(replay=number, **more)
            return [each.state for each in (await desk.queue.find(search)).dispatches]

        assert sorted(await found(replay.id)) == ["acknowledged", "exhausted", "waiting"]
        assert await found(replay.id, outcome="acknowledged") == ["acknowledged"]
        assert await found(replay.id, state="exhausted") == ["exhausted"]
        assert await found(other.id) == ["waiting"]
        assert await found(99) == []

    async def test_two_feeders_feed_once(
        self, backend: ReplayBackend, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """Of feeders that have read the same, one feeds and the others do nothing."""
        reports = await desk.receive(3)
        replay = await desk.made(*reports)
        portion = desk.portion(replay, *reports)
        other = await backend.another_replays()

        fed = await asyncio.gather(*(each.feed(portion, NOON) for each in (replays, other) * 3))

        assert sorted(fed) == [False] * 5 + [True]
        assert len(await desk.queue.dispatches()) == 3
        assert (await desk.now(replay)).fed == 3

    async def test_feeds_from_where_it_is(self, desk: ReplayDesk, replays: ReplayStore) -> None:
        """A portion of another place is refused, whether that is before or behind."""
        reports = await desk.receive(3)
        replay = await desk.made(*reports)
        assert await desk.feed(replay, reports[0])

        for place in (0, 2):
            wrong = desk.portion(replace(replay, fed=place), reports[2])
            assert not await replays.feed(wrong, NOON)

        now = await desk.now(replay)
        assert (now.fed, now.counts) == (1, {"waiting": 1})

    async def test_a_report_that_has_gone_is_not_fed(
        self, backend: ReplayBackend, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """A recipient who was erased after the bytes were made does not come back in them: nothing
        of the portion is fed, and nothing held."""
        first, second = await desk.messages()
        third = (await desk.receive())[0]
        replay = await desk.made(first, second, third)
        portion = desk.portion(replay, first, third, hold=[second])
        await backend.forget(second)

        assert not await replays.feed(portion, NOON)
        assert await desk.queue.dispatches() == []
        assert ((await desk.now(replay)).fed, (await desk.now(replay)).held) == (0, 0)

        assert await desk.feed(replay, first, third, dropped=1)
        assert ((await desk.now(replay)).fed, (await desk.now(replay)).dropped) == (3, 1)

    async def test_a_removed_endpoint_is_not_fed(
        self, backend: ReplayBackend, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """What would wait for an endpoint that is no more, nobody would ever send."""
        (report,) = await desk.receive()
        replay = await desk.made(report)
        portion = desk.portion(replay, report)
        await backend.remove("acme")

        assert not await replays.feed(portion, NOON)
        assert await desk.queue.dispatches() == []

    async def test_untried(self, desk: ReplayDesk, replays: ReplayStore) -> None:
        """What waits for its first attempt is counted, and no further than is asked for; what was
        tried, is leased or is another replay's is not."""
        replay, other = await desk.fed(5), await desk.fed(4)
        assert await replays.untried(replay.id, {"acme": 9, "beta": 9}) == {"acme": 5, "beta": 0}
        assert await replays.untried(replay.id, {"acme": 3}) == {"acme": 3}

        await desk.works("waiting", room=1)
        await desk.claim(NOON, room=1)

        assert await replays.untried(replay.id, {"acme": 9}) == {"acme": 3}
        assert await replays.untried(other.id, {"acme": 9}) == {"acme": 4}

    # --- progress ------------------------------------------------------------------------------

    async def test_counts_follow_the_dispatches(self, desk: ReplayDesk) -> None:
        """How far a replay is follows each change of its dispatches, whoever makes it."""
        replay, other = await desk.fed(4), await desk.fed(2)
        leased = await desk.claim(NOON, room=4)
        now = await desk.now(replay)
        assert (now.counts["leased"], now.counts["waiting"], now.waiting) == (4, 0, 4)

        done, lost, again, returned = leased
        await desk.queue.record(
            [
                a_record(done, "acknowledged", status=200),
                a_record(lost, "exhausted"),
                a_record(again),
            ]
        )
        await desk.queue.release([returned])
        await desk.queue.cancel(returned.name)

        now = await desk.now(replay)
        assert {state: n for state, n in now.counts.items() if n} == {
            "acknowledged": 1,
            "exhausted": 1,
            "waiting": 1,
            "cancelled": 1,
        }
        assert (now.tried, now.attempts, now.acknowledged, now.settled) == (3, 3, 1, 3)
        assert (await desk.now(other)).counts == {"waiting": 2}
        (again,) = [each for each in await desk.claim() if each.replay == replay.id]
        await desk.queue.record([a_record(again, "exhausted")])
        now = await desk.now(replay)
        assert (now.tried, now.attempts, now.failed_attempts) == (3, 4, 3)

    async def test_reports_and_dispatches_are_counted_apart(
        self, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """`counts` are of reports; `acknowledged`, `tried` and `attempts` of dispatches."""
        reports = await desk.receive(3)
        replay = await desk.made(*reports)
        forming = a_forming(ACME, {b"all": reports}, read_to=0)
        portion = replace(desk.portion(replay, *reports), formings=[forming])
        assert await replays.feed(portion, NOON)

        await desk.works()

        now = await desk.now(replay)
        assert now.counts["acknowledged"] == 3
        assert (now.acknowledged, now.tried, now.attempts) == (1, 1, 1)

    # --- ends ----------------------------------------------------------------------------------

    async def test_finishes_when_all_has_ended(
        self, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """A replay is done when all is fed, each of its dispatches has ended and nothing is held;
        not before, and only once."""
        first, second = await desk.messages()
        replay = await desk.made(first, second)
        assert not await replays.finish(replay.id, NOON)
        await desk.feed(replay, first)
        await desk.works()
        assert not await replays.finish(replay.id, NOON)  # one is not fed
        (by_itself,) = await desk.in_order([first])
        await desk.feed(replay, hold=[second])
        assert not await replays.finish(replay.id, NOON)  # it is held
        await desk.queue.record([a_record(by_itself, "acknowledged", status=200)])
        await desk.feed(replay, second, freed=[second])
        assert not await replays.finish(replay.id, NOON)  # it waits
        await desk.works("exhausted")

        assert await replays.finish(replay.id, NOON + MINUTE)

        now = await desk.now(replay)
        assert (now.state, now.ended_at, now.failed) == ("done", NOON + MINUTE, True)
        assert not await replays.finish(replay.id, NOON)

    @pytest.mark.parametrize("end", ["cancelled", "stopped"])
    async def test_an_end_cancels_what_waits(
        self, desk: ReplayDesk, replays: ReplayStore, end: Any
    ) -> None:
        """What waits of an ended replay is cancelled and nothing more is fed; what was brought is,
        and what others have waiting stays."""
        replay, other = await desk.fed(3), await desk.fed(1)
        reports = await desk.receive()
        unfed = desk.portion(await desk.now(replay), *reports)
        await desk.works(room=1)

        assert await replays.end(replay.id, end, NOON + MINUTE) == 2

        now = await desk.now(replay)
        assert (now.state, now.ended_at) == (end, NOON + MINUTE)
        assert {s: n for s, n in now.counts.items() if n} == {"acknowledged": 1, "cancelled": 2}
        assert not await replays.feed(unfed, NOON)
        assert [each.replay for each in await desk.claim(NOON)] == [other.id]

    async def test_what_has_ended_does_not_end_again(
        self, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """An ended replay stays as it ended, and what never was cannot end."""
        replay = await desk.fed()
        await replays.end(replay.id, "stopped", NOON)

        with pytest.raises(InvalidReplay, match="cannot go from stopped to cancelled"):
            await replays.end(replay.id, "cancelled", NOON)
        assert not await replays.finish(replay.id, NOON)
        with pytest.raises(UnknownReplay):
            await replays.end(77, "cancelled", NOON)

    @pytest.mark.parametrize("back", ["fails", "is given back", "runs out"])
    async def test_what_comes_back_to_an_ended_replay_is_cancelled(
        self, desk: ReplayDesk, replays: ReplayStore, back: str
    ) -> None:
        """A push that is under way when its replay ends is not repeated, however its lease ends."""
        replay = await desk.fed()
        (leased,) = await desk.claim(NOON, lease=a_lease(until=NOON + MINUTE))
        assert await replays.end(replay.id, "cancelled", NOON) == 0
        assert (await desk.now(replay)).waiting == 1

        match back:
            case "fails":
                assert await desk.queue.record([a_record(leased)]) == [True]
            case "is given back":
                await desk.queue.release([leased])
            case _:
                await desk.queue.release_expired(NOON + MINUTE)

        view = await desk.view(leased)
        assert (view.state, view.due_at) == ("cancelled", None)
        assert await desk.next_due() is None
        now = await desk.now(replay)
        assert ({s: n for s, n in now.counts.items() if n}, now.waiting) == ({"cancelled": 1}, 0)
        assert (await desk.queue.counts())["acme"] == {"cancelled": 1}

    async def test_what_is_under_way_may_still_be_brought(
        self, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """A push that succeeds after its replay was cancelled counts as brought."""
        replay = await desk.fed()
        (leased,) = await desk.claim(NOON)
        await replays.end(replay.id, "cancelled", NOON)

        await desk.queue.record([a_record(leased, "acknowledged", status=200)])

        assert (await desk.now(replay)).counts["acknowledged"] == 1

    async def test_is_cleared_away(self, desk: ReplayDesk, replays: ReplayStore) -> None:
        """An ended replay loses its items, a piece at a time, and is cleared away when none of its
        dispatches is under way; its counts stay."""
        (report,) = await desk.receive()
        replay = await desk.made(*[report] * (PIECE + 1))
        await desk.feed(replay, report)
        (leased,) = await desk.claim(NOON)
        await replays.end(replay.id, "cancelled", NOON)
        assert not await replays.tidy(replay.id)
        await desk.queue.record([a_record(leased, "acknowledged", status=200)])
        while not await replays.tidy(replay.id):
            pass
        assert [each.id for each in await replays.unfinished()] == [replay.id]

        await replays.tidied(replay.id)

        assert await replays.unfinished() == []
        now = await desk.now(replay)
        assert await replays.following(now, 9) == []
        assert (now.state, now.counts["acknowledged"]) == ("cancelled", 1)

    # --- order ---------------------------------------------------------------------------------

    async def test_holds_what_waits_for_an_earlier_one(
        self, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """What is held for a replay counts as fed and as waiting, and is freed with the end of
        what it waits for."""
        first, second = await desk.messages()
        replay = await desk.made(first, second)
        assert await desk.feed(replay, first, hold=[second])
        now = await desk.now(replay)
        assert (now.fed, now.held, now.waiting, now.settled) == (2, 1, 2, 0)
        assert await replays.freed(now, 9) == []
        await desk.works("waiting")
        assert await replays.freed(now, 9) == []
        (again,) = await desk.claim()
        await desk.queue.record([a_record(again, "exhausted")])

        assert await replays.freed(now, 9) == [Item(second, "acme", 0)]
        assert await desk.queue.freed("acme", 9) == []  # it is none that came by itself
        assert await desk.feed(replay, second, freed=[second])
        now = await desk.now(replay)
        assert (now.fed, now.held, now.counts["waiting"]) == (2, 0, 1)

    async def test_counts_all_that_is_held_and_dropped(self, desk: ReplayDesk) -> None:
        """Feed by feed: what is held, what is dropped, and what is let go again."""
        first, *later = await desk.messages(5)
        replay = await desk.made(first, *later, 8, 9)
        assert await desk.feed(replay, first, hold=later[:3])
        assert await desk.feed(replay, hold=later[3:], dropped=1)
        assert await desk.feed(replay, dropped=1)
        now = await desk.now(replay)
        assert (now.fed, now.held, now.dropped) == (7, 4, 2)

        await desk.works()
        assert await desk.feed(replay, later[0], freed=later[:1])

        assert ((await desk.now(replay)).held, (await desk.now(replay)).dropped) == (3, 2)

    async def test_the_earlier_goes_first_whoever_brings_it(
        self, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """Reports of one message that are held for two replays and by themselves are freed in the
        order in which they arrived, one after the other."""
        first, second, third, fourth = await desk.messages(4)
        (leased,) = await desk.in_order([first], hold=[fourth])
        one, two = await desk.made(third), await desk.made(second)
        await desk.feed(one, hold=[third])
        await desk.feed(two, hold=[second])
        await desk.queue.record([a_record(leased, "acknowledged", status=200)])

        async def freed() -> list[list[int]]:
            held = [await replays.freed(each, 9) for each in (two, one)]
            return [[i.report for i in items] for items in held] + [
                await desk.queue.freed("acme", 9)
            ]

        assert await freed() == [[second], [], []]
        assert not await desk.feed(one, third, freed=[third])  # too early
        assert await desk.feed(two, second, freed=[second])
        await desk.works()
        assert await freed() == [[], [third], []]
        assert await desk.feed(one, third, freed=[third])
        await desk.works()
        assert await freed() == [[], [], [fourth]]

    async def test_what_was_freed_is_taken_once(
        self, backend: ReplayBackend, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """Of feeders that have found the same freed report, one feeds it."""
        first, second = await desk.messages()
        replay = await desk.made(first, second)
        await desk.feed(replay, first, hold=[second])
        await desk.works()
        portion = desk.portion(await desk.now(replay), second, freed=[second])
        other = await backend.another_replays()

        fed = await asyncio.gather(*(each.feed(portion, NOON) for each in (replays, other) * 3))

        assert sorted(fed) == [False] * 5 + [True]
        assert len(await desk.claim(NOON)) == 1

    async def test_blocked(self, desk: ReplayDesk, replays: ReplayStore) -> None:
        """A message has to wait while it is under way, while a report of it is held, and while the
        endpoint has still to read one by itself."""
        first, second = await desk.messages()
        message = desk.message(first)
        replay = await desk.made(first, second)
        reports = await desk.store.reports_by_id([first, second])

        async def blocked(*freed: int) -> frozenset[Message]:
            return await replays.blocked(replay.id, "acme", reports, freed)

        assert await blocked() == frozenset()
        await desk.feed(replay, first, hold=[second])
        assert await blocked(second) == {message}
        await desk.works()
        assert await blocked() == {message}
        assert await blocked(second) == frozenset()

        unread = await desk.of_one_message(1)
        reports = await desk.store.reports_by_id(unread)
        assert await blocked() == {desk.message(unread[0])}
        await desk.reads_all()
        assert await blocked() == frozenset()

    async def test_messages_of_two_sources_do_not_wait_for_each_other(
        self, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """What a replay brings of beta's message neither waits for alpha's report with the same
        messageId, be it under way, held or still unread, nor holds it up."""
        await desk.receive(2)
        alpha, beta = a_report(1, 7, "alpha"), a_report(2, 7, "beta")
        in_order = replace(ACME, ordered=True)

        def portion(replay: Replay, report: StoredReport) -> Portion:
            forming = Forming(in_order, 0, 0, [a_bucket(ACME, [report])], [b"[]"])
            return replace(desk.portion(replay, report.id), formings=[forming])

        of_alpha, of_beta = await desk.made(1), await desk.made(2)
        assert await replays.feed(portion(of_alpha, alpha), NOON)
        blocked = await replays.blocked(of_beta.id, "acme", [alpha, beta], [])
        assert blocked == {alpha.message, beta.message}  # what acme has not read comes first
        await desk.queue.form(NOON, leases(), [Forming(in_order, 0, 2)])
        blocked = await replays.blocked(of_beta.id, "acme", [alpha, beta], [])
        assert blocked == {alpha.message}
        assert await replays.feed(portion(of_beta, beta), NOON)

    async def test_what_is_not_read_yet_goes_by_itself_first(
        self, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """A held report that its endpoint has still to read is not freed before it has."""
        first, second = await desk.of_one_message()
        replay = await desk.made(second)
        await desk.feed(replay, hold=[second])
        assert await replays.freed(replay, 9) == []

        (leased,) = await desk.in_order([first, second])
        assert await replays.freed(replay, 9) == []
        await desk.queue.record([a_record(leased, "acknowledged", status=200)])

        assert await replays.freed(replay, 9) == [Item(second, "acme", 0)]

    async def test_an_end_lets_go_what_is_held(
        self, desk: ReplayDesk, replays: ReplayStore
    ) -> None:
        """What an ended replay held holds up nobody: what waited behind it is free."""
        first, second, third = await desk.messages(3)
        replay = await desk.made(first, second)
        await desk.feed(replay, first, hold=[second])
        held = replace(await desk.forming_in_order([], hold=[third]), buckets=[], bodies=[])
        await desk.queue.form(NOON, leases(), [held])

        assert await replays.end(replay.id, "cancelled", NOON) == 1

        now = await desk.now(replay)
        assert (now.held, now.waiting) == (0, 0)
        assert await desk.queue.freed("acme", 9) == [third]


class LostReplayStoreContract:
    """What holds when the database is lost in the middle of a transaction."""

    @pytest.fixture
    async def desk(self, backend: ReplayBackend) -> ReplayDesk:
        await backend.queue.adopt([ACME, BETA])
        return ReplayDesk(backend)

    async def test_lost_while_making(self, backend: ReplayBackend, desk: ReplayDesk) -> None:
        """A replay is there with all its items and its endpoint, or not at all."""

        async def still() -> None:
            assert await desk.replays.all() == []

        made = await losing_the_store(
            backend, lambda: desk.made(*range(2_500), to_url="http://there.example/"), still
        )

        assert made.total == 2_500
        assert [each.id for each in await backend.replays.all()] == [made.id]
        assert len(await desk.replays.following(made, 9_999)) == 2_500

    async def test_lost_while_feeding(self, backend: ReplayBackend, desk: ReplayDesk) -> None:
        """Dispatches, what is held and how far the replay is come together."""
        first, second = await desk.messages()
        (third,) = await desk.receive()
        replay = await desk.made(first, second, third)

        async def still() -> None:
            assert await desk.now(replay) == replay
            assert await desk.queue.dispatches() == []
            assert await desk.queue.blocked("acme", [desk.message(first)], []) == frozenset()

        assert await losing_the_store(
            backend, lambda: desk.feed(replay, first, third, hold=[second]), still
        )

        now = await desk.now(replay)
        assert (now.fed, now.held, now.counts) == (3, 1, {"waiting": 2})

    async def test_lost_while_ending(self, backend: ReplayBackend, desk: ReplayDesk) -> None:
        """A replay has ended with all that waited, or goes on with all of it."""
        replay = await desk.fed(3)

        async def still() -> None:
            assert await desk.now(replay) == replay

        cancelled = await losing_the_store(
            backend, lambda: desk.replays.end(replay.id, "cancelled", NOON), still
        )

        assert cancelled == 3
        assert (await desk.now(replay)).counts == {"waiting": 0, "cancelled": 3}


# --- selections ----------------------------------------------------------------------------------


class SelectionDesk(ReplayDesk):
    """Reports with dispatches in each state at Acme and Beta, and what was asked for."""

    def __init__(self, backend: ReplayBackend) -> None:
        super().__init__(backend)
        self._read = {"acme": 0, "beta": 0}

    async def bring(self, reports: Sequence[int], **states: DispatchState) -> None:
        """These reports go to each of these endpoints, whose dispatch gets to this state."""
        for endpoint in (ACME, BETA):
            if endpoint.name in states:
                await self._bring(reports, endpoint, states[endpoint.name])

    async def _bring(self, reports: Sequence[int], endpoint: Any, state: DispatchState) -> None:
        name = endpoint.name
        read_to = max(self._read[name], reports[-1])
        forming = a_forming(endpoint, {b"[]": reports}, read_from=self._read[name], read_to=read_to)
        self._read[name] = read_to
        (leased,) = await self.queue.form(NOON, leases(), [forming])
        await self.come_to(leased, state)

    async def come_to(self, leased: Leased, state: DispatchState) -> None:
        if state == "leased":
            return
        if state == "cancelled":
            await self.queue.release([leased])
            await self.queue.cancel(leased.name)
        else:
            assert await self.queue.record([a_record(leased, state)]) == [True]

    async def brought_again(self, reports: Sequence[int], to: Any, state: DispatchState) -> None:
        """By a replay to this endpoint."""
        replay = await self.made(*reports, to=to.name)
        forming = a_forming(to, {b"[]": reports}, read_to=0)
        portion = replace(self.portion(replay, *reports), formings=[forming])
        assert await self.replays.feed(portion, NOON - timedelta(days=1))
        (leased,) = await self.queue.claim_due(
            NOON - timedelta(days=1), {to.name: A_LEASE}, {to.name: 1}
        )
        await self.come_to(leased, state)

    async def find(
        self, known: Sequence[str] = ("acme", "beta"), to: str | None = None, **asked: Any
    ) -> tuple[list[Item], Selected]:
        request, _ = read_request(asked, NOW)
        items, found = await self.selector.resolve(request.selection, to, known)
        return list(items), found

    async def select(self, **asked: Any) -> list[tuple[int, str]]:
        items, _ = await self.find(**asked)
        return [(item.report, item.endpoint) for item in items]


class World:
    """Reports of a seed, in dispatches of each state, and what is known of them."""

    def __init__(self, desk: SelectionDesk, backend: ReplayBackend, seed: int) -> None:
        self.desk = desk
        self.backend = backend
        self.random = Random(seed)
        self.reports: list[StoredReport] = []
        self.pairs: dict[int, dict[str, str]] = {}

    async def make(self) -> None:
        messages, at = count(), NOON
        choose = self.random.choice
        states: list[DispatchState] = [
            "acknowledged", "exhausted", "waiting", "cancelled", "leased"
        ]  # fmt: skip
        for _ in range(40):
            at += MINUTE * self.random.randrange(-5, 30)
            items = [
                an_sms(
                    f"m{next(messages) % 50}",
                    status=choose([*STATUSES]),
                    bulkId=f"bulk {self.random.randrange(3)}",
                    doneAt=f"2026-03-02T12:00:{n:02}.000+0000",
                )
                for n in range(self.random.randrange(1, 6))
            ]
            last = self.reports[-1].id if self.reports else 0
            source = choose(["default", "other"])
            await self.desk.store.add([a_callback(*items, at=at, source=source)])
            fresh = await self.desk.store.reports_after(last, 100)
            self.reports += fresh
            if self.random.random() < 0.2:
                await self.backend.skip_ids(self.random.randrange(1_000))
            if fresh and self.random.random() < 0.9:
                ids = [report.id for report in fresh]
                await self.desk.bring(ids, acme=choose(states), beta=choose(states))
            if self.random.random() < 0.2:
                again = self.random.sample(self.reports, min(5, len(self.reports)))
                ids = sorted(report.id for report in again)
                await self.desk.brought_again(ids, choose([ACME, BETA]), choose(states[:2]))
        if self.random.random() < 0.5:
            await self.backend.catch_up()
        await self._look()

    async def _look(self) -> None:
        """The state of the newest dispatch of each report to each endpoint."""
        self.pairs = {report.id: {} for report in self.reports}
        for endpoint in ("acme", "beta"):
            listed = await self.desk.queue.dispatches(limit=1_000, endpoint=endpoint)
            for dispatch in reversed(listed):
                for report in dispatch.report_ids:
                    self.pairs[report][endpoint] = dispatch.state

    def expected(self, asked: Selection, target: str | None) -> list[tuple[int, str]]:
        found = []
        for report in self.reports:
            if not self._fits(report, asked):
                continue
            places = [
                endpoint
                for endpoint, state in self.pairs[report.id].items()
                if asked.endpoint in (None, endpoint) and asked.state in (None, state)
            ]
            if target is not None:
                places = [target] if places or not asked.of_dispatches else []
            found += [(report.id, place) for place in places]
        return found

    def is_ambiguous(self, asked: Selection) -> bool:
        """Whether a messageId is asked for that several sources have."""
        sources: dict[str | None, set[str]] = {}
        for stored in self.reports:
            if asked.source in (None, stored.source):
                sources.setdefault(stored.read().message_id, set()).add(stored.source)
        return any(len(sources.get(name, ())) > 1 for name in asked.message_ids)

    def _fits(self, stored: StoredReport, asked: Selection) -> bool:
        report = stored.read()
        groups = [GROUP_NUMBERS[name] for name in asked.status_groups]
        status = report.status
        assert status is not None
        return (
            (not asked.ids or stored.id in asked.ids)
            and (not asked.message_ids or report.message_id in asked.message_ids)
            and asked.bulk_id in (None, report.bulk_id)
            and asked.source in (None, stored.source)
            and (not groups or stored.status_group in groups)
            and (not asked.statuses or status.name in asked.statuses or status.id in asked.statuses)
            and (asked.since is None or stored.received_at >= asked.since)
            and (asked.until is None or stored.received_at < asked.until)
        )

    def a_selection(self) -> dict[str, Any]:
        """Some filters of what there is, as the API takes them."""
        choose, some = self.random.choice, self.random.sample
        since = NOON + MINUTE * self.random.randrange(300)
        until = since + MINUTE * self.random.randrange(1, 400)
        filters: dict[str, Any] = {
            "ids": some([report.id for report in self.reports], 20),
            "messageIds": [f"m{n}" for n in some(range(60), 5)],
            "bulkId": f"bulk {self.random.randrange(4)}",
            "endpoint": choose(["acme", "beta"]),
            "state": choose(["acknowledged", "exhausted", "waiting", "cancelled"]),
            "statuses": [choose([*STATUSES]), choose(["5", 15])],
            "statusGroups": some([*GROUP_NUMBERS], 2),
            "source": choose(["default", "other", "none"]),
            "since": since.isoformat(),
            "until": until.isoformat(),
        }
        names = some([*filters], self.random.randrange(1, 5))
        return {name: filters[name] for name in names}


class ReplaySelectorContract:
    @pytest.fixture
    async def desk(self, backend: ReplayBackend) -> SelectionDesk:
        """A database that knows Acme and Beta."""
        await backend.queue.adopt([ACME, BETA])
        return SelectionDesk(backend)

    @pytest.mark.parametrize("seed", range(4))
    async def test_agrees_with_a_look_at_everything(
        self, backend: ReplayBackend, desk: SelectionDesk, seed: int
    ) -> None:
        """Whatever is asked for together, the selection has the reports that fit and no other, each
        with its endpoints, in the order of arrival. A messageId of two sources is refused where all
        would go to one target."""
        world = World(desk, backend, seed)
        await world.make()
        for _ in range(150):
            asked = world.a_selection()
            target = world.random.choice([None, "acme"])
            request, _ = read_request(asked, NOW)
            if target is not None and world.is_ambiguous(request.selection):
                with pytest.raises(AmbiguousMessage):
                    await desk.select(**asked, to=target)
                continue
            found = await desk.select(**asked, to=target)

            assert sorted(found) == sorted(world.expected(request.selection, target)), asked
            assert [report for report, _ in found] == sorted(report for report, _ in found)

    async def test_a_message_id_of_two_sources(self, desk: SelectionDesk) -> None:
        """By its messageId and its source one message is selected. Without a source each report of
        both goes where it went before, and nothing goes to one target: a customer would get the
        report of another one."""
        for source in ("alpha", "beta"):
            await desk.store.add([a_callback(an_sms("order-1001"), source=source)])
        await desk.bring([1], acme="exhausted")
        await desk.bring([2], beta="exhausted")

        asked: dict[str, Any] = {"messageIds": ["order-1001"]}
        assert await desk.select(**asked, source="beta") == [(2, "beta")]
        assert await desk.select(**asked, source="beta", to="acme") == [(2, "acme")]
        assert await desk.select(**asked, endpoint="acme") == [(1, "acme")]
        assert await desk.select(**asked) == [(1, "acme"), (2, "beta")]
        with pytest.raises(AmbiguousMessage, match="2 sources have"):
            await desk.select(**asked, to="acme")

    async def test_the_reports_of_a_dispatch(self, desk: SelectionDesk) -> None:
        """A dispatch selects the reports that it carries and no others, for its own endpoint,
        whatever has become of them there since, and of itself. Other filters narrow that, and a
        target takes them elsewhere."""
        reports = await desk.receive(4)
        await desk.bring(reports[:2], acme="exhausted", beta="acknowledged")
        await desk.bring(reports[2:], acme="cancelled")
        await desk.brought_again(reports[:1], ACME, "acknowledged")
        carried = {
            (each.endpoint, tuple(each.report_ids)): each.id
            for each in await desk.queue.dispatches()
        }
        for (endpoint, ids), name in carried.items():
            expected = [(report, endpoint) for report in ids]
            assert await desk.select(dispatch=name) == expected
            assert await desk.select(dispatch=name, to="beta") == [(r, "beta") for r in ids]
            assert await desk.select(dispatch=name, ids=[*ids[:1], 99]) == expected[:1]
            assert await desk.select(dispatch=name, source="nobody") == []
        for name in ("ours-99", "nonsense"):
            with pytest.raises(UnknownDispatch):
                await desk.select(dispatch=name)

    async def test_what_was_brought_since_is_not_exhausted(self, desk: SelectionDesk) -> None:
        """A report that was exhausted and has been brought by a replay is not selected once more;
        one that is on its way neither."""
        reports = await desk.receive(3)
        await desk.bring(reports, acme="exhausted")
        assert await desk.select(state="exhausted") == [(each, "acme") for each in reports]

        replay = await desk.made(reports[0])
        await desk.feed(replay, reports[0])
        assert await desk.select(state="exhausted") == [(each, "acme") for each in reports[1:]]
        await desk.works()
        assert await desk.select(state="exhausted") == [(each, "acme") for each in reports[1:]]

    async def test_what_a_running_replay_has_still_to_bring_waits(
        self, desk: SelectionDesk
    ) -> None:
        """The same command given twice brings nothing twice, however slowly the first one goes.

        What a slow replay had not fed yet counted as exhausted still: a second
        `dlr replays start --state exhausted` brought it once more.
        """
        reports = await desk.receive(3)
        await desk.bring(reports, acme="exhausted")

        replay = await desk.made(*reports[:2])
        assert await desk.select(state="exhausted") == [(reports[2], "acme")]
        await desk.feed(replay, reports[0])
        assert await desk.select(state="exhausted") == [(reports[2], "acme")]
        assert await desk.select(ids=reports) == [(each, "acme") for each in reports]

        await desk.replays.end(replay.id, "cancelled", NOON)
        assert await desk.select(state="exhausted") == [(each, "acme") for each in reports]

    async def test_a_cancelled_replay_leaves_things_as_they_were(self, desk: SelectionDesk) -> None:
        """What was fed and never sent, because its replay was cancelled, is exhausted as before."""
        reports = await desk.receive(2)
        await desk.bring(reports, acme="exhausted")
        replay = await desk.made(*reports)
        await desk.feed(replay, *reports)
        await desk.replays.end(replay.id, "cancelled", NOON)

        assert await desk.select(state="exhausted") == [(each, "acme") for each in reports]

    async def test_a_url_is_no_place_to_go_back_to(self, desk: SelectionDesk) -> None:
        """A replay to a URL does not make that URL one of the places of its reports, unless its
        endpoint is named."""
        reports = await desk.receive(1)
        await desk.bring(reports, acme="acknowledged")
        replay = await desk.made(*reports, to_url="http://elsewhere.example/")
        own = replace(ACME, name="replay-1")
        forming = a_forming(own, {b"[]": reports}, read_to=0)
        portion = replace(desk.portion(replay, *reports), formings=[forming])
        assert await desk.replays.feed(portion, NOON)

        known = ["acme", "beta", "replay-1"]
        assert await desk.select(ids=reports, known=known) == [(reports[0], "acme")]
        assert await desk.select(endpoint="replay-1", known=known) == [(reports[0], "replay-1")]

    async def test_says_what_was_never_dispatched(self, desk: SelectionDesk) -> None:
        """Reports that have no dispatch are counted and not brought, unless a target is named."""
        reports = await desk.receive(2)

        items, found = await desk.find(ids=reports)
        assert (items, found.total, found.undispatched) == ([], 0, 2)
        items, found = await desk.find(ids=reports, to="beta")
        assert [(each.report, each.endpoint) for each in items] == [(r, "beta") for r in reports]
        assert (found.total, found.undispatched, found.first) == (2, 0, items)

    async def test_says_which_endpoints_are_gone(self, desk: SelectionDesk) -> None:
        """What went to an endpoint that is no more is counted under its name, and not brought; all
        that there ever were are known."""
        reports = await desk.receive(1)
        await desk.bring(reports, acme="exhausted", beta="exhausted")

        _, found = await desk.find(ids=reports, known=["acme"])
        assert (found.total, found.gone) == (1, {"beta": 1})
        assert await desk.select(endpoint="beta", to="acme", known=["acme"]) == [
            (reports[0], "acme")
        ]
        assert await desk.selector.endpoints_ever() == {"acme", "beta"}

    async def test_shows_the_first(self, desk: SelectionDesk) -> None:
        """A dry run shows the first ten of the items, and counts all."""
        reports = await desk.receive(12)
        await desk.bring(reports, acme="exhausted")

        items, found = await desk.find(state="exhausted")

        assert (found.total, len(items)) == (12, 12)
        assert [each.report for each in found.first] == reports[:10]

    async def test_a_clock_set_back(self, desk: SelectionDesk) -> None:
        """Offsets ascend in the order of arrival, though a report may be received before the
        last."""
        for minutes in (1, 0, 2):
            at = NOON + minutes * MINUTE
            await desk.store.add([a_callback(an_sms(f"at {minutes}"), at=at)])

        items, _ = await desk.find(source="default", to="acme")

        assert [item.offset for item in items] == [0, 0, 60_000_000]

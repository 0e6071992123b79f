"""What every store's retention does (StoreRetention in receiver/store/base.py).

An implementation's test derives a class from `StoreRetentionContract` and gives it a fixture
`backend`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace as changed
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from msgspec.structs import replace

from receiver.dlr.json_format import encode_body
from receiver.store.base import Counts, Pause, ReportQuery, ReportStore, StoreUnavailable
from tests.contracts.report_store import (
    DAY,
    NOON,
    NOTHING_NEEDED,
    PRETTY,
    StillNeeded,
    StoreBackend,
    a_callback,
    an_sms,
    everything,
    fails_as_a_whole,
    ids,
    items_as_received,
    message_ids,
    received,
)

LATER = NOON + 100 * DAY


async def at_once() -> None:
    """Batches follow each other without a pause."""


class Stopped(Exception):
    """The process stops."""


async def stored(store: ReportStore, *names: str, at: datetime = NOON) -> list[int]:
    """A report of a message of each name. Returns their ids."""
    last = await store.newest_report()
    await store.add([a_callback(*(an_sms(name) for name in names), at=at)])
    return ids(await store.reports_after(last, len(names)))


async def purged(
    backend: StoreBackend,
    *,
    before: datetime | None = None,
    most: int = 0,
    needed: StillNeeded = NOTHING_NEEDED,
    now: datetime = LATER,
    pause: Pause = at_once,
) -> int:
    """Purge when all has been added up. Returns how many reports went."""
    await backend.read_model.catch_up()
    retention = backend.retention(needed)
    there = len(await everything(backend.store))
    would = await retention.count_reports(now=now, before=before, most=most)
    removed = await retention.purge_reports(now=now, before=before, most=most, pause=pause)
    gone = there - len(await everything(backend.store))
    assert set(would) == set(removed) == {"report", "report_key"}
    assert would == removed
    assert removed["report"] == gone
    return gone


async def check_finds_only(store: ReportStore, names: Sequence[str]) -> None:
    """These messages are what is left, wherever one looks."""
    assert message_ids(await everything(store)) == list(names)
    number = "41793026727"
    any = ReportQuery(limit=10_000)
    for query in (any, changed(any, to=number), changed(any, to_prefix=number[:5])):
        found = await store.reports(query)
        assert message_ids(found) == list(names)[::-1]
    assert message_ids(await store.newest_of_messages(None, 10_000)) == list(names)[::-1]


class StoreRetentionContract:
    @pytest.fixture
    def store(self, backend: StoreBackend) -> ReportStore:
        return backend.store

    # --- by age and by number ------------------------------------------------------------------

    async def test_the_old_go(self, backend: StoreBackend, store: ReportStore) -> None:
        """What is older than the limit goes, and is found nowhere any more."""
        await stored(store, "old", "older")
        await stored(store, "new", at=NOON + 10 * DAY)

        assert await purged(backend, before=NOON + DAY) == 2

        await check_finds_only(store, ["new"])
        assert await store.reports_of("old") == []
        assert await purged(backend, before=NOON + DAY) == 0

    async def test_keys_go_with_their_day(self, backend: StoreBackend, store: ReportStore) -> None:
        """The key of a report goes when its day has no report left."""
        await stored(store, "old", "older")
        await stored(store, "new", at=NOON + 10 * DAY)
        await backend.read_model.catch_up()

        removed = await backend.retention().purge_reports(
            now=LATER, before=NOON + DAY, most=0, pause=at_once
        )

        assert removed == {"report": 2, "report_key": 2}

    async def test_exactly_as_old_stays(self, backend: StoreBackend, store: ReportStore) -> None:
        """A report that is exactly as old as the limit is not older."""
        await stored(store, "m1", at=NOON)

        assert await purged(backend, before=NOON) == 0
        assert await purged(backend, before=NOON + timedelta(microseconds=1)) == 1

    async def test_too_many_go_the_oldest_first(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Of more than the most, the newest are kept."""
        await stored(store, *(f"m{n}" for n in range(5)))

        assert await purged(backend, most=2) == 3
        await check_finds_only(store, ["m3", "m4"])
        assert await purged(backend, most=2) == 0

    async def test_both_limits(self, backend: StoreBackend, store: ReportStore) -> None:
        """What is beyond either limit goes."""
        for day in range(6):
            await stored(store, f"m{day}", at=NOON + day * DAY)

        assert await purged(backend, before=NOON + 2 * DAY, most=5) == 2
        assert await purged(backend, before=NOON + 2 * DAY, most=3) == 1
        await check_finds_only(store, ["m3", "m4", "m5"])

    async def test_no_limit(self, backend: StoreBackend, store: ReportStore) -> None:
        """Without an age and with a number of 0 all is kept."""
        await stored(store, "m1")

        assert await purged(backend) == 0

    async def test_nothing_stored(self, backend: StoreBackend, store: ReportStore) -> None:
        """Of an empty store nothing goes; and after everything went, the ids go on."""
        assert await purged(backend, before=LATER, most=1) == 0
        (first,) = await stored(store, "m1")
        assert await purged(backend, before=LATER) == 1

        (second,) = await stored(store, "m2", at=LATER)

        assert second > first

    async def test_gaps_do_not_mislead(self, backend: StoreBackend, store: ReportStore) -> None:
        """Ids that are missing, as after an erasure, do not change what is older."""
        names = [f"m{day}" for day in range(10)]
        all = [
            (await stored(store, name, at=NOON + day * DAY))[0] for day, name in enumerate(names)
        ]
        gone = {0, 1, 4, 5, 9}
        await backend.delete_reports([all[day] for day in gone])
        await backend.read_model.catch_up()

        for day in range(12):
            before = NOON + day * DAY
            counted = await backend.retention().count_reports(now=LATER, before=before, most=0)
            assert counted["report"] == sum(1 for each in range(min(day, 10)) if each not in gone)
        assert await purged(backend, before=NOON + 5 * DAY) == 2
        await check_finds_only(store, ["m6", "m7", "m8"])

    @pytest.mark.parametrize("days", [[5, 0, 1, 9, 2], [0, 9, 0, 9, 0], [9, 8, 7, 6, 5]])
    async def test_instants_that_do_not_ascend(
        self, backend: StoreBackend, store: ReportStore, days: list[int]
    ) -> None:
        """Whatever the clock did: what is older than the limit goes, and nothing else.

        Ids once decided which were the oldest. A clock that had been wrong, or a quarantine entry
        that was read again, then took younger reports along, or kept older ones.
        """
        names = [f"m{n}" for n in range(5)]
        for name, day in zip(names, days, strict=True):
            await stored(store, name, at=NOON + day * DAY)

        young = [name for name, day in zip(names, days, strict=True) if day >= 3]
        assert await purged(backend, before=NOON + 3 * DAY) == 5 - len(young)
        await check_finds_only(store, young)
        assert await purged(backend, before=NOON + 20 * DAY) == len(young)

    @pytest.mark.parametrize("young_first", [True, False])
    async def test_old_reports_that_were_stored_late(
        self, backend: StoreBackend, store: ReportStore, young_first: bool
    ) -> None:
        """A hundred reports of today and a thousand that were read again from quarantine, twenty
        days old: with a limit of seven days exactly the thousand go."""
        today = [f"young-{n}" for n in range(100)]
        old = [f"old-{n}" for n in range(1_000)]
        for young in (True, False) if young_first else (False, True):
            names, at = (today, LATER) if young else (old, LATER - 20 * DAY)
            await stored(store, *names, at=at)

        assert await purged(backend, before=LATER - 7 * DAY) == 1_000
        await check_finds_only(store, today)

    async def test_of_too_many_the_oldest_go_wherever_they_are(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Of too many it is the oldest by their instants that go, though they were stored last."""
        await stored(store, "young-1", "young-2", at=LATER)
        await stored(store, "old-1", "old-2", "old-3", at=LATER - 20 * DAY)

        assert await purged(backend, most=3) == 2
        await check_finds_only(store, ["young-1", "young-2", "old-3"])
        assert await purged(backend, most=3) == 0

    async def test_what_is_gone_does_not_count(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """`most` is a number of reports that are there: neither gaps nor what has not been added up
        yet change it."""
        all = await stored(store, *(f"m{n}" for n in range(8)))
        await backend.read_model.turn(5)
        await backend.delete_reports([all[1], all[6]])

        assert await purged(backend, most=6) == 0
        assert await purged(backend, most=5) == 1
        await backend.delete_reports([all[2]])
        assert await purged(backend, most=4) == 0
        await check_finds_only(store, ["m3", "m4", "m5", "m7"])

    async def test_no_key_of_a_living_report_goes(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """A report that was read again from quarantine is found under its old day, as long as it
        is there: its key went when the report with the lowest id was younger."""
        await stored(store, "gone", at=NOON)
        await stored(store, "young", at=LATER)
        await stored(store, "again", at=LATER - 20 * DAY)

        assert await purged(backend, before=LATER - 30 * DAY) == 1

        assert message_ids(await store.reports_of("again")) == ["again"]
        assert message_ids(await store.reports(ReportQuery(message_id="again"))) == ["again"]
        await check_finds_only(store, ["young", "again"])

    async def test_keys_between_two_living_days_go(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """One old report that is still carried keeps the keys of its own day and no others."""
        (kept,) = await stored(store, "carried", at=NOON)
        await stored(store, "a", "b", at=NOON + 10 * DAY)
        await stored(store, "young", at=LATER)
        await backend.read_model.catch_up()
        needed = StillNeeded(carried=frozenset({kept}))

        removed = await backend.retention(needed).purge_reports(
            now=LATER, before=LATER - DAY, most=0, pause=at_once
        )

        assert removed == {"report": 2, "report_key": 2}
        assert message_ids(await store.reports_of("carried")) == ["carried"]

    async def test_who_holds_what_is_told(self, backend: StoreBackend, store: ReportStore) -> None:
        """A purge and a dry run tell how many reports stay for whom, though they are to go."""
        all = await stored(store, *(f"m{n}" for n in range(6)))
        await stored(store, "young", at=LATER)
        await backend.read_model.catch_up()
        retention = backend.retention(StillNeeded(all[3], frozenset({all[0], all[5]})))
        dry: Counter[str] = Counter()
        held: Counter[str] = Counter()

        await retention.count_reports(now=LATER, before=LATER, most=0, held=dry)
        await retention.purge_reports(now=LATER, before=LATER, most=0, pause=at_once, held=held)

        assert dry == held == {"a reader": 2, "a carrier": 2}
        assert message_ids(await everything(store)) == ["m0", "m4", "m5", "young"]

    # --- what is still needed ------------------------------------------------------------------

    async def test_unread_stays(self, backend: StoreBackend, store: ReportStore) -> None:
        """What somebody has not read stays, however old; so does all that came after it."""
        all = await stored(store, "m0", "m1", "m2")

        assert await purged(backend, before=LATER, needed=StillNeeded(unread_after=0)) == 0
        assert await purged(backend, before=LATER, needed=StillNeeded(unread_after=all[0])) == 1
        await check_finds_only(store, ["m1", "m2"])
        assert await purged(backend, most=1, needed=StillNeeded(unread_after=all[2])) == 1
        await check_finds_only(store, ["m2"])

    async def test_carried_stays(self, backend: StoreBackend, store: ReportStore) -> None:
        """What is being brought somewhere stays, and what lies around it goes."""
        all = await stored(store, *(f"m{n}" for n in range(6)))
        carried = frozenset({all[1], all[4], 10**18})

        assert await purged(backend, before=LATER, needed=StillNeeded(None, carried)) == 4

        await check_finds_only(store, ["m1", "m4"])
        assert await purged(backend, before=LATER) == 2

    async def test_what_is_not_added_up_stays(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """A report that the read model has not followed is not removed before it counts."""
        await stored(store, "m0", "m1", "m2")
        await backend.read_model.turn(2)
        retention = backend.retention()

        removed = await retention.purge_reports(now=LATER, before=LATER, most=0, pause=at_once)

        assert removed["report"] == 2
        assert message_ids(await everything(store)) == ["m2"]

    async def test_a_repeat_is_recognised(self, backend: StoreBackend, store: ReportStore) -> None:
        """What the platform repeats in the next days is known though its report is gone."""
        await stored(store, "m1", "m2")
        assert await purged(backend, most=1, now=NOON + 3 * DAY) == 1

        counts = await store.add([a_callback(an_sms("m1"), an_sms("m2"), at=NOON + 3 * DAY)])

        assert counts == [Counts(0, 2, 0)]
        assert message_ids(await everything(store)) == ["m2"]

    async def test_the_last_repeat_is_recognised(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Also if no report of its day is left, to the end of the days that repeats come in."""
        await stored(store, "m1")
        await stored(store, "m2", at=NOON + 3 * DAY)
        assert await purged(backend, most=1, now=NOON + 3 * DAY) == 1

        assert await store.add([a_callback(an_sms("m1"), at=NOON + 3 * DAY)]) == [Counts(0, 1, 0)]

    async def test_a_body_is_kept_for_what_is_left(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """While a report of a body is there, its item is shown as it came."""
        pretty = [PRETTY.replace(b'"p"', b'"%d"' % n) for n in range(3)]
        await store.add([received(encode_body(pretty))])

        await purged(backend, most=1)

        assert await items_as_received(store) == {"2": pretty[2]}

    # --- beside others -------------------------------------------------------------------------

    async def test_batches_are_small(self, backend: StoreBackend, store: ReportStore) -> None:
        """However many go, no more than a thousand go between two pauses."""
        for day in range(3):
            names = (f"m{day}-{n}" for n in range(700))
            await stored(store, *names, at=NOON + day * DAY)
        left = [2_100]

        async def note() -> None:
            left.append(len(await everything(store)))

        assert await purged(backend, before=LATER, pause=note) == 2_100

        assert left == sorted(left, reverse=True)
        assert left[-1] == 0
        assert max(a - b for a, b in pairwise(left)) <= 1_000

    async def test_stopped_in_the_middle(self, backend: StoreBackend, store: ReportStore) -> None:
        """A purge that is stopped in a pause has removed what it has, and the next goes on."""
        await stored(store, *(f"m{n}" for n in range(2_000)))
        await backend.read_model.catch_up()

        async def stop() -> None:
            raise Stopped

        with pytest.raises(Stopped):
            await backend.retention().purge_reports(now=LATER, before=LATER, most=0, pause=stop)

        left = len(await everything(store))
        assert 0 < left < 2_000
        assert await purged(backend, before=LATER) == left

    async def test_two_at_once(self, backend: StoreBackend, store: ReportStore) -> None:
        """Two processes that purge at the same time remove each report once, and nothing of what
        comes in meanwhile."""
        await stored(store, *(f"m{n}" for n in range(900)))
        await backend.read_model.catch_up()
        other = await backend.another()

        async def purge(which: StoreBackend) -> int:
            removed = await which.retention().purge_reports(
                now=LATER, before=NOON + DAY, most=0, pause=at_once
            )
            return removed["report"]

        async def receive() -> int:
            for n in range(20):
                await stored(other.store, f"new-{n}", at=LATER)
            return 0

        assert sum(await asyncio.gather(purge(backend), purge(other), receive())) == 900
        await check_finds_only(store, [f"new-{n}" for n in range(20)])

    async def test_the_store_goes_away_in_the_middle(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Wherever the database goes away in a batch, nothing of the batch is gone."""
        await store.add([received(encode_body([PRETTY, PRETTY.replace(b'"p"', b'"q"')]))])
        await stored(store, "m1", "m2", "m3")
        await backend.read_model.catch_up()
        retention = backend.retention()

        removed = await fails_as_a_whole(
            backend,
            lambda: retention.purge_reports(now=LATER, before=None, most=1, pause=at_once),
        )

        assert removed["report"] == 4
        await check_finds_only(store, ["m3"])

    async def test_batches_before_stay_removed(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """When the database goes away after some batches, those are gone and the rest is whole."""
        names = [f"m{n}" for n in range(2_000)]
        await stored(store, *names)
        await backend.read_model.catch_up()

        async def lose() -> None:
            backend.go_away_after(1)

        with pytest.raises(StoreUnavailable):
            await backend.retention().purge_reports(now=LATER, before=LATER, most=0, pause=lose)

        left = len(await everything(store))
        assert 0 < left < 2_000
        await check_finds_only(store, names[-left:])
        assert await purged(backend, before=LATER) == left

    # --- sources are tenants -------------------------------------------------------------------

    async def test_kept_keys_are_of_their_source(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """A report that has gone is recognised when its source repeats it in the days after, and
        is news when another source posts it."""
        await store.add([a_callback(an_sms("m1"), source="alpha")])
        assert await purged(backend, before=NOON + DAY, now=NOON + DAY) == 1

        posted = [
            a_callback(an_sms("m1"), at=NOON + DAY, source=name) for name in ("alpha", "beta")
        ]
        assert await store.add(posted) == [Counts(0, 1, 0), Counts(1, 0, 0)]

    # --- quarantine ----------------------------------------------------------------------------

    async def test_quarantine_by_age_and_by_number(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Quarantined bodies have an age and a number of their own."""
        for day in range(6):
            await store.add([a_callback(b"%d" % day, at=NOON + day * DAY)])
        retention = backend.retention(StillNeeded(unread_after=0))

        limits: list[tuple[datetime | None, int, int]] = [
            (NOON, 0, 0),
            (NOON + 2 * DAY, 0, 2),
            (None, 3, 1),
            (None, 0, 0),
        ]
        for before, most, gone in limits:
            would = await retention.count_quarantine(before=before, most=most)
            removed = await retention.purge_quarantine(before=before, most=most, pause=at_once)
            assert would == removed == {"quarantine": gone}
        left = await store.quarantine(None, 10)
        assert [entry.received_at for entry in left] == [NOON + n * DAY for n in (5, 4, 3)]

    async def test_quarantine_that_was_kept_by_a_wrong_clock(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Entries of a clock that was wrong cost no younger entry, by age or by number."""
        days = [30, 2, 31, 0, 32, 1]
        for n, day in enumerate(days):
            await store.add([a_callback(b"%d" % n, at=NOON + day * DAY)])
        retention = backend.retention()

        limits: list[tuple[datetime | None, int, list[int]]] = [
            (NOON + 2 * DAY, 0, [32, 31, 2, 30]),
            (None, 3, [32, 31, 30]),
            (NOON + 31 * DAY, 3, [32, 31]),
        ]
        for before, most, left in limits:
            would = await retention.count_quarantine(before=before, most=most)
            assert would == await retention.purge_quarantine(
                before=before, most=most, pause=at_once
            )
            entries = await store.quarantine(None, 10)
            assert [(entry.received_at - NOON).days for entry in entries] == left

    async def test_however_many_of_quarantine_go(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """All that is to go goes, in whatever pieces."""
        await store.add([a_callback(*(b'"%d"' % n for n in range(2_050)))])

        assert await backend.retention().purge_quarantine(before=LATER, most=0, pause=at_once) == {
            "quarantine": 2_050
        }
        assert await store.quarantine(None, 10) == []

    async def test_repeats_do_not_renew(self, backend: StoreBackend, store: ReportStore) -> None:
        """An entry that came again is as old as its first time, and comes in anew after it went."""
        for day in (0, 5):
            await store.add([a_callback(b"1", at=NOON + day * DAY)])
        retention = backend.retention()

        await retention.purge_quarantine(before=NOON + DAY, most=0, pause=at_once)
        assert await store.quarantine(None, 10) == []

        await store.add([a_callback(b"1", at=LATER)])
        (entry,) = await store.quarantine(None, 10)
        assert (entry.received_at, entry.repeats) == (LATER, 0)

    async def test_the_store_goes_away_while_quarantine_is_purged(
        self, backend: StoreBackend, store: ReportStore
    ) -> None:
        """Entries of a batch go together or not at all."""
        await store.add([replace(a_callback(b"1", b"2", b"3"), source="eu")])
        retention = backend.retention()

        removed = await fails_as_a_whole(
            backend, lambda: retention.purge_quarantine(before=LATER, most=0, pause=at_once)
        )

        assert removed == {"quarantine": 3}

"""What every retention and every erasure does (dispatcher/upkeep/base.py)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace as changed

from dispatcher.clocks.clock import VirtualClock
from dispatcher.endpoints.base import Readers
from dispatcher.settings.settings import RetentionSettings
from dispatcher.storage import Storage
from dispatcher.upkeep import retention as upkeep
from dispatcher.upkeep.base import StillLeased
from receiver.dlr.errors import Unreadable
from receiver.store.base import ReportQuery
from receiver.store.callback import Verdict
from receiver.store.recipient import Recipient
from tests.contracts.report_store import a_callback, an_sms
from tests.contracts.storages import OnStorage, StorageBackend, a_bench_on, unbroken
from tests.dispatcher.replay.replaying import ReplayBench
from tests.dispatcher.support import START, Bench, an_endpoint

DAY = timedelta(days=1)
NUMBER = "41793026727"
KEEP_ALL = RetentionSettings(
    reports=timedelta(0), attempts=timedelta(0), quarantine=timedelta(0), quarantine_max=0
)


async def no_pause() -> None:
    """Batches follow each other at once."""


async def purged(bench: Bench, **kept: Any) -> dict[str, int]:
    """Purge with these settings, everything else kept. Returns what went, without zeros."""
    await bench.storage.read_model.catch_up()
    settings = RetentionSettings(**{**vars_of(KEEP_ALL), **kept})
    now = bench.clock.now()
    would = await upkeep.count(bench.storage.retention, settings, now)
    removed = await upkeep.purge(bench.storage.retention, settings, now, pause=no_pause)
    for table in set(removed) - {"report", "report_key"}:  # those follow what goes before them
        assert would[table] == removed[table], table
    return {table: count for table, count in removed.items() if count}


def vars_of(settings: RetentionSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


async def message_ids(bench: Bench) -> list[str | None]:
    found = await bench.store.reports_after(0, 10_000)
    return [report.read().message_id for report in found]


async def attempts(bench: Bench) -> int:
    return len(await bench.storage.history.after(0, 10_000))


async def everything(storage: Storage) -> object:
    """What is there, as others see it."""
    dispatches = await storage.queue.dispatches(limit=1_000)
    return (
        await storage.store.reports_after(0, 10_000),
        [await storage.queue.dispatch(each.id) for each in dispatches],
        await storage.queue.counts(),
        await storage.history.after(0, 10_000),
        await storage.store.quarantine(None, 1_000),
        (await storage.unrouted.unrouted(["acme"], None, 10)).forgotten_to,
    )


class RetentionContract(OnStorage):
    # --- reports -------------------------------------------------------------------------------

    async def test_old_reports_go_with_their_keys(self, bench: Bench) -> None:
        """A report goes when it is older than the settings say; its key goes with its day."""
        await bench.receive(an_sms("old"))
        await bench.work()
        bench.clock.advance(10 * DAY)
        await bench.receive(an_sms("new"))
        await bench.work()

        assert await purged(bench, reports=9 * DAY) == {"report": 1, "report_key": 1}
        assert await message_ids(bench) == ["new"]
        assert await bench.store.reports_of("old") == []
        assert await bench.store.reports(ReportQuery(message_id="old")) == []

    async def test_exactly_as_old_stays(self, bench: Bench) -> None:
        """A report that is exactly as old as the limit is not older."""
        await bench.receive()
        await bench.work()
        bench.clock.advance(9 * DAY)

        assert await purged(bench, reports=9 * DAY) == {}

    async def test_too_many_reports_go_the_oldest_first(self, bench: Bench) -> None:
        """Of more than the most, the newest are kept."""
        await bench.receive(*(an_sms(f"m{number}") for number in range(5)))
        await bench.work()

        assert (await purged(bench, reports_max=2))["report"] == 3
        assert await message_ids(bench) == ["m3", "m4"]

    async def test_a_repeat_is_recognised_though_its_report_is_gone(self, bench: Bench) -> None:
        """Keys of the last days stay, so that what the platform repeats is not stored anew."""
        await bench.receive(an_sms("m1"))
        await bench.receive(an_sms("m2"))
        await bench.work()
        await purged(bench, reports_max=1)

        (counts,) = await bench.store.add([a_callback(an_sms("m1"), at=bench.clock.now())])
        assert (counts.stored, counts.duplicates) == (0, 1)

    async def test_unread_reports_stay(self, bench: Bench) -> None:
        """What an endpoint has not read stays however old, and goes once it is read and brought."""
        await bench.receive()
        bench.clock.advance(100 * DAY)
        assert await purged(bench, reports=DAY) == {}

        await bench.work()
        assert (await purged(bench, reports=DAY))["report"] == 1

    async def test_what_one_endpoint_has_not_read_stays(self, backend: StorageBackend) -> None:
        """However far the others have come."""
        paused = an_endpoint("beta", paused=True)
        bench = await a_bench_on(backend, an_endpoint(), paused)
        await bench.receive()
        await bench.work()
        bench.clock.advance(100 * DAY)

        assert await bench.states() == ["acknowledged"]
        assert await purged(bench, reports=DAY) == {}

    async def test_what_a_replay_has_to_read_stays(self, bench: Bench) -> None:
        """Those that any has not fed yet; the others go. They all stayed once, from the first that
        was not fed to the newest of the store."""
        await bench.receive(*(an_sms(f"m{n}") for n in range(4)))
        await bench.work()
        bench.clock.advance(100 * DAY)
        replaying = ReplayBench(bench, an_endpoint())
        await replaying.ask(ids=[2, 4])
        await replaying.ask(ids=[4])

        assert (await purged(bench, reports=DAY))["report"] == 2
        assert await message_ids(bench) == ["m1", "m3"]

        await replaying.run()
        assert (await purged(bench, reports=DAY))["report"] == 2

    async def test_what_is_being_sent_stays(self, bench: Bench) -> None:
        """A leased dispatch and its report are still in use, however old."""
        await bench.receive()
        (leased,) = await bench.worker.claim()
        bench.clock.advance(100 * DAY)
        assert await purged(bench, reports=DAY, attempts=DAY) == {}

        await bench.worker.give_back([leased])
        await bench.work()
        gone = await purged(bench, reports=DAY, attempts=DAY)
        assert (gone["report"], gone["dispatch"]) == (1, 1)

    async def test_reports_of_waiting_dispatches_stay(self, bench: Bench) -> None:
        """What a waiting dispatch carries stays until the dispatch has ended."""
        bench.sender.always(503)
        await bench.receive(an_sms("waits"))
        await bench.work()
        await bench.receive(an_sms("also"))
        bench.sender.always(200)
        await bench.work()
        assert await bench.states() == ["waiting", "acknowledged"]

        assert (await purged(bench, reports=timedelta(microseconds=1), reports_max=1)) == {}
        bench.clock.advance(DAY)
        assert (await purged(bench, reports=timedelta(hours=1)))["report"] == 1
        assert await message_ids(bench) == ["waits"]

        await bench.work()
        assert (await purged(bench, reports=timedelta(hours=1)))["report"] == 1

    async def test_reports_of_dispatches_without_bytes_stay(self, bench: Bench) -> None:
        """When the worker of a first attempt has died, the bytes are made of the reports. So these
        stay, also while the endpoint is gone: another may take the dispatch over."""
        await bench.receive(an_sms("lost"))
        (leased,) = await bench.worker.claim()
        await bench.queue.release_expired(leased.lease.until)
        bench.clock.advance(DAY)
        await bench.storage.read_model.catch_up()
        nobody = bench.storage.retention.reading(Readers(gone=frozenset({"acme"})))
        settings = RetentionSettings(**{**vars_of(KEEP_ALL), "reports": timedelta(hours=1)})

        await upkeep.purge(nobody, settings, bench.clock.now(), pause=no_pause)

        assert await message_ids(bench) == ["lost"]

    async def test_held_reports_stay(self, backend: StorageBackend) -> None:
        """So does what waits for the order's sake, which no dispatch carries yet."""
        bench = await a_bench_on(backend, an_endpoint(ordered=True))
        bench.sender.always(503)
        for status in ("PENDING_ENROUTE", "DELIVERED_TO_HANDSET"):
            await bench.receive(an_sms("a", status))
            await bench.work()
        (first,) = await bench.dispatches()
        await bench.queue.cancel(first.id)
        bench.clock.advance(DAY)

        assert (await purged(bench, reports=timedelta(hours=1)))["report"] == 1
        (held,) = await bench.store.reports_after(0, 10)
        assert held.final

    async def test_what_is_not_added_up_stays(self, bench: Bench) -> None:
        """A report that the totals have not followed yet is not removed before it counts."""
        await bench.receive()
        await bench.work()
        bench.clock.advance(10 * DAY)
        kept = RetentionSettings(reports=DAY)

        removed = await upkeep.purge(
            bench.storage.retention, kept, bench.clock.now(), pause=no_pause
        )

        assert removed["report"] == 0

    async def test_an_endpoint_that_was_removed_holds_nothing(self, bench: Bench) -> None:
        """An endpoint that is gone for good does not keep reports for ever."""
        await bench.receive()
        bench.clock.advance(10 * DAY)
        await bench.storage.endpoints.remove("acme", lambda _: None, known=())

        assert (await purged(bench, reports=DAY))["report"] == 1

    async def test_the_last_before_an_instant_is_found_among_gaps(
        self, backend: StorageBackend, bench: Bench
    ) -> None:
        """Ids that are missing, as after an erasure, do not mislead the search for the last one."""
        for day in range(10):
            bench.clock.advance_to(START + day * DAY)
            await bench.receive(an_sms(f"m{day}"))
        await bench.work()
        await bench.storage.read_model.catch_up()
        await backend.delete_reports([2, 5, 6])

        for day in range(11):
            before = START + day * DAY
            counted = await bench.storage.retention.count_reports(
                now=bench.clock.now(), before=before, most=0
            )
            assert counted["report"] == sum(1 for number in range(day) if number not in (1, 4, 5))

    # --- quarantine ----------------------------------------------------------------------------

    async def test_quarantine_goes_by_age_and_by_number(self, bench: Bench) -> None:
        """Quarantined bodies have an age and a number of their own."""
        for day in range(4):
            bench.clock.advance_to(START + day * DAY)
            raw = f'{{"smsCount":"many {day}"}}'.encode()
            await bench.store.add([a_callback(raw, at=bench.clock.now())])

        assert await purged(bench, quarantine=2 * DAY) == {"quarantine": 1}
        assert await purged(bench, quarantine_max=2) == {"quarantine": 1}

    # --- dispatches ----------------------------------------------------------------------------

    async def test_ended_dispatches_go_whole(self, bench: Bench) -> None:
        """An ended dispatch goes with its members and its attempts, and with its body if one was
        kept; a waiting one stays."""
        await bench.receive(an_sms("m1"), an_sms("m2"))
        await bench.work()
        bench.sender.always(503)
        await bench.receive(an_sms("m3"))
        await bench.work()
        bench.clock.advance(timedelta(hours=1))

        gone = {"dispatch": 1, "dispatch_report": 2, "attempt": 1}
        assert await purged(bench, attempts=timedelta(minutes=1)) == gone
        assert await bench.states() == ["waiting"]
        assert await attempts(bench) == 1
        assert await bench.queue.counts() == {"acme": {"waiting": 1}}

    async def test_an_endpoint_is_remembered(self, bench: Bench) -> None:
        """When its dispatches have gone, a replay may still name it."""
        await bench.receive()
        await bench.work()
        bench.clock.advance(DAY)
        assert (await purged(bench, attempts=timedelta(hours=1)))["dispatch"] == 1

        assert await bench.storage.selector.endpoints_ever() == {"acme"}

    async def test_attempts_go_by_number(self, bench: Bench) -> None:
        """Of more than the most attempts, the dispatches of the oldest go, if they have ended."""
        for _ in range(3):
            await bench.receive()
            await bench.work()

        assert (await purged(bench, attempts_max=1))["dispatch"] == 2
        assert await attempts(bench) == 1

    async def test_a_waiting_one_goes_when_it_has_ended(self, bench: Bench) -> None:
        """An open dispatch among the oldest stays, and holds up none that was formed after it."""
        bench.sender.answers(503)
        for _ in range(3):
            await bench.receive()
            await bench.work()
        bench.clock.advance(DAY)
        assert (await purged(bench, attempts=timedelta(hours=1)))["dispatch"] == 2
        assert await bench.states() == ["waiting"]

        await bench.work()
        assert (await purged(bench, attempts=timedelta(hours=1)))["dispatch"] == 1

    async def test_dispatches_of_a_wrong_clock(self, bench: Bench) -> None:
        """Dispatches that a wrong clock has dated cost no younger one, and keep no older one."""
        for day in (30, 2, 31, 0, 32, 1):
            bench.clock = VirtualClock(START + day * DAY)
            bench.worker = bench.another_worker(an_endpoint())
            await bench.receive()
            await bench.work()
        bench.clock = VirtualClock(START + 10 * DAY)

        assert (await purged(bench, attempts=8 * DAY))["dispatch"] == 2
        left = [(each.created_at - START).days for each in await bench.dispatches()]
        assert left == [30, 2, 31, 32]

    async def test_zero_keeps_for_ever(self, bench: Bench) -> None:
        """An age of 0 and a number of 0 are no limit."""
        await bench.receive()
        await bench.work()
        bench.clock.advance(36_500 * DAY)

        assert await purged(bench) == {}

    async def test_counting_removes_nothing(self, bench: Bench) -> None:
        """A dry run tells what would go, and leaves it."""
        await bench.receive(an_sms("m1"), an_sms("m2"))
        await bench.work()
        await bench.storage.read_model.catch_up()
        bench.clock.advance(10 * DAY)
        before = await everything(bench.storage)

        kept = RetentionSettings(reports=DAY, attempts=DAY)
        counted = await upkeep.count(bench.storage.retention, kept, bench.clock.now())

        assert counted == {
            "dispatch": 1,
            "dispatch_body": 0,
            "dispatch_report": 2,
            "attempt": 1,
            "report": 2,
            "report_key": 2,
            "quarantine": 0,
        }
        assert await everything(bench.storage) == before

    # --- batches -------------------------------------------------------------------------------

    async def test_what_a_pause_raises_ends_it_between_two_batches(self, bench: Bench) -> None:
        """What has gone is gone, the rest stays whole, and the next purge goes on."""
        await self._stock(bench, 900)

        class Stopped(Exception):
            pass

        async def stop() -> None:
            raise Stopped

        retention, before = bench.storage.retention, bench.clock.now() - DAY
        with pytest.raises(Stopped):
            await retention.purge_dispatches(before=before, most=0, pause=stop)
        left = len(await bench.dispatches())
        assert 0 < left < 900
        with pytest.raises(Stopped):
            await retention.purge_reports(now=bench.clock.now(), before=before, most=0, pause=stop)
        assert 0 < len(await message_ids(bench)) < 900

        removed = await retention.purge_dispatches(before=before, most=0, pause=no_pause)
        assert (removed["dispatch"], removed["attempt"]) == (left, left)

    async def test_large_dispatches_go(self, bench: Bench) -> None:
        """However many reports they have: each goes once, and none is left out."""
        bench.worker.use([an_endpoint(bucket_size=1_000)])
        for size in (900, 900, 900, 1):
            await bench.receive(*(an_sms(f"{size}-{n}-{size}") for n in range(size)))
            await bench.work()
            bench.clock.advance(4 * DAY)  # the same ones are new again
        await bench.receive(an_sms("newest"))
        await bench.work()

        gone = await purged(bench, attempts=timedelta(hours=1))
        assert (gone["dispatch"], gone["dispatch_report"]) == (4, 2_701)

    async def test_two_at_once(self, backend: StorageBackend, bench: Bench) -> None:
        """What two processes remove at the same time is counted by one of them."""
        await self._stock(bench, 500)
        there = (await backend.another()).retention
        before = bench.clock.now() - DAY
        done = await asyncio.gather(
            *(
                retention.purge_dispatches(before=before, most=0, pause=no_pause)
                for retention in (bench.storage.retention, there)
            )
        )

        assert sum(removed["dispatch"] for removed in done) == 500
        assert sum(removed["attempt"] for removed in done) == 500
        assert await bench.dispatches() == []

    async def test_the_store_goes_away(self, backend: StorageBackend, bench: Bench) -> None:
        """Wherever it goes, a dispatch is there as a whole or not at all; so is a report."""
        await self._stock(bench, 3)
        retention, now = bench.storage.retention, bench.clock.now()

        async def state() -> object:
            return await everything(bench.storage)

        dispatches = await unbroken(
            backend,
            lambda: retention.purge_dispatches(before=now - DAY, most=0, pause=no_pause),
            state,
        )
        reports = await unbroken(
            backend,
            lambda: retention.purge_reports(now=now, before=now - DAY, most=0, pause=no_pause),
            state,
        )

        assert (dispatches["dispatch"], reports["report"]) == (3, 3)

    async def _stock(self, bench: Bench, number: int) -> None:
        """So many reports, each brought by a dispatch of its own, two days ago."""
        bench.worker.use([an_endpoint(bucket_size=1, window=1_000)])
        await bench.receive(*(an_sms(f"m{n}") for n in range(number)))
        await bench.work()
        await bench.storage.read_model.catch_up()
        bench.clock.advance(2 * DAY)


async def erased(bench: Bench, dry_run: bool = False, **recipient: str) -> dict[str, int]:
    await bench.storage.read_model.catch_up()
    erasure = bench.storage.erasure
    touched = await (erasure.count if dry_run else erasure.erase)(Recipient(**recipient))
    return {table: count for table, count in touched.items() if count}


class ErasureContract(OnStorage):
    async def test_a_number_leaves_no_trace(self, backend: StorageBackend, bench: Bench) -> None:
        """After an erasure neither the number nor its hexadecimal bytes are stored anywhere."""
        bench.sender.said = f"thanks for {NUMBER}".encode()
        await bench.receive(an_sms("m1", to=NUMBER), an_sms("m2", to="4179000"))
        await bench.store.add([a_callback(f'{{"to":"{NUMBER}","smsCount":"x"}}'.encode())])
        await bench.work()

        dry = await erased(bench, dry_run=True, to=NUMBER)
        assert NUMBER in await backend.written()
        touched = await erased(bench, to=NUMBER)

        assert dry == touched
        assert touched["report"] == touched["quarantine"] == touched["attempt"] == 1
        text = await backend.written()
        assert NUMBER not in text
        assert NUMBER.encode().hex() not in text.lower()
        assert await message_ids(bench) == ["m2"]

    @pytest.mark.parametrize("given", ["+41793026727", "41793026727"])
    async def test_a_plus_does_not_count(self, bench: Bench, given: str) -> None:
        """A number is the same with and without a plus, on either side."""
        await bench.receive(an_sms("m1", to="41793026727"), an_sms("m2", to="+41793026727"))

        assert (await erased(bench, to=given))["report"] == 2

    async def test_longer_numbers_stay(self, bench: Bench) -> None:
        """A number that contains the erased one, or is mentioned elsewhere, is another's."""
        await bench.receive(
            an_sms("m1", to="1" + NUMBER), an_sms("m2", to="4", callbackData=NUMBER)
        )
        longer = f'{{"to":"9{NUMBER}","smsCount":"x"}}'.encode()
        await bench.store.add([a_callback(longer)])

        assert await erased(bench, to=NUMBER) == {}

    async def test_quarantine_is_searched_in_utf16_too(self, bench: Bench) -> None:
        """A body in UTF-16, as some XML is, is found as well."""
        callback = a_callback()
        raw = f"<a>{NUMBER}".encode("utf-16")
        bad = Unreadable(raw=raw, place="", reason="no XML")
        await bench.store.add([changed(callback, verdict=Verdict(quarantined=[bad]))])

        assert await erased(bench, to=NUMBER) == {"quarantine": 1}

    async def test_by_message_id(self, bench: Bench) -> None:
        """All reports of one message go, intermediate and final."""
        await bench.receive(an_sms("m1", "PENDING_ENROUTE"), an_sms("m1"), an_sms("m11"))

        assert (await erased(bench, message_id="m1"))["report"] == 2
        assert await message_ids(bench) == ["m11"]
        assert await bench.store.reports(ReportQuery(message_id="m1")) == []

    async def test_by_message_id_of_a_source(self, bench: Bench) -> None:
        """Of two sources with one messageId only the message of the named one goes: out of a
        bucket that carries both, and out of none that carries the other's alone."""
        bench.sender.always(503)
        for item, sources in ((an_sms("m1"), ("alpha", "beta")), (an_sms("m2"), ("alpha",))):
            for source in sources:
                await bench.receive(item, source=source)
        await bench.work()
        await bench.receive(an_sms("m1", "PENDING_ENROUTE"), source="alpha")
        await bench.work()

        assert (await erased(bench, message_id="m1", source="beta"))["dispatch"] == 1

        both, alone, fresh = await bench.dispatches()
        assert [each.state for each in (both, alone, fresh)] == ["cancelled", "waiting", "waiting"]
        assert (alone.report_ids, fresh.report_ids) == ([4], [1, 3])
        bench.sender.always(200)
        await bench.run_until_idle()
        bodies = [push.body for push in bench.sender.pushes if push.name in (alone.id, fresh.id)]
        assert [body.count(b'"m1"') for body in bodies] == [1, 1, 1]
        assert (await erased(bench, message_id="m1", source="beta")) == {}

    async def test_whose_message_it_was_when_the_reports_are_gone(self, bench: Bench) -> None:
        """Nobody knows any more whose report a body carried: it goes, because better one body too
        many than one that is left."""
        bench.sender.answers(503)
        await bench.receive(an_sms("m1"), source="alpha")
        await bench.run_until_idle()
        bench.clock.advance(10 * DAY)
        await purged(bench, reports=DAY)

        assert (await erased(bench, message_id="m1", source="beta"))["dispatch_body"] == 1

    @pytest.mark.parametrize("content_type", ["application/json", "application/xml"])
    async def test_a_waiting_dispatch_is_formed_anew_of_the_others(
        self, backend: StorageBackend, content_type: Any
    ) -> None:
        """It is cancelled; what it carried of others is due when it was, with as many attempts."""
        bench = await a_bench_on(backend, an_endpoint(content_type=content_type))
        bench.sender.always(503)
        await bench.receive(an_sms("m1", to=NUMBER), an_sms("m2", to="4179000"))
        await bench.work()
        (old,) = await bench.dispatches()

        touched = await erased(bench, to=NUMBER)

        cancelled, fresh = await bench.dispatches()
        assert touched["dispatch"] == 1
        assert (cancelled.id, cancelled.state) == (old.id, "cancelled")
        assert (fresh.state, fresh.attempts, fresh.due_at) == ("waiting", 1, old.due_at)
        assert fresh.report_ids == [2]
        bench.sender.always(200)
        await _work_at(bench, old.due_at)
        last = bench.sender.pushes[-1]
        assert (last.name, last.number, last.reports) == (fresh.id, 2, 1)
        assert b"m2" in last.body
        assert NUMBER.encode() not in last.body

    async def test_later_reports_of_others_still_wait(self, backend: StorageBackend) -> None:
        """What was held for a report of the cancelled dispatch is held for the new one."""
        bench = await a_bench_on(backend, an_endpoint(ordered=True))
        bench.sender.always(503)
        await bench.receive(an_sms("m1", to=NUMBER), an_sms("m2", "PENDING_ENROUTE", to="4179000"))
        await bench.work()
        await bench.receive(an_sms("m2", to="4179000"))
        await bench.work()

        await erased(bench, to=NUMBER)

        assert await bench.queue.freed("acme", 9) == []
        fresh = (await bench.dispatches())[-1]
        await bench.queue.cancel(fresh.id)
        assert await bench.queue.freed("acme", 9) == [3]

    async def test_a_dispatch_of_a_replay_stays_one(self, bench: Bench) -> None:
        """What a replay brings of others is its own after the erasure too."""
        await bench.receive(an_sms("m1", to=NUMBER), an_sms("m2", to="4179000"))
        await bench.work()
        replaying = ReplayBench(bench, an_endpoint())
        replay = await replaying.ask(source="default")
        assert await replaying.feed() == 2

        await erased(bench, to=NUMBER)

        (leased,) = await bench.worker.claim()
        assert (leased.replay, leased.reports) == (replay.id, 1)

    async def test_a_dispatch_of_one_recipient_is_only_cancelled(self, bench: Bench) -> None:
        """When nothing is left to bring, no dispatch is formed."""
        bench.sender.always(503)
        await bench.receive(an_sms("m1", to=NUMBER))
        await bench.work()

        await erased(bench, to=NUMBER)

        assert await bench.states() == ["cancelled"]

    async def test_a_body_is_found_though_its_reports_are_gone(
        self, backend: StorageBackend, bench: Bench
    ) -> None:
        """Retention may have removed the report before the dispatch that carried it."""
        bench.sender.answers(503)
        await bench.receive(an_sms("m1", to=NUMBER))
        await bench.run_until_idle()
        bench.clock.advance(10 * DAY)
        await purged(bench, reports=DAY)

        assert (await erased(bench, to=NUMBER))["dispatch_body"] == 1
        assert NUMBER.encode().hex() not in (await backend.written()).lower()

    async def test_what_was_acknowledged_at_once_carries_nothing(
        self, backend: StorageBackend, bench: Bench
    ) -> None:
        """The bytes of a push that was acknowledged at its first attempt are not kept: when its
        report is gone, nothing names the recipient."""
        await bench.receive(an_sms("m1", to=NUMBER))
        await bench.work()
        bench.clock.advance(10 * DAY)
        await purged(bench, reports=DAY)

        assert await erased(bench, to=NUMBER) == {}
        assert NUMBER.encode().hex() not in (await backend.written()).lower()

    async def test_answers_that_name_it_go(self, backend: StorageBackend, bench: Bench) -> None:
        """A customer may name a number in the answer to a push of others, escaped or not; it stood
        in the history after the erasure."""
        bench.sender.said = b'{"also":"\\u002b' + NUMBER.encode() + b'"}'
        await bench.receive(an_sms("m1", to="4179000"))
        await bench.work()

        dry = await erased(bench, dry_run=True, to=NUMBER)
        touched = await erased(bench, to=NUMBER)

        assert dry == touched == {"attempt": 1}
        text = await backend.written()
        assert NUMBER.encode().hex() not in text.lower()
        assert await bench.states() == ["acknowledged"]

    async def test_replays_that_name_it_forget_it(
        self, backend: StorageBackend, bench: Bench
    ) -> None:
        """A key such as "complaint of +41 79 302 67 27" stood in the list of replays for ever."""
        await bench.receive(an_sms("m1", to="4179000"))
        await bench.work()
        replaying = ReplayBench(bench, an_endpoint())
        await replaying.ask(source="default", key="complaint of +41 79 302 67 27")
        await replaying.ask(bulkId=NUMBER)
        await replaying.ask(source="default", key="kept")

        dry = await erased(bench, dry_run=True, to=NUMBER)
        touched = await erased(bench, to=NUMBER)

        assert dry == touched == {"replay": 2}
        keys = [replay.key for replay in await bench.storage.replays.all()]
        assert keys == ["kept", None, None]
        assert NUMBER not in await backend.written()

    async def test_nothing_is_left(self, bench: Bench) -> None:
        """After an erasure the files hold nothing of the recipient, and nothing is said."""
        await bench.receive(an_sms("m1", to=NUMBER), an_sms("m2", to="4179000"))
        await bench.work()
        await erased(bench, to=NUMBER)

        assert await bench.storage.erasure.left(Recipient(to=NUMBER)) == []

    async def test_nothing_is_erased_while_it_is_being_sent(self, bench: Bench) -> None:
        """A leased dispatch stops the erasure as a whole: half of it would look like all of it."""
        await bench.receive(an_sms("m1", to=NUMBER))
        await bench.worker.claim()
        before = await everything(bench.storage)

        with pytest.raises(StillLeased, match="being sent just now: 1;"):
            await erased(bench, to=NUMBER)
        assert await everything(bench.storage) == before

    async def test_the_store_goes_away(self, backend: StorageBackend, bench: Bench) -> None:
        """Wherever it goes, all of the recipient's data is there or none of it."""
        bench.sender.always(503)
        await bench.receive(an_sms("m1", to=NUMBER), an_sms("m2", to="4179000"))
        await bench.store.add([a_callback(f'{{"to":"{NUMBER}","smsCount":"x"}}'.encode())])
        await bench.work()

        touched = await unbroken(
            backend,
            lambda: bench.storage.erasure.erase(Recipient(to=NUMBER)),
            lambda: everything(bench.storage),
        )

        assert touched["report"] == touched["quarantine"] == touched["dispatch"] == 1
        assert NUMBER.encode().hex() not in (await backend.written()).lower()
        assert await bench.states() == ["cancelled", "waiting"]

    async def test_another_process_finds_nothing(
        self, backend: StorageBackend, bench: Bench
    ) -> None:
        """What is erased is erased for all, and a second erasure touches nothing."""
        await bench.receive(an_sms("m1", to=NUMBER))
        await bench.work()
        await erased(bench, to=NUMBER)

        there = await backend.another()
        touched = await there.erasure.erase(Recipient(to=NUMBER))
        assert {table: count for table, count in touched.items() if count} == {}


async def _work_at(bench: Bench, at: datetime | None) -> None:
    assert at is not None
    assert isinstance(bench.clock, VirtualClock)
    bench.clock.advance_to(at)
    await bench.work()

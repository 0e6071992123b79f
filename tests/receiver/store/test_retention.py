"""Retention and erasure: what goes, what stays, and that nobody loses what is still needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace as changed

from dispatcher.clocks.clock import VirtualClock
from dispatcher.queue.sqlite.erasure import StillLeased
from dispatcher.queue.sqlite.retention import NeededByEndpoints
from dispatcher.settings.settings import RetentionSettings
from dispatcher.upkeep import erasure
from dispatcher.upkeep import retention as upkeep
from receiver.dlr.errors import Unreadable
from receiver.store.base import ReportQuery
from receiver.store.callback import Verdict
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.erasure import Recipient
from receiver.store.sqlite.followup import Follower
from receiver.store.sqlite.retention import BATCH, count_reports, purge_reports
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.support import START, Bench, a_bench, an_endpoint

DAY = timedelta(days=1)
NUMBER = "41793026727"
KEEP_ALL = RetentionSettings(
    reports=timedelta(0), attempts=timedelta(0), quarantine=timedelta(0), quarantine_max=0
)


async def no_pause() -> None:
    """Batches follow each other at once."""


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as each:
        yield each


def database_of(bench: Bench) -> Database:
    return bench.store._database


async def rows(bench: Bench, table: str) -> int:
    statement = f"SELECT count(*) FROM {table}"
    found: int = await database_of(bench).read(lambda c: c.execute(statement).fetchone()[0])
    return found


async def purged(bench: Bench, **kept: Any) -> dict[str, int]:
    """Purge with these settings, everything else kept. Returns what went, without zeros."""
    await Follower(database_of(bench)).catch_up()
    settings = RetentionSettings(**{**vars_of(KEEP_ALL), **kept})
    now = bench.clock.now()
    would = await upkeep.count(database_of(bench), settings, now)
    removed = await upkeep.purge(database_of(bench), settings, now, pause=no_pause)
    for table in set(removed) - {"report", "report_key"}:  # those follow what goes before them
        assert would[table] == removed[table], table
    return {table: count for table, count in removed.items() if count}


def vars_of(settings: RetentionSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


async def message_ids(bench: Bench) -> list[str | None]:
    found = await bench.store.reports_after(0, 10_000)
    return [report.read().message_id for report in found]


# --- retention ---------------------------------------------------------------------------------


async def test_old_reports_go_with_their_keys(bench: Bench) -> None:
    """A report goes when it is older than the settings say; its key goes with its day."""
    await bench.receive(an_sms("old"))
    await bench.work()
    bench.clock.advance(10 * DAY)
    await bench.receive(an_sms("new"))
    await bench.work()

    assert await purged(bench, reports=9 * DAY) == {"report": 1, "report_key": 1}
    assert await message_ids(bench) == ["new"]
    assert await bench.store.reports_of("old") == []
    assert await rows(bench, "search_key WHERE report = 1") == 0


async def test_exactly_as_old_stays(bench: Bench) -> None:
    """A report that is exactly as old as the limit is not older."""
    await bench.receive()
    await bench.work()
    bench.clock.advance(9 * DAY)

    assert await purged(bench, reports=9 * DAY) == {}


async def test_too_many_reports_go_the_oldest_first(bench: Bench) -> None:
    """Of more than the most, the newest are kept."""
    await bench.receive(*(an_sms(f"m{number}") for number in range(5)))
    await bench.work()

    assert (await purged(bench, reports_max=2))["report"] == 3
    assert await message_ids(bench) == ["m3", "m4"]


async def test_a_repeat_is_recognised_though_its_report_is_gone(bench: Bench) -> None:
    """Keys of the last days stay, so that what the platform repeats is not stored anew."""
    await bench.receive(an_sms("m1"))
    await bench.receive(an_sms("m2"))
    await bench.work()
    await purged(bench, reports_max=1)

    (counts,) = await bench.store.add([a_callback(an_sms("m1"), at=bench.clock.now())])
    assert (counts.stored, counts.duplicates) == (0, 1)


async def test_unread_reports_stay(bench: Bench) -> None:
    """What an endpoint has not read stays however old, and goes once it is read and brought."""
    await bench.receive()
    bench.clock.advance(100 * DAY)
    assert await purged(bench, reports=DAY) == {}

    await bench.work()
    assert (await purged(bench, reports=DAY))["report"] == 1


async def test_reports_of_waiting_dispatches_stay(bench: Bench) -> None:
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


async def test_what_is_not_added_up_stays(bench: Bench) -> None:
    """A report that the totals have not followed yet is not removed before it counts."""
    await bench.receive()
    await bench.work()
    bench.clock.advance(10 * DAY)
    kept = RetentionSettings(reports=DAY)

    removed = await upkeep.purge(database_of(bench), kept, bench.clock.now(), pause=no_pause)

    assert removed["report"] == 0


async def test_an_endpoint_that_was_removed_holds_nothing(bench: Bench) -> None:
    """An endpoint that is gone for good does not keep reports for ever."""
    await bench.receive()
    bench.clock.advance(10 * DAY)
    await database_of(bench).write(lambda c: c.execute("UPDATE endpoint SET removed = 1"))

    assert (await purged(bench, reports=DAY))["report"] == 1


async def test_batches_are_bounded() -> None:
    """However many go, no transaction has more than a batch of them, and between two is a pause."""
    async with a_bench() as bench:
        count = 2 * BATCH + 1
        await bench.receive(*(an_sms(f"m{number}") for number in range(count)))
        await database_of(bench).write(lambda c: c.execute("UPDATE endpoint SET removed = 1"))
        await Follower(database_of(bench)).catch_up()
        left = []

        async def note() -> None:
            left.append(await rows(bench, "report"))

        await purge_reports(
            database_of(bench),
            now=START + 10 * DAY,
            before=START + DAY,
            most=0,
            needed=NeededByEndpoints(),
            pause=note,
        )

    assert left[:3] == [BATCH + 1, 1, 0]


async def test_the_last_before_an_instant_is_found_among_gaps(bench: Bench) -> None:
    """Ids that are missing, as after an erasure, do not mislead the search by halving."""
    for day in range(10):
        bench.clock.advance_to(START + day * DAY)
        await bench.receive(an_sms(f"m{day}"))
    await bench.work()
    await Follower(database_of(bench)).catch_up()
    await database_of(bench).write(lambda c: c.execute("DELETE FROM report WHERE id IN (2, 5, 6)"))

    for day in range(11):
        counted = await count_reports(
            database_of(bench),
            before=START + day * DAY,
            most=0,
            needed=NeededByEndpoints(),
        )
        assert counted["report"] == sum(1 for number in range(day) if number not in (1, 4, 5))


async def test_quarantine_goes_by_age_and_by_number(bench: Bench) -> None:
    """Quarantined bodies have an age and a number of their own."""
    for day in range(4):
        bench.clock.advance_to(START + day * DAY)
        raw = f'{{"smsCount":"many {day}"}}'.encode()
        await bench.store.add([a_callback(raw, at=bench.clock.now())])

    assert await purged(bench, quarantine=2 * DAY) == {"quarantine": 1}
    assert await purged(bench, quarantine_max=2) == {"quarantine": 1}


async def test_ended_dispatches_go_whole(bench: Bench) -> None:
    """An ended dispatch goes with its body, its members and its attempts; a waiting one stays."""
    await bench.receive(an_sms("m1"), an_sms("m2"))
    await bench.work()
    bench.sender.always(503)
    await bench.receive(an_sms("m3"))
    await bench.work()
    bench.clock.advance(timedelta(hours=1))

    gone = {"dispatch": 1, "dispatch_body": 1, "dispatch_report": 2, "attempt": 1}
    assert await purged(bench, attempts=timedelta(minutes=1)) == gone
    assert await bench.states() == ["waiting"]
    assert await rows(bench, "attempt") == 1


async def test_attempts_go_by_number(bench: Bench) -> None:
    """Of more than the most attempts, the dispatches of the oldest go, if they have ended."""
    for _ in range(3):
        await bench.receive()
        await bench.work()

    assert (await purged(bench, attempts_max=1))["dispatch"] == 2
    assert await rows(bench, "attempt") == 1


async def test_zero_keeps_for_ever(bench: Bench) -> None:
    """An age of 0 and a number of 0 are no limit."""
    await bench.receive()
    await bench.work()
    bench.clock.advance(36_500 * DAY)

    assert await purged(bench) == {}


# --- erasure -----------------------------------------------------------------------------------


async def erased(bench: Bench, dry_run: bool = False, **recipient: str) -> dict[str, int]:
    await Follower(database_of(bench)).catch_up()
    touched = await erasure.erase(database_of(bench), Recipient(**recipient), dry_run=dry_run)
    return {table: count for table, count in touched.items() if count}


async def dump(bench: Bench) -> str:
    lines = await database_of(bench).read(lambda connection: list(connection.iterdump()))
    return "\n".join(lines)


async def test_a_number_leaves_no_trace(bench: Bench) -> None:
    """After an erasure neither the number nor its hexadecimal bytes are anywhere in the file."""
    bench.sender.said = f"thanks for {NUMBER}".encode()
    await bench.receive(an_sms("m1", to=NUMBER), an_sms("m2", to="4179000"))
    await bench.store.add([a_callback(f'{{"to":"{NUMBER}","smsCount":"x"}}'.encode())])
    await bench.work()

    dry = await erased(bench, dry_run=True, to=NUMBER)
    assert NUMBER in await dump(bench)
    touched = await erased(bench, to=NUMBER)

    assert dry == touched
    assert touched["report"] == touched["quarantine"] == touched["attempt"] == 1
    text = await dump(bench)
    assert NUMBER not in text
    assert NUMBER.encode().hex() not in text.lower()
    assert await message_ids(bench) == ["m2"]


@pytest.mark.parametrize("given", ["+41793026727", "41793026727"])
async def test_a_plus_does_not_count(bench: Bench, given: str) -> None:
    """A number is the same with and without a plus, on either side."""
    await bench.receive(an_sms("m1", to="41793026727"), an_sms("m2", to="+41793026727"))

    assert (await erased(bench, to=given))["report"] == 2


async def test_longer_numbers_stay(bench: Bench) -> None:
    """A number that contains the erased one, or is mentioned elsewhere, is another's."""
    await bench.receive(an_sms("m1", to="1" + NUMBER), an_sms("m2", to="4", callbackData=NUMBER))
    longer = f'{{"to":"9{NUMBER}","smsCount":"x"}}'.encode()
    await bench.store.add([a_callback(longer)])

    assert await erased(bench, to=NUMBER) == {}


async def test_quarantine_is_searched_in_utf16_too(bench: Bench) -> None:
    """A body in UTF-16, as some XML is, is found as well."""
    callback = a_callback()
    raw = f"<a>{NUMBER}".encode("utf-16")
    bad = Unreadable(raw=raw, place="", reason="no XML")
    await bench.store.add([changed(callback, verdict=Verdict(quarantined=[bad]))])

    assert await erased(bench, to=NUMBER) == {"quarantine": 1}


async def test_by_message_id(bench: Bench) -> None:
    """All reports of one message go, intermediate and final."""
    await bench.receive(an_sms("m1", "PENDING_ENROUTE"), an_sms("m1"), an_sms("m11"))

    assert (await erased(bench, message_id="m1"))["report"] == 2
    assert await message_ids(bench) == ["m11"]
    assert await bench.store.reports(ReportQuery(message_id="m1")) == []


@pytest.mark.parametrize("content_type", ["application/json", "application/xml"])
async def test_a_waiting_dispatch_is_formed_anew_of_the_others(content_type: Any) -> None:
    """It is cancelled; what it carried of others is due when it was, with as many attempts."""
    async with a_bench(an_endpoint(content_type=content_type)) as bench:
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


async def _work_at(bench: Bench, at: datetime | None) -> None:
    assert at is not None
    assert isinstance(bench.clock, VirtualClock)
    bench.clock.advance_to(at)
    await bench.work()


async def test_a_dispatch_of_one_recipient_is_only_cancelled(bench: Bench) -> None:
    """When nothing is left to bring, no dispatch is formed."""
    bench.sender.always(503)
    await bench.receive(an_sms("m1", to=NUMBER))
    await bench.work()

    await erased(bench, to=NUMBER)

    assert await bench.states() == ["cancelled"]


async def test_a_body_is_found_though_its_reports_are_gone(bench: Bench) -> None:
    """Retention may have removed the report before the dispatch that carried it."""
    await bench.receive(an_sms("m1", to=NUMBER))
    await bench.work()
    bench.clock.advance(10 * DAY)
    await purged(bench, reports=DAY)

    assert (await erased(bench, to=NUMBER))["dispatch_body"] == 1
    assert NUMBER.encode().hex() not in (await dump(bench)).lower()


async def test_nothing_is_erased_while_it_is_being_sent(bench: Bench) -> None:
    """A leased dispatch stops the erasure as a whole: half of it would look like all of it."""
    await bench.receive(an_sms("m1", to=NUMBER))
    await bench.worker.claim()

    with pytest.raises(StillLeased, match="1 dispatches"):
        await erased(bench, to=NUMBER)
    assert await message_ids(bench) == ["m1"]


async def test_what_was_erased_is_overwritten(tmp_path: Any) -> None:
    """The bytes are not in the file any more, nor in its write-ahead log."""
    path = tmp_path / "dlr.db"
    from dispatcher.storage import storage

    async with storage(str(path)) as opened:
        at = datetime(2026, 3, 2, tzinfo=UTC)
        items = [an_sms(f"m{number}", to=NUMBER) for number in range(50)]
        await opened.store.add([a_callback(*items, an_sms("other", to="1"), at=at)])
        await Follower(opened.database).catch_up()
        assert NUMBER.encode() in _bytes(tmp_path)

        await erasure.erase(opened.database, Recipient(to=NUMBER), dry_run=False)

        assert NUMBER.encode() not in _bytes(tmp_path)


def _bytes(folder: Any) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("dlr.db*")))

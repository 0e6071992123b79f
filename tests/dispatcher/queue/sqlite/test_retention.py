"""Retention and erasure in SQLite: how large its transactions are, and that bytes are gone.

What every database does is in tests/contracts/retention.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from dispatcher.queue.sqlite.erasure import OF_OTHER_SOURCES, SqliteErasure
from dispatcher.storage import storage
from dispatcher.upkeep.erasing import Found
from receiver.store.recipient import Recipient
from receiver.store.sqlite.disk import rows_that_name
from receiver.store.sqlite.retention import BATCH
from receiver.store.sqlite.rows import BODIES_OF_REPORTS
from tests.contracts.report_store import a_callback, an_sms
from tests.contracts.retention import DAY, NUMBER, purged
from tests.dispatcher.support import START, Bench, a_bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as each:
        yield each


async def rows(bench: Bench, table: str) -> int:
    statement = f"SELECT count(*) FROM {table}"
    found: int = await bench.database.read(lambda c: c.execute(statement).fetchone()[0])
    return found


async def test_search_keys_go_with_their_reports(bench: Bench) -> None:
    """Nothing of a report that was removed is found, nor takes room."""
    await bench.receive()
    await bench.work()
    await bench.storage.read_model.catch_up()
    assert await rows(bench, "search_key WHERE report = 1") > 0
    bench.clock.advance(10 * DAY)

    assert (await purged(bench, reports=DAY))["report"] == 1
    assert await rows(bench, "search_key WHERE report = 1") == 0


async def test_batches_are_bounded(bench: Bench) -> None:
    """However many go, no transaction has more than a batch of them, and between two is a pause."""
    count = 2 * BATCH + 1
    await bench.receive(*(an_sms(f"m{number}") for number in range(count)))
    await bench.storage.endpoints.remove("acme", lambda _: None, known=())
    await bench.storage.read_model.catch_up()
    left = []

    async def note() -> None:
        left.append(await rows(bench, "report"))

    await bench.storage.retention.purge_reports(
        now=START + 10 * DAY, before=START + DAY, most=0, pause=note
    )

    assert left[:3] == [BATCH + 1, 1, 0]


async def test_what_was_erased_is_overwritten(tmp_path: Path) -> None:
    """The bytes are not in the file any more, nor in its write-ahead log."""
    async with storage(str(tmp_path / "dlr.db")) as opened:
        at = datetime(2026, 3, 2, tzinfo=UTC)
        items = [an_sms(f"m{number}", to=NUMBER) for number in range(50)]
        await opened.store.add([a_callback(*items, an_sms("other", to="1"), at=at)])
        await opened.read_model.catch_up()
        assert NUMBER.encode() in _bytes(tmp_path)

        await opened.erasure.erase(Recipient(to=NUMBER))

        assert NUMBER.encode() not in _bytes(tmp_path)


async def test_what_was_removed_before_is_overwritten_too(tmp_path: Path) -> None:
    """Retention frees pages and leaves what is in them: after an erasure that found no row the
    number still stood in the file."""
    async with storage(str(tmp_path / "dlr.db")) as opened:
        at = datetime(2026, 3, 2, tzinfo=UTC)
        items = [an_sms(f"m{number}", to=NUMBER) for number in range(500)]
        others = [an_sms(f"o{number}", to="1") for number in range(5)]
        await opened.store.add([a_callback(*items, at=at), a_callback(*others, at=at + 9 * DAY)])
        await opened.read_model.catch_up()
        await opened.retention.purge_reports(now=at + 9 * DAY, before=at + DAY, most=0, pause=rest)
        assert NUMBER.encode() in _bytes(tmp_path)

        touched = await opened.erasure.erase(Recipient(to=NUMBER))

        assert set(touched.values()) == {0}
        assert await opened.erasure.left(Recipient(to=NUMBER)) == []
        assert NUMBER.encode() not in _bytes(tmp_path)
        assert len(await opened.store.reports_after(0, 10)) == 5


async def test_a_dispatch_formed_meanwhile(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dispatches were looked for before the transaction that erases: one that was formed in between
    was pushed with the erased recipient in it."""
    await bench.receive(an_sms("m1", to=NUMBER), an_sms("m2", to="4179000"))
    bench.sender.always(503)
    find = SqliteErasure._find

    async def and_work(erasure: SqliteErasure, recipient: Recipient) -> Found:
        found = await find(erasure, recipient)
        await bench.work()
        return found

    monkeypatch.setattr(SqliteErasure, "_find", and_work)

    touched = await bench.storage.erasure.erase(Recipient(to=NUMBER))

    assert (touched["dispatch"], touched["dispatch_body"]) == (1, 1)
    assert await bench.states() == ["cancelled", "waiting"]
    assert await rows(bench, f"dispatch_body WHERE instr(body, '{NUMBER}')") == 0


async def rest() -> None:
    """Between two batches."""


async def test_another_reader_that_holds_the_log_is_told(tmp_path: Path) -> None:
    """While another process reads, the write-ahead log cannot be emptied, and it still held what
    was erased; `dlr erase` said that all was well."""
    async with storage(str(tmp_path / "dlr.db")) as opened:
        await opened.store.add([a_callback(an_sms("m1", to=NUMBER))])
        with closing(sqlite3.connect(tmp_path / "dlr.db", isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM report").fetchone()
            recipient = Recipient(to=NUMBER)

            await opened.erasure.erase(recipient)

            (said,) = await opened.erasure.left(recipient)
            assert said.startswith(f"{tmp_path / 'dlr.db-wal'}: another process reads")
            assert NUMBER.encode() in _bytes(tmp_path)
            other.execute("COMMIT")

        await opened.erasure.erase(recipient)
        assert await opened.erasure.left(recipient) == []
        assert NUMBER.encode() not in _bytes(tmp_path)


async def test_what_others_say_of_it_is_told(tmp_path: Path) -> None:
    """What names the recipient and is another's is not erased, but it is not hidden either."""
    async with storage(str(tmp_path / "dlr.db")) as opened:
        await opened.store.add(
            [a_callback(an_sms("m1", to=NUMBER), an_sms("m2", to="4", callbackData=f"of {NUMBER}"))]
        )

        await opened.erasure.erase(Recipient(to=NUMBER))

        (said,) = await opened.erasure.left(Recipient(to=NUMBER))
        place = f"{tmp_path / 'dlr.db'}: rows of report that name it"
        assert said == f"{place} but belong to others: 1"


async def test_what_is_left_of_one_source_is_told(tmp_path: Path) -> None:
    """Two sources have a message `m1`. Whatever was left of the one, nothing was said, because the
    other's message bears the same id."""
    async with storage(str(tmp_path / "dlr.db")) as opened:
        theirs, quoting = an_sms("m1"), an_sms("m2", callbackData="after m1")
        await opened.store.add([a_callback(an_sms("m1"), quoting, source="alpha")])
        await opened.store.add([a_callback(theirs, quoting, source="beta")])
        recipient = Recipient(message_id="m1", source="alpha")

        await opened.erasure.erase(recipient)

        (said,) = await opened.erasure.left(recipient)
        assert said.endswith("rows of report that name it but belong to others: 1")


async def test_what_another_source_has_is_not_left(bench: Bench) -> None:
    """Its report, what was received with it, its search keys, its bucket and the answer to that."""
    bench.sender.said = b"not now, m1"
    bench.sender.always(503)
    for source in ("alpha", "beta"):
        callback = a_callback(an_sms("m1", bulkId="m1"), source=source, at=START)
        received = replace(callback.verdict, received=b'{"results": [{"messageId": "m1"}]}')
        await bench.store.add([replace(callback, verdict=received)])
        await bench.work()
    await bench.storage.read_model.catch_up()
    recipient = Recipient(message_id="m1", source="alpha")
    tables = ("report", "received_body", "search_key", "dispatch_body", "attempt")
    named = await rows_that_name(bench.database, Recipient(message_id="m1"), {})
    assert set(tables) <= set(named)

    await bench.storage.erasure.erase(recipient)

    assert await rows_that_name(bench.database, recipient, OF_OTHER_SOURCES) == {}
    named = await rows_that_name(bench.database, Recipient(message_id="m1"), {})
    assert set(tables) <= set(named)


async def test_erasing_many_takes_no_longer_for_each(tmp_path: Path) -> None:
    """What an erasure does to bodies is a look-up a report: 2,000 bodies and 2,000 reports were
    compared each with each."""
    async with storage(str(tmp_path / "dlr.db")) as opened:
        assert isinstance(opened.erasure, SqliteErasure)
        plan = await opened.erasure._database.read(
            lambda c: c.execute(
                "EXPLAIN QUERY PLAN DELETE FROM received_body"
                f" WHERE first_report IN {BODIES_OF_REPORTS}",
                ("[]",),
            ).fetchall()
        )
    assert not [row for row in plan if row[3].startswith("SCAN received_body")], plan


def _bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("dlr.db*")))

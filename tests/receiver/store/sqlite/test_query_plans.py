"""How SQLite finds what the store's statements ask for: by which key, and never by reading a large
table from one end to the other.

The statements are caught as they run, on the schema of production, and explained with what they
were given.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import pytest

from dispatcher.queue.sqlite.retention import NeededByEndpoints
from dispatcher.storage import MIGRATIONS
from receiver.store.base import ReportQuery, TotalsQuery
from receiver.store.recipient import Recipient
from receiver.store.sqlite.database import Database, Work
from receiver.store.sqlite.followup import Follower
from receiver.store.sqlite.retention import SqliteRetention
from receiver.store.sqlite.store import SqliteStore
from receiver.store.tally import DAY
from tests.contracts.report_store import NOON, NOT_A_REPORT, a_callback, an_sms, with_body
from tests.contracts.sqlite_backend import StoreErasureInSqlite

T = TypeVar("T")


class Watch:
    """A connection that notes each statement with what it was given."""

    def __init__(self, connection: sqlite3.Connection, seen: dict[str, Sequence[Any]]) -> None:
        self._connection = connection
        self._seen = seen

    def cursor(self) -> Watch:
        return self

    def execute(self, statement: str, given: Sequence[Any] = ()) -> sqlite3.Cursor:
        self._seen.setdefault(statement, given)
        return self._connection.execute(statement, given)

    def executemany(self, statement: str, given: Iterable[Sequence[Any]]) -> sqlite3.Cursor:
        rows = list(given)
        if rows:
            self._seen.setdefault(statement, rows[0])
        return self._connection.executemany(statement, rows)


class WatchedDatabase(Database):
    """Notes what is run on it."""

    seen: dict[str, Sequence[Any]]  # statement to the first that it was given

    async def write(self, work: Work[T], *, brief: bool = False) -> T:
        return await super().write(self._watched(work), brief=brief)

    async def read(self, work: Work[T]) -> T:
        return await super().read(self._watched(work))

    async def question(self, work: Work[T]) -> T:
        return await super().question(self._watched(work))

    def _watched(self, work: Work[T]) -> Work[T]:
        return lambda connection: work(cast(sqlite3.Connection, Watch(connection, self.seen)))

    async def plans(self) -> set[str]:
        """How the large tables were read by what ran, a line for each way."""

        def explain(connection: sqlite3.Connection) -> set[str]:
            lines: set[str] = set()
            for statement, given in self.seen.items():
                rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", given)
                lines.update(row[3] for row in rows)
            return lines

        found = await super().question(explain)
        return {line for line in found if line.split()[1] in LARGE}


LARGE = {
    "report",
    "report_key",
    "search_key",
    "quarantine",
    "received_body",
    "total",
    "price_total",
    "duration_total",
    "part_total",
    "part_price_total",
    "part_duration_total",
}
LATER = NOON + timedelta(days=10)


async def at_once() -> None:
    """No pause between two batches."""


class Desk:
    """What is done with a store, in one call each."""

    def __init__(self, database: Database) -> None:
        self.store = SqliteStore(database)
        self.read_model = Follower(database)
        self._retention = SqliteRetention(database, NeededByEndpoints())
        self._erasure = StoreErasureInSqlite(database)

    async def fill(self) -> None:
        """Something in each table, with the read model not quite up to it."""
        callback = a_callback(an_sms("m1"), an_sms("m2"), NOT_A_REPORT)
        await self.store.add([with_body(callback)])
        await self.read_model.catch_up()
        await self.store.add([a_callback(an_sms("m3"), an_sms("m1", "PENDING_ENROUTE"), b"7")])

    async def search(self, **query: Any) -> None:
        await self.store.find(ReportQuery(**query))

    async def totals(self, source: str | None = None, final: bool | None = None) -> None:
        await self.store.totals(TotalsQuery(DAY, 0, 2**40, source, final))

    async def part_totals(self) -> None:
        await self.store.part_totals(TotalsQuery(DAY, 0, 2**40), "sender")

    async def as_received(self) -> None:
        await self.store.as_received(await self.store.reports_after(0, 1))

    async def purge(self) -> None:
        await self.read_model.catch_up()
        now = LATER + timedelta(days=10)
        await self._retention.purge_reports(now=now, before=LATER, most=1, pause=at_once)

    async def purge_quarantine(self) -> None:
        await self._retention.purge_quarantine(before=LATER, most=1, pause=at_once)

    async def count(self) -> None:
        await self.read_model.catch_up()
        now = LATER + timedelta(days=10)
        await self._retention.count_reports(now=now, before=LATER, most=1)
        await self._retention.count_quarantine(before=LATER, most=1)

    async def erase(self) -> None:
        traces = await self._erasure.find(Recipient(message_id="m1"))
        await self._erasure.count(traces)
        await self._erasure.erase(traces)


def by_id(compared: str, table: str = "report") -> str:
    return f"SEARCH {table} USING INTEGER PRIMARY KEY ({compared})"


def by_key(table: str, compared: str = "") -> str:
    return f"SEARCH {table} USING PRIMARY KEY{compared and f' ({compared})'}"


AN_ID, A_MESSAGE = by_id("rowid=?"), by_key("report_key", "day=? AND message_key=?")
A_MESSAGE_OF_A_SOURCE = by_key("report_key", "day=? AND message_key=? AND source=?")
THE_NEXT, THE_LAST, A_STRETCH = (
    by_id("rowid>?"),
    by_id("rowid<?"),
    by_id("rowid>? AND rowid<?"),
)
A_REPORTS_KEY = by_key("report_key", "day=? AND message_key=? AND source=? AND identity=?")
ENDS = "SEARCH report"  # min(id) and max(id): one step down each end
DAYS = {by_key("report_key", "day>?")}
OLDEST = {
    table: f"SEARCH {table} USING COVERING INDEX {table}_received (received_at>? AND received_at<?)"
    for table in ("report", "quarantine")
}
# As many of the oldest as are too many are passed over.
TOO_MANY = "SCAN report USING COVERING INDEX report_received"
HOW_MANY = "SCAN quarantine USING COVERING INDEX quarantine_received"
A_KEY = by_key("search_key", "block=? AND field=? AND key=? AND report=?")
UNDER_A_KEY = by_key("search_key", "block=? AND field=? AND key=? AND report<?")
IN_TURN = {ENDS, A_STRETCH}
LOOKED_UP = {ENDS, A_STRETCH, AN_ID}
A_PRICE = by_key("price_total", "span=? AND start=? AND source=? AND final=? AND currency=?")
A_TIME = {
    by_key(table, "span=? AND start>? AND start<?")
    for table in ("total", "price_total", "duration_total")
}

PARTS_OF_A_TIME = {
    by_key(table, "dimension=? AND span=? AND start>? AND start<?")
    for table in ("part_total", "part_price_total", "part_duration_total")
}
# The minutes that are too old are found by their key, too.
FOLLOWED = {
    *{THE_NEXT, A_STRETCH, A_PRICE},
    *(by_key(table, "span=? AND start<?") for table in ("total", "price_total", "duration_total")),
    by_key(
        "part_price_total",
        "dimension=? AND span=? AND start=? AND part=? AND source=? AND final=? AND currency=?",
    ),
}

PLANS: dict[str, tuple[Callable[[Desk], Awaitable[Any]], set[str]]] = {
    "add": (
        lambda d: d.store.add([a_callback(an_sms("m1"), an_sms("new"), NOT_A_REPORT)]),
        {
            A_MESSAGE,
            AN_ID,
            *DAYS,
            by_id("rowid=?", "quarantine"),
            "SEARCH quarantine USING INDEX quarantine_digest (digest=?)",
        },
    ),
    "check_writable": (lambda d: d.store.check_writable(), set()),
    "newest_report": (lambda d: d.store.newest_report(), set()),
    "reports_after": (lambda d: d.store.reports_after(1, 10), {THE_NEXT}),
    "reports_by_id": (lambda d: d.store.reports_by_id([1, 2]), {AN_ID}),
    "reports_of": (lambda d: d.store.reports_of("m1"), {*DAYS, A_MESSAGE, AN_ID}),
    "reports_of a source": (
        lambda d: d.store.reports_of("m1", "default"),
        {*DAYS, A_MESSAGE_OF_A_SOURCE, AN_ID},
    ),
    "newest_of_messages": (
        lambda d: d.store.newest_of_messages(5, 10),
        {*DAYS, A_MESSAGE_OF_A_SOURCE, THE_LAST},
    ),
    "quarantine": (lambda d: d.store.quarantine(5, 10), {by_id("rowid<?", "quarantine")}),
    "quarantined": (lambda d: d.store.quarantined(1), {by_id("rowid=?", "quarantine")}),
    "resolve": (
        lambda d: d.store.resolve(1, a_callback(an_sms("m1"), an_sms("resolved"))),
        {*DAYS, A_REPORTS_KEY, A_MESSAGE, AN_ID, by_id("rowid=?", "quarantine")},
    ),
    "as_received": (lambda d: d.as_received(), {THE_NEXT, by_id("rowid<?", "received_body")}),
    "search": (lambda d: d.search(), IN_TURN),
    "search: cursor": (lambda d: d.search(before=4), IN_TURN),
    "search: messageId": (
        lambda d: d.search(message_id="m1"),
        {*DAYS, A_MESSAGE, ENDS, AN_ID},
    ),
    "search: to": (lambda d: d.search(to="41793026727"), {*LOOKED_UP, UNDER_A_KEY}),
    "search: bulkId": (lambda d: d.search(bulk_id="BULK-ID-123-xyz"), {*LOOKED_UP, UNDER_A_KEY}),
    "search: sender": (lambda d: d.search(sender="InfoSMS"), {*LOOKED_UP, UNDER_A_KEY}),
    "search: toPrefix": (
        lambda d: d.search(to_prefix="417"),
        {*LOOKED_UP, by_key("search_key", "block=? AND field=? AND key>? AND key<?")},
    ),
    "search: source": (lambda d: d.search(source="default"), {*IN_TURN, by_key("total", "span=?")}),
    "search: status": (lambda d: d.search(statuses=(5,)), {*IN_TURN, by_key("total", "span=?")}),
    "search: statusGroup": (
        lambda d: d.search(status_groups=(3,)),
        {*IN_TURN, by_key("total", "span=?")},
    ),
    "search: error": (lambda d: d.search(errors=("X",)), {*IN_TURN, by_key("total", "span=?")}),
    "search: permanent": (
        lambda d: d.search(permanent=True),
        {*IN_TURN, by_key("total", "span=?")},
    ),
    "search: final": (lambda d: d.search(final=True), {*IN_TURN, by_key("total", "span=?")}),
    "search: received": (
        lambda d: d.search(received_since=NOON, received_until=LATER),
        {*IN_TURN, by_key("total", "span=? AND start>?")},
    ),
    "search: doneAt": (lambda d: d.search(done_since=NOON, done_until=LATER), IN_TURN),
    "search: callbackData": (
        lambda d: d.search(callback_data="x", callback_data_contains="x"),
        IN_TURN,
    ),
    "totals": (lambda d: d.totals(), {*A_TIME, THE_NEXT, ENDS}),
    "totals of a source": (lambda d: d.totals("default", True), {*A_TIME, THE_NEXT, ENDS}),
    "totals by sender": (lambda d: d.part_totals(), {*PARTS_OF_A_TIME, THE_NEXT, ENDS}),
    "follow": (lambda d: d.read_model.turn(), FOLLOWED),
    "purge": (
        lambda d: d.purge(),
        {
            *FOLLOWED,  # the read model is brought up first
            *{AN_ID, A_KEY, A_MESSAGE, *DAYS, by_key("report_key", "day=?")},
            *{OLDEST["report"], TOO_MANY},
            by_id("rowid<?", "received_body"),
            by_id("rowid=?", "received_body"),
        },
    ),
    "purge quarantine": (
        lambda d: d.purge_quarantine(),
        {
            *{OLDEST["quarantine"], HOW_MANY},
            by_id("rowid=?", "quarantine"),
        },
    ),
    "count what would go": (
        lambda d: d.count(),
        {
            *{*FOLLOWED, AN_ID},  # the read model is brought up first
            *{OLDEST["report"], TOO_MANY, HOW_MANY, *DAYS, by_key("report_key", "day=?")},
            "SEARCH quarantine USING COVERING INDEX quarantine_received (received_at<?)",
        },
    ),
    "erase": (
        lambda d: d.erase(),
        {
            *{ENDS, A_STRETCH, AN_ID, A_KEY, A_MESSAGE},
            *{"SEARCH quarantine", "SEARCH received_body"},
            by_id("rowid=?", "quarantine"),
            by_id("rowid>? AND rowid<?", "quarantine"),
            by_id("rowid>? AND rowid<?", "received_body"),
            by_id("rowid<?", "received_body"),  # not all bodies: each was compared with each report
            by_id("rowid=?", "received_body"),
        },
    ),
}


@asynccontextmanager
async def watched() -> AsyncIterator[WatchedDatabase]:
    """A filled database, from now on watched."""
    database = await WatchedDatabase.open(":memory:")
    assert isinstance(database, WatchedDatabase)
    database.seen = {}
    await database.migrate(MIGRATIONS)
    await Desk(database).fill()
    database.seen = {}
    yield database
    await database.close()


@pytest.mark.parametrize("name", PLANS)
async def test_reads_by_the_key(name: str) -> None:
    """Each statement finds its rows in the large tables by the key that is meant for it."""
    act, expected = PLANS[name]
    async with watched() as database:
        await act(Desk(database))

        assert await database.plans() == expected

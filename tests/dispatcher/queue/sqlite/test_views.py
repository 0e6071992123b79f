"""The SQL views for Grafana and other programs. Their names and columns are a contract.

A dashboard is built once and read for years. A renamed column empties a panel, and nobody notices
until somebody asks why no report was lost since the upgrade.
"""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.queue.views import VIEWS
from dispatcher.storage import MIGRATIONS, new_id, of_sqlite
from receiver.answers import timestamp
from receiver.store.base import ReportQuery, TotalsQuery
from receiver.store.instants import micros
from receiver.store.sqlite.database import Database
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.support import START, a_bench, an_endpoint
from tests.receiver.payloads import a_v3_item

CONTRACT = {
    "dlr_reports": "report_id received_at received_us source format generation final duplicates"
    " message_id bulk_id recipient sender mcc_mnc callback_data sent_at done_at"
    " sent_to_done_seconds"
    " status_group_id status_group status_id status error_id error error_permanent parts"
    " price_per_part currency cost",
    "dlr_messages": "source message_id reports first_received_at first_received_us last_received_at"
    " last_received_us report_id bulk_id recipient sender mcc_mnc final sent_at done_at"
    " sent_to_done_seconds status_group_id status_group status_id status error_id error parts"
    " currency cost",
    "dlr_dispatches": "dispatch_id dispatch_number endpoint state attempts reports created_at"
    " created_us due_at due_us replay_id",
    "dlr_dispatched_reports": "report_id dispatch_id dispatch_number endpoint state replay_id",
    "dlr_attempts": "attempt_id dispatch_id dispatch_number endpoint number started_at started_us"
    " duration_seconds http_status outcome error",
    "dlr_quarantine": "entry_id received_at received_us source content_type size_bytes place reason"
    " repeats",
    "dlr_endpoints": "endpoint paused removed waiting leased acknowledged exhausted cancelled",
    "dlr_totals_by_hour": "hour_at hour_us source final status_group_id status_group status_id"
    " status error_id error reports",
    "dlr_costs_by_hour": "hour_at hour_us source currency reports cost",
}
"""Change nothing here but to add: programs of others name these."""


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    """Acme refuses the first of two pushes. A message has two reports, another comes in v3, and one
    item and its repeat cannot be read."""
    path = tmp_path / "dlr.db"
    async with a_bench(an_endpoint(bucket_size=2), path=path) as bench:
        bench.sender.answers(503)
        when = {"sentAt": "2026-03-02T11:59:58.750+0000", "doneAt": "2026-03-02T13:00:00.000+0100"}
        await bench.receive(an_sms("a", smsCount=3, **when), an_sms("a", "PENDING_ENROUTE"))
        await bench.store.add([a_callback(b'"?"', at=START)] * 2)
        await bench.receive(a_v3_item(messageId="b", messageCount=2), an_sms(""), format="json")
        await bench.receive(
            an_sms("x", "EXPIRED_EXPIRED", price=..., to='a "quoted" name'), format="json"
        )
        await bench.work()
        await bench.storage.read_model.catch_up()
    return path


def rows(path: Path, statement: str) -> list[dict[str, Any]]:
    """What a program sees that opens the file read-only, with SQLite's functions alone."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(statement)]
    finally:
        connection.close()


def test_the_contract(file: Path) -> None:
    """The database has these views with these columns, and `dlr views` tells of each."""
    connection = sqlite3.connect(file)
    found = {
        name: " ".join(each[0] for each in connection.execute(f"SELECT * FROM {name}").description)
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")
    }
    connection.close()

    assert found == CONTRACT
    assert {v.name: " ".join(column.name for column in v.columns) for v in VIEWS} == CONTRACT


TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "text": (str,),
    "instant": (str,),
    "0 or 1": (int,),
}


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_types(file: Path, view: Any) -> None:
    """Each value is of the type that is told, or NULL; no column is empty in all rows but those
    that nothing here fills. An instant reads the same in both of its forms."""
    found = rows(file, f"SELECT * FROM {view.name}")
    assert found
    for row in found:
        for column in view.columns:
            value = row[column.name]
            assert value is None or isinstance(value, TYPES[column.kind]), column
            assert column.kind != "0 or 1" or value in (None, 0, 1), column
        for name in row:
            if name.endswith("_us") and row[name] is not None:
                at = START + timedelta(microseconds=row[name] - micros(START))
                assert row[f"{name.removesuffix('_us')}_at"] == timestamp(at)
    empty = {name for name in found[0] if all(row[name] is None for row in found)}
    unfilled = {"dlr_attempts": {"error"}, "dlr_quarantine": {"content_type"}}
    assert empty - {"replay_id"} <= unfilled.get(view.name, set())


async def test_reports_are_those_of_the_store(file: Path) -> None:
    """Each report with its values, in either generation; times are UTC, a cost counts all parts and
    is that of final reports."""
    found = {row["report_id"]: row for row in rows(file, "SELECT * FROM dlr_reports")}
    async with a_bench(path=file) as bench:
        stored = await bench.store.reports(ReportQuery(limit=100))
    for each in stored:
        row, report = found[each.id], each.read()
        assert (row["message_id"], row["recipient"]) == (report.message_id, report.to)
        assert (row["sender"], row["parts"]) == (report.sender, report.message_count)
        assert (row["final"], row["status_group_id"]) == (each.final, each.status_group)
        assert row["done_at"] == timestamp(report.done_at)
        assert row["status"] == (report.status and report.status.name)
    assert len(found) == len(stored)
    first, second, third = (found[number] for number in (1, 2, 3))
    assert (first["sent_at"], first["done_at"]) == (
        "2026-03-02T11:59:58.750Z",
        "2026-03-02T12:00:00.000Z",
    )
    assert first["sent_to_done_seconds"] == 1.25
    assert (first["parts"], first["price_per_part"], first["cost"]) == (3, 0.01, 0.03)
    assert (second["cost"], third["parts"], third["generation"]) == (None, 2, "v3")


def test_messages(file: Path) -> None:
    """One row a message: a final report outranks what came after it."""
    (row,) = rows(file, "SELECT * FROM dlr_messages WHERE message_id = 'a'")
    assert (row["reports"], row["report_id"], row["final"]) == (2, 1, 1)
    assert row["status"] == "DELIVERED_TO_HANDSET"


async def test_totals_are_those_of_the_store(file: Path) -> None:
    """The sums of the hours are those of `dlr totals`."""
    async with a_bench(path=file) as bench:
        totals = await bench.store.totals(TotalsQuery(3_600, 0, 2**40))

    (hours,) = rows(file, "SELECT sum(reports) AS reports FROM dlr_totals_by_hour")
    assert hours["reports"] == sum(each.reports for each in totals.outcomes)
    (costs,) = rows(file, "SELECT reports, currency, cost FROM dlr_costs_by_hour")
    (price,) = [each for each in totals.prices if each.final]
    assert (costs["reports"], costs["currency"]) == (price.reports, price.currency)
    assert costs["cost"] == pytest.approx(float(price.sum))


def test_views_join(file: Path) -> None:
    """A question as it is asked: what was delivered, by endpoint, and how often it was tried."""
    statement = """
        SELECT endpoint, count(DISTINCT report_id) AS reports, max(attempts.number) AS tries
        FROM dlr_reports JOIN dlr_dispatched_reports AS its USING (report_id)
        JOIN dlr_attempts AS attempts USING (dispatch_number, endpoint)
        WHERE received_us >= 1000 * 1000000 AND status_group = 'DELIVERED' GROUP BY endpoint
    """
    ((endpoint, reports, tries),) = [tuple(row.values()) for row in rows(file, statement)]
    assert (endpoint, tries) == ("acme", 1)
    assert reports >= 2


@pytest.mark.parametrize(
    "asked",
    [
        "dlr_reports WHERE received_us >= 5",
        "dlr_dispatches WHERE created_us >= 5",
        "dlr_dispatched_reports WHERE report_id = 5",
        "dlr_attempts WHERE dispatch_number = 5",
        "dlr_totals_by_hour WHERE hour_us >= 5",
    ],
)
def test_a_window_is_found_by_an_index(file: Path, asked: str) -> None:
    """A panel of the last hour does not read a year of reports."""
    plan = [row["detail"] for row in rows(file, f"EXPLAIN QUERY PLAN SELECT * FROM {asked}")]
    table = plan[0]
    assert table.startswith("SEARCH"), plan


async def test_an_older_database_gets_them(tmp_path: Path) -> None:
    """A database of the schema before, with reports in it, has the views after the upgrade."""
    path = tmp_path / "dlr.db"
    database = await Database.open(path)
    await database.migrate([s for s in MIGRATIONS if s.part != "dispatcher.queue" or s.number < 20])
    opened = of_sqlite(database, await SqliteQueue.open(database, lambda: "db", new_id))
    await opened.store.add([a_callback(an_sms("old"))])
    await database.migrate(MIGRATIONS)
    await database.close()

    (row,) = rows(path, "SELECT message_id FROM dlr_reports")
    assert row["message_id"] == "old"

"""The SQL views for Grafana and other programs. Their names and columns are a contract.

A dashboard is built once and read for years. A renamed column empties a panel, and nobody notices
until somebody asks why no report was lost since the upgrade. The same queries are asked of SQLite
and of PostgreSQL, and get the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Protocol

import pytest

from dispatcher.queue.views import VIEWS, View
from receiver.answers import timestamp
from receiver.store.base import ReportQuery, TotalsQuery
from receiver.store.instants import micros
from tests.contracts.report_store import a_callback, an_sms
from tests.contracts.storages import StorageBackend, a_bench_on
from tests.dispatcher.support import START, Bench, an_endpoint
from tests.docs.documents import ROOT, blocks_of
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


Row = Mapping[str, Any]


SQL_OF_THE_GUIDE = [
    block.text
    for block in blocks_of("config/OPERATE.md", (ROOT / "config/OPERATE.md").read_text("utf-8"))
    if block.language == "sql"
]
"""A query, and what makes roles and a database in PostgreSQL."""


class ReadBackend(StorageBackend, Protocol):
    async def asked(self, statement: str) -> list[Row]:
        """What another program gets that may only read, with the database's functions alone."""

    async def looked_up(self, statement: str) -> bool:
        """Whether the statement goes to its rows by an index."""


PAIRS = an_endpoint(bucket_size=2)
"""What `fill` pushes to."""


async def fill(bench: Bench) -> None:
    """Acme refuses the first of two pushes. A message has two reports, another comes in v3, and one
    item and its repeat cannot be read."""
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


def plain(value: Any) -> Any:
    """A value as either database gives it, in the form that SQLite has for it."""
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, Decimal) else value


def in_plain(rows: Iterable[Row]) -> list[Row]:
    return [{name: plain(value) for name, value in row.items()} for row in rows]


class SqlViewsContract:
    TYPES: ClassVar[Mapping[str, tuple[type, ...]]]
    """What is given for each kind of column."""

    @pytest.fixture(autouse=True)
    async def filled(self, backend: ReadBackend) -> None:
        await fill(await a_bench_on(backend, PAIRS))

    async def rows(self, backend: ReadBackend, statement: str) -> list[Row]:
        return in_plain(await backend.asked(statement))

    async def test_contract(self, backend: ReadBackend) -> None:
        """The database has these views with these columns, and `dlr views` tells of each."""
        for name, columns in CONTRACT.items():
            (row, *_) = await backend.asked(f"SELECT * FROM {name}")
            assert " ".join(row) == columns
        assert {v.name: " ".join(column.name for column in v.columns) for v in VIEWS} == CONTRACT

    async def test_types(self, backend: ReadBackend) -> None:
        """Each value is of the type that is told, or NULL; no column is empty in all rows but those
        that nothing here fills. An instant reads the same in both of its forms."""
        for view in VIEWS:
            found = await backend.asked(f"SELECT * FROM {view.name}")
            assert found
            for row in found:
                self.check_row(view, row)
            empty = {name for name in found[0] if all(row[name] is None for row in found)}
            unfilled = {"dlr_attempts": {"error"}, "dlr_quarantine": {"content_type"}}
            assert empty - {"replay_id"} <= unfilled.get(view.name, set())

    def check_row(self, view: View, row: Row) -> None:
        for column in view.columns:
            value = row[column.name]
            assert value is None or type(value) in self.TYPES[column.kind], column
            assert column.kind != "boolean" or value in (None, 0, 1), column
        for name in row:
            if name.endswith("_us") and row[name] is not None:
                at = START + timedelta(microseconds=row[name] - micros(START))
                assert plain(row[f"{name.removesuffix('_us')}_at"]) == timestamp(at)

    async def test_reports_are_those_of_the_store(self, backend: ReadBackend) -> None:
        """Each report with its values, in either generation; times are UTC, a cost counts all parts
        and is that of final reports."""
        found = {
            row["message_id"] + row["status"]: row
            for row in await self.rows(backend, "SELECT * FROM dlr_reports")
        }
        stored = await backend.storage.store.reports(ReportQuery(limit=100))
        for each in stored:
            report = each.read()
            row = found[f"{report.message_id}{report.status and report.status.name}"]
            assert (row["report_id"], row["recipient"]) == (each.id, report.to)
            assert (row["sender"], row["parts"]) == (report.sender, report.message_count)
            assert (row["final"], row["status_group_id"]) == (each.final, each.status_group)
            assert row["done_at"] == timestamp(report.done_at)
        assert len(found) == len(stored)
        first, second = found["aDELIVERED_TO_HANDSET"], found["aPENDING_ENROUTE"]
        (third,) = [row for row in found.values() if row["message_id"] == "b"]
        assert (first["sent_at"], first["done_at"]) == (
            "2026-03-02T11:59:58.750Z",
            "2026-03-02T12:00:00.000Z",
        )
        assert first["sent_to_done_seconds"] == 1.25
        assert (first["parts"], first["price_per_part"], first["cost"]) == (3, 0.01, 0.03)
        assert (second["cost"], third["parts"], third["generation"]) == (None, 2, "v3")

    async def test_what_is_of_another_generation(self, backend: ReadBackend) -> None:
        """Names of the other generation beside the report's own may have any value, and zones that
        are none are nobody's instant. A fraction of a second may have more digits."""
        odd = a_v3_item(messageId="odd", sender="mine", messageCount=2)
        odd |= {"from": {"no": 1}, "smsCount": "x", "sentAt": "2026-03-02T11:59:58.750+2300"}
        odd["doneAt"] = "2026-03-02T11:59:58.750000+0000"
        await backend.storage.store.add([a_callback(odd)])
        (row,) = await self.rows(backend, "SELECT * FROM dlr_reports WHERE message_id = 'odd'")
        assert (row["sender"], row["parts"], row["sent_at"]) == ("mine", 2, None)
        assert row["done_at"] == "2026-03-02T11:59:58.750Z"

    async def test_messages(self, backend: ReadBackend) -> None:
        """One row a message: a final report outranks what came after it."""
        statement = "SELECT * FROM dlr_messages WHERE message_id = 'a'"
        (row,) = await self.rows(backend, statement)
        assert (row["reports"], row["status"], row["final"]) == (2, "DELIVERED_TO_HANDSET", 1)

    async def test_totals_are_those_of_the_store(self, backend: ReadBackend) -> None:
        """The sums of the hours are those of `dlr totals`."""
        totals = await backend.storage.store.totals(TotalsQuery(3_600, 0, 2**40))

        (hours,) = await self.rows(
            backend, "SELECT sum(reports) AS reports FROM dlr_totals_by_hour"
        )
        assert hours["reports"] == sum(each.reports for each in totals.outcomes)
        (costs,) = await self.rows(backend, "SELECT * FROM dlr_costs_by_hour")
        (price,) = [each for each in totals.prices if each.final]
        assert (costs["reports"], costs["currency"]) == (price.reports, price.currency)
        assert costs["cost"] == pytest.approx(float(price.sum))

    async def test_views_join(self, backend: ReadBackend) -> None:
        """A question as it is asked: what was delivered, by endpoint, and how often it was
        tried."""
        statement = """
            SELECT endpoint, count(DISTINCT report_id) AS reports, max(attempts.number) AS tries
            FROM dlr_reports JOIN dlr_dispatched_reports AS its USING (report_id)
            JOIN dlr_attempts AS attempts USING (dispatch_number, endpoint)
            WHERE received_us >= 1000 * 1000000 AND status_group = 'DELIVERED' GROUP BY endpoint
        """
        ((endpoint, reports, tries),) = [row.values() for row in await backend.asked(statement)]
        assert (endpoint, tries) == ("acme", 1)
        assert reports >= 2

    async def test_example_of_each_view(self, backend: ReadBackend) -> None:
        """The query that `dlr views` prints for it runs, and finds something."""
        for view in VIEWS:
            assert f"FROM {view.name}" in view.example
            assert await backend.asked(view.example)

    async def test_the_query_of_the_guide(self, backend: ReadBackend) -> None:
        (query, *_) = SQL_OF_THE_GUIDE
        found = await self.rows(backend, query)
        assert {row["endpoint"] for row in found} == {"acme"}
        assert sum(row["cost"] or 0 for row in found) == pytest.approx(0.06)

    async def test_a_window_is_found_by_an_index(self, backend: ReadBackend) -> None:
        """A panel of the last hour does not read a year of reports."""
        for asked in (
            "dlr_reports WHERE received_us >= 5",
            "dlr_dispatches WHERE created_us >= 5",
            "dlr_dispatched_reports WHERE report_id = 5",
            "dlr_attempts WHERE dispatch_number = 5",
            "dlr_totals_by_hour WHERE hour_us >= 5",
        ):
            assert await backend.looked_up(f"SELECT * FROM {asked}"), asked

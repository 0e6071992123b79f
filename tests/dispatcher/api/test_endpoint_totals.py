"""Totals by endpoint: what each customer got, over HTTP and on the command line.

Support is asked how much of a customer's traffic was delivered last month, and what it cost. The
answer took two exports and a spreadsheet.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from dispatcher.api import endpoint_totals
from dispatcher.api.endpoint_totals import EndpointTotals
from dispatcher.cli import cli
from dispatcher.endpoints.endpoint import Rules
from dispatcher.service import Parts, service
from dispatcher.settings.settings import read_settings
from receiver.api.filters import asked_totals
from receiver.api.totals import TotalsAnswer, totals_answer
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import START, Bench, a_bench, an_endpoint

EUROS = {"pricePerMessage": 0.01, "currency": "EUR"}
DOLLARS = {"pricePerMessage": 0.02, "currency": "USD"}
YEARS = {"bucket": "day", "since": "2025-06-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}

ROWS = {
    "acme": (3, 2, 1, 0.5, {"EUR": "0.03", "USD": "0.02"}),
    "beta": (2, 2, 1, 0.5, {"EUR": "0.03", "USD": "0.02"}),
    "": (1, 1, 1, 1.0, {"EUR": "0.01"}),
}
"""By endpoint: reports, final ones, delivered ones, their share, and the cost."""


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Acme takes three reports, one of which it refuses for now; Beta takes the final ones of them.
    Nobody takes the fourth."""
    beta = an_endpoint("beta", rules=Rules(final=True))
    async with a_bench(an_endpoint("acme"), beta, path=tmp_path / "dlr.db") as bench:
        bench.sender.answers(503)
        await four_reports(bench)
    return tmp_path


async def four_reports(bench: Bench) -> None:
    await bench.receive(
        an_sms("a", smsCount=3, price=EUROS),
        an_sms("b", "PENDING_ENROUTE", price=EUROS),
        an_sms("c", "EXPIRED_EXPIRED", price=DOLLARS),
    )
    await bench.work()
    await bench.receive(an_sms("d", price=EUROS))


def told(row: dict[str, Any]) -> tuple[Any, ...]:
    cost = {each["currency"]: str(each["sum"]) for each in row["cost"]}
    return row["reports"], row["final"], row["delivered"], row["deliveredShare"], cost


async def test_over_http(folder: Path) -> None:
    """A row for each endpoint, the most reports first, and one for what none took. The total counts
    each report once."""
    environment = {"DLR_SERVER_PORT": "0", "DLR_STORE_DATABASE": str(folder / "dlr.db")}
    settings = read_settings(None, environment)
    async with (
        service(settings, parts=Parts(dispatches=False)) as running,
        aiohttp.ClientSession(running.url) as client,
        client.get("/api/totals", params={**YEARS, "by": "endpoint"}) as response,
    ):
        shown = json.loads(await response.text(), parse_float=Decimal)

    assert {row["value"]: told(row) for row in shown["rows"]} == {
        name: (*counts, Decimal(str(share)), cost) for name, (*counts, share, cost) in ROWS.items()
    }
    assert [row["value"] for row in shown["rows"]] == ["acme", "beta", ""]
    assert (shown["total"]["reports"], shown["behind"]) == (4, 0)
    of_days = [
        (row["deliveredShares"]["buckets"], float(row["deliveredShares"]["p50"]))
        for row in shown["rows"]
    ]
    assert of_days == [(1, 0.5), (1, 0.5), (1, 1.0)]


async def test_on_the_command_line(folder: Path) -> None:
    """The same; each currency has a column, and each cell is a number alone."""

    def run() -> str:
        since = ["--since", YEARS["since"], "--until", YEARS["until"], "--bucket", "day"]
        words = ["totals", "--by", "endpoint", *since, "--format", "csv"]
        done = CliRunner().invoke(cli, [*words, "--database", str(folder / "dlr.db")])
        assert done.exit_code == 0, done.output
        return done.stdout

    rows = list(csv.DictReader(io.StringIO(await asyncio.to_thread(run))))

    assert {row["endpoint"]: (row["cost EUR"], row["cost USD"]) for row in rows} == {
        name: (cost.get("EUR", ""), cost.get("USD", "")) for name, (*_, cost) in ROWS.items()
    }
    shares = {row["endpoint"]: [row[f"share p{percent}"] for percent in (5, 50)] for row in rows}
    assert shares == {"acme": ["0.5"] * 2, "beta": ["0.5"] * 2, "": ["1.0"] * 2}


async def shown_of(bench: Bench, most: int | None) -> TotalsAnswer:
    totals = EndpointTotals(bench.store, bench.queue, most)
    wanted = asked_totals({**YEARS, "by": "endpoint"}, START)
    return await totals_answer(bench.store, wanted, totals.of)


async def test_what_is_too_much_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer adds up the newest reports and says how many it leaves out. The command line has
    no such limit."""
    monkeypatch.setattr(endpoint_totals, "STEP", 2)
    async with a_bench() as bench:
        for number in range(3):
            await bench.receive(an_sms(f"a{number}"), an_sms(f"b{number}"))
        await bench.work()

        some, all_of_them = await shown_of(bench, 3), await shown_of(bench, None)

    def counts(shown: TotalsAnswer) -> list[tuple[str | None, int]]:
        return [(row.value, row.reports) for row in shown.rows or []]

    assert (counts(some), some.behind) == ([("acme", 4)], 2)
    assert (counts(all_of_them), all_of_them.behind) == ([("acme", 6)], 0)

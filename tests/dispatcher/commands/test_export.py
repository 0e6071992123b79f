"""`dlr reports`, `messages`, `quarantine` and `totals`: filters, forms, files, progress, memory."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner, Result
from msgspec import Struct

from dispatcher.cli import cli
from dispatcher.commands import console, export
from dispatcher.commands.console import ListFormat, print_list
from dispatcher.commands.list_output import Listing, print_reports
from dispatcher.storage import Storage, storage
from receiver.api.filters import report_query
from receiver.dlr.errors import Unreadable
from receiver.shown import shown
from receiver.store.base import ReportQuery
from receiver.store.callback import Callback, Verdict
from tests.contracts.report_store import NOON, a_callback, an_sms
from tests.dispatcher.support import database_of
from tests.receiver.dlr.generated import generated_callbacks
from tests.receiver.payloads import V2_JSON

T = TypeVar("T")
REPORTS = 120


def with_storage(path: Path, work: Callable[[Storage], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        async with storage(str(path)) as opened:
            return await work(opened)

    return asyncio.run(run())


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A file with generated reports."""
    path = tmp_path / "dlr.db"
    with_storage(path, lambda s: s.store.add(list(generated_callbacks(1, REPORTS))))
    return path


def dlr(database: Path, *words: str) -> Result:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli, [*words, "--database", str(database)])
    assert done.exit_code == 0, done.output
    return done


def ids_of(database: Path, *words: str) -> list[int]:
    """The ids that a list has, as NDJSON."""
    done = dlr(database, *words, "--format", "ndjson")
    return [json.loads(line)["id"] for line in done.stdout.splitlines()]


# --- filters -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        ([], {}),
        (["--message-id", "m7"], {"messageId": "m7"}),
        (["--bulk-id", "BULK-1"], {"bulkId": "BULK-1"}),
        (["--to", "4179"], {"to": "4179"}),
        (["--to-prefix", "4179"], {"toPrefix": "4179"}),
        (["--sender", "Acme"], {"sender": "Acme"}),
        (["--status-group", "DELIVERED,4"], {"statusGroup": "3,EXPIRED"}),
        (["--status", "5,pending_enroute"], {"status": "5,PENDING_ENROUTE"}),
        (["--error", "EC_NEW,1"], {"error": "EC_NEW,1"}),
        (["--permanent"], {"permanent": "true"}),
        (["--temporary"], {"permanent": "false"}),
        (["--final", "--source", "eu"], {"final": "true", "source": "eu"}),
        (["--intermediate"], {"final": "false"}),
        (["--callback-data", "order 4711"], {"callbackData": "order 4711"}),
        (["--callback-data-contains", "471"], {"callbackDataContains": "471"}),
        (["--since", "2026-03-02T12:00:00Z"], {"receivedSince": "2026-03-02T12:00:00Z"}),
        (["--until", "2026-03-02"], {"receivedUntil": "2026-03-02"}),
        (["--received-since", "2026-03-02T12:00:00Z"], {"receivedSince": "2026-03-02T12:00:00Z"}),
        (["--received-until", "2026-03-02"], {"receivedUntil": "2026-03-02"}),
        (["--done-since", "2026-03-02"], {"doneSince": "2026-03-02"}),
        (["--done-until", "2026-03-02"], {"doneUntil": "2026-03-02"}),
    ],
)
def test_options_are_the_filters_of_the_api(
    database: Path, words: list[str], parameters: dict[str, str]
) -> None:
    """Each option of `dlr reports` finds what the API's parameter of its name finds."""
    query = report_query({**parameters, "limit": "1000"})
    expected = with_storage(database, lambda s: s.store.reports(query))

    assert ids_of(database, "reports", *words) == [report.id for report in expected]
    assert 0 < len(expected) <= REPORTS


def test_limit(database: Path) -> None:
    """--limit prints so many and not one more, also when a filter passes over most."""
    everything = ids_of(database, "reports", "--intermediate")
    assert ids_of(database, "reports", "--intermediate", "--limit", "5") == everything[:5]
    assert len(ids_of(database, "reports", "--limit", "1000")) == REPORTS


def test_messages_by_state(database: Path) -> None:
    """`dlr messages` lists by what a message's state is now, not by what some report said."""
    views = {
        finality: json.loads(dlr(database, "messages", finality, "--format", "json").stdout)
        for finality in ("--final", "--intermediate")
    }
    assert all(view["final"] for view in views["--final"])
    assert not any(view["final"] for view in views["--intermediate"])
    everything = json.loads(dlr(database, "messages", "--format", "json").stdout)
    assert len(everything) == sum(len(found) for found in views.values())
    expired = json.loads(
        dlr(database, "messages", "--status-group", "EXPIRED", "--format", "json").stdout
    )
    assert {json.dumps(v["reports"]) for v in expired} < {
        json.dumps(v["reports"]) for v in everything
    }


def test_a_wrong_filter_is_told(database: Path) -> None:
    """What cannot be a filter is refused by the API's rules."""
    done = CliRunner().invoke(cli, ["reports", "--status-group", "?", "--database", str(database)])
    assert "--status-group: expected ACCEPTED" in str(done.exception)


# --- forms ---------------------------------------------------------------------------------------


def test_forms_agree(database: Path) -> None:
    """JSON, NDJSON, CSV and the table list the same reports in the same order."""
    expected = ids_of(database, "reports")
    as_json = json.loads(dlr(database, "reports", "--format", "json").stdout)
    as_csv = csv.DictReader(io.StringIO(dlr(database, "reports", "--format", "csv").stdout))
    table = dlr(database, "reports").stdout.splitlines()[1:]

    assert [view["id"] for view in as_json] == expected
    assert [int(row["id"]) for row in as_csv] == expected
    assert [int(word) for line in table if (word := line[:4].strip()).isdigit()] == expected


def test_long_tables_are_several(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of many rows is printed in pieces, each with its headings, and misses no row."""
    monkeypatch.setattr(console, "TABLE_ROWS", 50)
    lines = dlr(database, "reports").stdout.splitlines()

    assert sum(line.startswith("id ") for line in lines) == 3
    rows = [word for line in lines if (word := line.split(" ")[0]).isdigit()]
    assert [int(word) for word in rows] == ids_of(database, "reports")


class Cell(Struct):
    """A row of one cell."""

    said: str


def printed(cell: str, form: ListFormat) -> str:
    """A list of this cell alone, in a form."""

    async def rows() -> AsyncIterator[Cell]:
        yield Cell(cell)

    file = io.StringIO(newline="")
    asyncio.run(print_list(rows(), {"said": attrgetter("said")}, form, file))
    return file.getvalue()


def in_csv(cell: str) -> str:
    """The cell as whoever reads the CSV gets it."""
    _, (found,) = csv.reader(io.StringIO(printed(cell, "csv"), newline=""))
    return found


@pytest.mark.parametrize(
    "formula",
    [
        *("=1", "@5", "=1+1", "+1+1", "-1+1", "@SUM(A1)", "--1", "+", "-2+3+cmd|' /C calc'!A0"),
        *(" =1+1", "  @x", "\u00a0=1", "\u3000-x", "\ufeff=1", "\u200b=1", "\x00=1", "\x1b=1"),
        *("＝1+1", "＋1", "－1", "＠x", " ＝1"),
        *("\t=1", "\r=1", "\n=1", "\tx", "\rx"),
    ],
)
def test_no_cell_is_a_formula(formula: str) -> None:
    """Whatever a spreadsheet could take for a formula is marked as a text, and what steers a
    terminal is escaped behind the mark."""
    told = formula if formula[0] in "\t\n" else shown(formula)
    assert in_csv(formula) == "'" + told


@pytest.mark.parametrize(
    "cell", ["", "+41793026727", "-1", "-0.5", "+0.10", "a=b", "1-2", " x", "'", "ß=", "x\t=1"]
)
def test_other_cells_stay(cell: str) -> None:
    """Numbers and texts stay as they are."""
    assert in_csv(cell) == cell


def test_no_cell_moves_the_cursor() -> None:
    """What a sender put into callbackData does not colour or clear an operator's terminal."""
    lines = printed("a\x1b[2Jb\x9b1m\u202e é", "table").splitlines()

    assert lines[1].rstrip() == r"a\x1b[2Jb\x9b1m\u202e é"


# --- files and progress --------------------------------------------------------------------------


def test_output_file(database: Path, tmp_path: Path) -> None:
    """--output writes what would have been printed, and prints nothing else to stdout."""
    file = tmp_path / "reports.csv"
    done = dlr(database, "reports", "--format", "csv", "--output", str(file))

    assert done.stdout == ""
    printed = dlr(database, "reports", "--format", "csv").stdout
    with file.open(newline="") as opened:
        assert list(csv.reader(opened)) == list(csv.reader(io.StringIO(printed)))
    assert [each.name for each in tmp_path.glob("*reports*")] == ["reports.csv"]


def test_a_device_is_written_to(database: Path, tmp_path: Path) -> None:
    """Root put a file in the place of /dev/null with `--output /dev/null`."""
    device = tmp_path / "device"
    device.symlink_to(os.devnull)

    done = dlr(database, "reports", "--format", "csv", "--output", str(device))

    assert (done.exit_code, done.stdout) == (0, "")
    assert device.is_symlink()


def test_unfinished_file_is_not_left(database: Path, tmp_path: Path) -> None:
    """An export that fails half-way leaves neither a part of the file nor touches an older one."""
    file = tmp_path / "reports.csv"
    file.write_text("older")

    async def broken(opened: Storage) -> None:
        listing = Listing("csv", None, file)
        spoil = "UPDATE report SET item = '' WHERE id = 9"
        await database_of(opened).write(lambda c: c.execute(spoil))
        await print_reports(opened, ReportQuery(), listing)

    with pytest.raises(ValueError, match="report"):
        with_storage(database, broken)

    assert file.read_text() == "older"
    assert [each.name for each in tmp_path.glob("*reports*")] == ["reports.csv"]


def test_progress_is_on_stderr(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal a line now and then says how far it is; stdout has the rows alone."""
    monkeypatch.setattr(export, "LINE_EVERY", 50)
    done = dlr(database, "reports", "--format", "ndjson")

    lines = done.stderr.splitlines()
    assert [line.split(" rows")[0] for line in lines] == ["50", "100"]
    assert all(line.endswith("% of the way") for line in lines)
    assert len(done.stdout.splitlines()) == REPORTS


@pytest.mark.parametrize("form", ["csv", "ndjson", "json"])
def test_memory_is_flat(tmp_path: Path, form: Any) -> None:
    """Four times as many rows take no more memory to export."""

    def peak(reports: int) -> int:
        path = tmp_path / f"{reports}.db"

        async def export_all(opened: Storage) -> int:
            for start in range(0, reports, 500):
                items = [an_sms(f"m{start + n}") for n in range(500)]
                await opened.store.add([a_callback(*items)])
            tracemalloc.start()
            await print_reports(opened, ReportQuery(), Listing(form, None, tmp_path / "out"))
            (_, most) = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        return with_storage(path, export_all)

    peak(500)  # what is loaded once
    assert peak(4000) < 1.3 * peak(1000)


# --- quarantine and totals -----------------------------------------------------------------------


def test_retry_all(database: Path) -> None:
    """`dlr quarantine --retry all` stores what can now be read and tells what became of it."""

    async def keep(opened: Storage) -> None:
        kept = [
            Unreadable(raw=raw, place="", reason="older")
            for raw in (V2_JSON, b"!", b'{"results":[{"messageId":"z","status":{}}]}')
        ]
        await opened.store.add([Callback("default", "json", None, NOON, Verdict(quarantined=kept))])

    with_storage(database, keep)

    done = dlr(database, "quarantine", "--retry", "all")

    assert done.stdout.splitlines() == [
        "1: 1 stored, 0 duplicates, 0 still in quarantine",
        "3: 1 stored, 0 duplicates, 0 still in quarantine",
        "3 read again: 2 stored, 0 duplicates, 1 still in quarantine",
    ]
    assert ids_of(database, "quarantine") == [2]
    assert dlr(database, "quarantine", "--retry", "2").stdout.startswith("1 read again: 0 stored")
    gone = CliRunner().invoke(cli, ["quarantine", "--retry", "1", "--database", str(database)])
    assert (gone.exit_code, gone.stderr) == (1, "Error: there is no quarantine entry 1\n")


def test_totals(database: Path) -> None:
    """`dlr totals` prints each bucket, and their sum; JSON is that of the API."""
    words = ["totals", "--since", "2026-02-25", "--until", "2026-03-10", "--bucket", "day"]

    said = json.loads(dlr(database, *words, "--format", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(dlr(database, *words, "--format", "csv").stdout)))

    assert said["total"]["reports"] == REPORTS
    assert [int(row["reports"]) for row in rows] == [b["reports"] for b in said["buckets"]]
    assert dlr(database, *words).stdout.splitlines()[0].startswith("start ")
    assert "total" in dlr(database, *words).stdout


def test_an_export_is_its_owners_alone(database: Path, tmp_path: Path) -> None:
    """It names as many people as the database does. A file that is there keeps its mode."""
    fresh, shared = tmp_path / "fresh.csv", tmp_path / "shared.csv"
    shared.touch()
    shared.chmod(0o640)

    for path in (fresh, shared):
        dlr(database, "reports", "--format", "csv", "--output", str(path))

    assert fresh.stat().st_mode & 0o777 == 0o600
    assert shared.stat().st_mode & 0o777 == 0o640
    assert shared.read_bytes() == fresh.read_bytes()

"""A command that shows what an id names takes `--format`, `--json` and `--output` like its list.
`dlr messages ID --format json`, the first line of a support script, printed a table."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dispatcher.cli import cli
from dispatcher.storage import storage
from tests.contracts.report_store import NOT_A_REPORT, a_callback, an_sms
from tests.dispatcher.support import a_bench
from tests.dispatcher.terminal import on_a_terminal

IDS = {
    "reports": ("1",),
    "messages": ("m1",),
    "dispatches": ("db-1",),
    "quarantine": ("1",),
    "replays": ("show", "1"),
    "endpoints": ("show", "acme"),
}
"""Each list that can show what an id names, and the words for it."""


@pytest.fixture
async def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a database: a report that was pushed twice in vain, one more of
    another message, something unreadable, and a replay."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dlr.toml").write_text('[[endpoint]]\nname = "acme"\nurl = "http://127.0.0.1:9/"\n')
    async with a_bench(path=tmp_path / "dlr.db") as bench:
        bench.sender.always(503)
        await bench.receive(an_sms("m1", "EXPIRED_EXPIRED"), an_sms("m2"))
        await bench.store.add([a_callback(NOT_A_REPORT)])
        await bench.worker.tick()
    done = await asyncio.to_thread(dlr, "replays", "start", "--endpoint", "acme", "--detach")
    assert done.exit_code == 0, done.output
    return tmp_path


def dlr(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(cli, words)


def out_of(*words: str) -> str:
    done = dlr(*words)
    assert done.exit_code == 0, done.output
    return done.stdout


def listed(command: str) -> Any:
    """The row of the list that the id names."""
    name = {"messages": "messageId", "endpoints": "name"}.get(command, "id")
    rows = json.loads(out_of(command, "--format", "json"))
    (row,) = (each for each in rows if str(each[name]) == IDS[command][-1])
    return row


@pytest.mark.parametrize("command", IDS)
@pytest.mark.usefixtures("folder")
def test_json_with_an_id(command: str) -> None:
    """It is the object of the API: what the list has of it, and of a dispatch its attempts."""
    shown = json.loads(out_of(command, *IDS[command], "--format", "json"))

    if command == "dispatches":
        assert [each["status"] for each in shown.pop("history")] == [503]
        assert shown["messageIds"] == ["m1", "m2"]
    assert shown == listed(command)


@pytest.mark.parametrize("command", IDS)
@pytest.mark.usefixtures("folder")
def test_other_forms_with_an_id(command: str) -> None:
    """NDJSON is the same in one line, and CSV has the list's columns and one row."""
    as_json = out_of(command, *IDS[command], "--json")
    assert as_json.count("\n") == 1
    assert out_of(command, *IDS[command], "--format", "ndjson") == as_json

    (row,) = csv.DictReader(io.StringIO(out_of(command, *IDS[command], "--format", "csv")))
    rows = list(csv.DictReader(io.StringIO(out_of(command, "--format", "csv"))))
    assert row in rows


@pytest.mark.parametrize("form", ["table", "json", "ndjson", "csv"])
@pytest.mark.parametrize("command", IDS)
def test_output_with_an_id(folder: Path, command: str, form: str) -> None:
    """A file gets what would have been printed, and stdout nothing."""
    words = (command, *IDS[command], "--format", form)
    printed = out_of(*words)

    assert out_of(*words, "--output", "out") == ""
    assert (folder / "out").read_text() == printed


def test_bytes_of_quarantine(folder: Path) -> None:
    """Without a form they are as they came, in a file too; `--format table` says what is known."""
    assert out_of("quarantine", "1") == NOT_A_REPORT.decode()
    assert out_of("quarantine", "1", "--output", "body.bin") == ""
    assert (folder / "body.bin").read_bytes() == NOT_A_REPORT
    assert "expected an integer" in out_of("quarantine", "1", "--format", "table")


@pytest.mark.usefixtures("folder")
def test_a_report_in_lines() -> None:
    """With its id, everything that a report says has a line, prices with all their digits."""
    lines = out_of("reports", "1").splitlines()

    assert "messageId           m1" in lines
    assert "price               pricePerMessage 0.010, currency EUR" in lines


@pytest.mark.usefixtures("folder")
def test_a_dispatch_has_its_messages() -> None:
    """One line a report, with its message, its number and its status, and the attempts."""
    shown = out_of("dispatches", "db-1")
    titles = [line for line in shown.splitlines() if line in ("dispatch", "messages", "attempts")]

    assert titles == ["dispatch", "messages", "attempts"]
    assert "m1         41793026727  EXPIRED_EXPIRED" in shown


@pytest.mark.usefixtures("folder")
def test_json_is_short_for_a_format() -> None:
    """In lists too; together with another form it is refused."""
    for words in (*((each,) for each in IDS), ("audit",), ("totals",), ("views",), ("why", "1")):
        assert out_of(*words, "--json") == out_of(*words, "--format", "json")

    both = dlr("reports", "--json", "--format", "csv")
    assert both.exit_code == 2
    assert both.stderr == "dlr: --json, --format csv: give one of them\n"
    assert out_of("reports", "--json", "--format", "json") == out_of("reports", "--json")


# --- on a terminal -------------------------------------------------------------------------------

MORE = "100 rows are shown, and there are more: --limit N shows N of them; --output FILE, or a pipe"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with 120 reports."""
    made = tmp_path_factory.mktemp("many")

    async def fill() -> None:
        async with storage(str(made / "dlr.db")) as opened:
            await opened.store.add([a_callback(*(an_sms(f"m{n:036}") for n in range(120)))])

    asyncio.run(fill())
    return made


@pytest.mark.parametrize("command", ["reports", "messages"])
async def test_a_terminal_gets_the_newest_100(many: Path, command: str) -> None:
    """And is told how to get the rest, after the table."""
    screen = (await on_a_terminal(many, command)).splitlines()
    of_rows = [line for line in screen if f"m{1:035}"[:20] in line]

    assert len(of_rows) == 100
    assert f"m{119:036}" in of_rows[0]
    assert screen[-1].startswith(MORE)


@pytest.mark.parametrize(("words", "rows"), [((), 120), (("--limit", "7"), 7)])
def test_a_pipe_gets_all(many: Path, words: tuple[str, ...], rows: int) -> None:
    """Unless it asks for fewer; and nobody is told anything."""
    done = dlr("reports", "--format", "ndjson", "--database", str(many / "dlr.db"), *words)

    assert (len(done.stdout.splitlines()), done.stderr) == (rows, "")


async def test_a_terminal_gets_what_it_asks_for(many: Path) -> None:
    """With --limit as many as it says, and into a file all of them."""
    screen = await on_a_terminal(many, "reports", "--limit", "110")
    assert screen.count("m00000000") == 110
    assert "more" not in screen

    await on_a_terminal(many, "reports", "--format", "ndjson", "--output", "all")
    assert len((many / "all").read_text().splitlines()) == 120


async def test_no_line_is_longer_and_nothing_is_coloured(many: Path) -> None:
    """80 columns, ids of 37 characters: each row is whole. NO_COLOR leaves no escape sequence."""
    screen = await on_a_terminal(many, "reports", "--limit", "3", NO_COLOR="1")

    assert "\x1b" not in screen
    table = [line for line in screen.splitlines() if not line.startswith("no room for")]
    assert max(map(len, table[:7])) <= 80
    assert sum(line.startswith(("120", "119", "118")) for line in table) == 3

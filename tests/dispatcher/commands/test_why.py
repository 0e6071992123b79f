"""`dlr why`: by the id of a report, or by a messageId with all its reports."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dispatcher.cli import cli
from dispatcher.storage import storage
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.support import a_bench

FILE = """
[[source]]
name = "default"
[[source]]
name = "alpha"
[[endpoint]]
name = "acme"
url = "http://me:s3cret@acme.example/dlr"
[[endpoint]]
name = "an-endpoint-with-a-name-that-is-as-long-as-names-can-be-64-chars"
url = "http://long.example/dlr"
reports = "none"
[[endpoint]]
name = "beta"
url = "http://beta.example/dlr"
sources = ["alpha"]
reports = "intermediate"
to_prefixes = ["49"]
"""

ODD = "m/1\n../?#%2F 😀"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with settings, and a database with four reports: two of one message, one
    of an odd one, and one of the first again, from another source."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dlr.toml").write_text(FILE)

    async def fill() -> None:
        async with storage("dlr.db") as opened:
            reports = [an_sms("m1", "PENDING_ENROUTE"), an_sms("m1"), an_sms(ODD)]
            await opened.store.add([a_callback(*reports)])
            await opened.store.add([a_callback(an_sms("m1"), source="alpha")])

    asyncio.run(fill())


def run(*words: str) -> Result:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(cli, ["why", *words])
    assert "s3cret" not in done.output
    return done


def told(*words: str) -> list[dict[str, Any]]:
    done = run(*words, "--format", "json")
    assert done.exit_code == 0, done.output
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_report_and_a_message() -> None:
    """An id is one report; a messageId all its reports, of the source that is named."""
    assert [each["report"] for each in told("2")] == [2]
    assert [each["report"] for each in told("m1", "--source", "default")] == [1, 2]
    assert [each["report"] for each in told("m1", "--source", "alpha")] == [4]
    assert [each["report"] for each in told(ODD)] == [3]


def test_the_table() -> None:
    """Lines of at most 80 columns, with every rule that says no and what comes next."""
    done = run("2")

    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    said = " ".join(done.output.split())
    assert "report 2 of message m1, source default" in said
    assert "It goes to 1 of 3 endpoints: acme (unread)." in said
    assert "No running process pushes to it. Start `dlr serve` or `dlr dispatch`." in said
    for rule in ('sources = ["alpha"]: the report came from "default"', 'reports = "intermediate"'):
        assert rule in said


def test_what_is_not_there() -> None:
    """Exit code 1: the answer is no. A message of several sources: exit code 2, and their names."""
    for words in (["99"], ["nothing"], ["2", "--source", "default"], ["0"]):
        done = run(*words)
        assert (done.exit_code, done.stdout) == (1, ""), words
        assert "there is no report" in done.stderr

    done = run("m1")
    assert done.exit_code == 1
    assert "2 sources have a message" in str(done.exception)


async def test_a_dispatch_shows_its_messages(tmp_path: Path) -> None:
    """`dlr dispatches ID`: each report that it carries, before its attempts."""
    async with a_bench(path=tmp_path / "other.db") as bench:
        await bench.receive(an_sms("a", "PENDING_ENROUTE"), an_sms(ODD))
        await bench.work()

    words = ("dispatches", "db-1", "--database", "other.db")
    done = await asyncio.to_thread(CliRunner(env={"COLUMNS": "120"}).invoke, cli, words)

    assert done.exit_code == 0, done.output
    carried = done.output.split("\nmessages\n")[1].split("\nattempts\n")[0]
    heading, *rows = [line.split() for line in carried.strip().splitlines()]
    assert heading == ["report", "messageId", "to", "status", "final", "source"]
    assert rows[0] == ["1", "a", "41793026727", "PENDING_ENROUTE", "intermediate", "default"]
    assert rows[1][1].startswith("m/1")
    assert len(rows) == 2

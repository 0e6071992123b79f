"""`dlr reconcile`: what it prints, how it ends, and what it says when it cannot be done."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from dispatcher.clocks.clock import wall_time
from dispatcher.storage import storage
from tests.contracts.report_store import everything
from tests.end_to_end.processes import dlr
from tests.reconcile.scripted_provider import Sms, a_provider


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A folder with a database, in which nothing is."""
    async with storage(str(tmp_path / "dlr.db")):
        return tmp_path


def configured(folder: Path, url: str, more: str = "") -> None:
    (folder / "dlr.toml").write_text(
        '[[source]]\nname = "acme"\n[[source]]\nname = "other"\n[source.reconcile]\n'
        f'base_url = "{url}"\napi_key = "KEY"\n{more}'
    )


def lost(count: int) -> list[Sms]:
    at = wall_time() - timedelta(hours=1)
    return [Sms(f"m{number}", sent_at=at, done_at=at) for number in range(count)]


async def test_a_table_and_what_to_do_next(folder: Path) -> None:
    """A dry run prints a table of what is missing, and on stderr what was compared and what comes
    next; its exit code says that something is missing."""
    async with a_provider("v3") as provider:
        provider.log = lost(1)
        configured(folder, provider.url)

        ended = await dlr(folder, "reconcile", "--source", "other")

    heading, row = ended.out.splitlines()
    assert heading.split() == [
        "finding", "by", "messageId", "to", "status", "error", "doneAt", "inStore"
    ]  # fmt: skip
    assert row.split()[:5] == ["missing", "log", "m0", "41793026727", "DELIVERED_TO_HANDSET"]
    assert ended.code == 1
    assert "1 in the logs: 0 agree" in ended.err
    assert "only the logs were read, and nothing was stored" in ended.err
    assert "--apply stores what had not come" in ended.err


async def test_nothing_missing_is_success(folder: Path) -> None:
    """When the store has all that the logs have, the exit code is 0 and nothing is advised."""
    async with a_provider("v3") as provider:
        configured(folder, provider.url)

        ended = await dlr(folder, "reconcile", "--source", "other", "--format", "json")

    assert (ended.code, json.loads(ended.out)) == (0, [])
    assert "--apply" not in ended.err


async def test_a_limit_is_of_the_rows_only(folder: Path) -> None:
    """However few rows are wanted, all that is missing is stored."""
    async with a_provider("v3") as provider:
        provider.log = lost(5)
        configured(folder, provider.url)
        words = ("--source", "other", "--apply", "--limit", "2", "--format", "ndjson")

        ended = await dlr(folder, "reconcile", *words)

    assert (ended.code, len(ended.out.splitlines())) == (0, 2)
    assert "5 stored, 0 duplicates" in ended.err
    async with storage(str(folder / "dlr.db")) as opened:
        assert len(await everything(opened.store)) == 5


async def test_a_provider_that_fails_is_told(folder: Path) -> None:
    """A provider that cannot be asked ends the command with the reason and what was seen so far,
    never with a traceback or a credential."""
    configured(folder, "http://127.0.0.1:1")

    ended = await dlr(folder, "reconcile", "--source", "other", "--apply")

    assert ended.code == 1
    *_, last = ended.err.splitlines()
    assert last == "dlr: broken off: http://127.0.0.1:1/sms/3/reports: connection refused"
    assert "KEY" not in ended.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--source", "acme"),
         '--source: [[source]] "acme" has no [source.reconcile] that says where to ask'),
        (("--source", "x"),
         '--source: there is no source "x". There are: acme, other.'),
        (("--source", "other", "--since", "49h"),
         "--since: expected at most 48h ago, which is how long the provider keeps its logs"),
        (("--source", "other", "--since", "0s"),
         "--since: expected a time in the past such as 24h (ago)"),
    ],
)  # fmt: skip
async def test_wrong_usage_is_told(folder: Path, words: tuple[str, ...], text: str) -> None:
    """What cannot be asked is refused before anything is asked, with exit code 2."""
    configured(folder, "http://127.0.0.1:1")

    ended = await dlr(folder, "reconcile", *words)

    assert (ended.code, ended.err.splitlines()[-1]) == (2, f"dlr: {text}")

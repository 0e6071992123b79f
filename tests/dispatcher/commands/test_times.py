"""`--since` and `--until` are one word in every command: the same texts, in the same zone, and what
was understood is on stderr. Before, an operator in Zurich looked with `reports --received-since
2026-11-21` at one window (UTC) and replayed with `replay --since 2026-11-21` another one (CET)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from dispatcher.cli import cli
from dispatcher.storage import storage
from tests.contracts.report_store import a_callback, an_sms

ACME = '[[endpoint]]\nname = "acme"\nurl = "http://127.0.0.1:9/"\n'
ACME += '[[source]]\nname = "default"\n[source.reconcile]\nbase_url = "http://127.0.0.1:1"\n'
ACME += 'api_key = "KEY"\n'

TAKING = {
    "reports": ("reports",),
    "messages": ("messages",),
    "dispatches": ("dispatches",),
    "quarantine": ("quarantine",),
    "totals": ("totals", "--bucket", "day"),
    "audit": ("audit",),
    "replays start": ("replays", "start", "--dry-run"),
    "capture": ("capture", "--output", "out.capsule"),
}
"""The commands that take a range, with what else they need."""

SAID = (
    "--since 2026-07-01 is 2026-07-01T00:00:00+02:00 (CEST)",
    "--until 2026-07-01T12:00:00Z is 2026-07-01T14:00:00+02:00 (CEST)",
)
RANGE = ("--since", "2026-07-01", "--until", "2026-07-01T12:00:00Z")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A database in the working directory, on a machine that stands in Zurich."""

    async def make() -> None:
        async with storage(str(tmp_path / "dlr.db")) as opened:
            await opened.store.add([a_callback(an_sms("m1"))])

    asyncio.run(make())
    (tmp_path / "dlr.toml").write_text(ACME)
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setenv("TZ", "Europe/Zurich")
        time.tzset()
        yield tmp_path
    time.tzset()


def dlr(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def refused(done: Result) -> str:
    """What was said last, by a command that ended as wrong usage."""
    assert done.exit_code == 2
    return done.stderr.splitlines()[-1].removeprefix("dlr: ")


def with_beginning(command: click.Command, name: str) -> Iterator[str]:
    """The names of the commands that have --since, those in groups as `replays start`."""
    if isinstance(command, click.Group):
        for inner in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), inner)
            assert found is not None
            yield from with_beginning(found, f"{name} {inner}".strip())
    if "--since" in {option for each in command.params for option in each.opts}:
        yield name


def test_every_command_with_a_beginning_is_in_the_table() -> None:
    """A new one gets its row. `reconcile` has no end: it always asks up to now."""
    assert set(with_beginning(cli, "")) == set(TAKING) | {"reconcile"}


@pytest.mark.parametrize("name", TAKING)
@pytest.mark.usefixtures("folder")
def test_what_is_understood_is_told(name: str) -> None:
    """In the machine's zone, which is told, on stderr alone, in every command alike."""
    done = dlr(*TAKING[name], *RANGE)

    assert done.exit_code == 0, done.output
    assert tuple(done.stderr.splitlines()[:2]) == SAID
    assert "--since" not in done.stdout


@pytest.mark.parametrize("name", [*TAKING, "reconcile"])
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_a_time_is_refused_with_examples(name: str) -> None:
    """By the option's name, and with examples of what can be typed."""
    no_end = ("reconcile", "--source", "default")
    words = (*TAKING[name], "--until", "2100-01-01") if name in TAKING else no_end
    done = dlr(*words, "--since", "noon")

    assert refused(done) == (
        "--since: expected a time such as 14:00, 24h (ago), yesterday, 2026-11-28 or"
        ' 2026-11-28T14:00:00+01:00, got "noon"'
    )


@pytest.mark.parametrize("name", TAKING)
@pytest.mark.usefixtures("folder")
def test_an_end_before_the_beginning_is_refused(name: str) -> None:
    """It would find nothing, and nobody would know why."""
    done = dlr(*TAKING[name], "--since", "2026-07-02", "--until", "2026-07-01")

    assert refused(done) == (
        "--until: expected a time after the beginning, which is 2026-07-02T00:00:00+02:00 (CEST),"
        " got 2026-07-01T00:00:00+02:00 (CEST)"
    )


@pytest.mark.parametrize(
    ("words", "old", "new"),
    [
        (("reports",), ("--received-since", "--received-until"), ("--since", "--until")),
        (("dispatches",), ("--created-since", "--created-until"), ("--since", "--until")),
        (TAKING["capture"], ("--from", "--to"), ("--since", "--until")),
    ],
)
@pytest.mark.usefixtures("folder")
def test_names_of_before_go_on_working(
    words: tuple[str, ...], old: tuple[str, str], new: tuple[str, str]
) -> None:
    """Scripts have them. The help does not, and both at once are refused."""
    done = dlr(*words, old[0], RANGE[1], old[1], RANGE[3])
    assert tuple(done.stderr.splitlines()[:2]) == SAID

    described = dlr(words[0], "--help").stdout
    assert not [each for each in old if each in described]
    both = dlr(*words, old[0], "24h", new[0], "24h")
    assert refused(both) == f"{new[0]}, {old[0]}: give one of them, they mean the same"


@pytest.mark.usefixtures("folder")
def test_other_times_are_read_alike() -> None:
    """When a report was done, and when an attempt began."""
    for command, since in (("reports", "--done-since"), ("dispatches", "--attempted-since")):
        done = dlr(command, since, "2026-07-01", since.replace("since", "until"), "2026-07-02")
        assert done.stderr.splitlines()[0] == SAID[0].replace("--since", since)


@pytest.mark.usefixtures("folder")
def test_an_hour_that_was_twice_is_told_in_words() -> None:
    """Clocks in Zurich went back on 2025-10-26."""
    done = dlr("reports", "--since", "2025-10-26T02:30")

    assert done.stderr.splitlines()[0] == (
        "--since 2025-10-26T02:30 is 2025-10-26T02:30:00+02:00 (CEST): clocks went back and showed"
        " 02:30 twice; 2025-10-26T02:30:00+01:00 is the second time"
    )


@pytest.mark.usefixtures("folder")
def test_the_same_window_is_seen_and_replayed() -> None:
    """Received at 23:30 UTC, which is the next day in Zurich."""
    window = ("--since", "2026-03-01T23:00:00Z", "--until", "2026-03-02T00:00:00Z")
    seen = dlr("reports", *window)
    replayed = dlr("replays", "start", "--dry-run", *window)
    assert seen.stderr.splitlines()[:2] == replayed.stderr.splitlines()[:2]

"""The groups `dlr endpoints` and `dlr replays`, and the words that they replaced.

`endpoint` (a program) and `endpoints` (a list), `replay` and `replays` differed in one letter.
Today each is a group of its own, or has another name. What was typed before still works.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import click.testing
import pytest

from dispatcher.cli import OLD_WORDS, SUMMARIES, cli
from dispatcher.storage import storage
from tests.end_to_end.processes import an_endpoint, configure, running
from tests.security.commands import run_all

SAME = (
    ("replays", "replays list"),
    ("endpoints", "endpoints list"),
    ("replays --format csv", "replays list --format csv"),
    ("endpoints --format json list", "endpoints list --format json"),
    ("endpoints --config dlr.toml show acme", "endpoints show acme --config dlr.toml"),
    ("replays 1", "replays show 1"),
    ("replays --format json 1", "replays show 1 --format json"),
    ("replays 1 --format json", "replays show 1 --format json"),
    ("replays --cancel 1", "replays cancel 1"),
    ("replays --cancel=1 --database dlr.db", "replays cancel 1"),
    ("replay --source default --dry-run", "replays start --source default --dry-run"),
)
"""Lines that do the same: without the name of a command, and with the words of version 0.1."""


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A database with nothing in it but a replay, and settings with one endpoint."""
    url = "https://me:secret@acme.example/dlr?token=secret"
    configure(tmp_path, an_endpoint(url) + '[endpoint.headers]\nX-Key = "secret"\n')
    async with storage(str(tmp_path / "dlr.db")):
        pass
    (made,) = await run_all(tmp_path, [("replays", "start", "--source", "default", "--detach")])
    assert "replay 1: nothing matches" in made.out
    return tmp_path


async def test_bare_and_old_words_do_what_the_new_ones_do(folder: Path) -> None:
    """Each line of the table ends and prints like the line with the name of the command."""
    ended = await run_all(folder, [words.split() for pair in SAME for words in pair])

    for pair, one, other in zip(SAME, ended[::2], ended[1::2], strict=True):
        assert (one.code, one.out, one.err) == (other.code, other.out, other.err), pair
        assert one.out, pair


async def test_one_endpoint_is_shown_with_all_its_settings(folder: Path) -> None:
    """A line for each value, or JSON; nothing of it is a secret."""
    lines, as_json = await run_all(
        folder,
        [("endpoints", "show", "acme"), ("endpoints", "show", "acme", "--format", "json")],
    )

    assert "url " in lines.out
    assert "https://acme.example/dlr?…\n" in lines.out
    assert "bucketSize " in lines.out
    assert re.search("^paused +false$", lines.out, re.MULTILINE)
    assert "secret" not in lines.out + as_json.out
    shown = json.loads(as_json.out)
    assert (shown["name"], shown["origin"], shown["window"]) == ("acme", "file", 20)


async def test_options_before_a_command_are_its_own(folder: Path) -> None:
    """One that the command does not have is refused. It was dropped without a word."""
    (ended,) = await run_all(folder, [("endpoints", "--format", "json", "pause", "acme")])

    assert ended.code == 2
    assert "No such option '--format'" in ended.err


async def test_a_command_that_is_not_there_is_refused(folder: Path) -> None:
    """With what may be meant, and no list in its place."""
    ended = await run_all(
        folder,
        [("endpoints", "lst"), ("replays", "cancle", "1"), ("replys",), ("replays", "1", "2")],
    )

    assert [each.code for each in ended] == [2, 2, 2, 2]
    assert [each.out for each in ended] == ["", "", "", ""]
    for each, meant in zip(ended, ("'list'", "'cancel'", "'replays'", ""), strict=True):
        assert meant in each.err


async def test_the_old_endpoint_listens(tmp_path: Path) -> None:
    """`dlr endpoint` is `dlr listen`."""
    async with running(tmp_path, "endpoint", "--fail-first", "1") as old:
        assert [await old.push(b"{}") for _ in range(2)] == [503, 200]


def test_no_help_names_an_old_word() -> None:
    """They are for scripts that have them."""
    listed = click.testing.CliRunner().invoke(cli, ["--help"]).output
    of_replays = click.testing.CliRunner().invoke(cli, ["replays", "--help"]).output

    assert OLD_WORDS.keys().isdisjoint(SUMMARIES)
    assert not {f"  {word} " for word in OLD_WORDS if f"  {word} " in listed}
    assert "--cancel" not in of_replays
    assert "start " in of_replays

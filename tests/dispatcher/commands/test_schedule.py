"""`dlr schedule`: what it prints of a preset, of all, and of the schedule in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dispatcher.cli import cli
from dispatcher.retrying.presets import PRESETS


def dlr(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["schedule", *words])


def lines(*words: str) -> list[str]:
    """What is printed, each line with single blanks."""
    result = dlr(*words)
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.output.splitlines()]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without settings."""
    monkeypatch.chdir(tmp_path)


def test_infobip_in_minutes() -> None:
    """Without a name it is Infobip's table, in minutes."""
    printed = lines()

    assert printed == lines("infobip")
    assert printed[:4] == [
        "retry interval cumulative",
        "0 1 min 00:01",
        "1 2 min 00:03",
        "2 5 min 00:08",
    ]
    assert printed[20:22] == [
        "19 362 min 41:30",
        "21 attempts. Source: Infobip, SMS over API, Push Retry Cycle",
    ]


def test_all_that_is_known_of_a_preset() -> None:
    """A preset comes with its source, date, confidence, span, jitter, rules and what is unknown."""
    printed = lines("svix")

    assert printed == [
        "retry interval cumulative",
        "0 5 s 00:00:05",
        "1 5 min 00:05:05",
        "2 30 min 00:35:05",
        "3 120 min 02:35:05",
        "4 300 min 07:35:05",
        "5 600 min 17:35:05",
        "6 600 min 27:35:05",
        "8 attempts. Source: svix/svix-webhooks server/svix-server/src/worker.rs; docs.svix.com",
        "Read 2026-11, confidence A",
        "Span 27:35:05, jitter ±20 %, waits count from the end of the attempt before",
        "Acknowledged by 2xx; ended by no status; Retry-After obeyed at 300-599, from 1x the wait"
        " to 2x the wait",
        "Not played: at least 60 s after 429 and timeouts",
        "Not played: endpoints that fail for days are disabled",
    ]


def test_what_ends_a_dispatch() -> None:
    """The rules are told by statuses, and the body that is wanted."""
    assert "Acknowledged by 200; ended by 300-428, 430-499; Retry-After ignored" in lines(
        "vonage-sms"
    )
    assert any(
        '2xx with a body like "\\A\\s*ACK/Jasmin' in line for line in lines("jasmin-default")
    )
    assert any("obeyed at 429, 503, from 1s to 1d" in line for line in lines("kit"))


def test_experimental_says_so() -> None:
    """A preset that is no more than a guess in parts is called experimental."""
    assert "Read 2026-11, confidence C (experimental)" in lines("vonage-legacy")


def test_no_retries() -> None:
    """A platform that does not retry has no table."""
    assert lines("github")[0].startswith("1 attempt. Source: docs.github.com")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_prints(name: str) -> None:
    """Each preset prints a row for each retry, and its source."""
    printed = lines(name)
    waits = len(PRESETS[name].waits)

    assert printed[1 + waits if waits else 0].endswith(PRESETS[name].source)


def test_the_list() -> None:
    """--list has a line for each preset."""
    heading, *rows = lines("--list")

    assert heading == "preset retries span jitter read confidence source"
    assert [row.split()[0] for row in rows] == list(PRESETS)
    assert rows[0].startswith("infobip 20 41:30:00 none 2026-11 A Infobip, SMS over API")


def test_custom_of_a_file(tmp_path: Path) -> None:
    """`custom` is what the file describes, fractions of a second included."""
    file = tmp_path / "own.toml"
    file.write_text('[schedule]\npreset = "custom"\nwaits = ["500ms", "1m"]\njitter = 0.1\n')
    expected = [
        "retry interval cumulative",
        "0 500ms 00:00:00.500",
        "1 1 min 00:01:00.500",
        "3 attempts. Source: [schedule] in the settings",
        "Span 00:01:00.500, jitter ±10 %, waits count from the start of the attempt before",
        "Acknowledged by 2xx; ended by no status; Retry-After ignored",
    ]

    assert lines("custom", "--config", str(file)) == expected
    assert lines("--config", str(file)) == expected


def test_no_custom_in_the_file() -> None:
    """Asked for a custom schedule that is not there, it says what is."""
    result = dlr("custom")

    assert result.exit_code == 2
    assert 'there is none: schedule.preset is "infobip", not "custom"' in result.stderr


def test_unknown_preset() -> None:
    """An unknown name is wrong usage, answered with the names there are."""
    result = dlr("nonsuch")

    assert result.exit_code == 2
    assert "'svix'" in result.stderr

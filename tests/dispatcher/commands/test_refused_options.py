"""Options with a wrong value are refused in words, on one line.

An empty or wrong --database or --from ended in "unexpected ValueError" or "IndexError".

A script writes `--database "$DB"`, and the variable is not set. The line says what is expected.
A move that waits for hours for `dlr` to be stopped wrote "100%" into its log every few seconds.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dispatcher.cli import cli
from dispatcher.commands import simulation_progress
from receiver.store.postgres.database import said


@pytest.mark.parametrize(
    ("given", "came"), [("", "nothing"), ("  ", "nothing"), (".", "the folder .")]
)
def test_a_database_that_is_none_is_refused_in_words(
    given: str, came: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["reports", "--database", given])
    assert result.exit_code == 2
    assert result.stderr == (
        f"dlr: --database: expected a SQLite file or postgresql://…, got {came}\n"
    )


@pytest.mark.parametrize("given", ["", "  "])
def test_a_move_from_no_file_is_refused_in_words(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["migrate", "--from", given, "--to", "postgresql://h/d"])
    assert result.exit_code == 2
    assert result.stderr == "dlr: --from: expected a SQLite file, got nothing\n"


def test_a_move_to_no_postgresql_says_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["migrate", "--from", "dlr.db", "--to", "mysql://u:p@h/d"])
    assert result.exit_code == 2
    assert "expected --from FILE --to postgresql://…, got --from dlr.db --to mysql://h/d" in (
        result.stderr
    )


def test_a_line_of_progress_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(simulation_progress, "LINE_EVERY_SECONDS", 0)
    show = simulation_progress._lines("moving")
    for share in (0.5, 1.0, 1.0, 1.0):
        show(share)
    assert capsys.readouterr().err == "moving: 50%\nmoving: 100%\n"


def test_what_the_driver_says_reads_as_sentences() -> None:
    error = OSError("No such file or directory\n\tIs the server running locally?\n")
    assert said(error) == "No such file or directory. Is the server running locally?"


@pytest.mark.parametrize("option", ["--receivers", "--port"])
def test_a_word_instead_of_a_number_is_refused_in_words(option: str) -> None:
    """It was "not a valid integer range"."""
    result = CliRunner().invoke(cli, ["serve", option, "two"])
    assert result.exit_code == 2
    assert f"Invalid value for '{option}': 'two' is not a valid integer." in result.stderr

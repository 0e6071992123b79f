"""`python -m tests.benchmarks` runs, all of it, and prints the table."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.benchmarks.results import Row, print_rows

HEADINGS = ["what", "measured", "ceiling", "least", "median", "most", "target", "met"]


def test_the_short_form_prints_a_row_for_each_target_and_the_machine() -> None:
    """What a reader repeats works, however much of the other programs is installed here."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--short"],
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].split() == HEADINGS
    for begins in (
        *("JSON, 1 a request", "XML, 1 a request", "JSON, 100 a request, reports"),
        *("push, 1 report each", "push, 100 each, reports", "ingest with 1,000 stored"),
        *("claim of 100 among 2,000", "callbacks, two on one file", "pushes, two on one file"),
        *("attempts, acknowledged at once, by CPU", "memory of dlr serve"),
    ):
        assert any(line.strip().startswith(begins) for line in lines), begins
    assert any("cores of" in line and "SQLite" in line for line in lines)
    for name in ("FastAPI + SQLAlchemy", "Celery + Redis", "Jasmin's thrower"):
        assert name in done.stdout  # a row, or a line that says why it was left out


def test_a_row_is_judged_by_the_median_of_its_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    """Each round is compared with the ceiling beside it; a figure without one is judged itself."""
    of_ceiling = Row(
        what="JSON",
        measured=[30.0, 50.0, 40.0],
        unit="/s",
        ceiling="bare",
        beside=[100.0, 100.0, 50.0],
        at_least=0.5,
    )
    alone = Row(what="memory", measured=[160.0], unit=" MB", at_most=150.0)

    print_rows([of_ceiling, alone])

    _, _, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert first == ["JSON", "40/s", "bare", "100/s", "0.3", "0.5", "0.8", "≥", "0.5", "yes"]
    assert second == ["memory", "160", "MB", "160", "160", "160", "≤", "150", "no"]

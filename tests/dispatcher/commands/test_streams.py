"""Commands whose output is closed early, was never there, or has the encoding of another time.

`dlr reports >&-` was ended by an assertion of libuv, `dlr schedule | true` said 1, which means no,
and a chart could not be printed where the locale is not UTF-8.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

Environment = Mapping[str, str]
NONE: Environment = {}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale in which Python writes ASCII."""


def run(
    folder: Path, line: str, *, stdout: int = subprocess.PIPE, environment: Environment = NONE
) -> tuple[int, str | None, str]:
    """Exit code, stdout and stderr of `dlr` with the rest of a line of a shell."""
    done = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -m dispatcher {line}'],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("streams")
    assert run(made, "migrate")[0] == 0
    return made


def test_whoever_reads_has_closed_the_output(folder: Path) -> None:
    """It is neither a yes nor a no, whatever prints, and no line on stderr."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        for command in ("schedule", "reports", "totals --help"):
            assert run(folder, command, stdout=writing) == (141, None, ""), command
    finally:
        os.close(writing)


def test_a_stream_that_was_never_there(folder: Path) -> None:
    """The exit code is that of the command, and what there is gets its lines."""
    assert run(folder, "reports <&- >&-") == (0, "", "")
    code, out, _ = run(folder, "reports 2>&-")
    assert (code, out) == (0, run(folder, "reports")[1])
    assert out


def test_a_locale_that_is_not_utf8(folder: Path) -> None:
    """A pipe gets UTF-8 all the same."""
    code, out, err = run(folder, "totals --help", environment=ASCII)
    assert (code, err) == (0, "")
    assert "postgresql://…" in (out or "")

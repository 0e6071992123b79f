"""`dlr completion SHELL`: the shell completes commands and options."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click.testing
import pytest

from dispatcher.cli import cli

DLR = Path(sys.executable).parent / "dlr"

_TYPE = 'eval "$(dlr completion bash)"; COMP_WORDS=({words}); COMP_CWORD={last};'


def completed(*words: str) -> list[str]:
    """What bash offers for the last of these words, with the script that is printed."""
    typed = " ".join(words) + (' ""' if words[-1] == "" else "")
    script = _TYPE.format(words=typed, last=len(words) - 1)
    done = subprocess.run(
        ["bash", "-c", f'{script} _dlr_completion dlr; printf "%s\\n" "${{COMPREPLY[@]}}"'],
        env={**os.environ, "PATH": f"{DLR.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("dlr", "rep"), {"reports", "replays"}),
        (("dlr", "endpoi"), {"endpoints"}),
        (("dlr", "replays", ""), {"list", "show", "start", "cancel"}),
        (("dlr", "replays", "start", "--dr"), {"--dry-run"}),
        (("dlr", "reports", "--format", ""), {"table", "json", "ndjson", "csv"}),
        (("dlr", "completion", "f"), {"fish"}),
    ],
)
def test_bash_completes(words: tuple[str, ...], offered: set[str]) -> None:
    """Commands, those of groups, options and their values; no old word."""
    assert set(completed(*words)) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    """It is the library's own, for the name `dlr`."""
    told = click.testing.CliRunner().invoke(cli, ["completion", shell])

    assert told.exit_code == 0
    assert f"_DLR_COMPLETE={shell}_complete" in told.output


def test_another_shell_is_refused() -> None:
    """With those that there are."""
    told = click.testing.CliRunner().invoke(cli, ["completion", "tcsh"])

    assert told.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in told.output

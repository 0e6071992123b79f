"""A fork of `tests.preloaded` is to its test what `python -m dispatcher` would be: the same text,
exit code, folder, variables, descriptors and answer to signals. So most tests may start forks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from tests.end_to_end.processes import configure, running
from tests.forks import Fork, bin_folder, fork, python

ENVIRONMENT = {**os.environ, "COLUMNS": "90"}


async def started(folder: Path, *words: str, **more: str) -> Fork:
    return await fork(folder, words, {**ENVIRONMENT, **more}, stdin=DEVNULL)


@pytest.mark.parametrize(
    "words",
    [("--version",), ("check",), ("schedule", "--help"), ("wrong",), ("reports", "--to", "\udcff")],
    ids=" ".join,
)
async def test_it_writes_and_ends_as_a_new_process_does(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    configure(tmp_path, "[server]\nport = 1\nwrong = 2\n")
    anew = [sys.executable, "-m", "dispatcher", *words]
    expected = await asyncio.to_thread(
        subprocess.run, anew, cwd=tmp_path, env=ENVIRONMENT, capture_output=True
    )

    forked = await started(tmp_path, *words)
    stood_in = await asyncio.to_thread(
        subprocess.run,
        python("dispatcher", *words),
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
    )

    wrote = expected.stdout, expected.stderr
    assert await forked.communicate() == wrote
    assert (stood_in.stdout, stood_in.stderr) == wrote
    assert (forked.returncode, stood_in.returncode) == (expected.returncode,) * 2


def test_the_command_on_the_path_is_the_installed_one(tmp_path: Path) -> None:
    installed = Path(sys.executable).parent
    usages = [
        subprocess.run(
            ["dlr", "wrong"],
            cwd=tmp_path,
            env={**ENVIRONMENT, "PATH": f"{folder}:{os.environ['PATH']}"},
            capture_output=True,
            check=False,
        )
        for folder in (installed, bin_folder())
    ]

    assert usages[0].stderr == usages[1].stderr
    assert usages[0].returncode == usages[1].returncode == 2


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGABRT])
async def test_a_signal_ends_it_as_any_process(tmp_path: Path, by: signal.Signals) -> None:
    async with running(tmp_path, "receive") as server:
        server.signal(by)

        assert await server.ended() == -by
        with pytest.raises(ProcessLookupError):
            os.kill(server.pid, 0)


async def test_what_stands_in_passes_signals_on_and_takes_the_process_with_it(
    tmp_path: Path,
) -> None:
    for by, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        process = await asyncio.create_subprocess_exec(
            *python("dispatcher", "receive", "--port", "0"), cwd=tmp_path, stdout=PIPE
        )
        assert process.stdout is not None
        assert b"listening on" in await process.stdout.readline()

        process.send_signal(by)

        await process.stdout.read()  # to its end: when the program is gone too
        assert await process.wait() == code

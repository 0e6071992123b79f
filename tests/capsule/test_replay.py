"""`dlr replays start --capsule`: to a test system, without a database or a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.capsule.test_capture import happened
from tests.end_to_end.processes import dlr, running


async def test_the_reports_of_a_capsule_are_pushed(tmp_path: Path) -> None:
    """All of them, with other names, and nothing is left in the folder."""
    store = tmp_path / "store"
    store.mkdir()
    await happened(store / "dlr.db")
    window = ("--from", "2026-03-02T14:00:00Z", "--to", "2026-03-02T14:10:00Z")
    written = await dlr(store, "capture", *window, "-o", "outage.capsule")
    assert written.out == "wrote 10 reports and 10 dispatches to outage.capsule\n", written.err
    capsule = store / "outage.capsule"
    folder = tmp_path / "empty"
    folder.mkdir()

    async with running(folder, "endpoint") as customer:
        done = await dlr(
            folder, "replays", "start", "--capsule", str(capsule), "--to", f"{customer.url}/dlr"
        )

    assert done.code == 0, done.err
    assert done.out.startswith("10 reports of ")
    assert "replay 1: done: 10 acknowledged" in done.out
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "expected --to with an http or https URL"),
        (("--to", "http://127.0.0.1:1/", "--state", "exhausted"), "state cannot choose"),
        (("--to", "http://127.0.0.1:1/", "--detach"), "--dry-run and --detach belong"),
    ],
)
async def test_what_it_cannot_do_is_told(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """Before the file is read."""
    done = await dlr(tmp_path, "replays", "start", "--capsule", "none.capsule", *words)

    assert done.code == 2
    assert said in done.err

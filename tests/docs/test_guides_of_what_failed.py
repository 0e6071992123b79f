"""The guides about reports that failed, or never arrived, are followed."""

from __future__ import annotations

from pathlib import Path

from tests.docs.following import follow
from tests.end_to_end.processes import running


async def test_replay(tmp_path: Path) -> None:
    """From its first line, in an empty folder."""
    assert len(await follow("dispatcher/replay/REPLAY.md", tmp_path)) > 5


async def test_reconcile(tmp_path: Path) -> None:
    """With a sandbox as the provider."""
    (tmp_path / "provider").mkdir()
    (tmp_path / "reader").mkdir()
    async with running(tmp_path / "provider", "sandbox") as provider:
        host = {"https://xxxxx.api.infobip.com": provider.url}
        typed = await follow("dispatcher/reconcile/RECONCILE.md", tmp_path / "reader", **host)

    assert len(typed) > 2

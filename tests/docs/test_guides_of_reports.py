"""The guides about reports on their way through `dlr` are followed, and show what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.following import follow

GUIDES = (
    "receiver/RECEIVE.md",
    "dispatcher/PUSH.md",
    "dispatcher/HTTP.md",
    "dispatcher/commands/COMMANDS.md",
)


@pytest.mark.parametrize("file", GUIDES)
async def test_it_is_followed(tmp_path: Path, file: str) -> None:
    """From its first line, in an empty folder."""
    assert len(await follow(file, tmp_path)) > 2

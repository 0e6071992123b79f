"""The guides about sandbox, simulations and rehearsals are followed, and show what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.following import follow

GUIDES = (
    "dispatcher/sandbox/SANDBOX.md",
    "dispatcher/simulation/SIMULATE.md",
    "dispatcher/rehearsal/REHEARSE.md",
)


@pytest.mark.parametrize("file", GUIDES)
async def test_it_is_followed(tmp_path: Path, file: str) -> None:
    """From its first line, in an empty folder."""
    assert len(await follow(file, tmp_path)) > 1

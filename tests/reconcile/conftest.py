"""Providers of both generations, and a store beside a spool."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatcher.storage import Storage, storage
from tests.reconcile.scripted_provider import ScriptedProvider, a_provider


@pytest.fixture(params=["v1", "v3"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[ScriptedProvider]:
    async with a_provider(request.param) as made:
        yield made


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "dlr.db")


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Storage]:
    async with storage(database) as made:
        yield made

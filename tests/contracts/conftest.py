"""The backend of the queue's and the replays' suites; those of others have one of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.queue_on_sqlite import IMPLEMENTATIONS, SqliteBackend, sqlite_backend


@pytest.fixture(params=IMPLEMENTATIONS)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def backend(kind: str, tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    async with AsyncExitStack() as stack:
        yield await sqlite_backend(stack, kind, tmp_path)

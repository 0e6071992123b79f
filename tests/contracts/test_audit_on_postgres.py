from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from receiver.store.postgres.audit import PostgresAudit
from tests.contracts.audit_log import AuditLogContract
from tests.postgres import EmptyDatabase


class TestAudit(AuditLogContract):
    @pytest.fixture
    async def backend(self, empty_postgres: EmptyDatabase) -> AsyncIterator[Any]:
        database = await empty_postgres.open()

        async def another() -> Any:
            return SimpleNamespace(audit=PostgresAudit(database))

        yield SimpleNamespace(
            storage=SimpleNamespace(audit=PostgresAudit(database)),
            another=another,
            go_away_after=database.break_after,
        )
        await database.close()

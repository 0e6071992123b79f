"""The one place that opens a database: what it holds, as each of its users sees it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.sandbox.store.base import SandboxStore
from dispatcher.sandbox.store.sqlite.store import MIGRATIONS as SANDBOX_MIGRATIONS
from dispatcher.sandbox.store.sqlite.store import SqliteSandboxStore
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.sqlite.store import SqliteStore

MIGRATIONS = [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS, *SANDBOX_MIGRATIONS]


def new_name() -> str:
    """A name for a database that no other has."""
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Storage:
    """An open, migrated database as its users see it."""

    database: Database
    store: SqliteStore
    queue: SqliteQueue
    sandbox: SandboxStore


@asynccontextmanager
async def storage(path: str) -> AsyncIterator[Storage]:
    """Open the database at `path`, bring it to the current schema, close it at the end."""
    database = await Database.open(path)
    try:
        await database.migrate(MIGRATIONS)
        queue = await SqliteQueue.open(database, new_name)
        yield Storage(database, SqliteStore(database), queue, SqliteSandboxStore(database))
    finally:
        await database.close()

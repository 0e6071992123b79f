"""The one place that opens a database: what it holds, as each of its users sees it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from dispatcher.api.base import UnroutedStore
from dispatcher.capsule.base import Recording
from dispatcher.clocks.base import SharedTime
from dispatcher.endpoints.base import EndpointStore
from dispatcher.observe.base import (
    AttemptActivity,
    AttemptHistory,
    DatabaseFiles,
    QueueFigures,
)
from dispatcher.queue.base import DispatchQueue, Outbox
from dispatcher.queue.sqlite.activity import SqliteActivity
from dispatcher.queue.sqlite.common_time import SqliteTime
from dispatcher.queue.sqlite.endpoints import SqliteEndpoints
from dispatcher.queue.sqlite.erasure import SqliteErasure
from dispatcher.queue.sqlite.figures import SqliteFigures
from dispatcher.queue.sqlite.files import SqliteFiles
from dispatcher.queue.sqlite.history import SqliteHistory
from dispatcher.queue.sqlite.insert_dispatch import insert_event
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.queue.sqlite.recording import SqliteRecording
from dispatcher.queue.sqlite.replay_selection import SqliteSelector
from dispatcher.queue.sqlite.replays import SqliteReplays
from dispatcher.queue.sqlite.retention import QueueRetention
from dispatcher.queue.sqlite.unrouted import SqliteUnrouted
from dispatcher.replay.base import ReplaySelector, ReplayStore
from dispatcher.sandbox.store.base import SandboxStore
from dispatcher.sandbox.store.sqlite.store import MIGRATIONS as SANDBOX_MIGRATIONS
from dispatcher.sandbox.store.sqlite.store import SqliteSandboxStore
from dispatcher.upkeep.base import Erasure, Retention
from receiver.store.audit import AuditLog
from receiver.store.base import ReadModel, ReportStore, StoreUnavailable
from receiver.store.copies import Copied, CopyRefused, Restored, Watch
from receiver.store.migrations import is_missing
from receiver.store.sqlite.audit import SqliteAudit
from receiver.store.sqlite.backup import back_up as back_up_file
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import Follower, FreshReports
from receiver.store.sqlite.restore import restore as restore_file
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.sqlite.store import SqliteStore

MIGRATIONS = [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS, *SANDBOX_MIGRATIONS]


def new_name() -> str:
    """A name for a database that no other has."""
    return secrets.token_hex(4)


def new_id() -> str:
    """What a webhook-id ends with: no two dispatches with one number have the same."""
    return secrets.token_hex(8)


insert_new_event = partial(insert_event, new_id)
"""How the sandbox has an event pushed that is no report, within a transaction of its own."""


@dataclass(frozen=True, slots=True)
class Storage:
    """An open, migrated database as its users see it."""

    store: ReportStore
    outbox: Outbox
    read_model: ReadModel
    queue: DispatchQueue
    endpoints: EndpointStore
    retention: Retention
    erasure: Erasure
    figures: QueueFigures
    files: DatabaseFiles
    history: AttemptHistory
    activity: AttemptActivity
    recording: Recording
    time: SharedTime
    unrouted: UnroutedStore
    replays: ReplayStore
    selector: ReplaySelector
    sandbox: SandboxStore
    audit: AuditLog


@asynccontextmanager
async def storage(url: str) -> AsyncIterator[Storage]:
    """Open the database at `url` (a path is a file of SQLite's), bring it to the current schema,
    close it at the end."""
    database = await Database.open(url)
    try:
        await database.migrate(MIGRATIONS)
        yield of_sqlite(database, await SqliteQueue.open(database, new_name, new_id))
    finally:
        await database.close()


@asynccontextmanager
async def storage_as_it_is(url: str) -> AsyncIterator[Storage | None]:
    """The database that is at `url`, without a change; `None` if its schema is not this one's."""
    database = await Database.open(url)
    try:
        if await database.missing(MIGRATIONS):
            yield None
        else:
            yield of_sqlite(database, await SqliteQueue.open(database, new_name, new_id))
    finally:
        await database.close()


def of_sqlite(database: Database, queue: SqliteQueue) -> Storage:
    """What a migrated SQLite file holds."""
    fresh = FreshReports()
    store = SqliteStore(database, fresh=fresh)
    return Storage(
        store=store,
        outbox=SqliteStore(database, for_pushes=True),
        read_model=Follower(database, fresh),
        queue=queue,
        replays=SqliteReplays(database, new_id),
        selector=SqliteSelector(database, store),
        sandbox=SqliteSandboxStore(database, insert_new_event),
        endpoints=SqliteEndpoints(database),
        retention=QueueRetention(database),
        erasure=SqliteErasure(database, new_id),
        figures=SqliteFigures(database),
        files=SqliteFiles(database),
        history=SqliteHistory(database),
        activity=SqliteActivity(database),
        recording=SqliteRecording(database),
        time=SqliteTime(database),
        unrouted=SqliteUnrouted(database),
        audit=SqliteAudit(database),
    )


async def migrate(url: str) -> list[str]:
    """Bring the database at `url` to the current schema. Returns the steps that were missing."""
    database = await Database.open(url)
    try:
        applied = await database.migrate(MIGRATIONS)
    finally:
        await database.close()
    return [f"{step.part} {step.number:04} {step.name}" for step in applied]


def back_up(url: str, target: Path, *, replace: bool, watch: Watch) -> Copied:
    """Copy the database at `url`, whatever its schema and whoever works on it, to the file
    `target`. Raises what back_up of receiver/store/sqlite/backup.py raises."""
    return back_up_file(_file_of(url), target, replace=replace, watch=watch)


def restore(
    backup: Path,
    url: str,
    *,
    replace: bool,
    whole_without_log: bool,
    watch: Watch,
    now: datetime,
) -> Restored:
    """Put a backup where the database is. Raises what restore of receiver/store/sqlite/restore.py
    raises."""

    def judge(versions: Mapping[str, int]) -> None:
        try:
            for step in MIGRATIONS:
                is_missing(step, MIGRATIONS, versions)
        except StoreUnavailable as error:
            raise CopyRefused(f"{backup} cannot be used by this program: {error}") from error

    return restore_file(
        backup,
        _file_of(url),
        replace=replace,
        whole_without_log=whole_without_log,
        judge=judge,
        watch=watch,
        now=now,
    )


def _file_of(url: str) -> Path:
    if url == ":memory:":
        raise CopyRefused("a database in memory cannot be copied: it ends with its process")
    return Path(url)

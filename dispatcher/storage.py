"""The one place that opens a database: what it holds, as each of its users sees it."""

from __future__ import annotations

import secrets
from asyncio import to_thread
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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
from dispatcher.queue.sqlite.moving import TABLES as MOVED_OF_QUEUE
from dispatcher.queue.sqlite.outbox import SqliteOutbox
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
from receiver.faults import without_credentials
from receiver.store.audit import AuditLog
from receiver.store.base import ReadModel, ReportStore, StoreUnavailable
from receiver.store.copies import Copied, CopyRefused, Restored, Watch
from receiver.store.fresh import FreshReports
from receiver.store.migrations import Migration, is_missing
from receiver.store.moving import Compared, Tell
from receiver.store.moving import move as move_to
from receiver.store.sqlite.audit import SqliteAudit
from receiver.store.sqlite.backup import back_up as back_up_file
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import Follower
from receiver.store.sqlite.moving import TABLES as MOVED_OF_STORE
from receiver.store.sqlite.moving import moved_to
from receiver.store.sqlite.moving import opened as opened_source
from receiver.store.sqlite.restore import restore as restore_file
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from dispatcher.queue.postgres.queue import PostgresQueue
    from receiver.store.postgres.database import Database as PostgresDatabase

MIGRATIONS = [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS, *SANDBOX_MIGRATIONS]


MOVED = [*MOVED_OF_STORE, *MOVED_OF_QUEUE]
"""What is moved from a file to PostgreSQL: all but the sandbox."""


def new_name() -> str:
    """A name for a database that no other has."""
    return secrets.token_hex(4)


def new_id() -> str:
    """What a webhook-id ends with: no two dispatches with one number have the same."""
    return secrets.token_hex(8)


insert_new_event = partial(insert_event, new_id)
"""How the sandbox has an event pushed that is no report, within a transaction of its own."""


POSTGRES_IS_MISSING = "postgresql:// needs psycopg: pip install 'psycopg[binary]>=3.2,<4'"


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
    sandbox_store: SandboxStore | None  # None: this database takes no sandbox
    audit: AuditLog

    @property
    def sandbox(self) -> SandboxStore:
        """Raises StoreUnavailable where there can be none."""
        if self.sandbox_store is None:
            raise StoreUnavailable("a sandbox keeps to SQLite: give it a file, such as sandbox.db")
        return self.sandbox_store


@asynccontextmanager
async def storage(url: str, *, wait: float = 0.0) -> AsyncIterator[Storage]:
    """Open the database at `url`, bring it to the current schema, close it at the end.

    `url` is a path, which is a file of SQLite's, or postgresql://…, which is waited for at most
    `wait` seconds. Raises StoreUnavailable.
    """
    database = await _open(url, wait)
    try:
        await database.migrate(_migrations_of(database))
        await _refuse_while_moved(database, wait)
        yield await _storage_in(database)
    finally:
        await database.close()


@asynccontextmanager
async def storage_as_it_is(url: str) -> AsyncIterator[Storage | None]:
    """The database that is at `url`, without a change; `None` if its schema is not this one's."""
    database = await _open(url)
    try:
        if await database.missing(_migrations_of(database)):
            yield None
        else:
            await _refuse_while_moved(database, wait=0.0)
            yield await _storage_in(database)
    finally:
        await database.close()


async def migrate(url: str) -> list[str]:
    """Bring the database at `url` to the current schema. Returns the steps that were missing."""
    database = await _open(url)
    try:
        applied = await database.migrate(_migrations_of(database))
    finally:
        await database.close()
    return [f"{step.part} {step.number:04} {step.name}" for step in applied]


async def _refuse_while_moved(database: Database | PostgresDatabase, wait: float) -> None:
    """Raises StoreUnavailable for a file that was moved away, and for a database that a file is
    being moved to, which is waited for."""
    if isinstance(database, Database):
        if (fault := await database.read(moved_to)) is not None:
            raise StoreUnavailable(fault)
        return
    from receiver.store.postgres.moving import wait_until_moved

    await wait_until_moved(database, wait)


async def _refuse_foreign(url: str) -> None:
    """Raises CopyRefused for a PostgreSQL database that is another program's."""
    database = await _open(url)
    try:
        assert not isinstance(database, Database)
        from receiver.store.postgres.moving import refuse_foreign

        await refuse_foreign(database)
    finally:
        await database.close()


def is_postgres(url: str) -> bool:
    """Whether a database is asked for that is no file."""
    return url.startswith(("postgresql://", "postgres://"))


async def _open(url: str, wait: float = 0.0) -> Database | PostgresDatabase:
    if not is_postgres(url):
        return await Database.open(url)
    try:
        from receiver.store.postgres.database import Database as Postgres  # psycopg is an extra
    except ImportError as error:
        raise StoreUnavailable(POSTGRES_IS_MISSING) from error
    return await Postgres.open(url, wait=wait)


def _migrations_of(database: Database | PostgresDatabase) -> Sequence[Migration]:
    if isinstance(database, Database):
        return MIGRATIONS
    from dispatcher.queue.postgres.schema import MIGRATIONS as QUEUE
    from receiver.store.postgres.schema import MIGRATIONS as STORE

    return [*STORE, *QUEUE]


async def _storage_in(database: Database | PostgresDatabase) -> Storage:
    if isinstance(database, Database):
        return of_sqlite(database, await SqliteQueue.open(database, new_name, new_id))
    from dispatcher.queue.postgres.queue import PostgresQueue

    return of_postgres(database, await PostgresQueue.open(database, new_name, new_id))


def of_sqlite(database: Database, queue: SqliteQueue) -> Storage:
    """What a migrated SQLite file holds."""
    fresh = FreshReports()
    store = SqliteStore(database, fresh=fresh)
    return Storage(
        store=store,
        outbox=SqliteOutbox(database),
        read_model=Follower(database, fresh),
        queue=queue,
        replays=SqliteReplays(database, new_id),
        selector=SqliteSelector(database, store),
        sandbox_store=SqliteSandboxStore(database, insert_new_event),
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


def of_postgres(database: PostgresDatabase, queue: PostgresQueue) -> Storage:
    """What a migrated PostgreSQL database holds. A sandbox keeps to SQLite."""
    from dispatcher.queue.postgres.activity import PostgresActivity
    from dispatcher.queue.postgres.common_time import PostgresTime
    from dispatcher.queue.postgres.endpoints import PostgresEndpoints
    from dispatcher.queue.postgres.erasure import PostgresErasure
    from dispatcher.queue.postgres.figures import PostgresFigures
    from dispatcher.queue.postgres.files import PostgresFiles
    from dispatcher.queue.postgres.history import PostgresHistory
    from dispatcher.queue.postgres.recording import PostgresRecording
    from dispatcher.queue.postgres.replay_selection import PostgresSelector
    from dispatcher.queue.postgres.replays import PostgresReplays
    from dispatcher.queue.postgres.retention import QueueRetention as PostgresRetention
    from dispatcher.queue.postgres.unrouted import PostgresUnrouted
    from receiver.store.postgres.audit import PostgresAudit
    from receiver.store.postgres.followup import PostgresFollower
    from receiver.store.postgres.store import PostgresStore

    fresh = FreshReports()
    store = PostgresStore(database, fresh=fresh)
    return Storage(
        store=store,
        outbox=store,
        read_model=PostgresFollower(database, fresh),
        queue=queue,
        replays=PostgresReplays(database, new_id),
        selector=PostgresSelector(database, store),
        sandbox_store=None,
        endpoints=PostgresEndpoints(database),
        retention=PostgresRetention(database),
        erasure=PostgresErasure(database, new_id),
        figures=PostgresFigures(database),
        files=PostgresFiles(database),
        history=PostgresHistory(database),
        activity=PostgresActivity(database),
        recording=PostgresRecording(database),
        time=PostgresTime(database),
        unrouted=PostgresUnrouted(database),
        audit=PostgresAudit(database),
    )


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


async def move(source: Path, target: str, *, watch: Watch, tell: Tell) -> Sequence[Compared]:
    """Move a SQLite file to an empty PostgreSQL database, or go on with it (how it goes is told by
    receiver/store/moving.py). Raises CopyRefused, CopyFailed, CopyBrokenOff, StoreUnavailable."""
    shown = without_credentials(target)
    is_file = source.parts[:1] not in (("postgresql:",), ("postgres:",))
    if not is_file or not is_postgres(target):
        raise CopyRefused(
            "a move goes from a SQLite file to PostgreSQL: expected --from FILE --to postgresql://…,"
            f" got --from {without_credentials(str(source))} --to {shown or 'nothing'}"
        )
    with opened_source(source, shown, MIGRATIONS) as file:
        await _refuse_foreign(target)
        await migrate(target)
        from receiver.store.postgres.moving import opened

        def run() -> Sequence[Compared]:
            with opened(target, MOVED) as database:
                return move_to(file, database, MOVED, watch, tell)

        return await to_thread(run)


def give_up_move(source: Path) -> bool:
    """Use a file again that was to be moved, or was. False when it was not. Raises CopyRefused."""
    with opened_source(source, "", MIGRATIONS) as file:
        return file.give_up()


def _file_of(url: str) -> Path:
    if url == ":memory:":
        raise CopyRefused("a database in memory cannot be copied: it ends with its process")
    if is_postgres(url):
        raise CopyRefused("a PostgreSQL database is copied by its own tools, such as pg_dump")
    return Path(url)

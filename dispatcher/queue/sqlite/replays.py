"""Replays in the SQLite file that also holds the dispatches they become."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from dispatcher.queue.sqlite import leaving, ordering
from dispatcher.queue.sqlite.endpoints import put_endpoint
from dispatcher.queue.sqlite.insert_dispatch import insert_dispatches
from dispatcher.replay.base import Portion
from dispatcher.replay.items import PIECE, Items
from dispatcher.replay.replay import (
    InvalidReplay,
    Item,
    Replay,
    ReplayState,
    UnknownReplay,
    target_name,
)
from dispatcher.replay.request import Request
from dispatcher.replay.rows import (
    COLUMNS,
    NEW_COLUMNS,
    Cancelled,
    Count,
    change_of,
    dispatches_of,
    encoded,
    items_in,
    new_replay,
    own_endpoint,
    placed_pieces,
    replays_of,
    writes_of,
)
from receiver.store.base import Message, StoredReport
from receiver.store.instants import micros
from receiver.store.report_rows import COLUMNS as REPORT_COLUMNS
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.rows import LISTED, listed, stored_report

_INSERT = f"""
    INSERT INTO replay ({NEW_COLUMNS})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# Of `tried` the replay itself has the counts.
_COUNTS = f"""
    SELECT replay, state, dispatches, reports, 0 FROM replay_count WHERE replay IN {LISTED}
    UNION ALL SELECT id, 'tried', tried, 0, attempts FROM replay WHERE id IN {LISTED}
    ORDER BY 1, 2
"""
_FEED = """
    UPDATE replay SET fed = ?, dropped = dropped + ?, anchor_at = ?, last_fed_at = ?,
        started_at = coalesce(started_at, ?)
    WHERE id = ? AND fed = ? AND state = 'running'
"""
# Conditions that say more than is needed are those of an index (held_report_replay,
# dispatch_replay_open): without them everything that is held or waits is gone through.
_HELD = "replay = ? AND replay > 0"
_CANCEL = """
    UPDATE dispatch SET state = 'cancelled', due_at = NULL WHERE id IN (
        SELECT id FROM dispatch
        WHERE replay = ? AND state = 'waiting' AND state IN ('waiting', 'leased') LIMIT ?
    )
"""
_LET_GO = """
    DELETE FROM held_report WHERE (endpoint, report, replay) IN (
        SELECT endpoint, report, replay FROM held_report
        WHERE replay = ? AND replay > 0 LIMIT ?
    )
"""
_OPEN = "SELECT 1 FROM dispatch WHERE replay = ? AND state IN ('waiting', 'leased') LIMIT 1"

TIDIED = 50
"""Pieces of items that are cleared away in a transaction."""


class SqliteReplays:
    """Implements ReplayStore (dispatcher/replay/base.py) on a Database."""

    def __init__(self, database: Database, new_id: Callable[[], str]) -> None:
        self._database = database
        self._new_id = new_id

    async def with_key(self, key: str) -> Replay | None:
        return await self._database.question(lambda c: _one(c, "key = ?", key))

    async def one(self, replay: int) -> Replay:
        found = await self._database.question(lambda c: _one(c, "id = ?", replay))
        if found is None:
            raise UnknownReplay(replay)
        return found

    async def all(self, before: int | None = None, limit: int = 100) -> list[Replay]:
        rest = "WHERE ? IS NULL OR id < ? ORDER BY id DESC LIMIT ?"
        return await self._database.question(lambda c: _all(c, rest, (before, before, limit)))

    async def unfinished(self) -> list[Replay]:
        return await self._database.read(lambda c: _all(c, "WHERE tidy = 0 ORDER BY id", ()))

    async def create(
        self, request: Request, items: Items, now: datetime, *, from_outside: bool
    ) -> tuple[Replay, bool]:
        def create(connection: sqlite3.Connection) -> tuple[Replay, bool]:
            if request.key is not None and (found := _one(connection, "key = ?", request.key)):
                return found, False
            number = _insert(connection, request, items, now)
            if request.to_url is not None:
                name, table = own_endpoint(number, request.to_url)
                put_endpoint(connection, name, table, from_outside)
            made = _one(connection, "id = ?", number)
            assert made is not None
            return made, True

        return await self._database.write(create)

    async def following(self, replay: Replay, limit: int) -> list[Item]:
        return await self._database.read(lambda c: items_of(c, replay.id, replay.fed, limit))

    async def freed(self, replay: Replay, limit: int) -> list[Item]:
        rows = await self._database.read(lambda c: ordering.freed_of_replay(c, replay.id, limit))
        return [Item(report, endpoint, 0) for endpoint, report in rows]

    async def blocked(
        self, replay: int, endpoint: str, reports: Sequence[StoredReport], freed: Sequence[int]
    ) -> frozenset[Message]:
        return await self._database.read(lambda c: _blocked(c, replay, endpoint, reports, freed))

    async def reports(self, items: Sequence[Item]) -> dict[int, StoredReport]:
        ids = listed(sorted({item.report for item in items}))
        rows = await self._database.read(
            lambda c: c.execute(
                f"SELECT {REPORT_COLUMNS} FROM report WHERE id IN {LISTED}", (ids,)
            ).fetchall()
        )
        return {report.id: report for report in map(stored_report, rows)}

    async def untried(self, replay: int, most: Mapping[str, int]) -> dict[str, int]:
        statement = (
            "SELECT count(*) FROM (SELECT 1 FROM dispatch WHERE replay = ? AND endpoint = ?"
            " AND state = 'waiting' AND attempts = 0 LIMIT ?)"
        )
        return await self._database.read(
            lambda c: {
                name: c.execute(statement, (replay, name, limit)).fetchone()[0]
                for name, limit in most.items()
            }
        )

    async def feed(self, portion: Portion, now: datetime) -> bool:
        return await self._database.write(lambda c: _feed(c, portion, micros(now), self._new_id))

    async def end(self, replay: int, state: ReplayState, now: datetime) -> int:
        """The first piece goes with the state; `tidy` finds what a crash leaves of the others."""
        piece = await self._database.write(lambda c: _end(c, replay, state, micros(now)))
        cancelled = piece.dispatches
        while not piece.last:
            piece = await self._database.write(lambda c: _cancel(c, replay))
            cancelled += piece.dispatches
        return cancelled

    async def finish(self, replay: int, now: datetime) -> bool:
        return await self._database.write(lambda c: _finish(c, replay, micros(now)))

    async def tidy(self, replay: int) -> bool:
        return await self._database.write(lambda c: _tidy(c, replay))

    async def tidied(self, replay: int) -> None:
        await self._database.write(lambda c: _tidied(c, replay))


def running(connection: sqlite3.Connection) -> dict[int, int]:
    """The running replays, and how far each is fed."""
    fed = "SELECT id, fed FROM replay WHERE tidy = 0 AND state = 'running'"
    return dict(connection.execute(fed).fetchall())


def pieces_from(
    connection: sqlite3.Connection, replay: int, position: int
) -> list[tuple[int, str]]:
    """The pieces that have items from this position on."""
    pieces = (
        "SELECT position, items FROM replay_piece WHERE replay = ? AND position > ?"
        " ORDER BY position"
    )
    return connection.execute(pieces, (replay, position - PIECE)).fetchall()


def _insert(connection: sqlite3.Connection, request: Request, items: Items, now: datetime) -> int:
    """The id of a new replay."""
    number = connection.execute(_INSERT, new_replay(request, items, now)).lastrowid
    assert number is not None
    if request.to_url is not None:
        name, _ = own_endpoint(number, request.to_url)
        change = "UPDATE replay SET endpoint = ?, endpoints = ? WHERE id = ?"
        connection.execute(change, (name, encoded([name]), number))
    pieces = [(number, *piece) for piece in placed_pieces(items)]
    connection.executemany("INSERT INTO replay_piece VALUES (?, ?, ?)", pieces)
    return number


def _one(connection: sqlite3.Connection, condition: str, value: int | str) -> Replay | None:
    return next(iter(_all(connection, f"WHERE {condition}", (value,))), None)


def _all(connection: sqlite3.Connection, rest: str, values: Sequence[Any]) -> list[Replay]:
    rows = connection.execute(f"SELECT {COLUMNS} FROM replay {rest}", values).fetchall()
    counts = connection.execute(_COUNTS, (listed(row[0] for row in rows),) * 2)
    return replays_of(rows, ((number, Count(*count)) for number, *count in counts))


def items_of(connection: sqlite3.Connection, replay: int, position: int, limit: int) -> list[Item]:
    row = connection.execute("SELECT endpoints FROM replay WHERE id = ?", (replay,)).fetchone()
    pieces = connection.execute(
        "SELECT position, items FROM replay_piece"
        " WHERE replay = ? AND position > ? AND position < ? ORDER BY position",
        (replay, position - PIECE, position + limit),
    )
    return items_in(pieces, row[0], position, limit)


def _blocked(
    connection: sqlite3.Connection,
    replay: int,
    endpoint: str,
    reports: Sequence[StoredReport],
    freed: Sequence[int],
) -> frozenset[Message]:
    reading = "SELECT read_to FROM endpoint WHERE name = ? AND NOT removed"
    row = connection.execute(reading, (endpoint,)).fetchone()
    unread = {each.message for each in reports if row is not None and each.id > row[0]}
    messages = [each.message for each in reports]
    return ordering.blocked(connection, replay, endpoint, messages, freed) | unread


def _feed(
    connection: sqlite3.Connection, portion: Portion, at: int, new_id: Callable[[], str]
) -> bool:
    writes = writes_of(portion)
    # A recipient may have been erased since the bodies were made: they must not come back.
    there = f"SELECT count(*) FROM report WHERE id IN {LISTED}"
    found: int = connection.execute(there, (listed(sorted(writes.reports)),)).fetchone()[0]
    if found < len(writes.reports) or not ordering.may_form(
        connection, portion.replay, writes.placed, writes.freed
    ):
        return False
    # An endpoint may have been removed since: what would wait for it, nobody would ever send.
    removed = f"SELECT 1 FROM endpoint WHERE removed AND name IN {LISTED} LIMIT 1"
    if connection.execute(removed, (listed(writes.endpoints),)).fetchone():
        return False
    if connection.execute(_FEED, change_of(portion, at)).rowcount != 1:
        return False
    ordering.write(connection, portion.replay, writes.hold, writes.freed)
    insert_dispatches(connection, dispatches_of(portion, at, new_id))
    return True


def _end(connection: sqlite3.Connection, replay: int, state: ReplayState, at: int) -> Cancelled:
    changed = connection.execute(
        "UPDATE replay SET state = ?, ended_at = ? WHERE id = ? AND state = 'running'",
        (state, at, replay),
    )
    if changed.rowcount != 1:
        row = connection.execute("SELECT state FROM replay WHERE id = ?", (replay,)).fetchone()
        if row is None:
            raise UnknownReplay(replay)
        raise InvalidReplay(replay, row[0], state)
    return _cancel(connection, replay)


def _cancel(connection: sqlite3.Connection, replay: int) -> Cancelled:
    let_go = connection.execute(_LET_GO, (replay, leaving.PIECE)).rowcount
    cancelled = connection.execute(_CANCEL, (replay, leaving.PIECE)).rowcount
    return Cancelled(cancelled, leaving.PIECE not in (let_go, cancelled))


def _finish(connection: sqlite3.Connection, replay: int, at: int) -> bool:
    held = f"SELECT 1 FROM held_report WHERE {_HELD} LIMIT 1"
    if any(connection.execute(left, (replay,)).fetchone() for left in (_OPEN, held)):
        return False
    changed = connection.execute(
        "UPDATE replay SET state = 'done', ended_at = ?"
        " WHERE id = ? AND state = 'running' AND fed = total",
        (at, replay),
    )
    return changed.rowcount == 1


def _tidy(connection: sqlite3.Connection, replay: int) -> bool:
    if not _cancel(connection, replay).last:
        return False
    removed = connection.execute(
        "DELETE FROM replay_piece WHERE replay = ? AND position IN"
        " (SELECT position FROM replay_piece WHERE replay = ? ORDER BY position LIMIT ?)",
        (replay, replay, TIDIED),
    ).rowcount
    return removed < TIDIED and connection.execute(_OPEN, (replay,)).fetchone() is None


def _tidied(connection: sqlite3.Connection, replay: int) -> None:
    """Nothing is left of the endpoint that was made for it: its row would be read for ever."""
    connection.execute("UPDATE replay SET tidy = 1 WHERE id = ?", (replay,))
    made = "name = ? AND removed AND (SELECT url FROM replay WHERE id = ?) IS NOT NULL"
    connection.execute(f"DELETE FROM endpoint WHERE {made}", (target_name(replay), replay))

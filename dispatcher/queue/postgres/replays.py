"""Replays in the PostgreSQL database that also holds the dispatches they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from dispatcher.queue.postgres import leaving, ordering
from dispatcher.queue.postgres.arrays import columns_of
from dispatcher.queue.postgres.endpoints import put_endpoint
from dispatcher.queue.postgres.insert_dispatch import insert_dispatches
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
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.rows import stored_report
from receiver.store.report_rows import COLUMNS as REPORT_COLUMNS

_INSERT = f"""
    INSERT INTO replay ({NEW_COLUMNS})
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (key) DO NOTHING RETURNING id
"""
_PIECES = """
    INSERT INTO replay_piece (replay, position, items)
    SELECT %s, * FROM unnest(%s::bigint[], %s::text[])
"""
_COUNTS = """
    SELECT replay, state, sum(dispatches)::bigint, sum(reports)::bigint, sum(attempts)::bigint
    FROM replay_count WHERE replay = ANY(%s::bigint[])
    GROUP BY replay, state ORDER BY replay, state COLLATE "C"
"""
_FEED = """
    UPDATE replay SET fed = %s, dropped = dropped + %s, anchor_at = %s, last_fed_at = %s,
        started_at = coalesce(started_at, %s)
    WHERE id = %s AND fed = %s AND state = 'running'
"""
# Conditions that say more than is needed are those of an index (held_report_replay,
# dispatch_replay_open): without them everything that is held or waits is gone through.
_HELD = "replay = %s AND replay > 0"
_CANCEL = """
    UPDATE dispatch SET state = 'cancelled', due_at = NULL WHERE id IN (
        SELECT id FROM dispatch
        WHERE replay = %s AND state = 'waiting' AND state IN ('waiting', 'leased')
        ORDER BY id LIMIT %s
    ) AND state = 'waiting'
"""
_LET_GO = """
    DELETE FROM held_report WHERE (endpoint, report, replay) IN (
        SELECT endpoint, report, replay FROM held_report
        WHERE replay = %s AND replay > 0 LIMIT %s
    )
"""
_OPEN = "SELECT 1 FROM dispatch WHERE replay = %s AND state IN ('waiting', 'leased') LIMIT 1"

TIDIED = 50
"""Pieces of items that are cleared away in a transaction."""


class PostgresReplays:
    """Implements ReplayStore (dispatcher/replay/base.py) on a Database."""

    def __init__(self, database: Database, new_id: Callable[[], str]) -> None:
        self._database = database
        self._new_id = new_id

    async def with_key(self, key: str) -> Replay | None:
        return await self._database.question(lambda c: _one(c, "key = %s", key))

    async def one(self, replay: int) -> Replay:
        found = await self._database.question(lambda c: _one(c, "id = %s", replay))
        if found is None:
            raise UnknownReplay(replay)
        return found

    async def all(self, before: int | None = None, limit: int = 100) -> list[Replay]:
        rest = "WHERE %s::bigint IS NULL OR id < %s ORDER BY id DESC LIMIT %s"
        return await self._database.question(lambda c: _all(c, rest, (before, before, limit)))

    async def unfinished(self) -> list[Replay]:
        return await self._database.read(lambda c: _all(c, "WHERE NOT tidy ORDER BY id", ()))

    async def create(
        self, request: Request, items: Items, now: datetime, *, from_outside: bool
    ) -> tuple[Replay, bool]:
        def create(connection: Connection) -> tuple[Replay, bool]:
            number = _insert(connection, request, items, now)
            if number is None:
                found = _one(connection, "key = %s", request.key or "")
                assert found is not None
                return found, False
            if request.to_url is not None:
                name, table = own_endpoint(number, request.to_url)
                put_endpoint(connection, name, table, from_outside)
            made = _one(connection, "id = %s", number)
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
        ids = sorted({item.report for item in items})
        statement = f"SELECT {REPORT_COLUMNS} FROM report WHERE id = ANY(%s::bigint[])"
        rows = await self._database.read(lambda c: c.execute(statement, (ids,)).fetchall())
        return {report.id: report for report in map(stored_report, rows)}

    async def untried(self, replay: int, most: Mapping[str, int]) -> dict[str, int]:
        statement = (
            "SELECT count(*) FROM (SELECT 1 FROM dispatch WHERE replay = %s AND endpoint = %s"
            " AND state = 'waiting' AND attempts = 0 LIMIT %s) AS untried"
        )
        return await self._database.read(
            lambda c: {
                name: row_of(c.execute(statement, (replay, name, limit)))[0]
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


def running(connection: Connection) -> dict[int, int]:
    """The running replays, and how far each is fed."""
    fed = "SELECT id, fed FROM replay WHERE NOT tidy AND state = 'running'"
    return dict(connection.execute(fed).fetchall())


def pieces_from(connection: Connection, replay: int, position: int) -> list[tuple[int, str]]:
    """The pieces that have items from this position on."""
    pieces = (
        "SELECT position, items FROM replay_piece WHERE replay = %s AND position > %s"
        " ORDER BY position"
    )
    return connection.execute(pieces, (replay, position - PIECE)).fetchall()


def _insert(connection: Connection, request: Request, items: Items, now: datetime) -> int | None:
    """The id of a new replay; None when there is one with its key."""
    row = connection.execute(_INSERT, new_replay(request, items, now)).fetchone()
    if row is None:
        return None
    number = int(row[0])
    if request.to_url is not None:
        name, _ = own_endpoint(number, request.to_url)
        change = "UPDATE replay SET endpoint = %s, endpoints = %s WHERE id = %s"
        connection.execute(change, (name, encoded([name]), number))
    connection.execute(_PIECES, (number, *columns_of(placed_pieces(items), 2)))
    return number


def _one(connection: Connection, condition: str, value: int | str) -> Replay | None:
    return next(iter(_all(connection, f"WHERE {condition}", (value,))), None)


def _all(connection: Connection, rest: str, values: Sequence[Any]) -> list[Replay]:
    rows = connection.execute(f"SELECT {COLUMNS} FROM replay {rest}", values).fetchall()
    counts = connection.execute(_COUNTS, ([row[0] for row in rows],))
    return replays_of(rows, ((number, Count(*count)) for number, *count in counts))


def items_of(connection: Connection, replay: int, position: int, limit: int) -> list[Item]:
    row = row_of(connection.execute("SELECT endpoints FROM replay WHERE id = %s", (replay,)))
    pieces = connection.execute(
        "SELECT position, items FROM replay_piece"
        " WHERE replay = %s AND position > %s AND position < %s ORDER BY position",
        (replay, position - PIECE, position + limit),
    )
    return items_in(pieces, row[0], position, limit)


def _blocked(
    connection: Connection,
    replay: int,
    endpoint: str,
    reports: Sequence[StoredReport],
    freed: Sequence[int],
) -> frozenset[Message]:
    reading = "SELECT read_to FROM endpoint WHERE name = %s AND NOT removed"
    row = connection.execute(reading, (endpoint,)).fetchone()
    unread = {each.message for each in reports if row is not None and each.id > row[0]}
    messages = [each.message for each in reports]
    return ordering.blocked(connection, replay, endpoint, messages, freed) | unread


_KEEP_ENDPOINTS = """
    SELECT removed FROM endpoint WHERE name = ANY(%s::text[]) ORDER BY name FOR KEY SHARE
"""
"""Whoever removes one of them meanwhile waits, and then finds what was fed (leaving.py)."""


def _feed(connection: Connection, portion: Portion, at: int, new_id: Callable[[], str]) -> bool:
    writes = writes_of(portion)
    # A recipient may have been erased since the bodies were made: they must not come back.
    there = "SELECT count(*) FROM report WHERE id = ANY(%s::bigint[])"
    found = row_of(connection.execute(there, (sorted(writes.reports),)))[0]
    if found < len(writes.reports) or not ordering.may_form(
        connection, portion.replay, writes.placed, writes.freed
    ):
        return False
    # An endpoint may have been removed since: what would wait for it, nobody would ever send.
    kept = connection.execute(_KEEP_ENDPOINTS, (writes.endpoints,)).fetchall()
    if any(removed for (removed,) in kept):
        return False
    if connection.execute(_FEED, change_of(portion, at)).rowcount != 1:
        return False
    ordering.write(connection, portion.replay, writes.hold, writes.freed)
    insert_dispatches(connection, dispatches_of(portion, at, new_id))
    return True


def _end(connection: Connection, replay: int, state: ReplayState, at: int) -> Cancelled:
    changed = connection.execute(
        "UPDATE replay SET state = %s, ended_at = %s WHERE id = %s AND state = 'running'",
        (state, at, replay),
    )
    if changed.rowcount != 1:
        row = connection.execute("SELECT state FROM replay WHERE id = %s", (replay,)).fetchone()
        if row is None:
            raise UnknownReplay(replay)
        raise InvalidReplay(replay, row[0], state)
    return _cancel(connection, replay)


def _cancel(connection: Connection, replay: int) -> Cancelled:
    let_go = connection.execute(_LET_GO, (replay, leaving.PIECE)).rowcount
    cancelled = connection.execute(_CANCEL, (replay, leaving.PIECE)).rowcount
    return Cancelled(cancelled, leaving.PIECE not in (let_go, cancelled))


def _finish(connection: Connection, replay: int, at: int) -> bool:
    held = f"SELECT 1 FROM held_report WHERE {_HELD} LIMIT 1"
    if any(connection.execute(left, (replay,)).fetchone() for left in (_OPEN, held)):
        return False
    changed = connection.execute(
        "UPDATE replay SET state = 'done', ended_at = %s"
        " WHERE id = %s AND state = 'running' AND fed = total",
        (at, replay),
    )
    return changed.rowcount == 1


def _tidy(connection: Connection, replay: int) -> bool:
    if not _cancel(connection, replay).last:
        return False
    removed = connection.execute(
        "DELETE FROM replay_piece WHERE replay = %s AND position IN"
        " (SELECT position FROM replay_piece WHERE replay = %s ORDER BY position LIMIT %s)",
        (replay, replay, TIDIED),
    ).rowcount
    return removed < TIDIED and connection.execute(_OPEN, (replay,)).fetchone() is None


def _tidied(connection: Connection, replay: int) -> None:
    """Nothing is left of the endpoint that was made for it: its row would be read for ever."""
    connection.execute("UPDATE replay SET tidy = true WHERE id = %s", (replay,))
    made = "name = %s AND removed AND (SELECT url FROM replay WHERE id = %s) IS NOT NULL"
    connection.execute(f"DELETE FROM endpoint WHERE {made}", (target_name(replay), replay))

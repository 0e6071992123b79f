"""Replays in the PostgreSQL database that also holds the dispatches they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from dispatcher.forming.new_dispatch import new_dispatch
from dispatcher.queue.base import Forming
from dispatcher.queue.ordering import held_by, placed_by
from dispatcher.queue.postgres import leaving, ordering
from dispatcher.queue.postgres.endpoints import put_endpoint
from dispatcher.queue.postgres.insert_dispatch import insert_dispatches
from dispatcher.replay.base import Portion
from dispatcher.replay.items import PIECE, Items, read_piece
from dispatcher.replay.pace import Fed, Original, Pace, Rate, rate
from dispatcher.replay.replay import (
    InvalidReplay,
    Item,
    Replay,
    ReplayState,
    UnknownReplay,
    target_name,
)
from dispatcher.replay.request import Request, Selection
from receiver.faults import without_credentials
from receiver.store.base import Message, StoredReport
from receiver.store.instants import instant, instant_or_none, micros
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.rows import COLUMNS, stored_report

_STORED = """
    SELECT id, key, state, created_at, selection, endpoint, url, rate, speed, stop_on_errors,
        total, fed, dropped, started_at, last_fed_at, anchor_at, ended_at
    FROM replay
"""
_INSERT = """
    INSERT INTO replay (key, state, created_at, selection, endpoint, url, rate, speed,
        stop_on_errors, total, ended_at, endpoints)
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
                name = target_name(number)
                table = {"name": name, "url": request.to_url, "reports": "none"}
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
        statement = f"SELECT {COLUMNS} FROM report WHERE id = ANY(%s::bigint[])"
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
        cancelled = piece.cancelled
        while not piece.last:
            piece = await self._database.write(lambda c: _cancel(c, replay))
            cancelled += piece.cancelled
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
    at = micros(now)
    row = connection.execute(
        _INSERT,
        (
            request.key,
            "running" if items else "done",
            at,
            msgspec.json.encode(request.selection).decode(),
            request.to_endpoint,
            None if request.to_url is None else without_credentials(request.to_url),
            str(request.pace) if isinstance(request.pace, Rate) else None,
            request.pace.speed if isinstance(request.pace, Original) else None,
            request.stop_on_errors,
            len(items),
            None if items else at,
            _encoded(items.endpoints),
        ),
    ).fetchone()
    if row is None:
        return None
    number = int(row[0])
    if request.to_url is not None:
        name = target_name(number)
        change = "UPDATE replay SET endpoint = %s, endpoints = %s WHERE id = %s"
        connection.execute(change, (name, _encoded([name]), number))
    pieces = list(items.pieces())
    positions = [place * PIECE for place in range(len(pieces))]
    connection.execute(_PIECES, (number, positions, pieces))
    return number


def _encoded(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()


def _one(connection: Connection, condition: str, value: int | str) -> Replay | None:
    return next(iter(_all(connection, f"WHERE {condition}", (value,))), None)


def _all(connection: Connection, rest: str, values: Sequence[Any]) -> list[Replay]:
    rows = connection.execute(f"{_STORED} {rest}", values).fetchall()
    counts: dict[int, list[_Count]] = {row[0]: [] for row in rows}
    for replay, *count in connection.execute(_COUNTS, ([*counts],)):
        counts[replay].append(_Count(*count))
    return [_replay(row, counts[row[0]]) for row in rows]


class _Count(NamedTuple):
    """How many dispatches of a replay, with how many reports, are in a state; or were tried, with
    how many attempts."""

    state: Any
    dispatches: int
    reports: int
    attempts: int


def _replay(row: Sequence[Any], by_state: Sequence[_Count]) -> Replay:
    number, key, state, created_at, selection, endpoint, url, at_rate, speed, stop, *counts = row
    total, fed, dropped, started, last_fed, anchor, ended = counts
    tried = [count for count in by_state if count.state == "tried"]
    return Replay(
        id=number,
        key=key,
        state=state,
        created_at=instant(created_at),
        selection=msgspec.json.decode(selection, type=Selection),
        endpoint=endpoint,
        url=url,
        pace=_pace(at_rate, speed),
        stop_on_errors=stop,
        total=total,
        fed=fed,
        dropped=dropped,
        held=sum(count.reports for count in by_state if count.state == "held"),
        counts={
            count.state: count.reports for count in by_state if count.state not in ("held", "tried")
        },
        tried=sum(count.dispatches for count in tried),
        attempts=sum(count.attempts for count in tried),
        acknowledged=sum(count.dispatches for count in by_state if count.state == "acknowledged"),
        progress=Fed(instant_or_none(anchor), instant_or_none(last_fed)),
        started_at=instant_or_none(started),
        ended_at=instant_or_none(ended),
    )


def _pace(at_rate: str | None, speed: float | None) -> Pace:
    if at_rate is not None:
        return rate(at_rate)
    return None if speed is None else Original(speed)


def items_of(connection: Connection, replay: int, position: int, limit: int) -> list[Item]:
    row = row_of(connection.execute("SELECT endpoints FROM replay WHERE id = %s", (replay,)))
    endpoints = msgspec.json.decode(row[0], type=list[str])
    pieces = connection.execute(
        "SELECT position, items FROM replay_piece"
        " WHERE replay = %s AND position > %s AND position < %s ORDER BY position",
        (replay, position - PIECE, position + limit),
    )
    return [
        item
        for start, piece in pieces
        for place, item in enumerate(read_piece(piece, endpoints), start)
        if position <= place < position + limit
    ]


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
    formings = portion.formings
    placed = [place for forming in formings for place in placed_by(forming)]
    hold = [place for forming in formings for place in held_by(forming)]
    freed = [(each.endpoint.name, report) for each in formings for report in each.freed]
    freed += portion.gone
    if not _all_there(connection, formings) or not ordering.may_form(
        connection, portion.replay, placed, freed
    ):
        return False
    # An endpoint may have been removed since: what would wait for it, nobody would ever send.
    names = [each.endpoint.name for each in formings if each.buckets or each.hold]
    if any(removed for (removed,) in connection.execute(_KEEP_ENDPOINTS, (names,)).fetchall()):
        return False
    anchor = micros(portion.anchor_at)
    change = (portion.fed_to, portion.dropped, anchor, at, at, portion.replay, portion.fed_from)
    if connection.execute(_FEED, change).rowcount != 1:
        return False
    ordering.write(connection, portion.replay, hold, freed)
    new = [
        new_dispatch(
            forming.endpoint, bucket, body, at, webhook_id_end=new_id(), replay=portion.replay
        )
        for forming in formings
        for bucket, body in zip(forming.buckets, forming.bodies, strict=True)
    ]
    insert_dispatches(connection, new)
    return True


def _all_there(connection: Connection, formings: Sequence[Forming]) -> bool:
    """A recipient may have been erased since the bodies were made: they must not come back."""
    buckets = (bucket.reports for forming in formings for bucket in forming.buckets)
    members = {report.id for reports in buckets for report in reports}
    members.update(report.id for forming in formings for report in forming.hold)
    there = "SELECT count(*) FROM report WHERE id = ANY(%s::bigint[])"
    return bool(row_of(connection.execute(there, (sorted(members),)))[0] == len(members))


def _end(connection: Connection, replay: int, state: ReplayState, at: int) -> _Piece:
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


class _Piece(NamedTuple):
    """How many dispatches were cancelled, and whether nothing waits or is held any more."""

    cancelled: int
    last: bool


def _cancel(connection: Connection, replay: int) -> _Piece:
    let_go = connection.execute(_LET_GO, (replay, leaving.PIECE)).rowcount
    cancelled = connection.execute(_CANCEL, (replay, leaving.PIECE)).rowcount
    return _Piece(cancelled, leaving.PIECE not in (let_go, cancelled))


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

"""The SQLite file that is moved to another database (store/moving.py).

From the beginning of a move until its end, triggers note the keys of all rows that change, whoever
changes them, in a table `moving_…` beside each table that is moved. The table `moving` says which
move that is. Both are no part of the schema: without a move they are not there.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from receiver.store.base import StoreUnavailable
from receiver.store.callback import quarantine_digest
from receiver.store.copies import CopyFailed, CopyRefused
from receiver.store.migrations import Migration, is_missing
from receiver.store.moving import Changes, Columns, Key, Row, Table
from receiver.store.sqlite.backup import opened_to_read, versions_in
from receiver.store.sqlite.claims import Claims
from receiver.store.sqlite.database import BUSY_TIMEOUT_SECONDS, PRAGMAS
from receiver.store.sqlite.rows import days_of_keys, last_id
from receiver.store.sqlite.turns import Turns

PIECE_ROWS = 10_000
PIECE_BYTES = 16 * 1024**2
"""A piece ends with whichever comes first. At least one row is in it."""

LOOK_SECONDS = 0.1
"""How often it is looked whether the file stands still."""

_BODY_OF_REPORT = """
    coalesce(
        (SELECT CASE WHEN last_report >= report.id THEN first_report END FROM received_body
            WHERE first_report <= report.id ORDER BY first_report DESC LIMIT 1),
        CASE WHEN report.id <= (SELECT report FROM bodies_kept_after) THEN report.id END
    )
"""
"""The body that a report came in. Of the oldest ones no body was kept: they name one that is not
there."""

TABLES = [
    Table(
        "report",
        ("id",),
        {"item": "CAST(item AS BLOB)", "body": _BODY_OF_REPORT},
        sequence="report_id",
    ),
    Table("report_key", ("day", "message_key", "source", "identity")),
    Table("received_body", ("id",), {"id": "first_report"}),
    Table(
        "quarantine",
        ("id",),
        {"digest": "iif(digest IS NULL, NULL, quarantine_digest(source, content_type, body))"},
        sequence="quarantine_id_seq",
    ),
    Table("search_key", ("block", "field", "key", "report")),
    Table("outcome", ("id",)),
    Table("total", ("span", "start", "source", "outcome")),
    Table("price_total", ("span", "start", "source", "final", "currency")),
    Table("duration_total", ("span", "start", "source", "final", "bin")),
    Table("part", ("id",)),
    Table("part_total", ("dimension", "span", "start", "part", "source", "outcome")),
    Table(
        "part_price_total", ("dimension", "span", "start", "part", "source", "final", "currency")
    ),
    Table("part_duration_total", ("dimension", "span", "start", "part", "source", "final", "bin")),
    Table("audit", ("id",), sequence="audit_id_seq"),
    Table("followed"),
]
"""What the receiver has, in the order in which it is copied."""

_STATE = """
    CREATE TABLE moving (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        move TEXT NOT NULL,
        target TEXT NOT NULL, -- as it may be shown
        done INTEGER NOT NULL
    ) STRICT
"""
_HAS_STATE = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'moving')"
_NOTES = """
    SELECT type, name FROM sqlite_schema WHERE name LIKE 'moving#_%' ESCAPE '#'
        AND type IN ('table', 'trigger') ORDER BY type DESC
"""
_IS_SANDBOX = """
    SELECT EXISTS (SELECT 1 FROM sandbox WHERE (ahead, seen_at, rules) <> (0, 0, '[]'))
        OR EXISTS (SELECT 1 FROM sandbox_message) OR EXISTS (SELECT 1 FROM sandbox_inbox)
"""
_IS_BEHIND = """
    SELECT EXISTS (SELECT 1 FROM parts_followed WHERE report < last)
        OR EXISTS (SELECT 1 FROM cost_followed WHERE report < last)
"""


class _State(NamedTuple):
    """A move that was begun. `target`: as it may be shown."""

    move: str
    target: str
    is_done: bool


class SqliteSource:
    """Implements Source. Make it with `opened`."""

    def __init__(self, path: Path, target: str, claims: Claims) -> None:
        self._path = path
        self._target = target
        self._claims = claims
        self._turns = Turns(path)
        if not self._turns.are_locks:
            raise CopyRefused(
                f"nobody can tell here whether {path} is in use: move it on Linux or macOS, from a"
                " folder that you may write to"
            )
        self._reader = _connected(path)
        self._writer = _connected(path)
        self._state = self._read_state()

    @property
    def move(self) -> str | None:
        return self._state.move if self._state else None

    @property
    def _is_done(self) -> bool:
        return self._state is not None and self._state.is_done

    def begin(self, tables: Collection[Table]) -> str:
        if self._is_done:
            raise CopyRefused(str(moved_to(self._reader)))
        if self._state and (begun := self._state.target) != self._target:
            raise CopyRefused(
                f"a move to {begun} was begun: continue it with --to {begun}, or give it up with"
                f" `dlr migrate --give-up --from {self._path}` and then begin the other one"
            )
        move = secrets.token_hex(8)

        def begin(connection: sqlite3.Connection) -> None:
            _remove_notes(connection)
            connection.execute("DROP TABLE IF EXISTS moving")
            connection.execute(_STATE)
            connection.execute("INSERT INTO moving VALUES (1, ?, ?, 0)", (move, self._target))
            connection.execute("CREATE TABLE moving_ends (name TEXT PRIMARY KEY, last INTEGER)")
            for table in tables:
                for statement in _notes_of(table, connection):
                    connection.execute(statement)
                if len(table.key) == 1:
                    last = f"SELECT coalesce(max({_key(table)}), 0) FROM {table.name}"
                    connection.execute(
                        f"INSERT INTO moving_ends VALUES (?, ({last}))", (table.name,)
                    )

        self._write(begin)
        self._state = self._read_state()
        return move

    @contextmanager
    def view(self) -> Iterator[_View]:
        self._reader.execute("BEGIN")
        try:
            yield _View(self._reader)
        finally:
            self._reader.execute("ROLLBACK")

    def count(self, table: Table) -> int:
        (rows,) = self._reader.execute(f"SELECT count(*) FROM {table.name}").fetchone()
        return int(rows)

    def days_of_keys(self) -> Sequence[int]:
        return days_of_keys(self._reader)

    def pieces(
        self, table: Table, columns: Columns, after: Key | None
    ) -> Iterator[tuple[Key, Sequence[Row]]]:
        names = list(columns)
        key_at = [names.index(each) for each in table.key]
        end = self._end_of_copy(table)
        while True:
            conditions, values = _after(table, after, end)
            statement = f"{_select(table, columns)} WHERE {conditions} ORDER BY {_key(table)}"
            rows = self._reader.execute(f"{statement} LIMIT {PIECE_ROWS}", values)
            piece, _ = _piece(iter(_canonical(rows, columns)))
            rows.close()
            if not piece:
                return
            after = tuple(piece[-1][at] for at in key_at)
            yield after, piece

    def _end_of_copy(self, table: Table) -> int | None:
        """Up to which id a table is copied, as it was at the beginning: what came after it is
        noted. So a value that only one row may have is not copied twice, under the id of a row that
        has gone meanwhile and under the one that came then."""
        ends = self._reader.execute("SELECT last FROM moving_ends WHERE name = ?", (table.name,))
        end = ends.fetchone()
        return None if end is None else int(end[0])

    def forget(self, table: Table, noted: int) -> None:
        forget = f"DELETE FROM moving_{table.name} WHERE seq <= ?"
        self._write(lambda connection: connection.execute(forget, (noted,)).close())

    def stands_still(self) -> bool:
        return self._turns.stay_alone()

    def wait(self) -> None:
        time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        def close(connection: sqlite3.Connection) -> None:
            _remove_notes(connection)
            connection.execute("UPDATE moving SET done = 1")

        self._write(close)
        self._state = self._read_state()

    def give_up(self) -> bool:
        """End the move, or take back that it was made. False when there is none."""

        def give_up(connection: sqlite3.Connection) -> None:
            _remove_notes(connection)
            connection.execute("DROP TABLE moving")

        if self._state is None:
            return False
        self._write(give_up)
        return True

    def end(self) -> None:
        self._reader.close()
        self._writer.close()
        self._turns.close()
        self._claims.close()

    def _read_state(self) -> _State | None:
        if not self._reader.execute(_HAS_STATE).fetchone()[0]:
            return None
        move, target, done = self._reader.execute(
            "SELECT move, target, done FROM moving"
        ).fetchone()
        return _State(move, target, bool(done))

    def _write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        with self._turns.turn(BUSY_TIMEOUT_SECONDS):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                work(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise


class _View:
    """Implements View, within a read transaction."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader
        (self._has_notes,) = reader.execute(
            "SELECT count(*) > 0 FROM sqlite_schema WHERE name LIKE 'moving#_%' ESCAPE '#'"
        ).fetchone()

    def changes(self, table: Table, columns: Columns) -> Iterator[Changes]:
        if not self._has_notes:  # the move was made
            return
        names = ", ".join(table.key)
        of_key = {name: columns[name] for name in table.key}
        notes = self._reader.execute(f"SELECT seq, {names} FROM moving_{table.name} ORDER BY seq")
        is_it = " AND ".join(f"{_value(table, name)} = ?" for name in table.key)
        select = f"{_select(table, columns)} WHERE {is_it}"
        keys: dict[Key, None] = {}
        rows: list[Row] = []
        size, seq = 0, 0
        for seq, *key in notes:
            (told,) = _canonical(iter([tuple(key)]), of_key)
            if told not in keys:
                keys[told] = None
                for row in _canonical(self._reader.execute(select, told), columns):
                    rows.append(row)
                    size += _size(row)
            if len(keys) >= PIECE_ROWS or size >= PIECE_BYTES:
                yield Changes(list(keys), rows, seq)
                keys, rows, size = {}, [], 0
        if keys:
            yield Changes(list(keys), rows, seq)

    def all(self, table: Table, columns: Columns) -> Iterator[Row]:
        return _canonical(self._reader.execute(_select(table, columns)), columns)

    def last_id(self, table: Table) -> int:
        (highest,) = self._reader.execute(f"SELECT max(id) FROM {table.name}").fetchone()
        return max(highest or 0, last_id(self._reader, table.name))


@contextmanager
def opened(path: Path, target: str, migrations: Sequence[Migration]) -> Iterator[SqliteSource]:
    """A file that can be moved to `target`, as that may be shown.

    Raises CopyRefused: it is no file of dlr's, of another schema, a sandbox's, not ready for it, or
    is being moved by another process. Raises CopyFailed when it cannot be read or written.
    """
    with closing(opened_to_read(path)) as database:
        _refuse(path, database, migrations)
    claims = Claims(path)
    if not claims.take("move"):
        raise CopyRefused(f"another `dlr migrate` is moving {path}: stop it, or wait for its end")
    try:
        source = SqliteSource(path, target, claims)
        try:
            yield source
        finally:
            source.end()
    except sqlite3.Error as error:
        raise CopyFailed(f"{path} cannot be used: {error}") from error


def moved_to(connection: sqlite3.Connection) -> str | None:
    """Why this file is not to be used any more; None: it was not moved."""
    if not connection.execute(_HAS_STATE).fetchone()[0]:
        return None
    target, is_done = connection.execute("SELECT target, done FROM moving").fetchone()
    if not is_done:
        return None
    return (
        f"this database was moved to {target}: use that one. `dlr migrate --give-up --from FILE`"
        " makes the file usable again, without what has come since"
    )


def _refuse(path: Path, database: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    versions = versions_in(database)
    try:
        is_old = any(is_missing(step, migrations, versions) for step in migrations)
    except StoreUnavailable as error:
        raise CopyRefused(f"{path}: {error}") from error
    if is_old:
        raise CopyRefused(
            f"{path} has an older schema: run `dlr migrate --database {path}`, or start this"
            " version of dlr on it, then move it"
        )
    if database.execute(_IS_SANDBOX).fetchone()[0]:
        raise CopyRefused(f"{path} is the database of a sandbox, which keeps to SQLite")
    if database.execute(_IS_BEHIND).fetchone()[0]:
        raise CopyRefused(
            f"{path} is still adding up its older reports by network, sender and cost: start"
            " `dlr serve` on it, and move it some minutes later"
        )


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS, check_same_thread=False
    )
    for pragma in PRAGMAS:
        connection.execute(pragma)
    # What it notes and forgets may name people.
    connection.execute("PRAGMA secure_delete = ON")
    connection.create_function("quarantine_digest", 3, quarantine_digest, deterministic=True)
    return connection


# --- statements ---------------------------------------------------------------------------------


def _value(table: Table, column: str) -> str:
    return table.values.get(column, column)


def _key(table: Table) -> str:
    return ", ".join(_value(table, column) for column in table.key)


def _select(table: Table, columns: Columns) -> str:
    values = ", ".join(f"{_value(table, column)} AS {column}" for column in columns)
    return f"SELECT {values} FROM {table.rows or table.name}"


def _after(table: Table, after: Key | None, end: int | None) -> tuple[str, list[Any]]:
    """A condition for the rows after a key, up to an end, and its parameters."""
    conditions = ["true"]
    values: list[Any] = []
    if after is not None:
        conditions.append(f"({_key(table)}) > ({', '.join('?' * len(after))})")
        values += after
    if end is not None:
        conditions.append(f"{_key(table)} <= ?")
        values.append(end)
    return " AND ".join(conditions), values


def _notes_of(table: Table, connection: sqlite3.Connection) -> Iterator[str]:
    """What notes the keys of the rows of a table that change."""
    types = {
        name: type for _, name, type, *_ in connection.execute(f"PRAGMA table_info({table.name})")
    }
    of_source = [_value(table, column) for column in table.key]
    columns = ", ".join(
        f"{column} {types[name]} NOT NULL"
        for column, name in zip(table.key, of_source, strict=True)
    )
    notes = f"moving_{table.name}"
    yield f"CREATE TABLE {notes} (seq INTEGER PRIMARY KEY, {columns}) STRICT"
    for event, row in (("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")):
        told = ", ".join(f"{row}.{name}" for name in of_source)
        yield (
            f"CREATE TRIGGER {notes}_{event.lower()} AFTER {event} ON {table.name} BEGIN"
            f" INSERT INTO {notes} ({', '.join(table.key)}) VALUES ({told}); END"
        )


def _remove_notes(connection: sqlite3.Connection) -> None:
    for type, name in connection.execute(_NOTES).fetchall():  # triggers go before tables
        connection.execute(f"DROP {type} IF EXISTS {name}")


# --- rows ---------------------------------------------------------------------------------------

_READ: dict[str, Callable[[Any], Any]] = {
    "boolean": bool,
    "numeric": Decimal,
    "bigint[]": json.loads,
}
"""How a value is read for a column of the target that has such a type."""


def _canonical(rows: Iterator[Any], columns: Columns) -> Iterator[Row]:
    """Rows as both databases give them."""
    read = [(at, _READ[type]) for at, type in enumerate(columns.values()) if type in _READ]
    if not read:
        yield from rows
        return
    for row in rows:
        told = list(row)
        for at, of in read:
            if told[at] is not None:
                told[at] = of(told[at])
        yield tuple(told)


def _piece(rows: Iterator[Row]) -> tuple[list[Row], int]:
    """As many rows as make a piece, and their size."""
    piece, size = [], 0
    for row in rows:
        piece.append(row)
        size += _size(row)
        if len(piece) >= PIECE_ROWS or size >= PIECE_BYTES:
            break
    return piece, size


def _size(row: Row) -> int:
    return sum(len(value) for value in row if isinstance(value, str | bytes))

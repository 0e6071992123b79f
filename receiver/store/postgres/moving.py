"""The PostgreSQL database that a SQLite file is moved to (store/moving.py).

Until the move is made nobody else uses it: `moving` says so, and whoever opens the database looks
(`wait_until_moved`). The triggers are off until then: what follows from a change of a row has been
done in the source, and is taken over as rows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from time import monotonic
from typing import Any

import psycopg
from psycopg.errors import UniqueViolation

from receiver.store.base import StoreUnreachable
from receiver.store.copies import CopyFailed, CopyRefused
from receiver.store.moving import Changes, Columns, Compared, Key, Look, Row, State, Sum, Table
from receiver.store.postgres.database import Connection, Database, row_of, said
from receiver.store.postgres.partitions import ALL, make_for, make_keys_for
from receiver.store.postgres.texts import adapt_texts

FETCHED = 5_000
"""Rows that are fetched at once when all are read."""

NAMED = 3
"""At most so many tables of another program are named."""

LOOK_SECONDS = 0.1
"""How often a database that is being filled is looked at."""

# The statements of a move take as long as they take, and wait for nobody. Tables that nobody has
# analysed yet are read by their indexes.
_BEGIN = (
    "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;"
    " SET LOCAL lock_timeout = '10s';"
    " SET LOCAL enable_seqscan = off; SET LOCAL jit = off"
)
_UNFLUSHED = "SET LOCAL synchronous_commit = off"

_COLUMNS = """
    SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_TRIGGERS = """
    SELECT DISTINCT relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE NOT tgisinternal AND tgparentid = 0 AND relnamespace = current_schema()::regnamespace
        AND relname = ANY(%s::text[])
"""
# What an extension has brought is nobody's data. Many programs have a table schema_version.
_FOREIGN = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = ANY('{r,p,f,m,v}')
        AND NOT relispartition
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
        AND NOT EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('schema_version') AND attname = 'part'
        )
    ORDER BY relname
"""
_IS_FILLED = "SELECT EXISTS (SELECT FROM moving WHERE state <> 'done')"


async def wait_until_moved(database: Database, wait: float) -> None:
    """Wait, at most so many seconds, until a move to this database is made. Raises StoreUnreachable
    when it is not."""
    deadline = monotonic() + wait
    while await database.read(lambda c: row_of(c.execute(_IS_FILLED))[0]):
        if monotonic() >= deadline:
            raise StoreUnreachable(
                "a SQLite file is being moved to this database: it can be used when"
                " `dlr migrate --from` has ended"
            )
        await asyncio.sleep(LOOK_SECONDS)


async def refuse_foreign(database: Database) -> None:
    """Raises CopyRefused for a database that dlr has never used and that holds what is another
    program's: names such as `report` could be those of both, now or after an upgrade."""
    found = await database.read(lambda c: [name for (name,) in c.execute(_FOREIGN)])
    if found:
        named = ", ".join(found[:NAMED])
        if len(found) > NAMED:
            named += f" and {len(found) - NAMED} more"
        raise CopyRefused(
            f"the target is not empty, it has tables of another program ({named}): give a database"
            " of its own"
        )


@contextmanager
def opened(url: str, tables: Sequence[Table]) -> Iterator[PostgresTarget]:
    """A migrated database that these tables can be moved to. Raises CopyFailed when it, or the way
    to it, breaks: the move can be asked for again."""
    try:
        # A pooler in transaction mode may be between, which knows no prepared statements.
        with closing(psycopg.connect(url, autocommit=True, prepare_threshold=None)) as connection:
            adapt_texts(connection)
            yield PostgresTarget(connection, tables)
    except psycopg.Error as error:
        raise CopyFailed(f"the target cannot be used: {said(error)}") from error


class PostgresTarget:
    """Implements Target."""

    def __init__(self, connection: Connection, tables: Sequence[Table]) -> None:
        self._connection = connection
        self._tables = tables
        self._columns: dict[str, Columns] = {}

    def state(self, move: str | None) -> State | None:
        row = self._connection.execute("SELECT move, state FROM moving").fetchone()
        if row is not None and row[0] == move:
            state: State = row[1]
            return state
        if row is not None:
            raise CopyRefused(
                "another database is being moved to the target, or was: give an empty database"
            )
        for table in self._tables:
            if (table.key or table.name == "endpoint") and self._has_rows(table):
                raise CopyRefused(
                    f"the target is not empty, it has rows in {table.name}: give an empty database"
                )
        return None

    def _has_rows(self, table: Table) -> bool:
        has = f"SELECT EXISTS (SELECT FROM {table.name})"
        return bool(row_of(self._connection.execute(has))[0])

    def begin(self, move: str, ids: Mapping[str, int], days: Iterable[int]) -> None:
        for sequence, partitioned in ALL:
            last = max(
                ids.get(table.name, 0)
                for table in self._tables
                if table.sequence == sequence or table.name in partitioned
            )
            make_for(self._connection, partitioned, last)
        make_keys_for(self._connection, days)
        with self._transaction() as connection:
            connection.execute("INSERT INTO moving VALUES (1, %s, 'copying')", (move,))
            names = [table.name for table in self._tables]
            connection.execute("INSERT INTO moving_table SELECT unnest(%s::text[])", (names,))
            self._set_triggers("DISABLE")

    def columns(self, table: Table) -> Columns:
        if table.name not in self._columns:
            rows = self._connection.execute(_COLUMNS, (table.name,)).fetchall()
            self._columns[table.name] = dict(rows)
        return self._columns[table.name]

    def copied(self, table: Table) -> tuple[Key | None, bool]:
        asked = "SELECT copied_to, is_copied FROM moving_table WHERE name = %s"
        to, is_copied = row_of(self._connection.execute(asked, (table.name,)))
        return None if to is None else tuple(json.loads(to)), is_copied

    def copy(self, table: Table, rows: Sequence[Row], last: Key) -> None:
        with self._transaction() as connection:
            connection.execute(_UNFLUSHED)
            self._insert(table, rows)
            connection.execute(
                "UPDATE moving_table SET copied_to = %s WHERE name = %s",
                (json.dumps(last), table.name),
            )

    def end_copy(self, table: Table) -> None:
        ended = "UPDATE moving_table SET is_copied = true WHERE name = %s"
        self._connection.execute(ended, (table.name,))

    def take_over(self, table: Table, changes: Changes) -> None:
        with self._transaction():
            gone = self._of_keys(table, changes.keys, f"DELETE FROM {table.name} AS mine USING")
            self._insert(table, changes.rows)
            there = self._of_keys(table, changes.keys, None)
            kept = self._kept(table)
            if kept is not None:
                source = kept.source.minus(gone).plus(changes.rows)
                self._keep(Compared(table.name, source, kept.target.minus(gone).plus(there)))

    def compare(self, table: Table, rows: Iterable[Row], look: Look) -> Compared:
        source = Sum()
        for piece in _pieces(rows):
            source = source.plus(piece)
            look(len(piece))
        return Compared(table.name, source, self._sum(table, look))

    def keep(self, sums: Collection[Compared]) -> None:
        self._connection.execute("ANALYZE")
        with self._transaction() as connection:
            for each in sums:
                self._keep(each)
            connection.execute("UPDATE moving SET state = 'compared'")

    def finish(self, few: Iterable[tuple[Table, Iterable[Row]]], ids: Mapping[str, int]) -> None:
        with self._transaction() as connection:
            for table, rows in few:
                told = list(rows)
                connection.execute(f"DELETE FROM {table.name}")
                self._insert(table, told)
                there = self._sum(table, lambda _: None)
                self._keep(Compared(table.name, Sum().plus(told), there))
            for sequence, last in ids.items():
                if last:
                    connection.execute("SELECT setval(%s::regclass, %s)", (sequence, last))

    def sums(self) -> Sequence[Compared]:
        return [kept for table in self._tables if (kept := self._kept(table)) is not None]

    def open(self) -> None:
        with self._transaction() as connection:
            self._set_triggers("ENABLE")
            connection.execute("UPDATE moving SET state = 'done'")

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._connection.transaction():
                self._connection.execute(_BEGIN)
                yield self._connection
        except UniqueViolation as error:
            raise CopyFailed(
                f"the target has rows that are not of this move: {said(error)}"
            ) from error

    def _set_triggers(self, how: str) -> None:
        names = [table.name for table in self._tables]
        for (table,) in self._connection.execute(_TRIGGERS, (names,)).fetchall():
            self._connection.execute(f"ALTER TABLE {table} {how} TRIGGER USER")

    def _insert(self, table: Table, rows: Sequence[Row]) -> None:
        names = ", ".join(self.columns(table))
        cursor = self._connection.cursor()
        with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def _of_keys(self, table: Table, keys: Sequence[Key], delete: str | None) -> list[Row]:
        """The rows with these keys; `delete`: they go."""
        columns = self.columns(table)
        of_mine = ", ".join(f"mine.{name}" for name in columns)
        arrays = ", ".join(f"%s::{columns[name]}[]" for name in table.key)
        given = f"unnest({arrays}) AS given ({', '.join(table.key)})"
        is_it = " AND ".join(f"mine.{name} = given.{name}" for name in table.key)
        if delete is not None:
            statement = f"{delete} {given} WHERE {is_it} RETURNING {of_mine}"
        else:
            statement = f"SELECT {of_mine} FROM {table.name} AS mine JOIN {given} ON {is_it}"
        values = [list(column) for column in zip(*keys, strict=True)]
        return self._connection.execute(statement, values).fetchall()

    def _sum(self, table: Table, look: Look) -> Sum:
        """Of every row that is there."""
        total = Sum()
        with self._connection.transaction():
            self._connection.execute(f"{_BEGIN}; SET LOCAL enable_seqscan = on")
            with self._connection.cursor(name="moving") as cursor:
                cursor.execute(f"SELECT {', '.join(self.columns(table))} FROM {table.name}")
                while rows := cursor.fetchmany(FETCHED):
                    total = total.plus(rows)
                    look(len(rows))
        return total

    def _kept(self, table: Table) -> Compared | None:
        asked = (
            "SELECT source_rows, source_sum, target_rows, target_sum FROM moving_table"
            " WHERE name = %s AND source_sum IS NOT NULL"
        )
        row = self._connection.execute(asked, (table.name,)).fetchone()
        if row is None:
            return None
        return Compared(table.name, Sum(row[0], int(row[1])), Sum(row[2], int(row[3])))

    def _keep(self, each: Compared) -> None:
        source, target = each.source, each.target
        self._connection.execute(
            "UPDATE moving_table SET source_rows = %s, source_sum = %s, target_rows = %s,"
            " target_sum = %s WHERE name = %s",
            (source.rows, source.digests, target.rows, target.digests, each.table),
        )


def _pieces(rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
    piece: list[Any] = []
    for row in rows:
        piece.append(row)
        if len(piece) >= FETCHED:
            yield piece
            piece = []
    yield piece

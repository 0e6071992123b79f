"""Partitions: made ahead, one begun each day, and dropped as a whole.

Reports lie in partitions of 2^30 ids each, with their bodies and search keys, and with what says
which dispatches carry them; so do ended dispatches, and attempts. Each day the sequence is moved on
to the first id of the next partition, so that one holds a day. Nothing relies on it: a day of more
ids continues in the next partition, and what comes before the first look of a day lies with the day
before. Keys of reports have a partition for each day.

A new partition is a table of its own that is attached to the other ones. Nobody waits for that:
readers and writers of the others go on. Some tables have one partition more, `…_other`, for rows
that have no partition, or have outlived it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial

from psycopg.errors import LockNotAvailable

from receiver.store.instants import MICROS_PER_DAY, micros
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.rows import ids_of

ID_BITS = 30
"""A partition has 2^30 ids: about a thousand million."""

AHEAD = 3
"""Partitions that are there before somebody needs them."""

FEWEST = 100_000
"""A partition with fewer ids takes the next day too: small installations need no table a day."""

REPORTS = ("report_id", {"report": 0, "received_body": 0, "search_key": 18, "dispatch_report": 0})
DISPATCHES = ("dispatch_id", {"dispatch_ended": 0})
ATTEMPTS = ("attempt_id", {"attempt": 0})
"""A sequence, and the tables that are partitioned by its ids: the partition key is the id, shifted
by so many bits (search keys lie by block)."""

ALL = (REPORTS, DISPATCHES, ATTEMPTS)

WITH_OTHERS = {"dispatch_ended", "attempt"}
"""The tables that have a partition for rows without a partition of their own."""

_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('dlr partitions', 0))"
_BRIEFLY = "SET LOCAL lock_timeout = '200ms'"


def alone(connection: Connection) -> None:
    """Until this transaction ends, no other process changes partitions in this way."""
    connection.execute(_ALONE)


def briefly(connection: Connection) -> None:
    """Wait for locks only briefly, because others wait behind this one. It is tried again later."""
    connection.execute(_BRIEFLY)


def first_of(number: int) -> int:
    """The first id of a partition."""
    return number << ID_BITS


def keys_of_day(day: int) -> str:
    """The partition of the reports' keys of a day."""
    return f"report_key_{day}"


async def keep_partitions(database: Database, now: datetime) -> None:
    """Make what will be needed next, and begin the partitions of this day. It costs nothing when
    all is done; once an hour is often enough.

    Raises StoreUnavailable, also when somebody had a table locked: then it is to be tried again.
    """
    today = micros(now) // MICROS_PER_DAY
    for day in range(today - 1, today + AHEAD + 1):
        await database.write_unflushed(partial(_make_keys, day=day))
    for sequence, tables in ALL:
        number = await database.write_unflushed(
            partial(_next, sequence=sequence, today=today, begin=False)
        )
        for ahead in range(number, number + AHEAD + 1):
            for table, bits in tables.items():
                make = partial(_make, table=table, bits=bits, number=ahead)
                await database.write_unflushed(make)
        await database.write_unflushed(partial(_next, sequence=sequence, today=today, begin=True))


def make_for(connection: Connection, tables: Mapping[str, int], last: int) -> None:
    """Make the partitions of these tables for all ids up to this one, each in a transaction."""
    for number in range((last >> ID_BITS) + 1):
        for table, bits in tables.items():
            with connection.transaction():
                _make(connection, table=table, bits=bits, number=number)


def make_keys_for(connection: Connection, days: Iterable[int]) -> None:
    """Make the partitions of the reports' keys of these days, each in a transaction."""
    for day in days:
        with connection.transaction():
            _make_keys(connection, day=day)


def all_partitions(connection: Connection, table: str) -> list[int]:
    """The partitions of a table by id, the oldest first."""
    return _numbers(ids_of(connection, _PARTITIONS, (table,)))


def old_partitions(connection: Connection, sequence: str, table: str) -> list[int]:
    """Those that get no more ids, the oldest first."""
    current = _last(connection, sequence) >> ID_BITS
    return [number for number in all_partitions(connection, table) if number < current]


def detached_partitions(connection: Connection, table: str) -> list[int]:
    """The partitions that are detached from the table and not dropped yet."""
    return _numbers(ids_of(connection, _DETACHED, (f"^{table}_[0-9]+$",)))


def _numbers(names: Iterable[object]) -> list[int]:
    return sorted(int(str(name).rpartition("_")[2]) for name in names)


def exists(connection: Connection, table: str) -> bool:
    """Whether there is such a table now. It is read from the catalogue, because to_regclass may
    remember from an earlier statement of the transaction that there was none."""
    return bool(row_of(connection.execute(_EXISTS, (table,)))[0])


_EXISTS = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = %s AND pg_table_is_visible(oid))"


def drop(connection: Connection, tables: Iterable[str], number: int) -> bool:
    """Drop a partition of each of these tables, as a part of a transaction. False, and nothing is
    dropped, when somebody reads them just now."""
    try:
        with connection.transaction():
            briefly(connection)
            for table in tables:
                connection.execute(f"DROP TABLE IF EXISTS {table}_{number}")
    except LockNotAvailable:
        return False
    return True


_PARTITIONS = """
    SELECT inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent = %s::regclass AND inhrelid::regclass::text ~ '_[0-9]+$'
"""
_DETACHED = """
    SELECT relname FROM pg_class
    WHERE relname ~ %s AND relkind = 'r' AND NOT relispartition AND pg_table_is_visible(oid)
"""
_BEGUN = "SELECT number, day FROM partition_begun WHERE sequence = %s ORDER BY number DESC LIMIT 1"
_BEGIN = "INSERT INTO partition_begun (sequence, number, day) VALUES (%s, %s, %s)"
_MOVE_ON = """
    SELECT setval(%(sequence)s::regclass,
        greatest(pg_sequence_last_value(%(sequence)s::regclass), %(before)s))
"""


def _last(connection: Connection, sequence: str) -> int:
    """The id that was given last; 0 when none was."""
    last = "SELECT coalesce(pg_sequence_last_value(%s::regclass), 0)"
    return int(row_of(connection.execute(last, (sequence,)))[0])


def _next(connection: Connection, *, sequence: str, today: int, begin: bool) -> int:
    """The partition that ids of today go to; with `begin`, from now on."""
    alone(connection)
    last = _last(connection, sequence)
    current = last >> ID_BITS
    begun = connection.execute(_BEGUN, (sequence,)).fetchone()
    if begun is None:
        number = current
    elif begun[1] >= today or last - first_of(current) < FEWEST:
        return current
    else:
        number = max(begun[0], current) + 1
    if begin:
        connection.execute(_BEGIN, (sequence, number, today))
        if number > current:
            before = {"sequence": sequence, "before": first_of(number) - 1}
            connection.execute(_MOVE_ON, before)
    return number


def _make(connection: Connection, *, table: str, bits: int, number: int) -> None:
    first, end = first_of(number) >> bits, first_of(number + 1) >> bits
    moved = f"id >= {first} AND id < {end}" if table in WITH_OTHERS else None
    _attach(connection, table, f"{table}_{number}", f"FROM ({first}) TO ({end})", moved=moved)


def _make_keys(connection: Connection, *, day: int) -> None:
    name = keys_of_day(day)
    if not exists(connection, name):
        _attach(connection, "report_key", name, f"IN ({day})", moved=f"day = {day}")


def _attach(
    connection: Connection, table: str, name: str, bounds: str, *, moved: str | None = None
) -> None:
    """Make a partition unless it is there. `moved`: which rows of the default one belong to it."""
    alone(connection)
    if exists(connection, name):
        return
    briefly(connection)
    connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
    if moved is not None:
        connection.execute(
            f"WITH moved AS (DELETE FROM {table}_other WHERE {moved} RETURNING *)"
            f" INSERT INTO {name} SELECT * FROM moved"
        )
    connection.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}")

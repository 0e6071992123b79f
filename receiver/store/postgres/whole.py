"""Which partitions go as a whole (partitions.py): everything in them is too old, or will be soon.

To delete a day's rows one by one would cost as much as storing them, every day. So the oldest rows
of a partition wait until the youngest is too old as well, up to WHOLE_WITHIN longer.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from receiver.store.postgres.database import Connection
from receiver.store.postgres.partitions import first_of, old_partitions
from receiver.store.removal import FIRST, Place

WHOLE_WITHIN = timedelta(hours=26)
"""The longest time between the oldest and the youngest row of a partition that is dropped as a
whole: a day, and the time that may pass until a new partition is begun."""

Ids = tuple[int, int]
"""The first id, and the last."""

NO_IDS: Ids = (0, -1)


class Dated(NamedTuple):
    """A table in partitions by id: the sequence of its ids, and the column that tells how old a row
    is."""

    sequence: str
    table: str
    instant: str


def youngest(connection: Connection, dated: Dated, number: int) -> Place | None:
    """The place of the youngest row of a partition; None when it has none."""
    statement = (
        f"SELECT {dated.instant}, id FROM {dated.table} WHERE id >= %s AND id < %s"
        f" ORDER BY {dated.instant} DESC, id DESC LIMIT 1"
    )
    row = connection.execute(statement, (first_of(number), first_of(number + 1))).fetchone()
    return row and (row[0], row[1])


def going_whole(connection: Connection, dated: Dated, end: Place) -> Ids:
    """The ids of the partitions that are about to go as a whole: some of their rows are before
    `end`, and the others will be soon."""
    soon = (end[0] + WHOLE_WITHIN // timedelta(microseconds=1), 0)
    going = [
        number
        for number in old_partitions(connection, dated.sequence, dated.table)
        if end <= (youngest(connection, dated, number) or FIRST) < soon
    ]
    return (first_of(going[0]), first_of(going[-1] + 1) - 1) if going else NO_IDS

"""Inserts of many rows by few statements.

Python hands its lock over at each statement. Beside an event loop that is busy, getting it back
costs more than the row does: fourteen dispatches take 10 us each in one statement, and 18 in
fourteen.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

AT_ONCE = 32
"""The most rows of a statement. All of its numbers of rows stay compiled (connection.py)."""


def insert_rows(
    connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]], then: str = ""
) -> None:
    """Insert rows of one width. `into` is the statement up to VALUES, `then` what follows."""
    for some in pieces(rows):
        connection.execute(f"{into} VALUES {marks(some)} {then}", flat(some))


def pieces(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows of each statement."""
    for first in range(0, len(rows), AT_ONCE):
        yield rows[first : first + AT_ONCE]


def marks(rows: Sequence[Sequence[Any]]) -> str:
    """What stands for these rows behind VALUES."""
    one = f"({', '.join('?' * len(rows[0]))})"
    return ", ".join([one] * len(rows))


def flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(rows))

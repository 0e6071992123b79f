"""Endpoints as readers of the store: where one begins that is new."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

HIGHEST = "(SELECT coalesce(max(id), 0) FROM report)"
"""The last report there is, in SQL: who has read to there begins with the next."""

# An endpoint that was made for one replay reads nothing.
_KNOWN = (
    "SELECT 1 FROM endpoint WHERE name NOT IN"
    " (SELECT 'replay-' || id FROM replay WHERE url IS NOT NULL) LIMIT 1"
)


def make_known(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Have these endpoints read, each from the next report on unless it reads already.

    The first endpoints of a database read from its first report on. Nothing may be lost silently:
    what `dlr receive` took in before any dispatcher ran is pushed when one does. But a customer who
    is added to a store of a year does not get the year.
    """
    start = HIGHEST if connection.execute(_KNOWN).fetchone() else "0"
    connection.executemany(
        f"INSERT INTO endpoint (name, read_to) VALUES (?, {start}) ON CONFLICT DO NOTHING",
        [(name,) for name in names],
    )

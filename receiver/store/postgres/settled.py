"""Ids become visible in order: up to which id of a sequence nothing can appear any more.

Whoever reads on from an id (the outbox, the read model, the event stream) rests on it that no lower
id comes later. With one writer that is so. With several, ids are given while transactions run: 12
may be committed before 11, and a reader that has gone on to 12 would never see 11.

So a reader goes no further than the settled id. A transaction that takes ids has its transaction
id before it (`dlr_take_ids`). So all ids that were given when somebody looked are of transactions
older than the next one of that moment; when all transactions that old have ended, they are there
or will never be. The `settled` id is the highest one of which that is known.

A cursor of transaction id and id would have to be stored wherever there is a cursor today, and be
part of the API's. A lock around each commit would let one receiver write at a time. The price of
this way: a transaction of anybody in this PostgreSQL cluster that writes and goes on for minutes
delays pushes for so long.
"""

from __future__ import annotations

import time
from collections import deque
from threading import Lock
from typing import Any

import psycopg

_GIVEN = """
    SELECT given, oldest, next, pg_current_xact_id_if_assigned() IS NOT NULL
    FROM dlr_given(%s::regclass)
"""

KEPT = 256
"""Looks that are remembered of a sequence. More only make the settled id more exact."""


FIRST_SECONDS = 2.0
"""How long the first look of a process waits for the transactions that it finds under way. With 0
a client that asks for the newest id would be told that there is none."""

LOOK_SECONDS = 0.01


class Settled:
    """The settled ids of one process. Threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, int] = {}
        self._looks: dict[str, deque[tuple[int, int]]] = {}

    def id(self, connection: psycopg.Connection[tuple[Any, ...]], sequence: str) -> int:
        """The settled id of a sequence, by a transaction that is READ COMMITTED; 0 while it has
        given none. Whatever this transaction reads after it has all ids up to it."""
        deadline = time.monotonic() + FIRST_SECONDS
        while True:
            known, is_first, writes = self._look(connection, sequence)
            if not is_first or writes or time.monotonic() >= deadline:
                return known
            time.sleep(LOOK_SECONDS)

    def _look(
        self, connection: psycopg.Connection[tuple[Any, ...]], sequence: str
    ) -> tuple[int, bool, bool]:
        """The settled id; whether nothing is known of it yet; whether this transaction has written,
        so that it would wait for itself."""
        row = connection.execute(_GIVEN, (sequence,)).fetchone()
        assert row is not None
        given, oldest, following, writes = row
        with self._lock:
            if given < self._known.get(sequence, 0):  # the database is an older one, restored
                self._known.pop(sequence)
                self._looks.pop(sequence)
            looks = self._looks.setdefault(sequence, deque())
            is_exact = following is not None and len(looks) < KEPT
            if is_exact and (not looks or looks[-1][0] < given):
                looks.append((given, following))
            known = self._known.get(sequence, 0)
            while looks and looks[0][1] <= oldest:
                known = max(known, looks.popleft()[0])
            if known or not given:
                self._known[sequence] = known
            return known, sequence not in self._known, writes

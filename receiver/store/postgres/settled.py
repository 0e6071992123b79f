"""Ids become visible in order: up to which id of a sequence nothing can appear any more.

Whoever reads on from an id (the outbox, the read model, the event stream) rests on it that no lower
id comes later. With one writer that is so. With several, ids are given while transactions run: 12
may be committed before 11, and a reader that has gone on to 12 would never see 11.

So a reader goes no further than the settled id. A transaction that takes ids holds a shared lock
from before it takes the first one until it has ended (`dlr_take_ids`); nobody waits for this lock.
All ids that were given when somebody looked are of transactions that held it then, or have ended.
When none of them holds it any more, these ids are there or will never be. The `settled` id is the
highest one of which that is known.

Snapshots do not tell as much: a transaction that is younger than the last one that ended is not
listed in pg_current_snapshot(), though it is under way. A cursor of transaction id and id would
have to be stored wherever there is a cursor today, and be part of the API's. A lock around each
commit would let one receiver write at a time.
"""

from __future__ import annotations

import time
from collections import deque
from threading import Lock
from typing import Any

import psycopg

_GIVEN = """
    SELECT given, taking, pg_current_xact_id_if_assigned() IS NOT NULL
    FROM dlr_given(%s::regclass)
"""

KEPT = 256
"""Looks that are remembered of a sequence. More only make the settled id more exact."""


FIRST_SECONDS = 2.0
"""How long the first look of a process waits for the transactions that it finds under way. With 0
a client that asks for the newest id would be told that there is none."""

LOOK_SECONDS = 0.01


class _Look:
    """What was given when somebody looked, and which transactions had taken ids and were under way.
    `made`: when, in the order of what the threads of this process do."""

    __slots__ = ("given", "made", "taking")

    def __init__(self, given: int, taking: frozenset[str], made: int) -> None:
        self.given = given
        self.taking = taking
        self.made = made


class Settled:
    """The settled ids of one process. Threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._steps = 0
        self._known: dict[str, tuple[int, int]] = {}  # the id, and when it became known
        self._looks: dict[str, deque[_Look]] = {}

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
        with self._lock:
            began = self._step()
        row = connection.execute(_GIVEN, (sequence,)).fetchone()
        assert row is not None
        given, taking, writes = row
        with self._lock:
            known = self._learned(sequence, given, frozenset(taking), began)
            if known or not given:
                self._known[sequence] = known, self._step()
            return known, sequence not in self._known, writes

    def _step(self) -> int:
        self._steps += 1
        return self._steps

    def _learned(self, sequence: str, given: int, taking: frozenset[str], began: int) -> int:
        """The settled id after a look that began then. It says nothing of looks that another thread
        has made since: who is under way there may have begun after it."""
        known, at = self._known.get(sequence, (0, 0))
        looks = self._looks.setdefault(sequence, deque())
        if given < known and at < began:  # the database is an older one, restored
            self._known.pop(sequence)
            looks.clear()
            known = 0
        for look in looks:
            if look.made < began:
                look.taking &= taking
        if len(looks) < KEPT and (not looks or looks[-1].given < given):
            looks.append(_Look(given, taking, self._step()))
        settled = [look.given for look in looks if not look.taking]
        while settled and looks and looks[0].given <= settled[-1]:
            looks.popleft()
        return max([known, *settled])

"""Whether the files of a database are still the ones that were opened.

A file that is removed or replaced lives on, unseen, for whoever has it open: all that is written
to it then is lost with the process. SQLite does not notice. So after each commit, and before
anybody is told that it is on disk, the file at the path is compared with the one that was opened.
This costs 7 us a commit (measured). What lies beside it is looked at each second: of a write-ahead
log that is removed alone, all still comes into the database when the process stops in order.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from time import monotonic

from receiver.store.base import StoreUnavailable

log = logging.getLogger("dlr.store")

BESIDE = ("-wal", "-shm")
"""The write-ahead log, and what the processes share. SQLite removes them only when the last
connection is closed."""

BESIDE_EVERY = 1.0
"""Seconds."""

_Identity = tuple[int, int]


class OwnFile:
    """The files of an open database."""

    def __init__(self, path: Path) -> None:
        self._opened: dict[str, _Identity] = {}
        self._path = str(path)
        self._beside = [f"{path}{part}" for part in BESIDE]
        self._beside_at = 0.0
        self._said: str | None = None

    @property
    def lost(self) -> bool:
        """Whether the last check found them gone or replaced."""
        return self._said is not None

    def check(self) -> None:
        """Raises StoreUnavailable when one of the files is gone or another one. It is logged when
        that begins and when it ends, as it does when the files are put back."""
        said = self._fault(self._path)
        if said is None and (self.lost or monotonic() - self._beside_at >= BESIDE_EVERY):
            said = next((fault for path in self._beside if (fault := self._fault(path))), None)
            self._beside_at = monotonic()
        if said != self._said:
            self._said = said
            if said is None:
                log.warning("the database's file is back: callbacks are stored again")
            else:
                log.critical("%s; until then callbacks get 503 and nothing is pushed", said)
        if said is not None:
            raise StoreUnavailable(said)

    def _fault(self, path: str) -> str | None:
        opened = self._opened.get(path)
        found = _identity(path)
        if found == opened:
            return None
        if opened is None and found is not None:  # the log is made by the first transaction
            self._opened[path] = found
            return None
        happened = "removed" if found is None else "replaced"
        return f"{path} was {happened} while dlr ran: put the right file there and restart dlr"


def expects_log(database: Path) -> bool:
    """Whether the file says of itself that it has a write-ahead log, as each that dlr has opened
    does. A copy that `dlr backup` or `VACUUM INTO` has made does not."""
    with database.open("rb") as file:
        return file.read(20)[18:] == b"\x02\x02"


def log_of_another(database: Path) -> str | None:
    """What is wrong if the log beside the file cannot be its own, because the file expects none.

    SQLite would play the log into the file all the same, and leave a mixture of two databases.
    """
    log_beside = database.with_name(f"{database.name}-wal")
    try:
        # In this order: a file that is given a log just now expects it before it has one.
        if not log_beside.stat().st_size or expects_log(database) or not database.stat().st_size:
            return None
    except OSError:
        return None
    return (
        f"{log_beside} is the log of another database than {database}, which is a backup that was"
        f" copied over it: remove {log_beside} and {database.name}-shm, then start again. The next"
        " time, use `dlr restore`"
    )


def _identity(path: str) -> _Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as fast
    except OSError:
        return None
    return found.st_dev, found.st_ino

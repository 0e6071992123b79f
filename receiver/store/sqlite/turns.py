"""Turns of the processes that write to one SQLite file.

SQLite lets one process write at a time. Another one sleeps for 1 ms, 2, 5, 10 … up to 100, while
the first goes on and on. With a receiver and a dispatcher under load, callbacks waited 240 ms for
their commit (p99). So each process first takes a place in a line of one, and the process that
stands there gets the next turn: one that has just written cannot overtake.

These are advisory locks on two bytes of a file beside the database. SQLite's own locks keep the
database correct; a program that writes without ours, such as the command sqlite3, is waited for as
before. A third byte is shared by all processes that have the database open, so that a restore can
be alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from receiver.store.base import StoreUnavailable

try:
    import fcntl
except ImportError:  # not on Windows: then it is as before
    fcntl = None  # type: ignore[assignment]

LOOK_SECONDS = 0.0003
"""How often a waiting process looks. A blocking lock would wait for ever when its holder hangs."""

_LINE, _TURN, _OPEN = 0, 1, 2


class Turns:
    """This process's turns on one file."""

    def __init__(self, path: Path | None) -> None:
        """Raises StoreUnavailable while the database is being restored."""
        self._file: IO[bytes] | None = None
        if path is not None and fcntl is not None:
            with suppress(OSError):  # a read-only folder, where nobody writes
                self._file = opened_beside(path, "turn")
        if self._file is not None and not _locked(self._file, shared=True):
            self._file.close()
            raise StoreUnavailable(
                f"{path} is being restored, or moved to PostgreSQL: start again when it is done"
            )

    @contextmanager
    def turn(self, limit: float) -> Iterator[None]:
        """Wait for a turn, at most `limit` seconds; then go on without one, as SQLite decides."""
        if self._file is None:
            yield
            return
        deadline = time.monotonic() + limit
        if self._take(_LINE, deadline):
            self._take(_TURN, deadline)
            self._give(_LINE)
        try:
            yield
        finally:
            self._give(_TURN)

    @property
    def are_locks(self) -> bool:
        """Whether others can be seen at all."""
        return self._file is not None

    def stay_alone(self) -> bool:
        """Whether no other process has the database open. Then none can open it until these are
        closed. False, too, on a file system without locks, where nobody knows."""
        if self._file is None:
            return False
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _OPEN)
        except OSError:
            return False
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _take(self, place: int, deadline: float) -> bool:
        assert self._file is not None
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(LOOK_SECONDS)
            except OSError:  # a file system without locks
                return False
            else:
                return True

    def _give(self, place: int) -> None:
        assert self._file is not None
        with suppress(OSError):
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Keep every process of ours from opening the database at `path`, which need not be there.
    Gives False if one has it open; then nobody is kept out."""
    if fcntl is None:
        yield True
        return
    with opened_beside(path, "turn") as file:
        yield _locked(file, shared=False)


def _locked(file: IO[bytes], *, shared: bool) -> bool:
    """Whether the third byte is now ours, with others or alone, until the file is closed."""
    try:
        fcntl.lockf(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB, 1, _OPEN)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def opened_beside(path: Path, name: str) -> IO[bytes]:
    """A file to lock, with the mode of the database: another user who may write to that may lock
    it too. If there is no database, it is its owner's alone."""
    mode = path.stat().st_mode & 0o666 if path.exists() else 0o600
    descriptor = os.open(f"{path}-{name}", os.O_CREAT | os.O_RDWR | os.O_APPEND, mode)
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, mode)  # whatever the umask is
        if os.geteuid() == 0:  # a command of root's must not lock out the user that dlr runs as
            model = (path if path.exists() else path.absolute().parent).stat()
            os.fchown(descriptor, model.st_uid, model.st_gid)
    return os.fdopen(descriptor, "ab")

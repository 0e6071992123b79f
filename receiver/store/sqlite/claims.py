"""What only one process at a time may be to a SQLite file, such as its sandbox.

A claim is a lock (flock) on a file beside the database. The system frees it when the process ends,
however it ends, so there is nothing to clean up after a SIGKILL. The file stays: whoever removed it
could remove it from under a process that has just opened it.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from receiver.store.sqlite.turns import opened_beside

try:
    import fcntl
except ImportError:  # not on Windows: then nobody is kept out
    fcntl = None  # type: ignore[assignment]


class Claims:
    """The claims of one open database. `path` None: it is in memory, where no other process is."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._held: dict[str, IO[bytes] | None] = {}

    def take(self, name: str) -> bool:
        """Whether the claim is now held here; False: it is held already, here or elsewhere."""
        if name in self._held:
            return False
        file = None
        if self._path is not None and fcntl is not None:
            try:
                file = _locked(self._path.resolve(), name)
            except BlockingIOError:
                return False
            except OSError:  # a file system without locks, or a folder that cannot be written to
                file = None
        self._held[name] = file
        return True

    def close(self) -> None:
        for file in self._held.values():
            if file is not None:
                file.close()
        self._held.clear()


def _locked(path: Path, name: str) -> IO[bytes]:
    """Raises BlockingIOError when another one has it locked."""
    file = opened_beside(path, name)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file

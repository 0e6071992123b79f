"""Bodies that were pulled and are not in the store yet, each a file beside the database.

The pull endpoint hands each report out once. Between its answer and our commit lies all that can
go wrong here: a full disk, a locked database, a stop, a crash. So an answer is a file on the disk
before anything else is done with it, and the next run begins with the files it finds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def kept_files(database: str) -> list[Path]:
    """The files of all sources that were kept and are not stored yet, unfinished ones too."""
    return sorted(each for each in _folder(database).glob("*/*") if each.is_file())


def _folder(database: str) -> Path:
    """Beside a file; of a database elsewhere, in the folder that the process works in."""
    return Path("dlr-pulled" if "://" in database else f"{database}-pulled")


class Spool:
    """The pulled bodies of one source."""

    def __init__(self, database: str, source: str) -> None:
        self._folder = _folder(database) / source

    def keep(self, body: bytes) -> Path:
        """Bring `body` to the disk. Raises `OSError`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.blake2b(body, digest_size=16).hexdigest()
        file, half = self._folder / f"{name}.json", self._folder / f"{name}.{os.getpid()}.part"
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(body)
            opened.flush()
            os.fsync(opened.fileno())
        half.replace(file)
        _synchronise(self._folder)
        return file

    def left(self) -> Iterator[Path]:
        """What an earlier run kept and did not store."""
        yield from sorted(self._folder.glob("*.json"))

    def read(self, file: Path) -> bytes:
        return file.read_bytes()

    def stored(self, file: Path) -> None:
        """The reports of `file` are in the store. Another run may have been faster."""
        file.unlink(missing_ok=True)


def _synchronise(folder: Path) -> None:
    """The name of a new file is on the disk only when its folder is."""
    if os.name == "nt":
        return  # there a folder cannot be opened
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

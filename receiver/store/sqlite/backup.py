"""A copy of a database's file, made beside full load.

The copy is one state of the database: all of it is read in one read transaction, and in the same
transaction its rows are counted. Others write meanwhile; only the write-ahead log grows until the
copy is made. With 1.1 million reports (900 MB) and 2,000 callbacks a second, on two busy cores, it
took 3 s, and a callback's p99 stayed the same. `VACUUM INTO` takes as long, but no transaction
spans it, so that nothing could show that the copy has every row. The command `.backup` of the
sqlite3 shell begins again after each commit, and beside load it never ends.

The copy is made under another name, checked, flushed to the disk, and renamed. Whenever the process
or the machine ends, the file that was asked for is a whole copy or is not there. A copy has no
write-ahead log, and its header says so: a log that lies beside it belongs to another database
(own_file.py).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from receiver.store.copies import Copied, CopyBrokenOff, CopyFailed, CopyRefused, Watch
from receiver.store.instants import instant_or_none
from receiver.store.sqlite.database import BUSY_TIMEOUT_SECONDS, LOG_MOST, add_functions
from receiver.store.sqlite.own_file import BESIDE, log_of_another

try:
    import fcntl
except ImportError:  # not on Windows: then nobody is kept out
    fcntl = None  # type: ignore[assignment]

_PAGES = 4096
"""Pages between two looks at the watch: 16 MB."""


def back_up(database: Path, target: Path, *, replace: bool, watch: Watch) -> Copied:
    """Copy the database to `target`, which must not be there unless it is to be replaced.

    Raises CopyRefused, CopyFailed, CopyBrokenOff and OSError; then `target` is as it was.
    """
    refuse_target(database, target, replace=replace)
    with closing(opened_to_read(database)) as source:
        refuse_without_room(source, target)
        with becoming(target) as partial:
            made = copied(source, partial, watch)
            refuse_target(database, target, replace=replace)  # it may have come meanwhile
    return made


def refuse_target(database: Path, target: Path, *, replace: bool) -> None:
    """Raises CopyRefused where a copy of the database may not be written."""
    if target.is_dir():
        raise CopyRefused(f"{target} is a folder: give the name of a file")
    refuse_what_is_no_file(target)
    if target.exists():
        if database.exists() and target.samefile(database):
            raise CopyRefused(f"{target} is the database itself: give another name")
        if not replace:
            raise CopyRefused(f"{target} is there already: choose another name, or add --replace")
    if not target.parent.is_dir():
        raise CopyRefused(f"there is no folder {target.parent}")
    for part in BESIDE:
        beside = target.with_name(target.name + part)
        if beside.exists():
            raise CopyRefused(
                f"{beside} belongs to another database and would be taken for a part of {target}:"
                " remove it, or choose another name"
            )


def refuse_what_is_no_file(path: Path) -> None:
    """Raises CopyRefused for a device, a pipe or a socket: a rename would put a file in its place,
    and root may rename over /dev/null."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise CopyRefused(f"{path} is a device or a pipe: give the name of a file")


def opened_to_read(database: Path) -> sqlite3.Connection:
    """A database of dlr's, with the log that lies beside it. Raises CopyRefused if it is none."""
    if not database.is_file():
        raise CopyRefused(f"there is no file {database}")
    if (fault := log_of_another(database)) is not None:
        raise CopyRefused(fault)
    path = quote(str(database.resolve()))
    try:
        opened = sqlite3.connect(
            f"file:{path}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None
        )
        try:
            versions_in(opened)
        except sqlite3.Error:
            opened.close()
            raise
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise CopyRefused(f"{database} is no database of dlr") from error
        raise CopyRefused(f"{database} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        raise CopyRefused(f"{database} is no database, or it is damaged: {error}") from error
    return opened


def versions_in(database: sqlite3.Connection) -> Mapping[str, int]:
    """How far each part's schema has come."""
    return dict(database.execute("SELECT part, number FROM schema_version"))


def refuse_without_room(source: sqlite3.Connection, target: Path) -> None:
    """Raises CopyRefused if the disk of `target` has no room for the copy, and for the log that
    grows meanwhile."""
    (pages,) = source.execute("PRAGMA page_count").fetchone()
    (size,) = source.execute("PRAGMA page_size").fetchone()
    needed = pages * size + LOG_MOST
    free = shutil.disk_usage(target.absolute().parent).free
    if free < needed:
        raise CopyRefused(
            f"{target} needs {megabytes(needed)}, and its disk has {megabytes(free)} free:"
            " make room, or choose another disk"
        )


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


@contextmanager
def becoming(target: Path) -> Iterator[Path]:
    """Where to write what is to be at `target`: its owner's alone, and moved there when the block
    has come to its end. What a process that was killed has left is written over."""
    partial = target.with_name(f"{target.name}.partial")
    descriptor = os.open(partial, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _refuse_if_shared(descriptor, partial)
        os.fchmod(descriptor, 0o600)
        os.truncate(descriptor, 0)
        partial.with_name(f"{partial.name}-journal").unlink(missing_ok=True)
        try:
            yield partial
            os.fsync(descriptor)
            partial.replace(target)
        except BaseException:
            for part in ("", "-journal"):
                partial.with_name(partial.name + part).unlink(missing_ok=True)
            raise
        _flush_folder(target.absolute().parent)
    finally:
        os.close(descriptor)


def _refuse_if_shared(descriptor: int, partial: Path) -> None:
    """Of two that write the same copy, the second is refused."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_same = os.path.samestat(os.fstat(descriptor), partial.stat())
    except (BlockingIOError, FileNotFoundError):
        is_same = False
    except OSError:  # a file system without locks
        is_same = True
    if not is_same:
        raise CopyRefused(f"another dlr is writing {partial}: wait until it has ended")


def _flush_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems have no such thing
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def copied(source: sqlite3.Connection, target: Path, watch: Watch) -> Copied:
    """Copy to `target`, an empty file, and check the copy. Raises CopyFailed, CopyBrokenOff."""

    def look(_: int, remaining: int, total: int) -> None:
        if not watch(1 - remaining / max(total, 1)):
            raise CopyBrokenOff

    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            source.execute("BEGIN")
            try:
                counts = _counts(source)  # from here on one state is read, whatever is written
                source.backup(copy, pages=_PAGES, progress=look, sleep=0)
            finally:
                source.execute("ROLLBACK")
            copy.execute("PRAGMA journal_mode = DELETE")
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            return _checked(copy, counts, target)
    except sqlite3.Error as error:
        raise CopyFailed(f"the copy could not be written ({error}) and was removed") from error


def _checked(copy: sqlite3.Connection, counts: Mapping[str, int], target: Path) -> Copied:
    """`quick_check` reads each page once. `integrity_check` would also look up each entry of each
    index, which takes minutes once a database does not fit into memory."""
    add_functions(copy)
    (said,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise CopyFailed(
            f"the copy, and so the database, is damaged ({said}); the copy was removed"
        )
    if _counts(copy) != counts:
        raise CopyFailed("the copy has other rows than the database and was removed")
    (newest,) = copy.execute("SELECT max(received_at) FROM report").fetchone()
    return Copied(target.stat().st_size, counts["report"], instant_or_none(newest))


def _counts(database: sqlite3.Connection) -> Mapping[str, int]:
    """Rows by table; of the schema, the versions of its parts."""
    tables = database.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall()
    rows = {
        table: database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
        for (table,) in tables
    }
    return rows | {f"version of {part}": at for part, at in versions_in(database).items()}

"""A backup is put where the database is.

What a copy by hand can do wrong is refused here, in words. An old write-ahead log beside a new file
would be played into it. A file that was copied without its log lacks what was in the log. A
running process goes on with the file that was there, and what it takes in is lost.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from receiver.store.copies import CopyRefused, Restored, Watch
from receiver.store.sqlite.backup import (
    becoming,
    copied,
    opened_to_read,
    refuse_what_is_no_file,
    refuse_without_room,
    versions_in,
)
from receiver.store.sqlite.disk import others_with
from receiver.store.sqlite.own_file import BESIDE, expects_log, log_of_another
from receiver.store.sqlite.turns import alone


def restore(
    backup: Path,
    database: Path,
    *,
    replace: bool,
    whole_without_log: bool,
    judge: Callable[[Mapping[str, int]], None],
    watch: Watch,
    now: datetime,
) -> Restored:
    """Put a copy of `backup` at `database`. What is there now is kept under another name.

    `judge` is told the backup's schema, by part, and raises for one that this program does not
    know. `whole_without_log` is the caller's word that a plain copy of the file was made while
    nothing was written to it. Raises CopyRefused, CopyFailed, CopyBrokenOff and OSError; then the
    database is as it was.
    """
    refuse_what_is_no_file(database)
    _refuse_backup(backup, database, whole_without_log=whole_without_log)
    with closing(opened_to_read(backup)) as source:
        judge(versions_in(source))
        if database.exists() and not replace:
            raise CopyRefused(
                f"{database} is there already: add --replace. It is kept under another name"
            )
        if not database.absolute().parent.is_dir():
            raise CopyRefused(f"there is no folder {database.parent}")
        with alone(database) as is_alone:
            if not is_alone:
                raise CopyRefused(_in_use(database))
            _bring_log_in(database)
            refuse_without_room(source, database)
            with becoming(database) as partial:
                made = copied(source, partial, watch)
                _give_to_owner(partial, database)
                former = _put_aside(database, now)
    return Restored(made, former)


def _refuse_backup(backup: Path, database: Path, *, whole_without_log: bool) -> None:
    if not backup.is_file():
        raise CopyRefused(f"there is no file {backup}")
    if database.exists() and backup.samefile(database):
        raise CopyRefused(f"{backup} is the database itself")
    if whole_without_log or not expects_log(backup):
        return
    if not backup.with_name(f"{backup.name}-wal").exists():
        raise CopyRefused(
            f"{backup} was not made by `dlr backup`: it is a plain copy of a database, without the"
            f" log ({backup.name}-wal) that may have held the newest reports. Put the log beside"
            " it. If dlr was stopped when the copy was made, add --whole-without-log"
        )


def _in_use(database: Path) -> str:
    found = others_with(database) or others_with(database.with_name(f"{database.name}-turn"))
    by = f" by {', '.join(found)}" if found else ""
    return f"{database} is in use{by}: stop dlr, and whatever else reads it, then restore"


def _bring_log_in(database: Path) -> None:
    """Have the database that is there hold all of its log, so that one file is all of it. Raises
    CopyRefused if somebody else has it open. One that is damaged stays as it is."""
    if not database.exists() or log_of_another(database) is not None:
        return
    try:
        with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as opened:
            opened.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise CopyRefused(_in_use(database)) from error


def _give_to_owner(file: Path, database: Path) -> None:
    """Root may restore for the user that dlr runs as: whoever owned the database, else its folder,
    owns the new one."""
    model = database if database.exists() else database.absolute().parent
    with suppress(PermissionError):  # not root: it is the caller's
        os.chown(file, model.stat().st_uid, model.stat().st_gid)
    if model == database:
        file.chmod(model.stat().st_mode & 0o777)


def _put_aside(database: Path, now: datetime) -> Path | None:
    """Keep what is there under a name with the time, its log too if it still has one. The database
    keeps its old name as well, so that a new one takes it in one step: if the process ended in
    between, a `dlr serve` would otherwise begin with an empty database."""
    former = database.with_name(f"{database.name}.until-{now:%Y%m%dT%H%M%SZ}")
    for part in BESIDE:
        beside = database.with_name(database.name + part)
        if beside.exists():
            beside.rename(former.with_name(former.name + part))
    if not database.exists():
        return None
    try:
        former.hardlink_to(database)
    except OSError:  # a file system without links
        database.rename(former)
    return former

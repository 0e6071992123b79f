"""`dlr backup` and `dlr restore`: a copy of the database, and its way back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TypeVar

import click

from dispatcher import storage
from dispatcher.clocks.clock import wall_time
from dispatcher.commands.options import FILE, fail, settings_of, with_settings
from dispatcher.commands.saying import say
from dispatcher.commands.simulation_progress import BROKEN_OFF, watching
from receiver.answers import timestamp
from receiver.store.copies import Copied, CopyBrokenOff, CopyFailed, CopyRefused, Watch

T = TypeVar("T")


@click.command()
@click.argument("file", type=FILE)
@click.option("--replace", is_flag=True, help="Replace FILE if it is there already.")
@with_settings
def backup(config: Path | None, database: str | None, file: Path, replace: bool) -> None:
    """Copy the database to FILE while `dlr` runs, and check the copy.

    FILE is one state of the database and needs no other file beside it. It is there only once the
    copy is whole. Nobody but its owner may read it.

    Example: dlr backup /backups/dlr.db
    """
    path = settings_of(config, database).store.database
    made, seconds = _made(
        "copying", lambda watch: storage.back_up(path, file, replace=replace, watch=watch)
    )
    say(f"{file}: {_words(made)}; made and checked in {seconds:.1f} s")


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--replace",
    is_flag=True,
    help="Put the backup in the place of the database that is there. That one is kept under another"
    " name, which is printed.",
)
@click.option(
    "--whole-without-log",
    is_flag=True,
    help="FILE is a plain copy, made while dlr was stopped: nothing is missing in it.",
)
@with_settings
def restore(
    config: Path | None,
    database: str | None,
    file: Path,
    replace: bool,
    whole_without_log: bool,
) -> None:
    """Put a backup where the database is.

    Stop `dlr` first. FILE is the backup, and stays as it is.

    What came in after the backup is not in it: `dlr reconcile --apply` fetches what the provider
    still has.

    Example: dlr restore /backups/dlr.db --replace
    """
    path = settings_of(config, database).store.database
    made, seconds = _made(
        "restoring",
        lambda watch: storage.restore(
            file,
            path,
            replace=replace,
            whole_without_log=whole_without_log,
            watch=watch,
            now=wall_time(),
        ),
    )
    say(f"{path}: {_words(made.copied)}; restored from {file} and checked in {seconds:.1f} s")
    if made.former is not None:
        say(f"the former database is kept as {made.former}: remove it when you need it no more")


def _made(what: str, copy: Callable[[Watch], T]) -> tuple[T, float]:
    """What was made, and in how many seconds. Ends the command when nothing was."""
    started = monotonic()
    try:
        with watching(what) as watch:
            return copy(watch), monotonic() - started
    except CopyRefused as error:
        fail(str(error))
    except CopyFailed as error:
        say(f"dlr: {error}", err=True)
        sys.exit(1)
    except CopyBrokenOff:
        sys.exit(BROKEN_OFF)


def _words(made: Copied) -> str:
    newest = f", the newest of {timestamp(made.newest)}" if made.newest else ""
    reports = "1 report" if made.reports == 1 else f"{made.reports:,} reports"
    return f"{reports}{newest}, {made.size / 1e6:,.1f} MB"

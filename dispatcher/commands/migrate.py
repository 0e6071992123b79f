"""`dlr migrate`: bring the database to the current schema, or move it to PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Literal

import click
import msgspec

from dispatcher import storage
from dispatcher.commands.options import FILE, fail, run_to_end, settings_of, with_settings
from dispatcher.commands.saying import say
from dispatcher.commands.simulation_progress import BROKEN_OFF, LINE_EVERY_SECONDS, watching
from dispatcher.commands.tables import print_table
from receiver.faults import without_credentials
from receiver.store.copies import CopyBrokenOff, CopyFailed, CopyRefused
from receiver.store.moving import Compared, Step, Sum, unequal

Format = Literal["table", "json"]


@click.command()
@click.option("--from", "source", type=FILE, help="The SQLite file to move to PostgreSQL.")
@click.option("--to", "target", help="An empty database, postgresql://…, that it is moved to.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json"]),
    default="table",
    help="How the comparison at the end of a move is printed.",
)
@click.option(
    "--give-up",
    is_flag=True,
    help="Use the file of --from again. A move that was begun is given up; what was moved stays in"
    " PostgreSQL.",
)
@with_settings
def migrate(
    config: Path | None,
    database: str | None,
    source: Path | None,
    target: str | None,
    format_: Format,
    give_up: bool,
) -> None:
    """Upgrade the schema of the database, or move it to PostgreSQL.

    `dlr serve` does the first at its start.

    With --from and --to, a SQLite file is moved while `dlr` works on it. At the end, stop each
    `dlr` on the file: what it has written until then is moved, and both sides are compared. Give
    the same command again to continue a move that was stopped.

    Example: dlr migrate --from dlr.db --to postgresql://dlr@db.internal/dlr
    """
    if source is not None and (source.is_dir() or not str(source).strip()):
        came = "nothing" if str(source).strip() in ("", ".") else f"the folder {source}"
        fail(f"--from: expected a SQLite file, got {came}")
    if source is None:
        if target is not None or give_up:
            fail("give the SQLite file, too: --from FILE")
        _bring_up_to_date(settings_of(config, database).store.database)
    elif give_up:
        _give_up(source)
    elif target is None:
        fail("give the database to move it to, too: --to postgresql://…")
    else:
        _move(source, target, format_)


def _bring_up_to_date(path: str) -> None:
    named = without_credentials(path)

    async def run() -> None:
        applied = await storage.migrate(path)
        for step in applied:
            say(f"{named}: applied {step}")
        if not applied:
            say(f"{named}: nothing to do")

    run_to_end(run())


# --- moving -------------------------------------------------------------------------------------


def _give_up(source: Path) -> None:
    try:
        was_moved = storage.give_up_move(source)
    except CopyRefused as error:
        fail(str(error))
    say(f"{source}: can be used again" if was_moved else f"{source}: nothing to give up")


def _move(source: Path, target: str, format_: Format) -> None:
    named = without_credentials(target)
    sums: Sequence[Compared] = ()

    async def run() -> None:
        nonlocal sums
        with watching(f"moving {source}") as watch:
            sums = await storage.move(source, target, watch=watch, tell=_telling(source))

    try:
        run_to_end(run())
    except CopyRefused as error:
        fail(str(error))
    except CopyFailed as error:
        say(f"dlr: {error}; give the same command again to continue", err=True)
        sys.exit(1)
    except CopyBrokenOff:
        say(f"dlr: {source} is not moved yet; give the same command again to continue", err=True)
        sys.exit(BROKEN_OFF)
    _print(sums, format_)
    if different := unequal(sums):
        say(
            f"dlr: {source} was not moved and is used as before, because {', '.join(different)}"
            f" in {named} is different",
            err=True,
        )
        sys.exit(1)
    say(f"{source} was moved to {named}: name that database in store.database", err=True)


def _telling(source: Path) -> Callable[[Step, int], None]:
    """Tells what a move does, on stderr."""
    told: float | None = None

    def tell(step: Step, rows: int) -> None:
        nonlocal told
        if step == "copy":
            say(f"copying {rows:,} rows; dlr can be used meanwhile", err=True)
        elif step == "compare":
            say(f"comparing {rows:,} rows", err=True)
        elif told is None:
            told = monotonic()
            say(f"both sides are equal: stop each dlr on {source}, and the move ends", err=True)
        elif rows and monotonic() - told >= LINE_EVERY_SECONDS:
            told = monotonic()
            say(f"took over {rows:,} more changes; waiting for dlr to be stopped", err=True)

    return tell


def _print(sums: Sequence[Compared], format_: Format) -> None:
    if format_ == "json":
        say(msgspec.json.encode([_told(each) for each in sums]).decode())
        return
    print_table(
        ("table", "source", "target", "checksums"),
        [
            (
                each.table,
                f"{each.source.rows:,}",
                f"{each.target.rows:,}",
                "equal" if each.is_equal else "different",
            )
            for each in sums
        ],
    )


def _told(each: Compared) -> dict[str, object]:
    return {
        "table": each.table,
        "source": _sum(each.source),
        "target": _sum(each.target),
        "equal": each.is_equal,
    }


def _sum(of: Sum) -> dict[str, object]:
    return {"rows": of.rows, "checksum": f"{of.digests:032x}"}

"""Commands that bring back what failed: replay, replays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from dispatcher.clocks.clock import SystemClock
from dispatcher.commands import replay_output
from dispatcher.commands.api_options import body_options, parameters
from dispatcher.commands.list_output import Listing
from dispatcher.commands.options import (
    FILE,
    Id,
    Speed,
    fail,
    listing_options,
    look,
    settings_of,
    with_settings,
)
from dispatcher.replay.request import ReplayRequest, read_request
from dispatcher.storage import Storage


@click.command()
@body_options(ReplayRequest, to={"metavar": "URL"}, speed={"type": Speed()})
@click.option("--detach", is_flag=True, help="Do not wait for the end.")
@click.option(
    "--capsule",
    type=FILE,
    help="The reports of this file of `dlr capture`, and to --to; needs no database and no server.",
)
@with_settings
def replay(
    config: Path | None,
    database: str | None,
    dry_run: bool,
    detach: bool,
    capsule: Path | None,
    **asked: Any,
) -> None:
    """Dispatch stored reports again: those that fit all options given.

    A running `dlr serve` or `dlr dispatch` does the work; Ctrl-C stops only the display. Exit code
    1: something could not be brought.

    Example: dlr replay --state exhausted --since 14:00 --until 17:00
    """
    given = {name: value for name, value in asked.items() if value != ()}
    if capsule is not None:
        if dry_run or detach:
            fail("--capsule: --dry-run and --detach belong to replays of a database")
        from dispatcher.commands import capsule_replay  # it runs a whole service

        sys.exit(capsule_replay.replay(capsule, parameters(**given)))
    request, _ = read_request(parameters(**given), SystemClock().now())

    async def work(opened: Storage) -> None:
        replaying = replay_output.replaying_of(opened, settings_of(config, database))
        if dry_run:
            await replay_output.print_dry_run(opened, replaying, request)
        elif code := await replay_output.make(opened, replaying, request, detach=detach):
            sys.exit(code)

    look(config, database, work)


@click.command()
@click.argument("number", metavar="[ID]", type=Id(), required=False)
@click.option("--cancel", type=Id(), metavar="ID", help="End this replay: what waits is cancelled.")
@listing_options
def replays(
    config: Path | None,
    database: str | None,
    listing: Listing,
    number: int | None,
    cancel: int | None,
) -> None:
    """The replays, newest first; with ID how far that one is.

    Example: dlr replays --cancel 3
    """
    if number is not None and cancel is not None:
        fail("expected either ID or --cancel ID")

    async def work(opened: Storage) -> None:
        replaying = replay_output.replaying_of(opened, settings_of(config, database))
        if cancel is not None:
            sys.exit(await replay_output.cancel(opened, replaying, cancel))
        elif number is not None:
            await replay_output.print_replay(replaying, number, listing)
        else:
            await replay_output.print_replays(replaying, listing)

    look(config, database, work)

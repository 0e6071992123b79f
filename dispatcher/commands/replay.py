"""Commands that bring back what failed: replay, replays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import click

from dispatcher.clocks.clock import SystemClock
from dispatcher.commands import capsule_replay, replay_output
from dispatcher.commands.list_output import Listing
from dispatcher.commands.options import (
    Speed,
    fail,
    listing_options,
    look,
    parameters,
    settings_of,
    with_settings,
)
from dispatcher.replay.request import read_request
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.storage import Storage

_INSTANT = "14:00 is today's, in this machine's zone; or 2026-11-21T14:00:00+01:00."


@click.command()
@click.option("--id", "ids", type=int, multiple=True, help="These reports, by id.")
@click.option("--message-id", "message_ids", multiple=True, help="All reports of these messages.")
@click.option("--bulk-id", help="Only of this bulk.")
@click.option("--endpoint", help="Only what went to this endpoint.")
@click.option(
    "--state",
    type=click.Choice(get_args(DispatchState)),
    help="Only where the newest dispatch is in this state.",
)
@click.option("--status", "statuses", multiple=True, help="Only these statuses, by name or id.")
@click.option("--status-group", "status_groups", multiple=True, help="Only these: EXPIRED.")
@click.option("--source", help="Only from this source.")
@click.option("--since", help=f"Received then or later. {_INSTANT}")
@click.option("--until", help="Received before then.")
@click.option("--to-endpoint", help="Push to this endpoint. Default: to where each went before.")
@click.option("--to", metavar="URL", help="Push to this URL.")
@click.option("--rate", help="So many reports: 50/s, 100/m, 1000/h. Default: as fast as it goes.")
@click.option("--pace", type=click.Choice(["original"]), help="With the gaps in which they came.")
@click.option("--speed", type=Speed(), help="With --pace: so many times as fast.")
@click.option(
    "--stop-on-errors",
    type=click.FloatRange(0, 1),
    help="Stop when more than this share of the attempts fail: 0.2.",
)
@click.option("--key", help="A second call with the same key is the same replay.")
@click.option("--dry-run", is_flag=True, help="Only print how many these are, and the first.")
@click.option("--detach", is_flag=True, help="Do not wait for the end.")
@click.option(
    "--capsule",
    type=click.Path(path_type=Path, dir_okay=False),
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
    """Dispatch stored reports again: what is asked for must all hold.

    A running `dlr serve` or `dlr dispatch` does the work; Ctrl-C ends only the watching. Exit code
    1: something could not be brought.

    Example: dlr replay --state exhausted --since 14:00 --until 17:00
    """
    given = {name: value for name, value in asked.items() if value != ()}
    if capsule is not None:
        if dry_run or detach:
            fail("--capsule: --dry-run and --detach belong to replays of a database")
        sys.exit(capsule_replay.replay(capsule, parameters(**given)))
    request, _ = read_request(parameters(**given), SystemClock().now())

    async def work(opened: Storage) -> None:
        replaying = replay_output.replaying_of(opened, settings_of(config, database))
        if dry_run:
            await replay_output.print_dry_run(opened, replaying, request)
        elif code := await replay_output.make(replaying, request, detach=detach):
            sys.exit(code)

    look(config, database, work)


@click.command()
@click.argument("number", metavar="[ID]", type=int, required=False)
@click.option("--cancel", type=int, metavar="ID", help="End this replay: what waits is cancelled.")
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
            sys.exit(await replay_output.cancel(replaying, cancel))
        elif number is not None:
            await replay_output.print_replay(replaying, number)
        else:
            await replay_output.print_replays(replaying, listing)

    look(config, database, work)

"""`dlr replays`: stored reports are pushed again."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from dispatcher.clocks.clock import SystemClock
from dispatcher.commands import replay_output
from dispatcher.commands.api_options import body_options, parameters
from dispatcher.commands.list_output import Listing
from dispatcher.commands.listing_group import ListingGroup
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
from dispatcher.commands.saying import NotThere
from dispatcher.queue.base import UnknownDispatch
from dispatcher.replay.replaying import Replaying
from dispatcher.replay.request import ReplayRequest, read_request
from dispatcher.storage import Storage
from receiver.answers import BadQuery


class _Replays(ListingGroup):
    """Takes the words of version 0.1 too: `dlr replays 3` and `dlr replays --cancel 3`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [word for arg in args for word in _in_new_words(arg)]
        return super().parse_args(ctx, words)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, ["show", *args] if args[0].isdecimal() else args)


def _in_new_words(arg: str) -> list[str]:
    option, equals, value = arg.partition("=")
    if option != "--cancel":
        return [arg]
    return ["cancel", value] if equals else ["cancel"]


@click.group(cls=_Replays)
@listing_options
def replays(**_: Any) -> None:
    """Push stored reports again; list, show and cancel replays.

    Without a command, list the replays, newest first.

    Example: dlr replays start --state exhausted --since 14:00 --until 17:00
    """


@replays.command("list")
@listing_options
def list_replays(config: Path | None, database: str | None, listing: Listing) -> None:
    """List the replays, newest first.

    Example: dlr replays list --format json
    """
    _replaying(config, database, lambda _, r: replay_output.print_replays(r, listing))


@replays.command()
@click.argument("number", metavar="ID", type=Id())
@listing_options
def show(config: Path | None, database: str | None, number: int, listing: Listing) -> None:
    """Show how far a replay is.

    Example: dlr replays show 3
    """
    _replaying(config, database, lambda _, r: replay_output.print_replay(r, number, listing))


@replays.command()
@click.argument("number", metavar="ID", type=Id())
@with_settings
def cancel(config: Path | None, database: str | None, number: int) -> None:
    """Cancel a replay, with all of its dispatches that are still waiting.

    Exit code 1: it has ended already.

    Example: dlr replays cancel 3
    """

    async def work(opened: Storage, replaying: Replaying) -> None:
        sys.exit(await replay_output.cancel(opened, replaying, number))

    _replaying(config, database, work)


@replays.command()
@body_options(ReplayRequest, to={"metavar": "URL"}, speed={"type": Speed()})
@click.option("--detach", is_flag=True, help="Do not wait for the end.")
@click.option(
    "--capsule",
    type=FILE,
    help="The reports of this file of `dlr capture`, and to --to; needs no database and no server.",
)
@with_settings
def start(
    config: Path | None,
    database: str | None,
    dry_run: bool,
    detach: bool,
    capsule: Path | None,
    **asked: Any,
) -> None:
    """Push stored reports again: those that match all options given.

    A running `dlr serve` or `dlr dispatch` does the work; Ctrl-C stops the display, not the replay.
    Exit code 1: something could not be pushed.

    Example: dlr replays start --state exhausted --since 14:00 --until 17:00
    """
    given = {name: value for name, value in asked.items() if value != ()}
    if capsule is not None:
        if dry_run or detach:
            fail("--capsule: --dry-run and --detach belong to replays of a database")
        from dispatcher.commands import capsule_replay  # it runs a whole service

        sys.exit(capsule_replay.replay(capsule, parameters(**given)))
    request, _ = read_request(parameters(**given), SystemClock().now())

    async def work(opened: Storage, replaying: Replaying) -> None:
        try:
            if dry_run:
                await replay_output.print_dry_run(opened, replaying, request)
            elif code := await replay_output.make(opened, replaying, request, detach=detach):
                sys.exit(code)
        except BadQuery as error:
            if isinstance(error.__cause__, UnknownDispatch):  # an id, which is no wrong usage
                raise NotThere(f"there is no dispatch {str(error.__cause__)!r}") from error
            raise

    _replaying(config, database, work)


def _replaying(
    config: Path | None, database: str | None, work: Callable[[Storage, Replaying], Awaitable[None]]
) -> None:
    settings = settings_of(config, database)
    look(config, database, lambda s: work(s, replay_output.replaying_of(s, settings)))

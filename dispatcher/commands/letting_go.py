"""Commands that let go of data: purge, erase."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click

from dispatcher import erasure, upkeep
from dispatcher.clock import SystemClock
from dispatcher.commands.options import (
    Duration,
    fail,
    look,
    settings_of,
    with_settings,
)
from dispatcher.queue.erasure import StillLeased
from dispatcher.service import (
    Storage,
)
from receiver.store.erasure import Recipient
from receiver.store.followup import Follower


@click.command()
@click.option("--older-than", type=Duration(), help="Of any kind; default: as [retention] says.")
@click.option("--dry-run", is_flag=True, help="Only print what would go.")
@with_settings
def purge(
    config: Path | None, database: str | None, older_than: timedelta | None, dry_run: bool
) -> None:
    """Remove what is old: reports, quarantine, ended dispatches with their attempts.

    In small batches, so that a running `dlr serve` goes on. What waits for an endpoint stays.

    Example: dlr purge --older-than 90d --dry-run
    """
    kept = settings_of(config, database).retention
    if older_than is not None:
        if not older_than:
            fail("--older-than: expected a duration above 0s")
        kept = replace(
            kept,
            reports=older_than,
            reports_max=0,
            quarantine=older_than,
            quarantine_max=0,
            attempts=older_than,
            attempts_max=0,
        )

    async def work(opened: Storage) -> None:
        now = SystemClock().now()
        if dry_run:
            _print_rows("would remove", await upkeep.count(opened.database, kept, now))
        else:
            await Follower(opened.database).catch_up()  # what is added up may go
            _print_rows("removed", await upkeep.purge(opened.database, kept, now))

    look(config, database, work)


@click.command()
@click.option("--to", help="The recipient's number.")
@click.option("--message-id", help="Of one message of the recipient.")
@click.option("--dry-run", is_flag=True, help="Only print what would be touched.")
@with_settings
def erase(
    config: Path | None,
    database: str | None,
    to: str | None,
    message_id: str | None,
    dry_run: bool,
) -> None:
    """Erase one recipient's data: reports, quarantine, bodies and answers that hold it.

    Waiting dispatches that carry it are cancelled, and formed anew of what they carried of others.
    Exit code 1: one of them is being sent just now, and nothing was erased.

    Example: dlr erase --to 41793026727 --dry-run
    """
    if (to is None) == (message_id is None) or not (to or message_id):
        fail("expected either --to NUMBER or --message-id ID")

    async def work(opened: Storage) -> None:
        try:
            touched = await erasure.erase(
                opened.database, Recipient(to=to, message_id=message_id), dry_run=dry_run
            )
        except StillLeased as error:
            click.echo(f"dlr: {error}", err=True)
            sys.exit(1)
        _print_rows("would touch" if dry_run else "touched", touched)

    look(config, database, work)


def _print_rows(verb: str, rows: Mapping[str, int]) -> None:
    for table, count in rows.items():
        click.echo(f"{verb} {count:>9} of {table}")

"""`dlr purge`: remove what is old."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click

from dispatcher.clocks.clock import SystemClock
from dispatcher.commands.audit import changing
from dispatcher.commands.options import (
    Duration,
    fail,
    look,
    print_counts,
    settings_of,
    with_settings,
)
from dispatcher.commands.saying import say
from dispatcher.endpoints.registry import registry_of
from dispatcher.storage import Storage
from dispatcher.upkeep import retention


@click.command()
@click.option("--older-than", type=Duration(), help="Of any kind. Default: what [retention] says.")
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
@with_settings
def purge(
    config: Path | None, database: str | None, older_than: timedelta | None, dry_run: bool
) -> None:
    """Remove what is old: reports, quarantine, ended dispatches.

    Dispatches go with their attempts. It works in small batches beside a running `dlr serve`.
    Reports that wait for an endpoint stay, and a line says how many for which endpoint.

    Example: dlr purge --older-than 90d --dry-run
    """
    settings = settings_of(config, database)
    kept = settings.retention
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
        now, held = SystemClock().now(), Counter[str]()
        readers = await retention.readers_of(
            registry_of(opened.endpoints, settings), dispatches=False
        )
        of = opened.retention.reading(readers)
        if dry_run:
            print_counts("would remove", await retention.count(of, kept, now, held))
        else:
            await opened.read_model.catch_up()  # what is added up may go
            async with changing(opened, "purge") as told:
                removed = await retention.purge(of, kept, now, held=held)
                told.details |= removed
            print_counts("removed", removed)
        for holder, reports in sorted(held.items()):
            noun = "report" if reports == 1 else "reports"
            say(f"{'held back':<12} {reports:>9} {noun} for {holder}")

    look(config, database, work)

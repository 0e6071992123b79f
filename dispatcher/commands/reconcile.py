"""The command that asks the provider: reconcile."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path

import click

from dispatcher.clocks.clock import wall_time
from dispatcher.commands import reconcile_output
from dispatcher.commands.audit import changing
from dispatcher.commands.list_output import Listing
from dispatcher.commands.names import no_such
from dispatcher.commands.options import fail, listing_options, look, settings_of
from dispatcher.commands.times import TimeOption, time_options
from dispatcher.settings.reconcile import LOGS_KEPT, ReconcileSettings
from dispatcher.settings.settings import Settings
from dispatcher.storage import Storage
from receiver.callbacks.intake import Limits

_USUAL = timedelta(hours=24)


@click.command()
@click.option("--source", required=True, help="The [[source]] whose provider to ask.")
@time_options(
    TimeOption("since", "--since", "Sent at this time or later, at most 48h ago. Default: 24h."),
)
@click.option(
    "--apply/--dry-run",
    default=False,
    show_default=True,
    help="Store the missing reports, so that they are routed and pushed like all others.",
)
@listing_options
def reconcile(
    config: Path | None,
    database: str | None,
    listing: Listing,
    source: str,
    since: str | None,
    apply: bool,
) -> None:
    """Ask the provider for reports that never arrived.

    A dry run lists them. It only reads the provider's logs, which can be read again. --apply first
    stores the reports at the pull endpoint, which hands out each of them once. Whatever is still
    missing is rebuilt from the logs. [source.reconcile] has the address of the provider.

    Exit code 1: something is missing and was not stored, or the provider could not be asked.

    Example: dlr reconcile --source default --since 24h --apply
    """
    settings = settings_of(config, database)
    asked = _asked(settings, source)
    back = _USUAL if since is None else wall_time() - datetime.fromisoformat(since)
    if back < timedelta(seconds=1):
        fail("--since: expected a time in the past such as 24h (ago)")
    if back > LOGS_KEPT + timedelta(seconds=1):
        fail("--since: expected at most 48h ago, which is how long the provider keeps its logs")

    async def work(opened: Storage) -> None:
        noted = changing(opened, "reconcile", source) if apply else nullcontext()
        async with noted:
            code = await reconcile_output.reconcile(
                opened,
                source,
                asked,
                database=settings.store.database,
                since=min(back, LOGS_KEPT),
                apply=apply,
                limits=Limits.of(settings),
                listing=listing,
            )
        if code:
            sys.exit(code)

    look(config, database, work)


def _asked(settings: Settings, name: str) -> ReconcileSettings:
    sources = {source.name: source.reconcile for source in settings.source}
    if name not in sources:
        fail(f"--source: {no_such('source', name, sources)}")
    asked = sources[name]
    if asked is None:
        fail(f'--source: [[source]] "{name}" has no [source.reconcile] that says where to ask')
    return asked

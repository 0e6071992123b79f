"""`dlr migrate`: bring the database to the current schema."""

from __future__ import annotations

from pathlib import Path

import click

from dispatcher.commands.options import run_to_end, settings_of, with_settings
from dispatcher.commands.saying import say
from dispatcher.storage import migrate as bring_up_to_date
from receiver.faults import without_credentials


@click.command()
@with_settings
def migrate(config: Path | None, database: str | None) -> None:
    """Bring the database to the current schema.

    `dlr serve` does so at its start.

    Example: dlr migrate --database dlr.db
    """
    path = settings_of(config, database).store.database
    named = without_credentials(path)

    async def run() -> None:
        applied = await bring_up_to_date(path)
        for step in applied:
            say(f"{named}: applied {step}")
        if not applied:
            say(f"{named}: nothing to do")

    run_to_end(run())

"""`dlr migrate`: bring the database to the current schema."""

from __future__ import annotations

from pathlib import Path

import click

from dispatcher.commands.options import run_to_end, settings_of, with_settings
from dispatcher.storage import MIGRATIONS
from receiver.store.sqlite.database import Database


@click.command()
@with_settings
def migrate(config: Path | None, database: str | None) -> None:
    """Bring the database to the current schema. `dlr serve` does so by itself.

    Example: dlr migrate --database dlr.db
    """
    path = settings_of(config, database).store.database

    async def run() -> None:
        opened = await Database.open(path)
        try:
            applied = await opened.migrate(MIGRATIONS)
        finally:
            await opened.close()
        for step in applied:
            click.echo(f"{path}: applied {step.part} {step.number:04} {step.name}")
        if not applied:
            click.echo(f"{path}: nothing to do")

    run_to_end(run())

"""Commands that set up: check, migrate."""

from __future__ import annotations

from pathlib import Path

import click

from dispatcher.commands.options import (
    fail,
    run_to_end,
    settings_of,
    with_settings,
)
from dispatcher.service import (
    MIGRATIONS,
)
from dispatcher.settings import find_file
from receiver.configuration import effective
from receiver.settings import may_listen
from receiver.store.database import Database


@click.command()
@with_settings
def check(config: Path | None, database: str | None) -> None:
    """Read the configuration, name every fault at once, print what is in effect.

    Example: dlr check --config config/dlr.toml
    """
    settings = settings_of(config, database)
    file = find_file(config, Path())
    click.echo(f"settings from {file or 'defaults and the environment'}: no fault")
    for name, value in effective(settings):
        click.echo(f"  {name} = {value}")
    if (refusal := may_listen(settings.server, settings.api)) is not None:
        fail(refusal)


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

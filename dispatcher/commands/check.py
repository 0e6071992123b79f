"""`dlr check`: read the configuration and name its faults."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from dispatcher.commands.gone import gone_lines
from dispatcher.commands.options import fail, run_to_end, settings_of, with_settings
from dispatcher.service import registry_of
from dispatcher.settings.settings import Settings, find_file
from dispatcher.storage import storage_as_it_is
from receiver.settings.settings import may_listen
from receiver.settings.writing import effective
from receiver.store.base import StoreUnavailable


async def _say_who_is_gone(settings: Settings) -> None:
    """What of the database has left the settings, if it can be read now."""
    with suppress(StoreUnavailable):
        async with storage_as_it_is(settings.store.database) as opened:
            if opened is not None:
                for line in await gone_lines(opened, registry_of(opened, settings)):
                    click.echo(line)


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
    if Path(settings.store.database).is_file():
        run_to_end(_say_who_is_gone(settings))
    if (refusal := may_listen(settings.server, settings.api)) is not None:
        fail(refusal)

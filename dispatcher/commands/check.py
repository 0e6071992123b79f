"""`dlr check`: read the configuration and name its faults."""

from __future__ import annotations

from pathlib import Path

import click

from dispatcher.commands.options import fail, settings_of, with_settings
from dispatcher.settings.never_matching import never_matching
from dispatcher.settings.settings import find_file
from receiver.settings.settings import may_listen
from receiver.settings.writing import effective


@click.command()
@with_settings
def check(config: Path | None, database: str | None) -> None:
    """Read the configuration, name every fault at once, print what is in effect.

    On stderr it names the rules of endpoints and of the sandbox that can never match: the settings
    can be used all the same.

    Example: dlr check --config config/dlr.toml
    """
    settings = settings_of(config, database)
    file = find_file(config, Path())
    click.echo(f"settings from {file or 'defaults and the environment'}: no fault")
    for name, value in effective(settings):
        click.echo(f"  {name} = {value}")
    for place, reason in never_matching(settings):
        click.echo(f"dlr: {place}: can never match: {reason}", err=True)
    if (refusal := may_listen(settings.server, settings.api)) is not None:
        fail(refusal)

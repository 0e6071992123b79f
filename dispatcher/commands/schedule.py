"""`dlr schedule`: the retry table. It loads little, so that the answer is there at once."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.console import Console

from dispatcher.commands.options import config_option, fail
from dispatcher.commands.schedule_table import print_presets, print_schedule
from dispatcher.endpoints.from_settings import schedule_of
from dispatcher.retrying.presets import PRESETS
from dispatcher.settings.settings import read_settings


@click.command()
@click.argument("preset", type=click.Choice([*PRESETS, "custom"]), required=False)
@click.option("--list", "listing", is_flag=True, help="List the presets, a line each.")
@config_option
def schedule(config: Path | None, preset: str | None, listing: bool) -> None:
    """Print the retry table of a schedule.

    Its columns are retry, interval, cumulative (hours:minutes or hours:minutes:seconds). PRESET is
    a name from --list, or `custom` for the schedule that the settings describe. Without PRESET, the
    settings choose.

    Example: dlr schedule svix
    """
    console = Console()
    if listing:
        print_presets(console, PRESETS.values())
    elif preset in PRESETS:
        print_schedule(console, PRESETS[preset])
    else:
        chosen = read_settings(config, os.environ).schedule
        if preset is not None and chosen.preset != preset:
            fail(f'there is none: schedule.preset is "{chosen.preset}", not "custom"')
        print_schedule(console, schedule_of(chosen))

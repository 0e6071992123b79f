"""`dlr capture`: what happened, as one file to share."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from dispatcher.capsule.base import Window
from dispatcher.capsule.capsule import Heading, Writer
from dispatcher.capsule.capture import BrokenOff, shared_settings
from dispatcher.capsule.capture import capture as write_capsule
from dispatcher.capsule.pseudonyms import Pseudonyms
from dispatcher.commands.export import finished
from dispatcher.commands.options import FILE, fail, look, settings_of, with_settings
from dispatcher.commands.saying import say
from dispatcher.commands.simulation_progress import watching
from dispatcher.commands.times import TimeOption, time_options
from dispatcher.endpoints.registry import Registered, registry_of
from dispatcher.settings.settings import Settings
from dispatcher.storage import Storage
from receiver.settings.writing import as_table


@click.command()
@time_options(
    TimeOption("since", "--since", "Received at this time or later.", "--from", required=True),
    TimeOption("until", "--until", "Received before this time.", "--to", required=True),
)
@click.option("--endpoint", help="The endpoint. Needed if there are several.")
@click.option("-o", "--output", required=True, type=FILE, help="The file: outage.capsule.")
@with_settings
def capture(
    config: Path | None,
    database: str | None,
    since: str,
    until: str,
    endpoint: str | None,
    output: Path,
) -> None:
    """Write a time window of the database to a file for sharing.

    It has the reports received in that window, and what happened to them. The file is
    pseudonymised: numbers, ids, senders and callbackData are replaced, and equal values stay equal.
    It has no texts, secrets, hosts or names of people. `dlr simulate FILE` plays it.

    Example: dlr capture --since 14:00 --until 17:00 -o outage.capsule
    """
    window = datetime.fromisoformat(since), datetime.fromisoformat(until)
    if not output.parent.is_dir():
        fail(f"--output: there is no directory {output.parent}")
    settings = settings_of(config, database)

    async def work(opened: Storage) -> None:
        known = await registry_of(opened.endpoints, settings).all()
        await _capture(opened, settings, window, _chosen(known, endpoint), output)

    look(config, database, work)


def _chosen(known: dict[str, Registered], name: str | None) -> Registered | None:
    if name is not None and name not in known:
        fail(f'there is no endpoint "{name}"; there are: {", ".join(known) or "none"}')
    if name is None and len(known) > 1:
        fail(f"--endpoint: which one? {', '.join(known)}")
    return known[name] if name is not None else next(iter(known.values()), None)


async def _capture(
    opened: Storage,
    settings: Settings,
    window: tuple[datetime, datetime],
    endpoint: Registered | None,
    output: Path,
) -> None:
    known = endpoint is not None and endpoint.settings is not None
    heading = Heading(
        since=window[0],
        until=window[1],
        endpoint=shared_settings(endpoint.settings) if endpoint and endpoint.settings else {},
        schedule=as_table(settings.schedule) if known else {},
    )
    what = Window(*window, None if endpoint is None else endpoint.name)
    try:
        with finished(output) as path, path.open("wb") as file, watching("capturing") as watch:
            writer = Writer(file, heading)
            await write_capsule(opened.recording, writer, what, Pseudonyms(), watch)
            writer.close()
    except BrokenOff:
        raise click.Abort from None
    say(f"wrote {writer.reports:,} reports and {writer.dispatches:,} dispatches to {output}")

"""`dlr check`: check the settings as the start of a process does, or ask the running process."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import click

from dispatcher.commands.options import settings_of, with_settings
from dispatcher.commands.refusals import refusals, warnings
from dispatcher.commands.saying import say
from dispatcher.settings.settings import Settings, find_file
from receiver.settings.configuration import ConfigurationError
from receiver.settings.writing import effective


@click.command()
@click.option(
    "--effective",
    "only_changed",
    is_flag=True,
    help="Print only the settings that differ from the defaults.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Ask the running process whether it is ready, which callbacks it refused (wrong paths,"
    " unknown sources, 405, 413 and 415; 401 is in the log), and how large its database is. Exit"
    " code 1 if it is not ready or does not answer.",
)
@click.option(
    "--url",
    help="Ask only the process that listens there. Default: server.port, where `dlr serve` or"
    " `dlr receive` listens, and server.dispatch_port.",
)
@with_settings
def check(
    config: Path | None, database: str | None, only_changed: bool, live: bool, url: str | None
) -> None:
    """Check the settings, and list every fault at once.

    Faults are what `dlr serve`, `dlr receive` or `dlr dispatch` would refuse at its start. Without
    a fault, it prints the settings in effect. On stderr it warns of what only `dlr sandbox` would
    refuse, of a port in use, and of rules that can never match.

    Exit code 2: there are faults.

    Example: dlr check --effective --config config/dlr.toml
    """
    if live or url is not None:
        _ask(settings_of(config, database), url)
        return
    readable, faults = _read(config, database)
    refused, gone = ([], []) if readable is None else asyncio.run(refusals(readable))
    if readable is None or faults or refused:
        raise ConfigurationError([*faults, *refused])
    file = find_file(config, Path())
    say(f"settings from {file or 'defaults and the environment'}: no fault")
    for name, value in effective(readable, only_changed=only_changed):
        say(f"  {name} = {value}")
    for line in gone:
        say(line)
    for line in warnings(readable):
        say(f"dlr: {line}", err=True)


def _read(config: Path | None, database: str | None) -> tuple[Settings | None, tuple[str, ...]]:
    """The settings, with defaults for what cannot be read, and the faults of what cannot be."""
    try:
        return settings_of(config, database), ()
    except ConfigurationError as error:
        found: Settings | None = error.readable
        if found is not None and database is not None:
            found = replace(found, store=replace(found.store, database=database))
        return found, error.faults


def _ask(settings: Settings, url: str | None) -> None:
    # Imported here: reading the settings needs no HTTP client.
    from dispatcher.commands.live import NotAsked, headers_of, looked_at, url_of

    place = (url or url_of(settings.server)).rstrip("/")
    ready, refusal = False, None
    try:
        ready, lines = asyncio.run(looked_at(place, headers_of(settings.api)))
        for line in lines:
            say(line)
    except NotAsked as error:
        refusal = error
    pushes_too = url is not None or _ask_dispatcher(settings, alone=refusal is not None)
    if refusal is not None:
        say(f"dlr: {refusal}", err=True)
    sys.exit(0 if ready and pushes_too else 1)


def _ask_dispatcher(settings: Settings, *, alone: bool) -> bool:
    """Print what a `dlr dispatch` that runs beside says. False: it runs, and is not ready."""
    from dispatcher.commands.live import dispatcher_at, url_of_dispatch

    url = url_of_dispatch(settings.server)
    found = asyncio.run(dispatcher_at(url))
    if found is None:
        return True
    say(found[1])
    if alone:
        say(
            "dlr: only `dlr dispatch` runs here: it pushes, and nothing takes callbacks. If that is"
            f" as you want it, ask with --url {url}",
            err=True,
        )
    return found[0]

"""`dlr check`: read the configuration and name its faults; ask the running process."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import click

from dispatcher.commands.gone import gone_lines
from dispatcher.commands.options import fail, run_to_end, settings_of, with_settings
from dispatcher.commands.saying import say
from dispatcher.endpoints.registry import registry_of
from dispatcher.settings.never_matching import never_matching
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
                for line in await gone_lines(opened, registry_of(opened.endpoints, settings)):
                    say(line)


@click.command()
@click.option(
    "--live",
    is_flag=True,
    help="Ask the running process whether it is ready, and which callbacks it has not taken: wrong"
    " paths, unknown sources, 405, 413 and 415. (401 is in the log.) Exit code 1 if it is not ready"
    " or does not answer.",
)
@click.option("--url", help="Where it listens, with --live. Default: server.bind and server.port.")
@with_settings
def check(config: Path | None, database: str | None, live: bool, url: str | None) -> None:
    """Check the settings, and list every fault at once.

    It also prints the settings in effect. On stderr it names the rules of endpoints and of the
    sandbox that can never match: the settings can be used all the same.

    Example: dlr check --live --config config/dlr.toml
    """
    settings = settings_of(config, database)
    if live or url is not None:
        _ask(settings, url)
        return
    file = find_file(config, Path())
    say(f"settings from {file or 'defaults and the environment'}: no fault")
    for name, value in effective(settings):
        say(f"  {name} = {value}")
    if Path(settings.store.database).is_file():
        run_to_end(_say_who_is_gone(settings))
    for place, reason in never_matching(settings):
        say(f"dlr: {place}: can never match: {reason}", err=True)
    if (refusal := may_listen(settings.server, settings.api)) is not None:
        fail(refusal)


def _ask(settings: Settings, url: str | None) -> None:
    # Imported here: reading the settings needs no HTTP client.
    from dispatcher.commands.live import NotAsked, headers_of, looked_at, url_of

    place = (url or url_of(settings.server)).rstrip("/")
    try:
        ready, lines = asyncio.run(looked_at(place, headers_of(settings.api)))
    except NotAsked as error:
        say(f"dlr: {error}", err=True)
        sys.exit(1)
    for line in lines:
        say(line)
    sys.exit(0 if ready else 1)

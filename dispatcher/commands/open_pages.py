"""`dlr open`: the pages in a browser."""

from __future__ import annotations

import asyncio
import sys
import webbrowser
from pathlib import Path

import click

from dispatcher.commands.options import settings_of, with_settings
from dispatcher.commands.saying import say


@click.command()
@click.option("--url", help="Where it listens. Default: server.bind and server.port.")
@with_settings
def open(config: Path | None, database: str | None, url: str | None) -> None:
    """Open the pages of the running `dlr` in a browser.

    Prints their URL too, for a machine without a browser. Exit code 1: nothing answers there.

    Example: dlr open
    """
    from dispatcher.commands.live import NotAsked, ask_alive, url_of  # `dlr --help` needs no HTTP

    place = (url or url_of(settings_of(config, database).server)).rstrip("/")
    try:
        asyncio.run(ask_alive(place))
    except NotAsked as error:
        say(f"dlr: {error}", err=True)
        sys.exit(1)
    say(f"{place}/")
    webbrowser.open(f"{place}/")

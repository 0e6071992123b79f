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
@click.option("--url", help="Where it listens. Default: as the settings say.")
@with_settings
def open(config: Path | None, database: str | None, url: str | None) -> None:
    """Open the pages of the running `dlr` in a browser.

    If only `dlr dispatch` runs, its pages. Prints their URL too, for a machine without a browser.
    Exit code 1: nothing answers there.

    Example: dlr open
    """
    from dispatcher.commands.live import NotAsked, ask_alive, pages_of  # `dlr --help` needs no HTTP

    settings = settings_of(config, database)
    try:
        if url is None:
            place = asyncio.run(pages_of(settings.server))
        else:
            place = url.rstrip("/")
            asyncio.run(ask_alive(place))
    except NotAsked as error:
        say(f"dlr: {error}", err=True)
        sys.exit(1)
    say(f"{place}/")
    webbrowser.open(f"{place}/")

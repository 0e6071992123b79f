"""`dlr endpoints`: the endpoints, and changes at run time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from dispatcher.commands import endpoints_output
from dispatcher.commands.list_output import Listing
from dispatcher.commands.listing_group import ListingGroup
from dispatcher.commands.options import Command, listing_options, look, settings_of, with_settings
from dispatcher.endpoints.from_settings import schedule_of
from dispatcher.endpoints.registry import Registry, registry_of
from dispatcher.storage import Storage


@click.group(cls=ListingGroup)
@listing_options
def endpoints(**_: Any) -> None:
    """List, add and change the endpoints that reports are pushed to.

    Without a command, list them. A running `dlr` notices changes within a fraction of a second.
    They override the settings file until `dlr endpoints reset NAME`.

    Example: dlr endpoints add acme --url https://acme.example/dlr --set reports=final
    """


def _endpoints(
    config: Path | None, database: str | None, work: Callable[[Storage, Registry], Awaitable[None]]
) -> None:
    settings = settings_of(config, database)
    look(config, database, lambda s: work(s, registry_of(s.endpoints, settings)))


@endpoints.command("list")
@listing_options
def list_endpoints(config: Path | None, database: str | None, listing: Listing) -> None:
    """List the endpoints: those of the settings file first, then those added at run time.

    Example: dlr endpoints list --format json
    """
    _endpoints(config, database, lambda s, r: endpoints_output.print_endpoints(s, r, listing))


@endpoints.command()
@click.argument("name")
@listing_options
def show(config: Path | None, database: str | None, name: str, listing: Listing) -> None:
    """Show one endpoint with all its settings. Of secrets, it shows only that they are set.

    Example: dlr endpoints show acme
    """
    _endpoints(config, database, lambda s, r: endpoints_output.print_endpoint(s, r, name, listing))


def _endpoint_settings(command: Command) -> Command:
    """The settings that are typed, handed over as one `given`."""

    @wraps(command)
    def wrapped(
        settings: tuple[str, ...],
        secrets: tuple[str, ...],
        unset: tuple[str, ...] = (),
        **rest: Any,
    ) -> None:
        command(given=endpoints_output.typed(settings, secrets, unset), **rest)

    wrapped = click.option(
        "--secret",
        "secrets",
        metavar="KEY",
        multiple=True,
        help="Prompt for the value, so that it stays out of the shell history; or read a line of"
        " stdin: --secret KEY < FILE.",
    )(wrapped)
    return click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="A setting of [[endpoint]], its value in TOML: window=5, security.type=basic. No"
        " secrets: those take --secret.",
    )(wrapped)


@endpoints.command()
@click.argument("name")
@click.option("--url", required=True, help="Where reports are posted.")
@_endpoint_settings
@with_settings
def add(
    config: Path | None, database: str | None, name: str, url: str, given: dict[str, Any]
) -> None:
    """Add an endpoint. It gets the reports that come from now on; the first one ever gets all.

    Example: dlr endpoints add acme --url https://acme.example/dlr --set 'senders=["InfoSMS"]'
    """
    _endpoints(config, database, lambda s, r: endpoints_output.add(s, r, name, url, given))


@endpoints.command()
@click.argument("name")
@_endpoint_settings
@click.option("--unset", metavar="KEY", multiple=True, help="Back to its default.")
@with_settings
def change(config: Path | None, database: str | None, name: str, given: dict[str, Any]) -> None:
    """Change some settings of an endpoint; the others stay.

    Example: dlr endpoints change acme --set rate_limit=10 --secret security.password
    """
    _endpoints(config, database, lambda s, r: endpoints_output.change(s, r, name, given))


@endpoints.command()
@click.argument("name", required=False)
@listing_options
def health(config: Path | None, database: str | None, name: str | None, listing: Listing) -> None:
    """What each endpoint answered in the last hour and day, and what waits for it.

    Example: dlr endpoints health acme --format json
    """
    from dispatcher.commands import health_output  # what lists do not need

    settings = settings_of(config, database)

    async def work(opened: Storage, registry: Registry) -> None:
        schedule = schedule_of(settings.schedule)
        await health_output.print_health(opened, registry, schedule, name, listing)

    _endpoints(config, database, work)


@endpoints.command()
@click.argument("name")
@with_settings
def pause(config: Path | None, database: str | None, name: str) -> None:
    """Pause the pushes to an endpoint. Its reports wait and use up no retries.

    Example: dlr endpoints pause acme
    """
    _endpoints(config, database, lambda s, r: endpoints_output.hold(s, r, name, True))


@endpoints.command()
@click.argument("name")
@click.option(
    "--as",
    "other",
    metavar="NAME",
    help="Another endpoint, which takes over all that waits for one that left the settings file.",
)
@with_settings
def resume(config: Path | None, database: str | None, name: str, other: str | None) -> None:
    """Resume a paused endpoint. One that was renamed in the settings file continues as another.

    Example: dlr endpoints resume acme --as acme-eu
    """

    async def work(opened: Storage, registry: Registry) -> None:
        if other is None:
            await endpoints_output.hold(opened, registry, name, False)
        else:
            await endpoints_output.resume_as(opened, registry, name, other)

    _endpoints(config, database, work)


@endpoints.command()
@click.argument("name")
@with_settings
def retry(config: Path | None, database: str | None, name: str) -> None:
    """Have all that waits for an endpoint be due now. Each is the next attempt of its schedule.

    Example: dlr endpoints retry acme
    """
    _endpoints(config, database, lambda s, r: endpoints_output.retry(s, r, name))


@endpoints.command()
@click.argument("name")
@with_settings
def test(config: Path | None, database: str | None, name: str) -> None:
    """Push one example report to an endpoint, once, and print what came back. Exit code 1: it was
    not acknowledged.

    The report's callbackData says that it is a test push. Nothing is stored.

    Example: dlr endpoints test acme
    """
    from dispatcher.commands import example_push  # what lists do not need

    settings = settings_of(config, database)
    _endpoints(config, database, lambda s, r: example_push.test(s, r, settings, name))


@endpoints.command()
@click.argument("name")
@with_settings
def remove(config: Path | None, database: str | None, name: str) -> None:
    """Take an endpoint out, even one of the file or one that has left it: what waits for it is
    cancelled.

    Example: dlr endpoints remove acme
    """
    _endpoints(config, database, lambda s, r: endpoints_output.remove(s, r, name))


@endpoints.command()
@click.argument("name")
@with_settings
def reset(config: Path | None, database: str | None, name: str) -> None:
    """Give an endpoint back to the settings file: what was said at run time is forgotten.

    Example: dlr endpoints reset acme
    """
    _endpoints(config, database, lambda s, r: endpoints_output.reset(s, r, name))

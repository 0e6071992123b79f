"""Commands that show: reports, messages, quarantine, totals, dispatches, schedule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click

from dispatcher.commands import list_output
from dispatcher.commands.list_output import Listing
from dispatcher.commands.options import Command, fail, listing_options, look, settings_of
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.service import registry_of
from dispatcher.storage import Storage
from receiver.api import parameters
from receiver.api.filters import BUCKETS, message_query, report_query, totals_query
from receiver.callbacks.intake import Limits
from receiver.store.base import ReportQuery


def _filters(*options: tuple[str, str]) -> Callable[[Command], Command]:
    """Options that are parameters of the API: name and help."""

    def decorate(command: Command) -> Command:
        for name, text in reversed(options):
            command = click.option(name, help=text)(command)
        return command

    return decorate


_FINALITY = click.option(
    "--final/--intermediate", default=None, help="Only final, or only intermediate ones."
)
_GROUPS = ("--status-group", "Only these groups, ids or names: DELIVERED,EXPIRED.")


@click.command()
@_filters(
    ("--message-id", "Only of this message."),
    ("--bulk-id", "Only of this bulk."),
    ("--to", "Only to this number."),
    ("--to-prefix", "Only to numbers that begin so: 4179."),
    ("--sender", "Only from this sender."),
    _GROUPS,
    ("--status", "Only these statuses, ids or names: 5,EXPIRED_EXPIRED."),
    ("--error", "Only these errors, ids or names: EC_ABSENT_SUBSCRIBER,27."),
)
@click.option("--permanent/--temporary", default=None, help="Only permanent, or only other errors.")
@_FINALITY
@_filters(
    ("--source", "Only from this source."),
    ("--callback-data", "Only with this callbackData."),
    ("--callback-data-contains", "Only with this in the callbackData."),
    ("--received-since", "Received then or later: 2026-11-21T10:00:00Z."),
    ("--received-until", "Received before."),
    ("--done-since", "doneAt then or later."),
    ("--done-until", "doneAt before."),
)
@click.option("--unrouted", is_flag=True, help="Only those that no endpoint took.")
@listing_options
def reports(
    config: Path | None, database: str | None, listing: Listing, unrouted: bool, **filters: Any
) -> None:
    """The stored reports, newest first.

    Example: dlr reports --status-group EXPIRED,REJECTED --format csv --output failed.csv
    """
    query = report_query(list_output.parameters(**filters))
    if unrouted:
        if query != ReportQuery():
            fail("--unrouted takes no other filter")
        settings = settings_of(config, database)
        look(
            config,
            database,
            lambda s: list_output.print_unrouted(s, registry_of(s, settings), listing),
        )
        return
    look(config, database, lambda s: list_output.print_reports(s, query, listing))


@click.command()
@click.argument("message_id", required=False)
@_FINALITY
@_filters(("--source", "Only those with a report from this source."), _GROUPS)
@listing_options
def messages(
    config: Path | None,
    database: str | None,
    listing: Listing,
    message_id: str | None,
    **filters: Any,
) -> None:
    """The messages and their state; with MESSAGE_ID its history, dispatches and attempts.

    Example: dlr messages 2033247207850523791
    """
    query = message_query(list_output.parameters(**filters))
    if message_id is None:
        look(config, database, lambda s: list_output.print_messages(s, query, listing))
    else:
        look(config, database, lambda s: list_output.print_message(s, message_id))


@click.command()
@click.argument("entry", type=int, required=False)
@click.option("--retry", metavar="ID|all", help="Read it again, and store what can now be read.")
@listing_options
def quarantine(
    config: Path | None,
    database: str | None,
    listing: Listing,
    entry: int | None,
    retry: str | None,
) -> None:
    """What could not be read, newest first; with ENTRY (its id) the bytes as they came.

    Example: dlr quarantine 3 > body.bin
    """
    if retry is not None:
        again = None if retry == "all" else parameters.number(retry, "--retry")
        settings = settings_of(config, database)
        limits = Limits(items=settings.limits.items, field=settings.limits.field)

        async def read_again(opened: Storage) -> None:
            await list_output.retry_quarantine(opened, again, limits)

        look(config, database, read_again)
    elif entry is None:
        look(config, database, lambda s: list_output.print_quarantine(s, listing))
    else:
        look(config, database, lambda s: list_output.print_quarantined(s, entry))


@click.command()
@_filters(
    ("--since", "The beginning; with it, all of its hour or day. Default: a day, or 31 days ago."),
    ("--until", "The end. Default: now."),
)
@click.option("--bucket", type=click.Choice(list(BUCKETS)), default="hour", show_default=True)
@_filters(("--source", "Only from this source."))
@_FINALITY
@listing_options
def totals(config: Path | None, database: str | None, listing: Listing, **filters: Any) -> None:
    """Reports by hour or day (UTC) of receipt: counts, prices, times from sentAt to doneAt.

    Example: dlr totals --bucket day --since 2026-11-01
    """
    query = totals_query(list_output.parameters(**filters), datetime.now(UTC))
    look(config, database, lambda s: list_output.print_totals(s, query, listing))


@click.command()
@click.argument("dispatch_id", required=False)
@click.option("--endpoint", help="Only to this endpoint.")
@click.option("--state", type=click.Choice(get_args(DispatchState)), help="Only in this state.")
@listing_options
def dispatches(
    config: Path | None,
    database: str | None,
    listing: Listing,
    dispatch_id: str | None,
    endpoint: str | None,
    state: DispatchState | None,
) -> None:
    """The dispatches, newest first; with DISPATCH_ID its attempts.

    Example: dlr dispatches --state exhausted
    """
    if dispatch_id is None:
        look(config, database, lambda s: list_output.print_dispatches(s, listing, endpoint, state))
    else:
        look(config, database, lambda s: list_output.print_dispatch(s, dispatch_id))

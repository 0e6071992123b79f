"""Commands that show: reports, messages, quarantine, totals, dispatches."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from msgspec import structs

from dispatcher.api.dispatches import DISPATCH_FILTERS, dispatch_query
from dispatcher.commands import list_output
from dispatcher.commands.api_options import filter_options, parameters
from dispatcher.commands.list_output import Listing
from dispatcher.commands.options import Id, fail, listing_options, look, settings_of
from dispatcher.endpoints.registry import registry_of
from dispatcher.storage import Storage
from receiver.answers import BadQuery
from receiver.api.filters import (
    MESSAGE_FILTERS,
    PLACE_FILTERS,
    RECEIVED_IN,
    REPORT_FILTERS,
    TOTALS_FILTERS,
    asked_totals,
    message_query,
    place_of,
    quarantine_query,
    report_query,
)
from receiver.api.parameters import number
from receiver.callbacks.intake import Limits
from receiver.faults import quoted


@click.command()
@click.argument("report", type=Id(), required=False)
@filter_options((*REPORT_FILTERS, *PLACE_FILTERS))
@click.option("--unrouted", is_flag=True, hidden=True)
@listing_options
def reports(
    config: Path | None,
    database: str | None,
    listing: Listing,
    report: int | None,
    unrouted: bool,
    **filters: Any,
) -> None:
    """List the stored reports, newest first. With REPORT (its id), show all it says.

    Example: dlr reports --endpoint acme --state exhausted --since 24h
    """
    if unrouted:
        if any(value is not None for value in filters.values()):
            fail("--unrouted takes no other filter; --state unrouted does")
        filters["state"] = "unrouted"
    given = parameters(**filters)
    query, place = report_query(given), place_of(given)
    settings = settings_of(config, database)
    if report is not None:
        look(config, database, lambda s: list_output.print_report(s, report, listing))
    elif place is not None:
        look(
            config,
            database,
            lambda s: list_output.print_placed(
                s, registry_of(s.endpoints, settings), query, place, listing
            ),
        )
    else:
        look(config, database, lambda s: list_output.print_reports(s, query, listing))


@click.command()
@click.argument("message_id", required=False)
@filter_options(MESSAGE_FILTERS)
@listing_options
def messages(
    config: Path | None,
    database: str | None,
    listing: Listing,
    message_id: str | None,
    **filters: Any,
) -> None:
    """List the messages and their state. With MESSAGE_ID, show its history, dispatches and
    attempts.

    If several sources have a message with this id, name one of them with --source.

    Example: dlr messages 2033247207850523791
    """
    query = message_query(parameters(**filters))
    if message_id is None:
        look(config, database, lambda s: list_output.print_messages(s, query, listing))
    else:
        look(
            config,
            database,
            lambda s: list_output.print_message(s, message_id, query.source, listing),
        )


@click.command()
@click.argument("entry", type=Id(), required=False)
@click.option(
    "--retry",
    metavar="ID|all",
    help="Read this entry again, and store its reports if they can be read now.",
)
@click.option("--dismiss", type=Id(), metavar="ID", help="Delete this entry, with its bytes.")
@filter_options(RECEIVED_IN)
@listing_options
def quarantine(
    config: Path | None,
    database: str | None,
    listing: Listing,
    entry: int | None,
    retry: str | None,
    dismiss: int | None,
    **filters: Any,
) -> None:
    """List what could not be read, newest first. With ENTRY (its id), print the original bytes.

    Example: dlr quarantine 3 > body.bin
    """
    wanted = quarantine_query(parameters(**filters))
    if dismiss is not None:
        if entry is not None or retry is not None:
            fail("expected one of ENTRY, --retry ID and --dismiss ID")
        from dispatcher.commands.audit import changing

        async def take_out(opened: Storage) -> None:
            async with changing(opened, "dismissQuarantined", str(dismiss)):
                await list_output.dismiss_quarantined(opened, dismiss)

        look(config, database, take_out)
    elif retry is not None:
        from dispatcher.commands.audit import changing  # what lists do not need

        again = _entry_or_all(retry)
        settings = settings_of(config, database)
        limits = Limits(items=settings.limits.items, field=settings.limits.field)

        async def read_again(opened: Storage) -> None:
            async with changing(opened, "retryQuarantined", retry) as told:
                counts = await list_output.read_quarantine_again(opened, again, limits)
                told.details |= structs.asdict(counts)

        look(config, database, read_again)
    elif entry is None:
        look(config, database, lambda s: list_output.print_quarantine(s, wanted, listing))
    else:
        look(config, database, lambda s: list_output.print_quarantined(s, entry, listing))


def _entry_or_all(retry: str) -> int | None:
    """The id of an entry; `None`: all of them."""
    if retry == "all":
        return None
    try:
        return number(retry, "--retry")
    except BadQuery:
        fail(f'--retry: expected the id of an entry or "all", got {quoted(retry)}')


@click.command()
@filter_options(TOTALS_FILTERS)
@listing_options
def totals(config: Path | None, database: str | None, listing: Listing, **filters: Any) -> None:
    """Count reports and add up their cost, by time of receipt (UTC).

    The cost is pricePerMessage times smsCount (v3: messageCount) of each final report, because the
    provider charges every part of a long SMS. There is one column for each currency. The columns
    p50 to p99 are percentiles of the seconds from sentAt to doneAt. With --by there is one row for
    each endpoint, operator, country, sender, source or error instead. A row of an endpoint has the
    reports that it took. The columns share p5 to p95 are percentiles of the row's deliveredShare:
    in the worst 5 % of the hours (--bucket day: days) it was p5 or less.

    Example: dlr totals --by operator --since 2026-11-01
    """
    asked = asked_totals(parameters(**filters), datetime.now(UTC))
    look(config, database, lambda s: list_output.print_totals(s, asked, listing))


@click.command()
@click.argument("dispatch_id", required=False)
@filter_options(DISPATCH_FILTERS)
@click.option("--retry", metavar="ID", help="Make this waiting dispatch due now.")
@click.option(
    "--again", metavar="ID", help="Push the reports of this ended dispatch again, to its endpoint."
)
@listing_options
def dispatches(
    config: Path | None,
    database: str | None,
    listing: Listing,
    dispatch_id: str | None,
    retry: str | None,
    again: str | None,
    **filters: Any,
) -> None:
    """List the dispatches, newest first. With DISPATCH_ID, or a webhook-id, show its messages and
    attempts.

    A running `dlr serve` or `dlr dispatch` does what --retry and --again ask for.

    Example: dlr dispatches --state exhausted
    """
    query = dispatch_query(parameters(**filters))
    if [dispatch_id, retry, again].count(None) < 2:
        fail("expected one of DISPATCH_ID, --retry ID and --again ID")
    if retry is not None or again is not None:
        from dispatcher.commands import dispatch_changes  # what lists do not need

        settings = settings_of(config, database)
        if retry is not None:
            look(config, database, lambda s: dispatch_changes.retry(s, retry))
        elif again is not None:
            look(config, database, lambda s: dispatch_changes.again(s, settings, again))
    elif dispatch_id is None:
        look(config, database, lambda s: list_output.print_dispatches(s, query, listing))
    else:
        look(config, database, lambda s: list_output.print_dispatch(s, dispatch_id, listing))

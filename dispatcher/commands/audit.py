"""`dlr audit`: who changed what; and how commands note what they change."""

from __future__ import annotations

import os
import pwd
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import click
from msgspec import structs

from dispatcher.clocks.clock import wall_time
from dispatcher.commands.api_options import filter_options, parameters
from dispatcher.commands.console import Columns, fields, in_one_line
from dispatcher.commands.list_output import PAGE, Listing, pages
from dispatcher.commands.options import listing_options, look
from dispatcher.storage import Storage
from receiver.api.audit import AUDIT_FILTERS, Auditor, ChangeAnswer, Told, audit_query
from receiver.store.audit import COMMAND_LINE

COLUMNS: Columns = {
    **fields(ChangeAnswer, "at", "who", "from", "what", "subject", "outcome"),
    "details": lambda row: in_one_line(row.details),
}


@click.command()
@filter_options(AUDIT_FILTERS)
@listing_options
def audit(config: Path | None, database: str | None, listing: Listing, **filters: Any) -> None:
    """List who changed what, newest first.

    It has the changes made over the API, in the pages and on the command line.

    Example: dlr audit --what removeEndpoint --since 2026-11-01
    """
    query = audit_query(parameters(**filters))

    async def work(opened: Storage) -> None:
        found: AsyncIterator[Any] = pages(
            lambda cursor: opened.audit.changes(structs.replace(query, before=cursor, limit=PAGE))
        )
        await listing.print(found, ChangeAnswer.of, COLUMNS, lambda _: 0.0)

    look(config, database, work)


def changing(
    opened: Storage, what: str, subject: str | None = None
) -> AbstractAsyncContextManager[Told]:
    """Frame a change that a command makes, by whoever runs it. Its line is in the system's log."""
    from dispatcher.observe import logs  # what lists do not need

    logs.to_system_log()
    auditor = Auditor(opened.audit, wall_time)
    return auditor.change(what, who=_user(), origin=COMMAND_LINE, subject=subject)


def _user() -> str:
    """The operating system's name for whoever runs this; the environment could be made to lie."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container's number without a name
        return str(number)

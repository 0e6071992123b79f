"""`dlr erase`: erase one recipient's data."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dispatcher.commands.audit import changing
from dispatcher.commands.options import fail, look, print_counts, with_settings
from dispatcher.commands.saying import say
from dispatcher.observe.logs import masked
from dispatcher.storage import Storage
from dispatcher.upkeep.base import StillLeased
from receiver.api.messages import find_message
from receiver.store.recipient import Recipient


@click.command()
@click.option("--to", help="The recipient's number.")
@click.option("--message-id", help="Of one message of the recipient.")
@click.option("--source", help="Of this source; needed when several have such a message.")
@click.option("--dry-run", is_flag=True, help="Only print what would be touched.")
@with_settings
def erase(
    config: Path | None,
    database: str | None,
    to: str | None,
    message_id: str | None,
    source: str | None,
    dry_run: bool,
) -> None:
    """Erase one recipient's data: reports, quarantine, bodies and answers that hold it.

    Waiting dispatches that carry it are cancelled, and formed anew of what they carried of others.
    Exit code 1: one of them is being sent just now, and nothing was erased.

    Example: dlr erase --to 41793026727 --dry-run
    """
    if (to is None) == (message_id is None) or not (to or message_id):
        fail("expected either --to NUMBER or --message-id ID")
    if source is not None and message_id is None:
        fail("--source goes with --message-id: a number is erased wherever it is")

    async def work(opened: Storage) -> None:
        if message_id is not None:
            await find_message(opened.store, message_id, source)  # several sources may have it
        try:
            erasure, recipient = opened.erasure, Recipient(to, message_id, source)
            if dry_run:
                touched = await erasure.count(recipient)
            else:
                # A digest could be undone by trying all numbers; so the row has what a log has.
                async with changing(opened, "erase", masked(to or message_id or "")) as told:
                    try:
                        touched = await erasure.erase(recipient)
                    except StillLeased:
                        told.outcome = "refused"
                        raise
                    told.details |= touched
        except StillLeased as error:
            say(f"dlr: {error}", err=True)
            sys.exit(1)
        print_counts("would touch" if dry_run else "touched", touched)

    look(config, database, work)

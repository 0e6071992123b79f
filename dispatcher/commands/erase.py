"""`dlr erase`: erase one recipient's data."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from dispatcher.commands.audit import changing
from dispatcher.commands.options import fail, look, print_counts, settings_of, with_settings
from dispatcher.commands.saying import say
from dispatcher.observe.logs import masked
from dispatcher.reconcile.spool import kept_files
from dispatcher.storage import Storage
from dispatcher.upkeep.base import Rows, StillLeased
from receiver.api.messages import find_message
from receiver.api.parameters import whole
from receiver.store.recipient import Recipient


@click.command()
@click.option("--to", help="The recipient's number.")
@click.option("--message-id", help="The id of one message of the recipient.")
@click.option(
    "--source", help="The source of the message. Needed if several sources have one with this id."
)
@click.option("--dry-run", is_flag=True, help="Only print what would be erased.")
@with_settings
def erase(
    config: Path | None,
    database: str | None,
    to: str | None,
    message_id: str | None,
    source: str | None,
    dry_run: bool,
) -> None:
    """Erase the data of one recipient.

    It erases reports, quarantine, bodies and answers that hold the number, in any of its forms.
    Waiting dispatches that carry it are cancelled; their reports of other recipients are put into
    new ones. Backups and logs are yours to erase.

    Exit code 0: everything is erased. 1: nothing is stored of this recipient. Or a dispatch that
    carries it is being sent right now, and nothing was erased: try again in a minute. Or something
    is left on the disk, and a line says what and why.

    Example: dlr erase --to 41793026727 --dry-run
    """
    recipient = _recipient(to, message_id, source)
    file = settings_of(config, database).store.database

    async def work(opened: Storage) -> None:
        if message_id is not None:
            await find_message(opened.store, message_id, source)  # several sources may have it
        erased = opened.erasure.count if dry_run else partial(_erased, opened)
        touched = await erased(recipient)
        if any(touched.values()):
            print_counts("would erase" if dry_run else "erased", touched)
        else:
            say(f"nothing is stored of {to or message_id}")
        if dry_run:
            sys.exit(0 if any(touched.values()) else 1)
        left = [*await opened.erasure.left(recipient), *_left_in_spool(file, recipient)]
        for line in left:
            say(f"dlr: left in {line}", err=True)
        if left or not any(touched.values()):
            sys.exit(1)

    look(config, database, work)


def _recipient(to: str | None, message_id: str | None, source: str | None) -> Recipient:
    if (to is None) == (message_id is None) or not (to or message_id):
        fail("expected either --to NUMBER or --message-id ID")
    if source is not None and message_id is None:
        fail("--source goes with --message-id: a number is erased wherever it is")
    for name, text in (("--to", to), ("--message-id", message_id)):
        if text is not None:
            whole(text, name)
    return Recipient(to=to, message_id=message_id, source=source)


async def _erased(opened: Storage, recipient: Recipient) -> Rows:
    """What was erased, noted in the audit. Ends with exit code 1 if something is being sent."""
    # A digest could be undone by trying all numbers; so the row has what a log has.
    subject = masked(recipient.to or recipient.message_id or "")
    try:
        async with changing(opened, "erase", subject) as told:
            try:
                touched = await opened.erasure.erase(recipient)
            except StillLeased:
                told.outcome = "refused"
                raise
            told.details |= touched
    except StillLeased as error:
        say(f"dlr: {error}", err=True)
        sys.exit(1)
    return touched


def _left_in_spool(database: str, recipient: Recipient) -> Iterator[str]:
    """What was pulled and could not be stored."""
    for file in kept_files(database):
        if recipient.is_named_in_bytes(file.read_bytes()):
            yield f"{file}: not stored yet; `dlr reconcile --apply` stores it, then erase again"

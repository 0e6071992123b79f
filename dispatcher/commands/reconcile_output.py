"""What `dlr reconcile` prints."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

from msgspec import Struct

from dispatcher.clocks.clock import wall_time
from dispatcher.commands.console import Columns, fields
from dispatcher.commands.list_output import Listing
from dispatcher.commands.saying import say
from dispatcher.reconcile.comparison import Finding
from dispatcher.reconcile.provider import ProviderFailed, asking
from dispatcher.reconcile.reconciler import Reconciler, RunCounts
from dispatcher.reconcile.spool import Spool
from dispatcher.settings.reconcile import ReconcileSettings
from dispatcher.storage import Storage
from receiver.callbacks.intake import Limits
from receiver.dlr.instants import format_instant
from receiver.dlr.model import Report

NO = 1


class FindingAnswer(Struct, frozen=True, rename="camel"):
    """A report that had not come, or that says something else than the store."""

    finding: str
    by: str
    message_id: str | None
    to: str | None
    status: str | int | None
    error: str | int | None
    done_at: str | None
    in_store: str | int | None

    @classmethod
    def of(cls, found: Finding) -> FindingAnswer:
        said, state = found.said, found.state
        error, done_at = said.error, said.done_at
        return cls(
            finding=found.verdict,
            by=found.by,
            message_id=said.message_id,
            to=said.to,
            status=_status(said),
            error=None if error is None else error.name or error.id,
            done_at=None if done_at is None else format_instant(done_at),
            in_store=None if state is None else _status(state),
        )


COLUMNS: Columns = fields(FindingAnswer, *FindingAnswer.__struct_encode_fields__)


async def reconcile(
    opened: Storage,
    source: str,
    settings: ReconcileSettings,
    *,
    database: str,
    since: timedelta,
    apply: bool,
    limits: Limits,
    listing: Listing,
) -> int:
    """Print what had not come, and on stderr what was compared. Returns the exit code: 1 when
    something is missing and was not stored, or when the provider could not be asked to the end."""
    async with asking(settings) as provider:
        reconciler = Reconciler(
            source, settings, provider, opened.store, Spool(database, source), wall_time, limits
        )
        # All is compared and stored, however few rows are wanted.
        rows = _first(reconciler.run(since, apply=apply), listing.said_limit)
        whole = replace(listing, said_limit=sys.maxsize)
        try:
            await whole.print(rows, FindingAnswer.of, COLUMNS, lambda _: 0.0)
        except ProviderFailed as error:
            _say_all(reconciler.counts, settings, apply=apply)
            say(f"dlr: broken off: {error}", err=True)
            return NO
    _say_all(reconciler.counts, settings, apply=apply)
    counts = reconciler.counts
    return NO if (counts.missing or counts.differing) and not apply else 0


async def _first(findings: AsyncIterator[Finding], limit: int | None) -> AsyncIterator[Finding]:
    shown = 0
    async for found in findings:
        if limit is None or shown < limit:
            shown += 1
            yield found


def _status(report: Report) -> str | int | None:
    status = report.status
    return None if status is None else status.name or status.group_name or status.id


def _say_all(counts: RunCounts, settings: ReconcileSettings, *, apply: bool) -> None:
    for line in _summary(counts, settings, apply=apply):
        say(line, err=True)


def _summary(counts: RunCounts, settings: ReconcileSettings, *, apply: bool) -> list[str]:
    lines = [
        f"{counts.entries} in the logs: {counts.agreeing} agree, {counts.open} have not ended, "
        f"{counts.under_way} ended too recently to miss their reports"
    ]
    if counts.unreadable:
        lines.append(f"{counts.unreadable} entries of the logs cannot be read")
    if counts.cut_off:
        lines.append("the logs have more at one instant than they give out: not all was compared")
    if apply and settings.pull:
        lines.append(f"{counts.pulled} pulled")
    lines.append(f"{counts.missing} missing, {counts.differing} ended differently")
    lines.append(_done(counts) if apply else _LOOKED)
    if not apply and (counts.missing or counts.differing):
        lines.append("--apply stores what had not come, and has it routed and pushed")
    return lines


def _done(counts: RunCounts) -> str:
    text = f"{counts.stored} stored, {counts.duplicates} duplicates"
    return f"{text}, {counts.quarantined} in quarantine" if counts.quarantined else text


_LOOKED = (
    "only the logs were read, and nothing was stored: the pull endpoint hands out each report "
    "once, so a dry run leaves it alone"
)

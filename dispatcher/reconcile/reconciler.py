"""One run: asks, compares, and with `apply` stores what had not come.

A look uses the logs alone, which can be asked again. With `apply` the pull endpoint comes first: it
has whole reports, but hands each out once, so an answer of it is on the disk before the next call
is made. Whatever is still missing is rebuilt from the logs. All of it is stored as callbacks are,
with the same reading and the same identity, so a report that arrives later counts as a duplicate.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import structs

from dispatcher.reconcile.comparison import Finding, finding, judged
from dispatcher.reconcile.log_page import LogPage
from dispatcher.reconcile.paging import EndlessLogs, all_pages
from dispatcher.reconcile.provider import Provider, ProviderFailed
from dispatcher.reconcile.spool import Spool
from dispatcher.settings.reconcile import ReconcileSettings
from receiver.callbacks.intake import NO_LIMITS, Limits, verdict_on_bytes
from receiver.dlr.json_format import decode_item, encode_body, encode_item
from receiver.dlr.model import Report
from receiver.store.base import Counts, ReportStore
from receiver.store.callback import Callback, Entry, Verdict


@dataclass(slots=True)
class RunCounts:
    """What a run has seen so far. `entries` are those of the logs; each is one of `agreeing`,
    `open`, `under_way`, `unreadable`, or a finding. `missing` and `differing` count findings of
    the logs and the pull endpoint together.
    """

    entries: int = 0
    agreeing: int = 0
    open: int = 0
    under_way: int = 0
    unreadable: int = 0
    missing: int = 0
    differing: int = 0
    pulled: int = 0
    stored: int = 0
    duplicates: int = 0
    quarantined: int = 0
    cut_off: bool = False  # there is more in the logs than they give out

    def found(self, finding: Finding) -> None:
        if finding.verdict == "missing":
            self.missing += 1
        else:
            self.differing += 1

    def added(self, counts: Counts) -> None:
        self.stored += counts.stored
        self.duplicates += counts.duplicates
        self.quarantined += counts.quarantined


class Reconciler:
    """Reconciles the store with one source's provider, once. `counts` grows while it runs."""

    def __init__(
        self,
        source: str,
        settings: ReconcileSettings,
        provider: Provider,
        store: ReportStore,
        spool: Spool,
        now: Callable[[], datetime],
        limits: Limits = NO_LIMITS,
    ) -> None:
        self._source = source
        self._settings = settings
        self._provider = provider
        self._store = store
        self._spool = spool
        self._now = now
        self._limits = structs.replace(limits, items=None)  # a page has as many as it has
        self._told: set[str] = set()
        self.counts = RunCounts()

    async def run(self, since: timedelta, *, apply: bool) -> AsyncIterator[Finding]:
        """Every report that had not come. With `apply` it is stored when it is yielded.

        Raises ProviderFailed and StoreUnavailable; what was found before stays stored.
        """
        if apply:
            async for found in self._pull():
                yield found
        until = self._now()
        pages = all_pages(self._provider.api, self._provider.log_page, until - since, until)
        try:
            async for page in pages:
                for found in await self._compare(page, apply=apply):
                    yield found
        except EndlessLogs as error:
            raise ProviderFailed(f"the logs of {self._source}: {error}") from error

    async def _pull(self) -> AsyncIterator[Finding]:
        for file in list(self._spool.left()):
            for found in await self._store_pulled(file):
                yield found
        last = b""
        while self._settings.pull:
            await self._store.check_writable()  # what could not be stored is not asked for
            file = await self._provider.pull(self._spool.keep)
            body = self._spool.read(file)
            pulled_before = self.counts.pulled
            for found in await self._store_pulled(file):
                yield found
            # An answer that comes twice is of a provider that does not keep to "once".
            if self.counts.pulled == pulled_before or body == last:
                return
            last = body

    async def _store_pulled(self, file: Path) -> list[Finding]:
        verdict = await self._judged(self._spool.read(file))
        findings = [
            found for entry in verdict.entries if (found := await self._new(entry)) is not None
        ]
        await self._add(verdict)
        self._spool.stored(file)
        if not verdict.readable:
            reason = verdict.quarantined[0].reason
            raise ProviderFailed(
                f"what was pulled is not a list of reports: {reason} (quarantined)"
            )
        self.counts.pulled += len(verdict.entries) + len(verdict.quarantined)
        return self._counted(findings)

    async def _new(self, entry: Entry) -> Finding | None:
        """The finding that a pulled report had not come; `None` when it had."""
        report = decode_item(entry.item, entry.generation)
        if not report.message_id:
            return finding(report, [], "pull")
        came = await self._store.reports_of(report.message_id, self._source)
        if any(each.identity == entry.identity for each in came):
            return None
        return finding(report, [each.read() for each in came], "pull")

    async def _compare(self, page: LogPage, *, apply: bool) -> list[Finding]:
        counts = self.counts
        counts.entries += page.size
        counts.unreadable += len(page.unreadable)
        counts.cut_off |= page.cut_off
        findings = [
            found for said in page.entries if (found := await self._missed(said)) is not None
        ]
        if findings and apply:
            items = [encode_item(found.said) for found in findings]
            await self._add(await self._judged(encode_body(items)))
        return self._counted(findings)

    async def _missed(self, said: Report) -> Finding | None:
        message_id = said.message_id or ""
        reports = await self._store.reports_of(message_id, self._source)
        came = [each.read() for each in reports]
        verdict = judged(said, came, now=self._now(), under_way=self._settings.under_way)
        match verdict:
            case "agrees":
                self.counts.agreeing += 1
            case "open":
                self.counts.open += 1
            case "under_way":
                self.counts.under_way += 1
            case "missing" | "differing" if message_id not in self._told:
                self._told.add(message_id)
                return finding(said, came, "log")
        return None

    async def _judged(self, body: bytes) -> Verdict:
        """On a thread: a page of a thousand would hold up callbacks for a blink."""
        return await asyncio.to_thread(verdict_on_bytes, body, "json", self._limits)

    async def _add(self, verdict: Verdict) -> None:
        callback = Callback(self._source, "json", "application/json", self._now(), verdict)
        (counts,) = await self._store.add([callback])
        self.counts.added(counts)

    def _counted(self, findings: list[Finding]) -> list[Finding]:
        for found in findings:
            self.counts.found(found)
        return findings

"""Totals by the endpoints that took the reports, added up from the reports when they are asked for.

The read model has the other totals ready. It does not know endpoints: they belong to whoever
dispatches, and take reports after the read model has added these up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from dispatcher.queue.base import DispatchQueue
from receiver.store.base import (
    PartDuration,
    PartOutcome,
    PartPrice,
    PartTotals,
    ReportQuery,
    ReportStore,
    StoredReport,
    TotalsQuery,
)
from receiver.store.excerpt import summary_of_item
from receiver.store.instants import micros
from receiver.store.merging import with_reports
from receiver.store.tally import CountedReport, Tally

NO_ENDPOINT = ""
"""The row of reports that no endpoint took, or has read so far."""

STEP = 1_000
"""Reports that are added up at a time: 17 ms in all."""

REPORTS_MOST = 200_000
"""Reports of one answer of the API, newest first: 3.4 s (measured)."""


class EndpointTotals:
    """Adds up at most `most` reports, the newest first (None: all)."""

    def __init__(
        self, store: ReportStore, queue: DispatchQueue, most: int | None = REPORTS_MOST
    ) -> None:
        self._store = store
        self._queue = queue
        self._most = most

    async def of(self, query: TotalsQuery) -> PartTotals:
        """`lag` is how many reports are left out, of those that the store counts."""
        tallies: defaultdict[str, Tally] = defaultdict(Tally)
        wanted = ReportQuery(
            limit=STEP,
            source=query.source,
            final=query.final,
            received_since=datetime.fromtimestamp(query.since, UTC),
            received_until=datetime.fromtimestamp(query.until, UTC),
        )
        counted = 0
        while self._most is None or counted < self._most:
            found = await self._store.find(wanted)
            await self._add(tallies, found.reports)
            counted += len(found.reports)
            if found.next is None:
                return _totals(tallies, query, 0)
            wanted = replace(wanted, before=found.next)
        stored = await self._store.totals(query)
        of_all = sum(each.reports for each in stored.outcomes)
        return _totals(tallies, query, max(0, of_all - counted))

    async def _add(self, tallies: defaultdict[str, Tally], reports: Sequence[StoredReport]) -> None:
        takers: defaultdict[int, list[str]] = defaultdict(list)
        for report, endpoint in await self._queue.takers([each.id for each in reports]):
            takers[report].append(endpoint)
        for each in reports:
            row = CountedReport(
                each.id, micros(each.received_at), each.source, each.final, each.status_group
            )
            summary = summary_of_item(each.item, each.generation)
            for endpoint in takers.get(each.id, (NO_ENDPOINT,)):
                tallies[endpoint].add(row, summary)


def _totals(tallies: dict[str, Tally], query: TotalsQuery, lag: int) -> PartTotals:
    """What the tallies say, in ascending order of endpoints."""
    outcomes: list[PartOutcome] = []
    prices: list[PartPrice] = []
    durations: list[PartDuration] = []
    shares: dict[str | None, dict[int, tuple[int, int]]] = {}
    for endpoint, tally in sorted(tallies.items()):
        sums = tally.sums()
        outcomes += [
            PartOutcome(endpoint, outcome, cell.reports)
            for (span, _, _, outcome), cell in sums.outcomes.items()
            if span == query.span
        ]
        prices += [
            PartPrice(endpoint, currency, final, amount.reports, amount.sum)
            for (span, _, _, final, currency), amount in sums.prices.items()
            if span == query.span
        ]
        bins: Counter[int] = Counter()
        for (span, _, _, _, bin), reports in sums.durations.items():
            bins[bin] += reports * (span == query.span)
        durations += [PartDuration(endpoint, bin, count) for bin, count in sorted(bins.items())]
        starts: dict[int, tuple[int, int]] = {}
        for (span, start, _, outcome), cell in sums.outcomes.items():
            if span == query.span and outcome.final:
                starts[start] = with_reports(starts.get(start), outcome, cell.reports)
        shares[endpoint] = starts
    return PartTotals(outcomes, prices, durations, shares, lag)

"""Totals: the sums of the read model, put together with what it has not followed yet. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

from receiver.store.base import (
    DurationCount,
    OutcomeCount,
    PartDuration,
    PartOutcome,
    PartPrice,
    PartShares,
    PriceSum,
    TotalsQuery,
)
from receiver.store.excerpt import EXACT, Dimension, ReportOutcome
from receiver.store.following import OTHER_PART
from receiver.store.tally import Amount, PartSums, Sums

TAIL_MOST = 20_000
"""Reports after the cursor that are added up for one answer: 0.2 s (measured)."""

Said = Mapping[int, ReportOutcome]
"""What is added up under which number."""


def outcomes(
    query: TotalsQuery, said: Said, rows: Iterable[tuple[int, int, int]], tail: Sums
) -> list[OutcomeCount]:
    """Of rows of start, outcome and reports."""
    counts: Counter[tuple[int, ReportOutcome | None]] = Counter()
    for start, outcome, reports in rows:
        counts[start, said.get(outcome)] += int(reports)
    for (span, start, source, told), cell in tail.outcomes.items():
        if _is_asked(query, span, start, source):
            counts[start, told] += cell.reports
    return [
        OutcomeCount(start, outcome, reports)
        for (start, outcome), reports in sorted(counts.items(), key=lambda item: item[0][0])
        if query.final is None or (outcome is not None and outcome.final == query.final)
    ]


def prices(
    query: TotalsQuery, rows: Iterable[tuple[int, str, bool, int, str | Decimal]], tail: Sums
) -> list[PriceSum]:
    """Of rows of start, currency, final, reports and sum."""
    sums: defaultdict[tuple[int, str, bool], Amount] = defaultdict(lambda: Amount(0, Decimal(0)))
    for start, currency, final, reports, sum in rows:
        _pay(sums[start, currency, bool(final)], reports, Decimal(sum))
    for (span, start, source, final, currency), amount in tail.prices.items():
        if _is_asked(query, span, start, source, final):
            _pay(sums[start, currency, final], amount.reports, amount.sum)
    return [PriceSum(*key, amount.reports, amount.sum) for key, amount in sorted(sums.items())]


def durations(
    query: TotalsQuery, rows: Iterable[tuple[int, int, int]], tail: Sums
) -> list[DurationCount]:
    """Of rows of start, bin and reports."""
    counts: Counter[tuple[int, int]] = Counter({(start, bin): int(n) for start, bin, n in rows})
    for (span, start, source, final, bin), reports in tail.durations.items():
        if _is_asked(query, span, start, source, final):
            counts[start, bin] += reports
    return [DurationCount(*key, reports) for key, reports in sorted(counts.items())]


def _pay(amount: Amount, reports: int, sum: Decimal) -> None:
    amount.reports += reports
    amount.sum = EXACT.add(amount.sum, sum)


def _is_asked(
    query: TotalsQuery, span: int, start: int, source: str, final: bool | None = None
) -> bool:
    return (
        span == query.span
        and query.since <= start < query.until
        and query.source in (None, source)
        and (final is None or query.final in (None, final))
    )


# --- by part ------------------------------------------------------------------------------------


def part_outcomes(
    query: TotalsQuery,
    dimension: Dimension,
    said: Said,
    rows: Iterable[tuple[str, int, int]],
    tail: PartSums,
) -> list[PartOutcome]:
    """Of rows of value, outcome and reports."""
    counts: Counter[tuple[str, ReportOutcome | None]] = Counter()
    for value, outcome, reports in rows:
        counts[value, said.get(outcome)] += int(reports)
    for (part, span, start, source, told), reports in tail.outcomes.items():
        if part[0] == dimension and _is_asked(query, span, start, source):
            counts[part[1], told] += reports
    return [
        PartOutcome(_told(value), outcome, reports)
        for (value, outcome), reports in sorted(counts.items(), key=lambda item: item[0][0])
        if query.final is None or (outcome is not None and outcome.final == query.final)
    ]


def part_prices(
    query: TotalsQuery,
    dimension: Dimension,
    rows: Iterable[tuple[str, str, bool, int, str | Decimal]],
    tail: PartSums,
) -> list[PartPrice]:
    """Of rows of value, currency, final, reports and sum."""
    sums: defaultdict[tuple[str, str, bool], Amount] = defaultdict(lambda: Amount(0, Decimal(0)))
    for value, currency, final, reports, sum in rows:
        _pay(sums[value, currency, bool(final)], reports, Decimal(sum))
    for (part, span, start, source, final, currency), amount in tail.prices.items():
        if part[0] == dimension and _is_asked(query, span, start, source, final):
            _pay(sums[part[1], currency, final], amount.reports, amount.sum)
    return [
        PartPrice(_told(value), currency, final, amount.reports, amount.sum)
        for (value, currency, final), amount in sorted(sums.items())
    ]


def part_durations(
    query: TotalsQuery,
    dimension: Dimension,
    rows: Iterable[tuple[str, int, int]],
    tail: PartSums,
) -> list[PartDuration]:
    """Of rows of value, bin and reports."""
    counts: Counter[tuple[str, int]] = Counter()
    for value, bin, reports in rows:
        counts[value, bin] += int(reports)
    for (part, span, start, source, final, bin), reports in tail.durations.items():
        if part[0] == dimension and _is_asked(query, span, start, source, final):
            counts[part[1], bin] += reports
    return [
        PartDuration(_told(value), bin, reports) for (value, bin), reports in sorted(counts.items())
    ]


def part_shares(
    query: TotalsQuery,
    dimension: Dimension,
    rows: Iterable[tuple[str, int, int, int]],
    tail: PartSums,
) -> PartShares:
    """Of rows of value, start, delivered and final reports."""
    shares: defaultdict[str | None, dict[int, tuple[int, int]]] = defaultdict(dict)
    if query.final is False:
        return shares
    for value, start, delivered, final in rows:
        shares[_told(value)][start] = int(delivered), int(final)
    for (part, span, start, source, told), reports in tail.outcomes.items():
        if told.final and part[0] == dimension and _is_asked(query, span, start, source):
            row = shares[_told(part[1])]
            row[start] = with_reports(row.get(start), told, reports)
    return shares


def with_reports(
    counts: tuple[int, int] | None, outcome: ReportOutcome, reports: int
) -> tuple[int, int]:
    """The counts of PartShares with these reports, which are final."""
    delivered, final = counts or (0, 0)
    return delivered + reports * outcome.delivered, final + reports


def by_source(sums: Sums) -> PartSums:
    """What is not written yet, by source."""
    by = PartSums()
    for (span, start, source, outcome), cell in sums.outcomes.items():
        by.outcomes[("source", source), span, start, source, outcome] += cell.reports
    for (span, start, source, final, currency), amount in sums.prices.items():
        by.prices[("source", source), span, start, source, final, currency] = amount
    for (span, start, source, final, bin), reports in sums.durations.items():
        by.durations[("source", source), span, start, source, final, bin] += reports
    return by


def _told(value: str) -> str | None:
    return None if value == OTHER_PART else value

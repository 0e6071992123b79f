"""Totals as the API and the command line show them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from receiver.answers import timestamp
from receiver.dlr.statuses import GROUP_NAMES
from receiver.store.base import Totals, TotalsQuery
from receiver.store.excerpt import ReportOutcome
from receiver.store.histogram import percentiles
from receiver.store.tally import EXACT, HOUR

PERCENTS = (50, 90, 95, 99)

UNKNOWN = "UNKNOWN"
"""The name of the status group of a report that tells none."""
OTHER = "OTHER"
"""Of what was not told apart any more (OUTCOMES_MOST)."""


def totals_view(totals: Totals, query: TotalsQuery) -> dict[str, Any]:
    """Every bucket that has reports, ascending, and all of them together."""
    buckets: defaultdict[int, _Bucket] = defaultdict(_Bucket)
    whole = _Bucket()
    for counted in totals.outcomes:
        for bucket in (buckets[counted.start], whole):
            bucket.count(counted.outcome, counted.reports)
    for price in totals.prices:
        for bucket in (buckets[price.start], whole):
            bucket.pay(price.currency, price.reports, price.sum)
    for duration in totals.durations:
        for bucket in (buckets[duration.start], whole):
            bucket.durations[duration.bin] += duration.reports
    return {
        "since": _instant(query.since),
        "until": _instant(query.until),
        "bucket": "hour" if query.span == HOUR else "day",
        "behind": totals.lag,
        "total": whole.view(),
        "buckets": [
            {"start": _instant(start), **buckets[start].view()} for start in sorted(buckets)
        ],
    }


@dataclass(slots=True)
class _Bucket:
    reports: int = 0
    final: int = 0
    groups: Counter[str] = field(default_factory=Counter)
    errors: Counter[tuple[int | None, int | str | None]] = field(default_factory=Counter)
    names: dict[tuple[int | None, int | str | None], str | None] = field(default_factory=dict)
    prices: dict[str, tuple[int, Decimal]] = field(default_factory=dict)
    durations: Counter[int] = field(default_factory=Counter)

    def count(self, outcome: ReportOutcome | None, reports: int) -> None:
        self.reports += reports
        if outcome is None:
            self.groups[OTHER] += reports
            return
        self.final += reports * outcome.final
        self.groups[_group_name(outcome.status_group)] += reports
        if outcome.error_id is not None or outcome.error_name is not None:
            id = outcome.error_id
            key = (outcome.error_group, outcome.error_name if id is None else id)
            self.errors[key] += reports
            self.names[key] = self.names.get(key) or outcome.error_name

    def pay(self, currency: str, reports: int, sum: Decimal) -> None:
        before = self.prices.get(currency, (0, Decimal(0)))
        self.prices[currency] = (before[0] + reports, EXACT.add(before[1], sum))

    def view(self) -> dict[str, Any]:
        return {
            "reports": self.reports,
            "final": self.final,
            "statusGroups": dict(sorted(self.groups.items())),
            "errors": [self._error(key, count) for key, count in self._ranked_errors()],
            "prices": [
                {"currency": currency, "reports": reports, "sum": sum}
                for currency, (reports, sum) in sorted(self.prices.items())
            ],
            "sentToDone": _durations_view(self.durations),
        }

    def _ranked_errors(self) -> Iterable[tuple[tuple[int | None, int | str | None], int]]:
        return sorted(self.errors.items(), key=lambda item: (-item[1], str(item[0])))

    def _error(self, key: tuple[int | None, int | str | None], count: int) -> dict[str, Any]:
        group, id = key
        return {
            "groupId": group,
            "id": id if isinstance(id, int) else None,
            "name": self.names[key],
            "reports": count,
        }


def _group_name(group: int | None) -> str:
    return UNKNOWN if group is None else GROUP_NAMES.get(group, str(group))


def _durations_view(bins: Counter[int]) -> dict[str, Any]:
    """Seconds; `None` without reports."""
    found = percentiles(sorted(bins.items()), PERCENTS)
    times: list[float | None] = [round(each / 1000, 3) for each in found]
    times = times or [None] * len(PERCENTS)
    return {
        "reports": bins.total(),
        **{f"p{percent}": time for percent, time in zip(PERCENTS, times, strict=True)},
    }


def _instant(seconds: int) -> str | None:
    return timestamp(datetime.fromtimestamp(seconds, UTC))

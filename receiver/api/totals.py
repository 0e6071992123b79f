"""Totals as the API and the command line show them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from receiver.answers import Count, Instant, Integer, timestamp
from receiver.dlr.statuses import GROUP_NAMES
from receiver.store.base import Totals, TotalsQuery
from receiver.store.excerpt import ReportOutcome
from receiver.store.histogram import percentiles
from receiver.store.tally import EXACT, HOUR

PERCENTS = (50, 90, 95, 99)
"""Those that `Durations` has."""

UNKNOWN = "UNKNOWN"
"""The name of the status group of a report that tells none."""
OTHER = "OTHER"
"""Of what was not told apart any more (OUTCOMES_MOST)."""


class ErrorCount(Struct, frozen=True, rename="camel"):
    group_id: Integer | None
    id: Integer | None
    name: str | None
    reports: Count


class CurrencySum(Struct, frozen=True):
    currency: str
    reports: Count
    sum: Decimal


class Durations(Struct, frozen=True):
    """Percentiles of the seconds from sentAt to doneAt."""

    reports: Count
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class TotalAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    reports: Count
    final: Count
    status_groups: dict[str, Count]
    errors: list[ErrorCount]
    prices: list[CurrencySum]
    sent_to_done: Durations


class BucketAnswer(TotalAnswer, frozen=True):
    start: Instant


class TotalsAnswer(Struct, frozen=True):
    """Every bucket that has reports, ascending, and all of them together."""

    since: Instant
    until: Instant
    bucket: Literal["hour", "day"]
    behind: Annotated[Count, Meta(description="reports that are not added up yet")]
    total: TotalAnswer
    buckets: list[BucketAnswer]

    @classmethod
    def of(cls, totals: Totals, query: TotalsQuery) -> TotalsAnswer:
        buckets, whole = _added_up(totals)
        return cls(
            since=_instant(query.since),
            until=_instant(query.until),
            bucket="hour" if query.span == HOUR else "day",
            behind=totals.lag,
            total=TotalAnswer(**whole.told()),
            buckets=[
                BucketAnswer(_instant(start), **buckets[start].told()) for start in sorted(buckets)
            ],
        )


def _added_up(totals: Totals) -> tuple[Mapping[int, _Bucket], _Bucket]:
    """By the start of each bucket, and all of them together."""
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
    return buckets, whole


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

    def told(self) -> dict[str, Any]:
        """The fields of a TotalAnswer."""
        return {
            "reports": self.reports,
            "final": self.final,
            "status_groups": dict(sorted(self.groups.items())),
            "errors": [self._error(key, count) for key, count in self._ranked_errors()],
            "prices": [
                CurrencySum(currency, reports, sum)
                for currency, (reports, sum) in sorted(self.prices.items())
            ],
            "sent_to_done": _durations(self.durations),
        }

    def _ranked_errors(self) -> Iterable[tuple[tuple[int | None, int | str | None], int]]:
        return sorted(self.errors.items(), key=lambda item: (-item[1], str(item[0])))

    def _error(self, key: tuple[int | None, int | str | None], count: int) -> ErrorCount:
        group, id = key
        return ErrorCount(group, id if isinstance(id, int) else None, self.names[key], count)


def _group_name(group: int | None) -> str:
    return UNKNOWN if group is None else GROUP_NAMES.get(group, str(group))


def _durations(bins: Counter[int]) -> Durations:
    """`None` without reports."""
    found = percentiles(sorted(bins.items()), PERCENTS)
    times: list[float | None] = [round(each / 1000, 3) for each in found]
    return Durations(bins.total(), *(times or [None] * len(PERCENTS)))


def _instant(seconds: int) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))

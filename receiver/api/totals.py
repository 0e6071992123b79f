"""Totals as the API, the command line and the overview show them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as initially
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from receiver.answers import Count, Instant, Integer, timestamp
from receiver.api.filters import AskedTotals
from receiver.dlr.statuses import GROUP_NAMES
from receiver.store.base import PartTotals, ReportStore, Totals, TotalsQuery
from receiver.store.excerpt import EXACT, Dimension, ReportOutcome
from receiver.store.histogram import percentiles
from receiver.store.tally import DAY, HOUR, MINUTE

PERCENTS = (50, 90, 95, 99)
"""Those that `Durations` has."""
SHARE_PERCENTS = (5, 25, 50, 75, 95)
"""Those that `DeliveredShares` has."""

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
    """Percentiles of the seconds from sentAt to doneAt: 95 % of the reports took p95 or less."""

    reports: Count
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class DeliveredShares(Struct, frozen=True):
    """Percentiles of `deliveredShare` over the buckets that have final reports, each bucket counted
    once: 5 % of the buckets delivered p5 or less."""

    buckets: Count
    p5: float | None
    p25: float | None
    p50: float | None
    p75: float | None
    p95: float | None


class TotalAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """`cost` is what messages cost, by currency: pricePerMessage times smsCount (v3: messageCount)
    of each final report. The price is that of one part: the provider's schemas call it "price per
    one message" (v2: "per one SMS") and the count "number of messages content was split to", and
    its guide on long SMS says they are charged by part. A message without a count is one part.
    `prices` are the same for all reports, final or not."""

    reports: Count
    final: Count
    delivered: Annotated[Count, Meta(description="Final reports in the group DELIVERED")]
    delivered_share: Annotated[
        float | None,
        Meta(description="`delivered` divided by `final`; null if there is no final report"),
    ]
    status_groups: dict[str, Count]
    errors: list[ErrorCount]
    prices: list[CurrencySum]
    cost: list[CurrencySum]
    sent_to_done: Durations


class BucketAnswer(TotalAnswer, frozen=True):
    start: Instant


class PartAnswer(TotalAnswer, frozen=True):
    """One value of what you asked for with `by`: the name of an endpoint, an operator's mccMnc, the
    recipient's calling code, a sender, a source or the id of an error.

    A row of an endpoint has the reports that it took, without replays. It covers the reports that
    are still stored. A report that several endpoints took is in the row of each. Rows of errors
    have no prices and no times. Times of operators, countries and senders are within 6 %."""

    value: Annotated[
        str | None,
        Meta(
            description="Empty: the reports do not say, or no endpoint took them. Null: everything"
            " after the first 2,000 different values"
        ),
    ]
    name: Annotated[
        str | None,
        Meta(
            description="Of a calling code, the countries that use it (ISO 3166); of an error, its"
            " name; otherwise null, because reports do not name operators"
        ),
    ]
    delivered_shares: DeliveredShares


class TotalsAnswer(Struct, frozen=True, omit_defaults=True):
    """The buckets that have reports, oldest first, and the sum of all of them. With `by` there are
    also `rows`, those with the most reports first."""

    since: Instant
    until: Instant
    bucket: Literal["minute", "hour", "day"]
    behind: Annotated[
        Count, Meta(description="Reports that are stored and not included in these figures yet")
    ]
    total: TotalAnswer
    delivered_shares: DeliveredShares = field(name="deliveredShares")
    buckets: list[BucketAnswer]
    by: str | None = None
    rows: list[PartAnswer] | UnsetType = UNSET

    @classmethod
    def of(
        cls, totals: Totals, query: TotalsQuery, by: str | None = None, rows: Rows | None = None
    ) -> TotalsAnswer:
        buckets, whole = _added_up(totals)
        return cls(
            since=_instant(query.since),
            until=_instant(query.until),
            bucket=_BUCKETS[query.span],
            behind=totals.lag if rows is None else max(totals.lag, rows.lag),
            total=TotalAnswer(**whole.told()),
            delivered_shares=_delivered_shares(
                (each.delivered, each.final) for each in buckets.values()
            ),
            buckets=[
                BucketAnswer(_instant(start), **buckets[start].told()) for start in sorted(buckets)
            ],
            by=by,
            rows=UNSET if rows is None else rows.answers(),
        )


ByEndpoint = Callable[[TotalsQuery], Awaitable[PartTotals]]
"""The totals by the endpoints that took the reports; whoever dispatches knows them."""


async def no_endpoints(_: TotalsQuery) -> PartTotals:
    """Where nobody dispatches."""
    return PartTotals([], [], [], {}, 0)


async def totals_answer(
    store: ReportStore, asked: AskedTotals, by_endpoint: ByEndpoint = no_endpoints
) -> TotalsAnswer:
    """What the API, the command line and the pages show."""
    totals = await store.totals(asked.query)
    rows = None
    if asked.by == "error":
        rows = _by_error(totals)
    elif asked.by == "endpoint":
        rows = _by_part(await by_endpoint(asked.query), asked.by)
    elif asked.by is not None:
        dimension = _DIMENSIONS[asked.by]
        rows = _by_part(await store.part_totals(asked.query, dimension), asked.by)
    return TotalsAnswer.of(totals, asked.query, asked.by, rows)


_BUCKETS: dict[int, Literal["minute", "hour", "day"]] = {MINUTE: "minute", HOUR: "hour", DAY: "day"}
_DIMENSIONS: dict[str, Dimension] = {
    "operator": "network",
    "country": "network",
    "sender": "sender",
    "source": "source",
}

ROWS_MOST = 1_000
"""Rows of one answer."""


class Rows:
    """Reports by the values of something, and their names."""

    def __init__(self, lag: int) -> None:
        self.lag = lag
        self._rows: defaultdict[str | None, _Row] = defaultdict(_Row)
        self._names: dict[str | None, str | None] = {}

    def row(self, value: str | None, name: str | None) -> _Row:
        self._names[value] = name
        return self._rows[value]

    def answers(self) -> list[PartAnswer]:
        ranked = sorted(self._rows.items(), key=lambda row: (-row[1].reports, row[0] or ""))
        return [row.answer(value, self._names[value]) for value, row in ranked[:ROWS_MOST]]


def _by_error(totals: Totals) -> Rows:
    rows = Rows(totals.lag)
    for counted in totals.outcomes:
        value = name = None
        if counted.outcome is not None:
            id, name = counted.outcome.error_id, counted.outcome.error_name
            value = str(id) if id is not None else name or ""
        row = rows.row(value, name)
        row.count(counted.outcome, counted.reports)
        if counted.outcome is not None and counted.outcome.final:
            row.share(counted.start, counted.reports * counted.outcome.delivered, counted.reports)
    return rows


def _by_part(totals: PartTotals, by: str) -> Rows:
    rows = Rows(totals.lag)

    def row(value: str | None) -> _Row:
        if value is None or by not in ("operator", "country"):
            return rows.row(value, None)
        mcc_mnc, _, calling_code = value.rpartition(" ")
        if by == "operator":
            return rows.row(mcc_mnc, None)
        return rows.row(calling_code, countries_of(calling_code))

    for counted in totals.outcomes:
        row(counted.value).count(counted.outcome, counted.reports)
    for price in totals.prices:
        row(price.value).pay(price.currency, price.final, price.reports, price.sum)
    for duration in totals.durations:
        row(duration.value).durations[duration.bin] += duration.reports
    for value, starts in totals.shares.items():
        row(value).share_all(starts)
    return rows


def countries_of(calling_code: str) -> str | None:
    """The countries that share a calling code (ISO 3166), the main one first."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE  # 40 ms, only for who asks for countries

    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(calling_code or 0), ())
    return ", ".join(regions) or None


def _added_up(totals: Totals) -> tuple[Mapping[int, _Bucket], _Bucket]:
    """By the start of each bucket, and all of them together."""
    buckets: defaultdict[int, _Bucket] = defaultdict(_Bucket)
    whole = _Bucket()
    for counted in totals.outcomes:
        for bucket in (buckets[counted.start], whole):
            bucket.count(counted.outcome, counted.reports)
    for price in totals.prices:
        for bucket in (buckets[price.start], whole):
            bucket.pay(price.currency, price.final, price.reports, price.sum)
    for duration in totals.durations:
        for bucket in (buckets[duration.start], whole):
            bucket.durations[duration.bin] += duration.reports
    return buckets, whole


@dataclass(slots=True)
class _Bucket:
    reports: int = 0
    final: int = 0
    groups: Counter[str] = initially(default_factory=Counter)
    errors: Counter[tuple[int | None, int | str | None]] = initially(default_factory=Counter)
    names: dict[tuple[int | None, int | str | None], str | None] = initially(default_factory=dict)
    prices: dict[str, tuple[int, Decimal]] = initially(default_factory=dict)
    cost: dict[str, tuple[int, Decimal]] = initially(default_factory=dict)
    delivered: int = 0
    durations: Counter[int] = initially(default_factory=Counter)

    def count(self, outcome: ReportOutcome | None, reports: int) -> None:
        self.reports += reports
        if outcome is None:
            self.groups[OTHER] += reports
            return
        self.final += reports * outcome.final
        self.delivered += reports * outcome.delivered
        self.groups[_group_name(outcome.status_group)] += reports
        if outcome.error_id is not None or outcome.error_name is not None:
            id = outcome.error_id
            key = (outcome.error_group, outcome.error_name if id is None else id)
            self.errors[key] += reports
            self.names[key] = self.names.get(key) or outcome.error_name

    def pay(self, currency: str, final: bool, reports: int, sum: Decimal) -> None:
        for sums in (self.prices, self.cost) if final else (self.prices,):
            before = sums.get(currency, (0, Decimal(0)))
            sums[currency] = (before[0] + reports, EXACT.add(before[1], sum))

    def told(self) -> dict[str, Any]:
        """The fields of a TotalAnswer."""
        return {
            "reports": self.reports,
            "final": self.final,
            "status_groups": dict(sorted(self.groups.items())),
            "errors": [self._error(key, count) for key, count in self._ranked_errors()],
            "delivered": self.delivered,
            "delivered_share": round(self.delivered / self.final, 4) if self.final else None,
            "prices": _sums(self.prices),
            "cost": _sums(self.cost),
            "sent_to_done": _durations(self.durations),
        }

    def _ranked_errors(self) -> Iterable[tuple[tuple[int | None, int | str | None], int]]:
        return sorted(self.errors.items(), key=lambda item: (-item[1], str(item[0])))

    def _error(self, key: tuple[int | None, int | str | None], count: int) -> ErrorCount:
        group, id = key
        return ErrorCount(group, id if isinstance(id, int) else None, self.names[key], count)


@dataclass(slots=True)
class _Row(_Bucket):
    """What was added up over all buckets; `shares` are delivered and final reports of each."""

    shares: dict[int, tuple[int, int]] = initially(default_factory=dict)

    def share(self, start: int, delivered: int, final: int) -> None:
        """Count final reports of the bucket that begins at `start`."""
        before = self.shares.get(start, (0, 0))
        self.shares[start] = (before[0] + delivered, before[1] + final)

    def share_all(self, starts: Mapping[int, tuple[int, int]]) -> None:
        """As `share`, of many buckets."""
        if not self.shares:  # as always, but for the networks of one country
            self.shares = dict(starts)
            return
        for start, counts in starts.items():
            self.share(start, *counts)

    def answer(self, value: str | None, name: str | None) -> PartAnswer:
        return PartAnswer(
            value=value,
            name=name,
            delivered_shares=_delivered_shares(self.shares.values()),
            **self.told(),
        )


def _sums(sums: Mapping[str, tuple[int, Decimal]]) -> list[CurrencySum]:
    return [CurrencySum(currency, *paid) for currency, paid in sorted(sums.items())]


def _group_name(group: int | None) -> str:
    return UNKNOWN if group is None else GROUP_NAMES.get(group, str(group))


def _durations(bins: Counter[int]) -> Durations:
    """`None` without reports."""
    found = percentiles(sorted(bins.items()), PERCENTS)
    times: list[float | None] = [round(each / 1000, 3) for each in found]
    return Durations(bins.total(), *(times or [None] * len(PERCENTS)))


def _delivered_shares(buckets: Iterable[tuple[int, int]]) -> DeliveredShares:
    """Of how many reports each bucket delivered, and how many are final. By nearest rank. `None`
    without a bucket that has final reports."""
    shares = sorted(delivered / final for delivered, final in buckets if final)
    ranks = [-(-percent * len(shares) // 100) for percent in SHARE_PERCENTS]
    found: list[float | None] = [round(shares[rank - 1], 4) for rank in ranks if shares]
    return DeliveredShares(len(shares), *(found or [None] * len(SHARE_PERCENTS)))


def _instant(seconds: int) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))

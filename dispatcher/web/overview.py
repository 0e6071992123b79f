"""The overview: how many reports came, what they said, what it cost, and what is wrong now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from aiohttp import web
from msgspec import Struct

from dispatcher.api.endpoint_totals import EndpointTotals
from dispatcher.web.plots import Column, Plot, plot
from dispatcher.web.site import Site, page
from receiver.answers import BadQuery, timestamp
from receiver.api.filters import asked_totals
from receiver.api.parameters import INSTANT
from receiver.api.totals import BucketAnswer, TotalsAnswer, totals_answer
from receiver.dlr.instants import parse_instant

ROWS = 10
"""Of each table, the ones with the most reports."""

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

_WIDTHS = {"minute": MINUTE, "hour": HOUR, "day": DAY}

_GROUPS: Mapping[str, tuple[str, Sequence[str]]] = {
    "delivered": ("good", ("DELIVERED",)),
    "in progress": ("backlog", ("PENDING", "ACCEPTED")),
    "not delivered": ("bad", ("UNDELIVERABLE", "EXPIRED", "REJECTED")),
}
"""What the plot tells apart: its words, its colour, and the status groups in it."""

PARTS = {
    "endpoint": "Endpoints",
    "operator": "Operators",
    "country": "Countries",
    "sender": "Senders",
}

ENDPOINT_REPORTS_MOST = 20_000
"""Reports that the table of endpoints is made of, newest first: 0.4 s."""


class Range(Struct, frozen=True):
    """What the page shows: from then, up to then, in buckets of that width."""

    name: str
    since: datetime
    until: datetime
    bucket: str


RANGES: Mapping[str, tuple[timedelta, str, str]] = {
    "hour": (HOUR, "minute", "Last hour"),
    "day": (DAY, "hour", "24 hours"),
    "week": (7 * DAY, "hour", "7 days"),
    "month": (30 * DAY, "day", "30 days"),
}


def range_of(said: Mapping[str, str], now: datetime) -> Range:
    """The range that an address names. Raises BadQuery."""
    if said.get("since"):
        since = INSTANT.read(_with_time(said["since"]), "since")
        until = INSTANT.read(_with_time(said["until"]), "until") if said.get("until") else now
        if until <= since:
            raise BadQuery("until: expected an instant after since")
        bucket = "hour" if until - since <= 14 * DAY else "day"
        return Range("chosen", since, until, bucket)
    name = said.get("range", "day")
    if name not in RANGES:
        raise BadQuery(f'range: expected one of {", ".join(RANGES)}, got "{name[:40]}"')
    span, bucket, _ = RANGES[name]
    return Range(name, now - span, now, bucket)


def _with_time(text: str) -> str:
    """A date, or what a browser's field of date and time gives, as an instant in UTC."""
    if len(text) == len("2026-11-21"):
        return f"{text}T00:00:00Z"
    return f"{text}:00Z" if len(text) == len("2026-11-21T10:00") else text


def columns_of(totals: TotalsAnswer) -> list[Column]:
    """The reports of each bucket, also of those without any, by what they said."""
    width = _WIDTHS[totals.bucket]
    since, until = parse_instant(totals.since), parse_instant(totals.until)
    starts = [since + width * at for at in range((until - since) // width)]
    found = {parse_instant(each.start): each.status_groups for each in totals.buckets}
    groups = [found.get(start, {}) for start in starts]
    named = {name for _, names in _GROUPS.values() for name in names}
    columns = [
        Column(words, kind, [sum(each.get(name, 0) for name in names) for each in groups])
        for words, (kind, names) in _GROUPS.items()
    ]
    others = [sum(count for name, count in each.items() if name not in named) for each in groups]
    return [*columns, Column("others", "idle", others)] if any(others) else columns


def figures_of(
    totals: TotalsAnswer, columns: Sequence[Column]
) -> list[tuple[BucketAnswer, list[int]]]:
    """Each bucket that has reports, with its count in each column of the plot."""
    since, width = parse_instant(totals.since), _WIDTHS[totals.bucket]
    places = [(parse_instant(each.start) - since) // width for each in totals.buckets]
    return [
        (each, [column.counts[place] for column in columns])
        for each, place in zip(totals.buckets, places, strict=True)
    ]


def reports_plot(totals: TotalsAnswer, columns: Sequence[Column]) -> Plot:
    since, until = parse_instant(totals.since), parse_instant(totals.until)
    shown = "%H:%M" if until - since < 2 * DAY else "%b %d"  # 24 hours are 25 whole ones
    labels = [(at / 4, (since + (until - since) * at / 4).strftime(shown)) for at in range(5)]
    title = f"Reports in each {totals.bucket} (UTC)"
    return plot(title, columns, labels=labels)


class OverviewPages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._inside = site.inside

    @page("/overview", "showOverview")
    async def overview(self, request: web.Request) -> web.Response:
        now = self._site.now()
        try:
            chosen, fault = range_of(request.query, now), None
        except BadQuery as error:
            chosen, fault = range_of({}, now), str(error)
        source = request.query.get("source") or None
        totals = await self._totals(chosen, source, chosen.bucket)
        columns = columns_of(totals)
        parts = await self._parts(chosen, source) if totals.total.reports else {}
        return self._site.show(
            request,
            "overview.html.jinja",
            status=400 if fault else 200,
            fault=fault,
            chosen=chosen,
            ranges=RANGES,
            headings=PARTS,
            source=source,
            sources=[each.name for each in self._inside.settings.source],
            said=request.query,
            totals=totals,
            plot=reports_plot(totals, columns),
            columns=columns,
            figures=figures_of(totals, columns),
            parts=parts,
            left_out=parts["endpoint"].behind if parts else 0,
            rows_most=ROWS,
            health=(await self._inside.healths.of(None)).endpoints,
            alerts=(await self._inside.alerts.now()).alerts,
        )

    async def _parts(self, chosen: Range, source: str | None) -> Mapping[str, TotalsAnswer]:
        """What each table is made of. Of minutes there are none: then they are of whole hours."""
        bucket = "hour" if chosen.bucket == "minute" else chosen.bucket
        return {by: await self._totals(chosen, source, bucket, by) for by in PARTS}

    async def _totals(
        self, chosen: Range, source: str | None, bucket: str, by: str | None = None
    ) -> TotalsAnswer:
        said = {
            "since": timestamp(chosen.since),
            "until": timestamp(chosen.until),
            "bucket": bucket,
            "source": source,
            "by": by,
        }
        given = {name: value for name, value in said.items() if value is not None}
        asked = asked_totals(given, self._site.now())
        opened = self._inside.storage
        by_endpoint = EndpointTotals(opened.store, opened.queue, ENDPOINT_REPORTS_MOST)
        return await totals_answer(opened.store, asked, by_endpoint.of)

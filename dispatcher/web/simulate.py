"""Simulate: what an outage would cost. The address of a page holds its scenario: it is a link."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import hdrs, web

from dispatcher.retrying.presets import PRESETS
from dispatcher.simulation.answer import clock_text
from dispatcher.web.child import ChildFailed, lines_of
from dispatcher.web.gallery import gallery
from dispatcher.web.plots import Column, Plot, plot
from dispatcher.web.shown import duration
from dispatcher.web.simulating import Simulated, Wanted
from dispatcher.web.site import Site, page
from dispatcher.web.what_if import DAY, Outage, what_if
from receiver.answers import BadQuery
from receiver.store.base import TotalsQuery

SECONDS = 60.0
"""How long a simulation may take on a page."""

KEPT = 8
"""Answers that are kept, so that a page that is reloaded takes no time."""

WAITING_MOST = 8
"""Simulations that run or wait: with more, whoever asks is told to come again."""

GONE_SECONDS = 0.5
"""So often it is looked whether whoever asked is still there."""

LINES = ("one", "two", "three", "four")
"""Of the plot that compares schedules; so many are compared."""


class SimulatePages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._one = asyncio.Lock()
        self._kept: OrderedDict[Wanted, Simulated] = OrderedDict()
        self._tasks: set[asyncio.Task[Simulated]] = set()
        site.inside.app.on_shutdown.append(self._stop)  # before requests under way are waited for

    @page("/simulate", "showSimulate")
    async def simulate(self, request: web.Request) -> web.Response:
        said = request.query
        fault, text = None, said.get("scenario", "")
        if "endpoint" in said:
            try:
                text = await self._what_if(said)
            except BadQuery as error:
                fault = str(error)
        schedules = tuple(said.getall("schedule", ()))[: len(LINES) - 1]
        found = None
        if text and not fault:
            found = await self._as_long_as_asked(request, Wanted(text, schedules))
        return self._site.show(
            request,
            "simulate.html.jinja",
            status=400 if fault or (found and found.faults) else 200,
            gallery=gallery(),
            text=text,
            said=said,
            fault=fault,
            found=found,
            plots=_plots(found) if found and found.timelines else (),
            presets=list(PRESETS),
            schedules=schedules,
            endpoints=await self._endpoints(),
        )

    @page("/simulate/scenario.toml", "downloadScenario")
    async def download(self, request: web.Request) -> web.Response:
        headers = {hdrs.CONTENT_DISPOSITION: 'attachment; filename="scenario.toml"'}
        text = request.query.get("scenario", "")
        return web.Response(text=text, content_type="application/toml", headers=headers)

    async def _as_long_as_asked(self, request: web.Request, wanted: Wanted) -> Simulated:
        """The simulation, which ends with the connection of whoever asked for it."""
        if len(self._tasks) >= WAITING_MOST:
            return Simulated(faults=["other simulations are running; try again in a minute"])
        task = asyncio.create_task(self._simulated(wanted))
        self._tasks.add(task)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=GONE_SECONDS)
                if request.transport is None or request.transport.is_closing():
                    task.cancel()
            return _BROKEN_OFF if task.cancelled() else task.result()
        finally:
            task.cancel()
            self._tasks.discard(task)

    async def _stop(self, _: web.Application) -> None:
        for task in self._tasks:
            task.cancel()

    async def _simulated(self, wanted: Wanted) -> Simulated:
        """One at a time: a simulation takes a whole processor."""
        async with self._one:
            if wanted in self._kept:
                self._kept.move_to_end(wanted)
                return self._kept[wanted]
            found = await _played(wanted)
            self._kept[wanted] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return found

    async def _endpoints(self) -> Sequence[str]:
        found = await self._site.inside.registry.all()
        return [each.name for each in found.values() if each.settings is not None]

    async def _what_if(self, said: Mapping[str, str]) -> str:
        """The scenario of an outage with the traffic of a day that is stored. Raises BadQuery."""
        name = said["endpoint"]
        found = (await self._site.inside.registry.all()).get(name)
        if found is None or found.settings is None:
            raise BadQuery(f'endpoint: there is no endpoint "{name}"')
        day = _day(said.get("day", ""), self._site.now())
        hours = await self._hours(day)
        if not hours and not said.get("day"):
            day += DAY  # on the first day there is no yesterday
            hours = await self._hours(day)
        if not hours:
            raise BadQuery(f"day: no report arrived on {day:%Y-%m-%d} (UTC); choose another day")
        outage = _outage(said.get("from", ""), said.get("until", ""))
        schedule = self._site.inside.settings.schedule
        return what_if(found.settings, schedule, hours, outage, f"{day:%Y-%m-%d}")

    async def _hours(self, day: datetime) -> Mapping[int, int]:
        """The reports of each hour of a day that has any."""
        query = TotalsQuery(3600, int(day.timestamp()), int((day + DAY).timestamp()))
        hours: Counter[int] = Counter()
        for each in (await self._site.inside.storage.store.totals(query)).outcomes:
            hours[(each.start - query.since) // 3600] += each.reports
        return +hours


_BROKEN_OFF = Simulated(faults=["the simulation was stopped, because dlr is stopping"])


async def _played(wanted: Wanted) -> Simulated:
    try:
        async with aclosing(lines_of("simulate", wanted, SECONDS)) as lines:
            async for line in lines:
                return msgspec.json.decode(line, type=Simulated)
    except TimeoutError:
        words = (
            f"the simulation takes longer than {SECONDS:g} s. Save the scenario and run `dlr"
            " simulate scenario.toml --engine cohort`"
        )
        return Simulated(faults=[words])
    except ChildFailed as error:
        return Simulated(faults=[f"the simulation failed: {error}"])
    return Simulated(faults=["the simulation gave no result"])


def _day(text: str, now: datetime) -> datetime:
    """A day that somebody chose, or yesterday: its midnight, in UTC."""
    if not text:
        yesterday = (now - DAY).astimezone(UTC)
        return yesterday.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        _ = day + DAY  # its end has to be a date too
        return day
    except (ValueError, OverflowError) as error:
        raise BadQuery(f'day: expected a date such as 2026-11-21, got "{text[:40]}"') from error


def _outage(start: str, end: str) -> Outage:
    begins, ends = _time(start, "from"), _time(end, "until")
    if ends <= begins:
        raise BadQuery(
            "until: expected a time after from. For an outage across midnight, edit the scenario"
        )
    return Outage(begins, ends - begins)


def _time(text: str, name: str) -> timedelta:
    try:
        at = datetime.strptime(text, "%H:%M")  # noqa: DTZ007 - a time of day, of no zone
    except ValueError as error:
        raise BadQuery(f'{name}: expected a time such as 14:00, got "{text[:40]}"') from error
    return timedelta(hours=at.hour, minutes=at.minute)


# --- plots ---------------------------------------------------------------------------------------


def _plots(found: Simulated) -> Sequence[Plot]:
    """Requests and backlog of the scenario, and the backlogs under other schedules in one."""
    first = found.timelines[0]
    bins = first["bins"]
    span = bins["width"] * (len(bins["arrivals"]) or 1)
    labels = _labels(span)
    bands = _bands(first, span)
    failed = [sum(counts) for counts in zip(*bins["failed"].values(), strict=True)] or [0] * len(
        bins["attempts"]
    )
    taken = [all_ - bad for all_, bad in zip(bins["attempts"], failed, strict=True)]
    width = duration(bins["width"])
    plots = [
        plot(
            f"Requests in each {width}",
            [
                Column("acknowledged", "good", taken),
                Column("failed", "bad", failed),
                Column("reports that arrived", "arrivals", bins["arrivals"], filled=False),
            ],
            labels=labels,
            bands=bands,
        ),
        plot(
            "Waiting reports",
            [Column("backlog", "backlog", bins["backlog"])],
            labels=labels,
            bands=bands,
        ),
    ]
    if len(found.timelines) > 1:
        plots.append(_compared(found))
    return plots


def _compared(found: Simulated) -> Plot:
    """The backlogs side by side, from the start to the end of the longest."""
    longest = max(
        found.timelines, key=lambda each: len(each["bins"]["backlog"]) * each["bins"]["width"]
    )
    bins = longest["bins"]
    span = bins["width"] * len(bins["backlog"])
    columns = [
        Column(name, kind, _at_width(each, bins["width"], len(bins["backlog"])), filled=False)
        for name, kind, each in zip(found.names, LINES, found.timelines, strict=False)
    ]
    return plot(
        "Waiting reports, by schedule", columns, labels=_labels(span), bands=_bands(longest, span)
    )


def _at_width(timeline: Mapping[str, Any], width: float, count: int) -> list[int]:
    """A backlog at the ends of bins of another width; 0 once it is over."""
    own, backlog = timeline["bins"]["width"], timeline["bins"]["backlog"]
    at = [int(((index + 1) * width - 1e-9) // own) for index in range(count)]
    return [backlog[each] if each < len(backlog) else 0 for each in at]


def _labels(span: float) -> list[tuple[float, str]]:
    return [(part / 4, clock_text(span * part / 4)) for part in range(5)]


def _bands(timeline: Mapping[str, Any], span: float) -> list[tuple[float, float, str]]:
    return [
        (each["start"] / span, (span if each["end"] is None else each["end"]) / span, each["what"])
        for each in timeline["bands"]
    ]

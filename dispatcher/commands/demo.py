"""`dlr demo`: a whole story on one screen. It runs the production code on a compressed clock.

A receiver, a dispatcher and a customer endpoint on free ports of this machine; real callbacks over
HTTP; an outage of the endpoint; the retries of the platform's schedule, sixty times as fast.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import click
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from dispatcher.clocks.clock import CompressedClock
from dispatcher.commands.options import run_to_end
from dispatcher.commands.scripted_endpoint import Script, ScriptedEndpoint
from dispatcher.observe.events import AttemptMade
from dispatcher.service import service
from dispatcher.settings.security import OutgoingSettings
from dispatcher.settings.settings import EndpointSettings, Settings
from receiver.settings.durations import duration_text
from receiver.settings.settings import ServerSettings, StoreSettings

SPEED = 60
OUTAGE = timedelta(seconds=5)  # of the world: five minutes of the demo's clock
LONGEST = timedelta(seconds=45)

_V2 = """{"results":[{"bulkId":"demo-bulk","messageId":"%s","to":"41793026727","from":"InfoSMS",
"sentAt":"2026-11-21T10:00:00.000+0000","doneAt":"%s","smsCount":1,"mccMnc":"22801",
"callbackData":"order 4711","price":{"pricePerMessage":0.01,"currency":"EUR"},"status":%s,
"error":{"groupId":0,"groupName":"OK","id":0,"name":"NO_ERROR","description":"No Error",
"permanent":false}}]}"""
_PENDING = (
    '{"groupId":1,"groupName":"PENDING","id":7,"name":"PENDING_ENROUTE",'
    '"description":"Message sent to next instance"}'
)
_DELIVERED = (
    '{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET",'
    '"description":"Message delivered to handset"}'
)
_V3_XML = """<?xml version="1.0" encoding="UTF-8"?>
<DeliveryReports><results><result><bulkId>demo-bulk</bulkId>
<price><pricePerMessage>0.01</pricePerMessage><currency>EUR</currency></price>
<status><groupId>4</groupId><groupName>EXPIRED</groupName><id>15</id><name>EXPIRED_EXPIRED</name>
<description>Message expired</description></status>
<error><groupId>1</groupId><groupName>HANDSET_ERRORS</groupName><id>27</id>
<name>EC_ABSENT_SUBSCRIBER</name><description>Absent Subscriber</description>
<permanent>false</permanent></error>
<messageId>%s</messageId><to>41793026834</to><sender>InfoSMS</sender>
<sentAt>2026-11-21T10:00:00.000+0000</sentAt><doneAt>2026-11-21T10:00:09.000+0000</doneAt>
<messageCount>1</messageCount><callbackData>order 4712</callbackData>
</result></results></DeliveryReports>"""


@dataclass(frozen=True, slots=True)
class _Callback:
    what: str
    content_type: str
    body: str


def _callbacks(seed: int) -> Sequence[_Callback]:
    first, second = f"demo-{seed}-1", f"demo-{seed}-2"
    final = _V2 % (first, "2026-11-21T10:00:04.000+0000", _DELIVERED)
    return (
        _Callback(
            f"intermediate report of {first}, JSON v2",
            "application/json",
            _V2 % (first, "2026-11-21T10:00:01.000+0000", _PENDING),
        ),
        _Callback(f"final report of {first}, JSON v2", "application/json", final),
        _Callback(f"final report of {second}, XML v3", "application/xml", _V3_XML % second),
        _Callback(f"the final report of {first} again", "application/json", final),
        _Callback("a body cut off in the middle", "application/json", final[:90]),
    )


class _Timeline:
    """What has happened, for the screen."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._rows: list[tuple[str, str, str]] = []
        self.acknowledged = 0  # reports
        self.attempts: dict[str, AttemptMade] = {}  # the last one of each dispatch
        self.changed = asyncio.Event()

    def add(self, at: datetime, who: str, what: str) -> None:
        self._rows.append((_clock_text(at - self._start), who, what))
        self.changed.set()

    def listen(self, event: AttemptMade) -> None:
        self.attempts[event.dispatch] = event
        if event.state == "acknowledged":
            self.acknowledged += event.reports
        answer = event.answer.status or event.outcome.value.replace("_", " ")
        following = (
            f"next attempt at +{_clock_text(event.due_at - self._start)}"
            if (event.due_at is not None)
            else f"[green]{event.state}[/]"
        )
        self.add(
            event.started_at,
            "dispatcher",
            f"{event.dispatch} attempt {event.number}: {answer}, {following}",
        )

    def table(self) -> Table:
        table = Table("clock", "who", "what", box=None, header_style="bold")
        for row in self._rows:
            table.add_row(*row)
        return table


def _clock_text(since: timedelta) -> str:
    seconds = int(since.total_seconds())
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


async def run_demo(console: Console, *, seed: int) -> None:
    """Run the story and print it. Needs nothing and leaves nothing behind."""
    clock = CompressedClock(SPEED)
    timeline = _Timeline(clock.now())
    customer = ScriptedEndpoint(Script(down_between=(timedelta(0), OUTAGE)))
    await customer.start()
    try:
        with TemporaryDirectory(prefix="dlr-demo-") as folder:
            settings = _settings(Path(folder), customer.url)
            async with service(settings, clock=clock, listeners=[timeline.listen]) as running:
                with Live(console=console, auto_refresh=False) as live:
                    drawing = asyncio.create_task(_draw(live, timeline, running.url, customer.url))
                    counts = await _post_all(running.url, seed, clock, timeline)
                    await _all_acknowledged(timeline, counts["stored"])
                    drawing.cancel()
                    live.update(_screen(timeline, running.url, customer.url), refresh=True)
                _print_end(console, counts, timeline)
    finally:
        await customer.stop()


def _settings(folder: Path, url: str) -> Settings:
    return Settings(
        server=ServerSettings(port=0),
        store=StoreSettings(database=str(folder / "demo.db")),
        endpoint=(EndpointSettings(name="customer", url=url),),
        outgoing=OutgoingSettings(loopback_only=True),
    )


async def _post_all(
    url: str, seed: int, clock: CompressedClock, timeline: _Timeline
) -> dict[str, int]:
    """Post the callbacks as the platform would, and add up the answers."""
    counts = {"stored": 0, "duplicates": 0, "quarantined": 0}
    async with aiohttp.ClientSession() as session:
        for callback in _callbacks(seed):
            headers = {"Content-Type": callback.content_type}
            at = clock.now()
            async with session.post(
                f"{url}/notify", data=callback.body.encode(), headers=headers
            ) as response:
                answer: dict[str, Any] = await response.json()
                text = escape(await response.text())
            timeline.add(at, "platform", f"{callback.what}\n  [dim]{response.status} {text}[/]")
            for name in counts:
                counts[name] += answer.get(name, 0)
            counts["quarantined"] += response.status == 400
            await asyncio.sleep(0.3)  # so that a person can follow
    return counts


async def _all_acknowledged(timeline: _Timeline, reports: int) -> None:
    try:
        async with asyncio.timeout(LONGEST.total_seconds()):
            while timeline.acknowledged < reports:
                await _next_change(timeline)
    except TimeoutError:
        text = f"the demo's reports were not acknowledged within {duration_text(LONGEST)}"
        raise TimeoutError(text) from None


async def _next_change(timeline: _Timeline) -> None:
    timeline.changed.clear()
    await timeline.changed.wait()


async def _draw(live: Live, timeline: _Timeline, url: str, customer: str) -> None:
    while True:
        live.update(_screen(timeline, url, customer), refresh=True)
        await asyncio.sleep(0.1)


def _screen(timeline: _Timeline, url: str, customer: str) -> Group:
    return Group(
        f"[bold]dlr demo[/]  receiver {url}/notify  customer {customer}",
        f"[dim]the clock runs {SPEED} times as fast; the customer is down for its first "
        f"{duration_text(OUTAGE * SPEED)}[/]\n",
        timeline.table(),
    )


def _print_end(console: Console, counts: dict[str, int], timeline: _Timeline) -> None:
    console.print(
        f"\n[bold]stored[/] {counts['stored']} reports, recognised {counts['duplicates']}"
        f" duplicate, kept {counts['quarantined']} unreadable body in quarantine"
    )
    for name, event in timeline.attempts.items():
        console.print(
            f"[bold]{event.state}[/] {name} ({event.reports} report) after {event.number} attempts"
        )
    console.print(
        "\nNext: start it for yourself and send it something\n"
        "  dlr serve\n"
        "  dlr listen --fail-first 3       a customer endpoint to name in config/dlr.toml\n"
        "  dlr schedule                    the whole retry table, 41:30 hours\n"
        "  dlr --help"
    )


@click.command()
@click.option("--seed", type=int, default=1, help="For the ids of the demo's messages.")
def demo(seed: int) -> None:
    """Watch a whole story on one screen, in under a minute.

    It needs no set-up. Callbacks come in, an endpoint fails and recovers, and retries run on a
    compressed clock.

    Example: dlr demo
    """
    run_to_end(run_demo(Console(), seed=seed))

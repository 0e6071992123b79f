"""The drill itself: a service of ours in a temporary database, fed at the pace of the scenario.

Receiver, store, worker and HTTP sender are those of `dlr serve`. Its clock stands still until all
is up, and then runs; what happened is read from the tables afterwards, as of a simulation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
from msgspec import Struct

from dispatcher.clocks.clock import CompressedClock, elapsed
from dispatcher.observe.events import AttemptMade
from dispatcher.rehearsal.bodies import Maker
from dispatcher.rehearsal.drill.pausing import Pausing
from dispatcher.rehearsal.drill.plan import TICK, CannotDrill, Drill
from dispatcher.rehearsal.drill.proxy import Proxy
from dispatcher.rehearsal.drill.reports import Ended, Reports
from dispatcher.rehearsal.target import Way
from dispatcher.service import Service, service
from dispatcher.settings.settings import RetentionSettings, Settings
from dispatcher.simulation.answer import clock_text
from dispatcher.simulation.arrivals import MICROSECOND, Arrivals
from dispatcher.simulation.recorded import recorded_in
from dispatcher.simulation.scenario import START, ends_at_latest, troubles
from dispatcher.simulation.timeline import Timeline, Watch
from receiver.settings.settings import ServerSettings, StoreSettings

TOGETHER = 2_000
"""The most reports in one callback: what the receiver takes."""

LOOK_SECONDS = 0.02
"""Of the world, between two looks at the time and at what waits."""

FOR_EVER = RetentionSettings(reports=timedelta(0), attempts=timedelta(0))


class DrillResult(Struct, frozen=True):
    """What a drill came to. `ended`: each report that got into a dispatch, in order. `behind`: the
    longest that one came later than the scenario says, in seconds of it."""

    timeline: Timeline
    ended: Sequence[Ended]
    seen_again: int
    behind: float


Turn = Callable[[timedelta], Awaitable[None]]
"""Changes something as the scenario says at this time of it."""


class _StopWatch:
    """The machine's time since `start`; before that, none."""

    def __init__(self) -> None:
        self._from: timedelta | None = None

    def start(self) -> None:
        self._from = elapsed()

    def __call__(self) -> timedelta:
        return timedelta(0) if self._from is None else elapsed() - self._from


class DrillRun:
    """One drill: `run` it once. `tell` gets a line when the webhook goes down and comes back."""

    def __init__(self, drill: Drill, way: Way, maker: Maker, tell: Callable[[str], None]) -> None:
        self._drill = drill
        self._way = way
        self._tell = tell
        self._reports = Reports(maker, drill.scenario.mix)
        self._arrivals = Arrivals(drill.scenario)
        self._watch = _StopWatch()
        self._clock = CompressedClock(drill.speed, wall=lambda: START, elapsed=self._watch)
        self._edges = _edges(drill)
        self._fed = self._over = 0  # reports
        self._behind = timedelta(0)
        self._last_at = START

    def passed(self) -> timedelta:
        return self._clock.now() - START

    async def run(self, watch: Watch = lambda _: True) -> DrillResult:
        """Until nothing waits any more, or the watch breaks it off. Raises CannotDrill."""
        with TemporaryDirectory(prefix="dlr-drill-") as folder:
            file = Path(folder) / "drill.db"
            async with (
                Pausing(self._drill) as pausing,
                Proxy(self._way, self._drill, self.passed) as proxy,
            ):
                settings = self._settings(file, proxy.url)
                async with service(
                    settings, clock=self._clock, listeners=[self._attempted]
                ) as running:
                    ended = await self._played(running, (proxy.turn, pausing.turn), watch)
            return self._read(file, proxy.seen_again, partial=not ended)

    def _settings(self, file: Path, url: str) -> Settings:
        """What the customer does in the world's time is done faster, as the scenario's is."""
        scenario, speed = self._drill.scenario, self._drill.speed
        endpoint = replace(
            scenario.endpoint,
            url=url,
            read_timeout=self._drill.timeout,
            connect_timeout=self._drill.timeout,
            window=self._drill.window,
            rate_limit=scenario.endpoint.rate_limit * speed,
            breaker_probe=scenario.endpoint.breaker_probe / speed,
        )
        return Settings(
            server=ServerSettings(port=0, stop_timeout=timedelta(seconds=1)),
            store=StoreSettings(database=str(file)),
            endpoint=(endpoint,),
            schedule=scenario.schedule,
            retention=FOR_EVER,
        )

    async def _played(self, running: Service, turns: Sequence[Turn], watch: Watch) -> bool:
        """Whether it came to its end."""
        self._watch.start()
        feeding = asyncio.create_task(self._feed(running.url))
        try:
            while not await self._is_over(running, feeding):
                await self._turn(turns)
                if not watch(self._share()):
                    return False
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        return True

    async def _is_over(self, running: Service, feeding: asyncio.Task[None]) -> bool:
        if not feeding.done():
            return False
        feeding.result()  # or what it raised
        if self.passed() > ends_at_latest(self._drill.scenario, self._arrivals.duration):
            return True
        return await running.storage.figures.idle()

    async def _turn(self, turns: Sequence[Turn]) -> None:
        at = self.passed()
        for turn in turns:
            await turn(at)
        while self._edges and self._edges[0][0] <= at:
            when, what = self._edges.pop(0)
            self._tell(f"{clock_text(when.total_seconds())}  {what}")

    async def _feed(self, url: str) -> None:
        """Bring the reports as they arrive. What arrives within a tick comes together."""
        coming = self._arrivals.instants()
        following = next(coming, None)
        number = 0
        async with aiohttp.ClientSession() as session:
            while following is not None:
                await self._until(following[0] * MICROSECOND)
                first_at, count = following[0] * MICROSECOND, 0
                now = self.passed() // MICROSECOND
                while following and following[0] <= now and count + following[1] <= TOGETHER:
                    count += following[1]
                    following = next(coming, None)
                await self._post(session, url, number, count)
                self._behind = max(self._behind, self.passed() - first_at)
                number += 1
                if following and following[0] * MICROSECOND <= self.passed() and count < TOGETHER:
                    await asyncio.sleep(TICK.total_seconds())

    async def _until(self, at: timedelta) -> None:
        early = at - self.passed()
        while early > timedelta(0):  # a sleep may end a moment too soon
            await asyncio.sleep(early.total_seconds() / self._drill.speed)
            early = at - self.passed()

    async def _post(
        self, session: aiohttp.ClientSession, url: str, number: int, count: int
    ) -> None:
        made = self._reports.callback(number, self._fed, count)
        headers = {"Content-Type": made.content_type or ""}
        async with session.post(f"{url}/notify", data=made.data, headers=headers) as response:
            if response.status != 200:
                text = (await response.text())[:200]
                raise CannotDrill(f"dlr's own receiver answered {response.status}: {text}")
        self._fed += count

    def _attempted(self, event: AttemptMade) -> None:
        self._last_at = self._clock.now()
        if event.due_at is None:
            self._over += event.reports

    def _share(self) -> float:
        return min(1.0, (self._fed + self._over) / max(1, 2 * self._arrivals.expected()))

    def _read(self, file: Path, seen_again: int, *, partial: bool) -> DrillResult:
        timeline, ended = recorded_in(
            file,
            self._drill.scenario,
            duration=self._arrivals.duration,
            # The stop watch of an attempt and the clock are not the same.
            ended_at=max(self._last_at, self._clock.now() if partial else START)
            + timedelta(seconds=self._drill.speed / 100),
            partial=partial,
            engine="rehearsed",
            speed=self._drill.speed,
        )
        return DrillResult(
            timeline=timeline,
            ended=[Ended(*each) for each in ended],
            seen_again=seen_again,
            behind=self._behind.total_seconds(),
        )


def _edges(drill: Drill) -> list[tuple[timedelta, str]]:
    """When something changes, and what."""
    return sorted(_changes(drill))


def _changes(drill: Drill) -> Iterator[tuple[timedelta, str]]:
    bands = troubles(drill.scenario.phase)
    following_ones = [*bands[1:], None]  # one too many where there was no trouble at all
    for (start, end, words), following in zip(bands, following_ones, strict=False):
        what = "it is paused" if drill.pause else f"the webhook is down: {words}"
        yield start, what
        if end is not None and (following is None or following[0] > end):
            yield end, "the webhook is back"

"""Feeds replays: what is to go again becomes dispatches, a bounded piece at a time.

A look reads what follows in each replay, asks its pace how much of it may go now, forms buckets,
and makes them dispatches in one transaction that also moves on how far the replay is, with the old
place as its condition. So of two feeders one does nothing, and a crash neither skips nor repeats.
From there on they are dispatches like all others: same worker, same schedule, same windows.

A look is one step of a loop and has none itself; the loop is `feeding`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from msgspec import Struct, structs

from dispatcher.clocks.clock import Clock
from dispatcher.clocks.repeating import Repeating
from dispatcher.endpoints.endpoint import Endpoint, EndpointsInForce
from dispatcher.endpoints.own_urls import ANY
from dispatcher.endpoints.registry import UnknownEndpoint
from dispatcher.forming.bucket import encoded, fill
from dispatcher.queue.base import Forming
from dispatcher.replay.base import Portion, ReplayStore
from dispatcher.replay.pace import allowance
from dispatcher.replay.replay import InvalidReplay, Item, Replay, must_stop, target_name
from receiver.callbacks.events import Sparing
from receiver.store.base import StoredReport, StoreUnavailable

log = logging.getLogger("dlr.dispatcher")

BATCH = 1_000
"""Reports that become dispatches in one transaction."""

AHEAD = 10
"""Times its window is what waits untried at an endpoint before nothing more is fed to it: enough
that the worker never waits for the feeder, little enough that a cancel finds most of it unfed."""

LOOK_SECONDS = 0.1
"""How long the feeder sleeps at least when nothing may go."""

LONGEST_SECONDS = 10.0
"""How long it sleeps at most until the pace of a replay lets something go: a clock that follows the
wall clock (clock.SLEW) is then a second off at most, as much as pace.CATCH_UP makes good."""


class RemovableEndpoints(EndpointsInForce, Protocol):
    """Those of replays to a URL go when their replay has ended."""

    async def remove(self, name: str) -> int:
        """Raises UnknownEndpoint."""


class Waits(Struct):
    """What a feeder waits for, besides a change in the database: an instant, room at endpoints that
    have enough before them, or only the next look."""

    until: datetime | None = None
    room: bool = False
    soon: bool = False

    def pace(self, at: datetime | None) -> None:
        if at is not None:
            self.until = at if self.until is None else min(self.until, at)


class Feeder:
    """Tends all replays of a database. Any number may do so at once."""

    def __init__(
        self, replays: ReplayStore, endpoints: RemovableEndpoints, now: Callable[[], datetime]
    ) -> None:
        self._replays = replays
        self._endpoints = endpoints
        self._now = now
        self._failures = Sparing(most=1)  # of each replay, in a minute: it is looked at again soon
        self.waits = Waits()
        """For what, since the last look."""

    async def look(self) -> int:
        """Do what is to be done at this instant, once. Returns how many reports were fed."""
        fed = 0
        self.waits = Waits()
        for replay in await self._replays.unfinished():
            try:
                if replay.state == "running":
                    fed += await self._tend(replay)
                else:
                    await self._tidy(replay)
            except StoreUnavailable:
                raise
            except Exception:  # and no other does
                self.waits.soon = True
                if self._failures.admit(str(replay.id)) is not None:
                    log.exception(
                        "replay %d failed and is tried again; `dlr replays cancel %d` ends it",
                        replay.id,
                        replay.id,
                    )
        return fed

    async def _tend(self, replay: Replay) -> int:
        if must_stop(replay):
            with suppress(InvalidReplay):  # cancelled meanwhile
                await self._replays.end(replay.id, "stopped", self._now())
            return 0
        if replay.fed == replay.total and not replay.held:
            if not replay.waiting:
                await self._replays.finish(replay.id, self._now())
            return 0
        return await self._feed(replay)

    async def _feed(self, replay: Replay) -> int:
        now = self._now()
        freed = await self._replays.freed(replay, BATCH) if replay.held else []
        items = await self._replays.following(replay, BATCH)
        going = allowance(replay.pace, replay.progress, [item.offset for item in items], now)
        self.waits.pace(going.next_at)
        items = items[: going.count]
        if not items and not freed:
            return 0
        endpoints = {each.name: each for each in await self._endpoints.endpoints()}
        if await self._all_full(replay, items, endpoints):
            self.waits.room = True
            items = []
            if not freed:
                return 0
        portion = await self._portion(replay, freed, items, going.anchor_at, endpoints)
        return len(items) + len(freed) if await self._replays.feed(portion, now) else 0

    async def _portion(
        self,
        replay: Replay,
        freed: Sequence[Item],
        items: Sequence[Item],
        anchor_at: datetime,
        endpoints: Mapping[str, Endpoint],
    ) -> Portion:
        """What was held goes as soon as it may, whatever the pace and the room."""
        reports = await self._replays.reports([*freed, *items])
        gone = {each for each in (*freed, *items) if not _can_go(each, reports, endpoints)}
        were_held = _by_endpoint(freed, reports, gone)
        are_new = _by_endpoint(items, reports, gone)
        formings = [
            await self._forming(
                replay.id, endpoints[name], were_held.get(name, []), are_new.get(name, [])
            )
            for name in {**were_held, **are_new}
        ]
        return Portion(
            replay=replay.id,
            fed_from=replay.fed,
            fed_to=replay.fed + len(items),
            dropped=len(gone),
            anchor_at=anchor_at if items else replay.progress.anchor_at or anchor_at,
            formings=formings,
            gone=[(each.endpoint, each.report) for each in freed if each in gone],
        )

    async def _forming(
        self,
        replay: int,
        endpoint: Endpoint,
        freed: Sequence[StoredReport],
        fresh: Sequence[StoredReport],
    ) -> Forming:
        """What was asked for goes, whatever the rules of the endpoint would let through."""
        blocked, reports = None, [*freed, *fresh]
        if endpoint.ordered:
            free = [report.id for report in freed]
            blocked = await self._replays.blocked(replay, endpoint.name, reports, free)
        open_to_all = structs.replace(endpoint, rules=ANY)
        filled = fill(open_to_all, fresh, room=len(reports), freed=freed, blocked=blocked)
        return await encoded(filled)

    async def _all_full(
        self, replay: Replay, items: Sequence[Item], endpoints: Mapping[str, Endpoint]
    ) -> bool:
        """Whether each endpoint of these items has enough before it. One that is slow or paused
        must not hold up the others, so that it then has more."""
        ahead = {
            item.endpoint: endpoints[item.endpoint].window * AHEAD
            for item in items
            if item.endpoint in endpoints
        }
        if not ahead:
            return False
        untried = await self._replays.untried(replay.id, ahead)
        return all(untried[name] >= most for name, most in ahead.items())

    async def _tidy(self, replay: Replay) -> None:
        """The items of an ended replay go, and the endpoint that was made for it."""
        self.waits.soon = True
        if not await self._replays.tidy(replay.id):
            return
        if replay.url is not None:
            with suppress(UnknownEndpoint):  # removed already
                await self._endpoints.remove(target_name(replay.id))
        await self._replays.tidied(replay.id)


def _can_go(
    item: Item, reports: Mapping[int, StoredReport], endpoints: Mapping[str, Endpoint]
) -> bool:
    report, endpoint = reports.get(item.report), endpoints.get(item.endpoint)
    if report is None or endpoint is None:
        return False
    return report.notify_to is not None or not endpoint.own_urls


def _by_endpoint(
    items: Sequence[Item], reports: Mapping[int, StoredReport], gone: Collection[Item]
) -> dict[str, list[StoredReport]]:
    by_endpoint: dict[str, list[StoredReport]] = {}
    for item in items:
        if item not in gone:
            by_endpoint.setdefault(item.endpoint, []).append(reports[item.report])
    return by_endpoint


class Feeding(Repeating):
    """Has a feeder look from `start` to `stop`. While nothing can go it leaves the database alone:
    wake it when anything has changed there.

    `on_fed` is called when there is more to push. `ended` says how many attempts of this process
    have ended so far: none has made room while there are no more.
    """

    def __init__(
        self, feeder: Feeder, clock: Clock, on_fed: Callable[[], None], ended: Callable[[], int]
    ) -> None:
        super().__init__(
            self._feed,
            log=log,
            waits="replays wait until the database can be used",
            fails="feeding replays failed and is tried again",
            again_after=LOOK_SECONDS,
        )
        self._feeder = feeder
        self._clock = clock
        self._on_fed = on_fed
        self._ended = ended
        self._ended_before = 0
        self._changed = True

    def wake(self) -> None:
        self._changed = True
        super().wake()

    async def _feed(self) -> float | None:
        ended, now, waits = self._ended(), self._clock.now(), self._feeder.waits
        made_room = waits.room and ended != self._ended_before
        is_time = waits.until is not None and waits.until <= now
        if self._changed or made_room or is_time or waits.soon:
            self._changed, self._ended_before = False, ended
            try:
                fed = await self._feeder.look()
            except BaseException:
                self._changed = True
                raise
            if fed:
                self._changed = True
                self._on_fed()
                return 0
        return self._sleep()

    def _sleep(self) -> float | None:
        waits = self._feeder.waits
        if waits.soon or waits.room:
            return LOOK_SECONDS
        if waits.until is None:
            return None
        seconds = (waits.until - self._clock.now()).total_seconds() / self._clock.speed
        return min(max(seconds, LOOK_SECONDS), LONGEST_SECONDS)

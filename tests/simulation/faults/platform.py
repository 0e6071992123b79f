"""The SMS platform: posts callbacks, and repeats each until it is answered 200."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from receiver.store.callback import Callback
from tests.contracts.report_store import Item, a_callback, a_refused_callback, an_sms

if TYPE_CHECKING:
    from tests.simulation.faults.world import World

MESSAGES = 8
SOURCES = ("alpha", "beta")
TWINS = 0.2
"""The share of callbacks whose reports another source posts, too: other messages with the same
messageIds, of which the same is told."""

STATUSES = ("PENDING_ENROUTE", "DELIVERED_TO_OPERATOR", "DELIVERED_TO_HANDSET")


class Platform:
    """Has so many callbacks taken in while faults go on."""

    def __init__(self, world: World, rng: Random, tenants: Random) -> None:
        self._world = world
        self._rng = rng
        self._tenants = tenants
        self.marks = 0
        """Reports are marked 1, 2, 3 …"""
        self.waiting = world.plan.callbacks
        """Callbacks that are not answered yet."""

    def start(self) -> list[asyncio.Task[None]]:
        most = self._world.plan.faults_for
        instants = sorted(self._rng.uniform(0, most) for _ in range(self._world.plan.callbacks))
        return [asyncio.create_task(self._bring(at)) for at in instants]

    async def _bring(self, at: float) -> None:
        await asyncio.sleep(at)
        if self._rng.random() < 0.05:
            await self._refused()
        items = self._items()
        source, other = self._tenants.sample(SOURCES, 2)
        await self._answered(items, source)
        if self._tenants.random() < TWINS:
            await self._answered([self._twin(item) for item in items], other)
        self.waiting -= 1

    async def _answered(self, items: list[Item], source: str) -> None:
        """Post these until they are answered 200."""
        callback = a_callback(*items, at=self._world.wall(), source=source)
        while not await self._posted(callback):  # noqa: ASYNC110 - a part of the story
            await asyncio.sleep(self._rng.uniform(0.5, 3))
        if self._rng.random() < 0.1:  # the answer was lost on the way: it comes once more
            await self._posted(callback)

    async def _posted(self, callback: Callback) -> bool:
        """Whether it was answered 200."""
        process = self._world.any_process(self._rng)
        if process is None:
            return False
        task = process.spawn(process.receive(callback))
        await asyncio.wait([task])
        answered = not task.cancelled() and task.exception() is None
        if answered:
            self._world.taken_in(callback)
        return answered

    async def _refused(self) -> None:
        """One that no database takes: its neighbours in the group commit must not suffer."""
        process = self._world.any_process(self._rng)
        if process is not None:
            task = process.spawn(process.receive(a_refused_callback()))
            await asyncio.wait([task])

    def _items(self) -> list[Item]:
        return [self._item() for _ in range(self._rng.choice((1, 1, 2, 6)))]

    def _twin(self, item: Item) -> Item:
        self.marks += 1
        return {**item, "callbackData": f"#{self.marks}#"}

    def _item(self) -> Item:
        self.marks += 1
        return an_sms(
            f"m{self._rng.randrange(MESSAGES)}",
            self._rng.choice(STATUSES),
            doneAt=f"2026-03-02T12:{self.marks // 60:02d}:{self.marks % 60:02d}.000+0000",
            callbackData=f"#{self.marks}#",
        )

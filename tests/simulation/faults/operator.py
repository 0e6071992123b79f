"""What people and the machine do to running processes: settings, replays, cancels, clocks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from dispatcher.endpoints.registry import UnknownEndpoint
from dispatcher.queue.base import UnknownDispatch
from dispatcher.replay.replay import InvalidReplay
from dispatcher.replay.request import read_request
from dispatcher.retrying.dispatch import InvalidTransition
from receiver.answers import BadQuery
from receiver.store.base import AmbiguousMessage, StoreUnavailable
from tests.simulation.faults.plan import Act

if TYPE_CHECKING:
    from tests.simulation.faults.process import Process
    from tests.simulation.faults.world import World

REFUSED = (UnknownEndpoint, UnknownDispatch, InvalidTransition, InvalidReplay, BadQuery)
"""What is said to somebody who comes too late."""

EVERY = 0.8
"""Seconds between two acts, on average."""

Deed = Callable[["Process"], Awaitable[Any]]


class Operator:
    """Does something every now and then, and sets things right when the faults end."""

    def __init__(self, world: World, rng: Random) -> None:
        self._world = world
        self._rng = rng
        self._deeds: dict[Act, Deed] = {
            "pause": self._pause,
            "change": self._change,
            "cancel": self._cancel,
            "replay": self._replay,
            "replay to a URL": self._replay_to_a_url,
            "cancel a replay": self._cancel_a_replay,
            "remove": self._remove,
            "stop": lambda process: process.stop(),
            "wake twice": self._wake_twice,
            "tick beside": self._tick_twice,
        }

    async def work(self) -> None:
        acts, until = self._world.plan.acts, self._world.plan.faults_for
        while acts and self._world.passed < until:
            at_once = self._rng.random() < 0.3
            await asyncio.sleep(0.002 if at_once else self._rng.expovariate(1 / EVERY))
            await self._do(self._rng.choice(acts))

    async def heal(self) -> None:
        """All endpoints go on; of those that were removed, some come back."""
        for endpoint in self._world.plan.endpoints:
            name = endpoint.name
            if name in self._world.removed():
                if self._rng.random() < 0.5:
                    continue
                await self._until_done(self._resets(name))
            await self._until_done(self._resumes(name))

    def _resets(self, name: str) -> Deed:
        return lambda process: process.registry.reset(name)

    def _resumes(self, name: str) -> Deed:
        return lambda process: process.registry.pause(name, False)

    async def _until_done(self, deed: Deed) -> None:
        while not await self._in_a_process("heal", deed):  # noqa: ASYNC110 - a part of the story
            await asyncio.sleep(0.5)

    async def _do(self, act: Act) -> None:
        match act:
            case "set the clock":
                self._world.set_clock(timedelta(seconds=self._rng.choice((-30, -2, 2, 60, 3600))))
            case "set the date":
                self._world.set_clock(timedelta(days=self._rng.choice((2, 20))))
            case "reboot":
                self._world.reboot(timedelta(seconds=self._rng.uniform(-20, 20)))
            case _:
                await self._in_a_process(act, self._deeds[act])

    async def _in_a_process(self, what: str, deed: Deed) -> bool:
        """Have a process do it. False when it could not, or its answer was lost."""
        process = self._world.any_process(self._rng)
        if process is None:
            return False
        self._world.trace.add(process.name, f"* {what}")
        self._world.claims.happens()
        task = process.spawn(self._answered(deed, process))
        await asyncio.wait([task])
        return not task.cancelled() and task.result()

    async def _answered(self, deed: Deed, process: Process) -> bool:
        with suppress(*REFUSED):
            try:
                await deed(process)
            except StoreUnavailable:
                return False
        return True

    # --- deeds ----------------------------------------------------------------------------------

    def _name(self) -> str:
        return self._rng.choice(self._world.plan.endpoints).name

    async def _pause(self, process: Process) -> None:
        await process.registry.pause(self._name(), self._rng.random() < 0.5)

    async def _change(self, process: Process) -> None:
        name = self._name()
        changes: dict[str, Any] = self._rng.choice(
            (
                {"window": self._rng.choice((1, 3, 20))},
                {"bucket_size": self._rng.choice((1, 3, 100))},
                {"url": f"http://{name}.example/{self._rng.randrange(9)}"},
                {"rate_limit": self._rng.choice((None, 3.0, 20.0))},
                {"breaker_failures": 2, "breaker_probe": "1s"},
                {"content_type": self._rng.choice(("application/json", "application/xml"))},
            )
        )
        await process.registry.change(name, changes, from_outside=False)

    async def _cancel(self, process: Process) -> None:
        waiting = [row.id for row in self._world.ledger.rows.values() if row.state == "waiting"]
        if waiting:
            await process.queue.cancel(f"db-{self._rng.choice(waiting)}")

    async def _replay(self, process: Process) -> None:
        asked: dict[str, Any] = self._rng.choice(
            (
                {"state": "exhausted"},
                {"state": "acknowledged", "endpoint": self._name()},
                {"messageIds": ["m0", "m1", "m2"], "toEndpoint": self._name()},
                {"state": "acknowledged", "rate": "10/s"},
            )
        )
        await self._ask(process, asked)

    async def _replay_to_a_url(self, process: Process) -> None:
        asked = {"messageIds": ["m0", "m3"], "to": "http://elsewhere.example/"}
        await self._ask(process, asked)

    async def _ask(self, process: Process, asked: dict[str, Any]) -> None:
        """For a replay, and for one of one source when it is told that several have such a
        message."""
        request, _ = read_request(asked, process.clock.now())
        try:
            await process.replaying.make(request, from_outside=False)
        except AmbiguousMessage as error:
            await self._ask(process, {**asked, "source": self._rng.choice(error.sources)})

    async def _cancel_a_replay(self, process: Process) -> None:
        running = [each for each in await process.replays.all() if each.state == "running"]
        if running:
            await process.replaying.cancel(self._rng.choice(running).id)

    async def _remove(self, process: Process) -> None:
        """Taken out by mistake, as a rule."""
        name = self._name()
        await process.registry.remove(name)
        if self._rng.random() < 0.8:
            await asyncio.sleep(self._rng.expovariate(1.0))
            await process.registry.reset(name)

    async def _tick_twice(self, process: Process) -> None:
        """Beside the claims of the runner."""
        await asyncio.gather(process.worker.tick(), process.worker.tick())

    async def _wake_twice(self, process: Process) -> None:
        process.wake()
        await asyncio.sleep(0.000_1)
        process.wake()

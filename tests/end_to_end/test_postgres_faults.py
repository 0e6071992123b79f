"""Three machines on one PostgreSQL server, and everything fails that can.

Each machine has a `dlr receive` and a `dlr dispatch`, and a network of its own to the server. Under
load, processes and the postmaster are killed (SIGKILL), and connections are reset, lost, or fall
silent, at moments that a seed chooses. Then healing, and everything must finish: what was answered
200 is stored, once; what is stored was pushed; what is recorded as acknowledged the customer got.

A failure prints its seed; DLR_CRASH_SEED=… chooses the same load and the same moments again.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

import aiohttp
import pytest

from tests.end_to_end.processes import (
    CUT,
    Customer,
    Push,
    Running,
    Tally,
    an_endpoint,
    configure,
    customer,
    eventually,
    running,
)
from tests.end_to_end.test_crashes import seed
from tests.postgres_process import OwnServer, aside, own_servers
from tests.proxy import Proxy, proxy
from tests.receiver.payloads import a_json_body, an_item

Fault = Literal["receiver", "dispatcher", "postmaster", "reset", "drop", "stall"]
FAULTS: tuple[Fault, ...] = get_args(Fault)

MACHINES = 3
COMMANDS = ("receive", "dispatch")
SENDERS = 4

GIVEN_UP = 0.1
"""How many callbacks are not posted again when they are not answered 200."""

SETTLE = 60.0
"""Seconds in which everything must finish after the last fault: a lease lasts for 11 s, and a
process finds out within another 11 s that its network was silent."""


class Machine:
    """A receiver and a dispatcher, behind a network of their own."""

    def __init__(self, folder: Path, network: Proxy, database: str) -> None:
        self.network = network
        self.running: dict[str, Running] = {}
        self.errors: list[str] = []
        self._folder = folder
        self._url = network.url(database)
        self._stacks: dict[str, AsyncExitStack] = {}

    async def start(self, command: str) -> None:
        stack = AsyncExitStack()
        process = running(self._folder, command, "--database", self._url)
        self.running[command] = await stack.enter_async_context(process)
        self._stacks[command] = stack

    async def kill(self, command: str) -> None:
        process = self.running.pop(command)
        await process.kill()
        self.errors += [line for line in process.err.lines if "Traceback" in line]
        await self._stacks.pop(command).aclose()


class Run:
    def __init__(self, rng: Random, server: OwnServer, machines: list[Machine]) -> None:
        self.rng = rng
        self.server = server
        self.machines = machines
        self.taken: set[str] = set()  # answered 200
        self.given_up: set[str] = set()
        self.came = Tally()  # answers to the platform
        self.answers: Counter[int] = Counter()
        self._made = 0
        self._ending = False
        self._senders = [asyncio.create_task(self._send()) for _ in range(SENDERS)]

    async def befall(self, fault: Fault) -> None:
        """It is over when this returns, unless it lasts."""
        machine = self.rng.choice(self.machines)
        match fault:
            case "receiver" | "dispatcher":
                command = "receive" if fault == "receiver" else "dispatch"
                await machine.kill(command)
                await machine.start(command)
            case "postmaster":
                await aside(self.server.stop, signal.SIGKILL)
                await aside(self.server.start)
            case "reset":
                machine.network.reset()
            case "drop":
                machine.network.drop()
            case "stall":
                machine.network.stall()
                await self.moment()
                machine.network.go_on()

    async def moment(self) -> None:
        """Until some callbacks more have been answered."""
        await self.came.reach(self.came.count + self.rng.randrange(5, 25))

    async def end(self) -> None:
        """Nothing new comes, and what had to be answered is."""
        self._ending = True
        async with asyncio.timeout(SETTLE):
            await asyncio.gather(*self._senders)

    async def cancel(self) -> None:
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)

    async def _send(self) -> None:
        while not self._ending:
            names = {f"m-{self._made + nth}" for nth in range(self.rng.choice((1, 1, 2, 5)))}
            self._made += len(names)
            body = a_json_body(*(an_item(messageId=name) for name in sorted(names)))
            while (status := await self._posted(body)) != 200:
                assert status in (0, 503), status
                if self.rng.random() < GIVEN_UP:
                    self.given_up |= names
                    break
            else:
                self.taken |= names
            self.came.add()

    async def _posted(self, body: bytes) -> int:
        """The status; 0 for no answer."""
        receiver = self.rng.choice(self.machines).running.get("receive")
        status = 0
        if receiver is not None:
            with suppress(aiohttp.ClientError, OSError):  # it was killed
                status, _ = await receiver.post(body)
        self.answers[status] += 1
        if status != 200:
            await asyncio.sleep(0.02)  # as a platform that does not call at once again
        return status


@asynccontextmanager
async def a_run(folder: Path, acme: Customer, number: int) -> AsyncIterator[Run]:
    rng = Random(number)
    schedule = '[schedule]\npreset = "custom"\nwaits = ["1s"]\nrepeat_last = true\nretries = 20\n'
    each = 'connect_timeout = "300ms"\nread_timeout = "500ms"\nbucket_size = 3\n'
    configure(folder, schedule + an_endpoint(acme.url) + each)
    async with AsyncExitStack() as stack:
        (server,) = stack.enter_context(own_servers())
        database = server.database()
        networks = [await stack.enter_async_context(proxy(server.socket)) for _ in range(MACHINES)]
        machines = [Machine(folder, network, database) for network in networks]
        for machine in machines:
            await asyncio.gather(*map(machine.start, COMMANDS))
        run = Run(rng, server, machines)
        acme.answer = lambda _: CUT if rng.random() < 0.05 else 200
        try:
            yield run
        finally:
            await run.cancel()
            await asyncio.gather(*(each.kill(command) for each in machines for command in COMMANDS))


async def healed(run: Run) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Let everything finish; then all reports and all dispatches."""
    await run.end()
    server = run.machines[0].running["receive"]

    async def finished() -> bool | None:
        status, page = await server.get("/api/endpoints")
        if status != 200:
            return None
        (endpoint,) = page["endpoints"]
        counts = endpoint["dispatches"]
        if counts["waiting"] or counts["leased"] or endpoint["unread"]:
            return None
        views = await server.all("dispatches")
        pushed = sum(view["reports"] for view in views)
        return pushed == len(await server.all("reports")) or None

    await eventually(finished, "everything is pushed", SETTLE)
    return await server.all("reports"), await server.all("dispatches")


def check(
    run: Run, pushes: list[Push], acknowledged: list[Push], reports: Any, dispatches: Any
) -> None:
    stored = Counter(report["report"]["messageId"] for report in reports)
    assert run.taken - set(stored) == set(), "answered 200 and lost"
    assert set(stored) - run.taken - run.given_up == set(), "stored, and never posted"
    assert {name: count for name, count in stored.items() if count > 1} == {}, "stored twice"
    of_dispatches = Counter(name for view in dispatches for name in view["messageIds"])
    assert of_dispatches == stored
    got = {push.dispatch for push in acknowledged}
    assert {view["state"] for view in dispatches} == {"acknowledged"}
    assert {view["webhookId"] for view in dispatches} <= got, "acknowledged, and never got"
    bodies = defaultdict(set)
    for push in pushes:
        bodies[push.dispatch].add(push.body)
    assert [each for each, seen in bodies.items() if len(seen) > 1] == [], "not the same bytes"
    assert [each for machine in run.machines for each in machine.errors] == []


@pytest.mark.parametrize(
    "times", [pytest.param(0, id="each-once"), pytest.param(200, marks=pytest.mark.long)]
)
async def test_whatever_fails_nothing_is_lost(tmp_path: Path, times: int) -> None:
    async with customer() as acme, a_run(tmp_path, acme, seed()) as run:
        rng = run.rng
        faults = rng.choices(FAULTS, k=times) if times else rng.sample(FAULTS, len(FAULTS))
        for fault in faults:
            await run.moment()
            await run.befall(fault)
        acme.answer = lambda _: 200
        reports, dispatches = await healed(run)
    check(run, acme.pushes, acme.acknowledged, reports, dispatches)
    print(
        f"{', '.join(faults[:12])}: {len(reports)} reports, {len(run.given_up)} given up,"
        f" {dict(run.answers)} answers, {len(dispatches)} dispatches, {len(acme.pushes)} pushes"
    )

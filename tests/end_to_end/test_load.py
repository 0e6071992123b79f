"""The real process under load: nothing is lost, nothing is doubled, memory is flat."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from tests.contracts.report_store import an_sms
from tests.end_to_end.processes import Tally, running

ITEMS = 100


def a_body(numbers: list[int]) -> bytes:
    """A callback with a report of each of these messages."""
    return json.dumps({"results": [json_item(number) for number in numbers]}).encode()


def json_item(number: int) -> dict[str, object]:
    item = an_sms(f"load-{number}")
    item["price"] = {"pricePerMessage": 0.01, "currency": "EUR"}
    return item


def stored(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "dlr.db")) as connection:
        count: int = connection.execute("SELECT count(*) FROM report").fetchone()[0]
        return count


async def test_fifty_connections_with_repeats(tmp_path: Path) -> None:
    """50 connections post 100 items each at once, half of them repeats of what the others post:
    each report is stored once, and the answers add up exactly."""
    rng = random.Random(50)
    shared = list(range(50 * ITEMS // 2))
    bodies = [
        a_body(rng.sample([*shared[n * 50 : n * 50 + 50], *rng.sample(shared, 50)], ITEMS))
        for n in range(50)
    ]
    async with running(tmp_path, "serve") as server:
        answers = await asyncio.gather(*(server.post(body) for body in bodies))
        await server.stop()

    assert {status for status, _ in answers} == {200}
    assert sum(counts["stored"] for _, counts in answers) == len(shared)
    assert sum(counts["duplicates"] for _, counts in answers) == 50 * ITEMS - len(shared)
    assert stored(tmp_path) == len(shared)


def resident(pid: int) -> int:
    """KiB of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.parametrize("seconds", [3, pytest.param(600, marks=pytest.mark.long)])
async def test_memory_is_flat_under_load(
    tmp_path: Path, seconds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under steady load from 32 connections every answered report is stored once, and memory does
    not grow with what was stored. The figures are printed."""
    until = time.monotonic() + seconds
    times: list[float] = []
    answered = Tally()
    sent = 0

    async def post(url: str, session: aiohttp.ClientSession) -> None:
        nonlocal sent
        while time.monotonic() < until:
            sent, first = sent + 10, sent
            started = time.perf_counter()
            body = a_body(list(range(first, first + 10)))
            async with session.post(f"{url}/notify", data=body) as response:
                assert (await response.json())["stored"] == 10
            times.append(time.perf_counter() - started)
            answered.add()

    async with running(tmp_path, "serve") as server, aiohttp.ClientSession() as session:
        await server.post(a_body([]))
        crew = asyncio.gather(*(post(server.url, session) for _ in range(32)))
        await answered.reach(100)
        early = resident(server.pid)
        await crew
        late = resident(server.pid)
        await server.stop()

    times.sort()
    with capsys.disabled():
        print(
            f" {len(times) / seconds:.0f} callbacks/s, p99 {times[-len(times) // 100] * 1e3:.0f}"
            f" ms, resident {early // 1024} -> {late // 1024} MiB"
        )
    assert stored(tmp_path) == sent
    assert late < 150 * 1024
    assert late - early < 64 * 1024

"""Pushing, each attempt recorded, against aiohttp's client alone.

The store is filled first, then `dlr dispatch` started; the endpoint is a process that answers 200
and says when the first and the last push came. The rate is taken between those two. The CPU is
that of the process that pushes, without its start: on a machine that does other things too it says
more.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import uvloop
from msgspec import Struct

from dispatcher.storage import storage
from receiver.callbacks.intake import verdict_on_bytes
from receiver.store.callback import Callback, Verdict
from tests.benchmarks.bodies import body
from tests.benchmarks.processes import CPU_TICK, Running, cpu_seconds, dlr, run, server
from tests.benchmarks.results import arguments, print_table, ratio, spread
from tests.benchmarks.sink import received

WINDOW = 32
STALLED_SECONDS = 15.0


class Rates(Struct, frozen=True):
    """Of each round: per second that passed, and per second of CPU."""

    passed: list[float]
    cpu: list[float]

    def add(self, count: int, seconds: float, cpu: float) -> None:
        self.passed.append(count / seconds)
        self.cpu.append(count / max(cpu, CPU_TICK))  # short ones may take less than a tick


class Push(Struct):
    """What came of all rounds."""

    single: Rates  # pushes, one report each
    alone: Rates  # pushes of aiohttp alone
    buckets: Rates  # reports, 100 a push
    reports: int = 0  # handed in
    acknowledged: int = 0  # reports in acknowledged dispatches
    attempts: int = 0
    pushes: int = 0  # seen by the endpoint


def push(*, rounds: int, singles: int, bucketed: int) -> Push:
    found = Push(Rates([], []), Rates([], []), Rates([], []))
    with TemporaryDirectory() as folder, server(["tests.benchmarks.sink"]) as sink:
        for number in range(rounds):
            found.alone.add(singles, *_alone(sink, singles))
            single = _dispatched(Path(folder, f"{number}-1.db"), sink, singles, 1, found)
            found.single.add(singles, *single)
            many = _dispatched(Path(folder, f"{number}-100.db"), sink, bucketed, 100, found)
            found.buckets.add(bucketed, *many)
    return found


def _dispatched(
    database: Path, sink: Running, reports: int, bucket_size: int, found: Push
) -> tuple[float, float]:
    """The seconds that passed from the first push to the last, and those of CPU."""
    asyncio.run(_fill(database, reports))
    pushes = -(-reports // bucket_size)
    received(sink, restart=True)
    with dlr("dispatch", database, endpoint=sink.url, bucket_size=bucket_size, window=WINDOW) as it:
        before = cpu_seconds(it.pid)
        _await_pushes(sink, pushes)
        cpu = cpu_seconds(it.pid) - before
    seen = received(sink, restart=True)
    with closing(sqlite3.connect(database)) as connection:
        found.acknowledged += connection.execute(
            "SELECT coalesce(sum(reports), 0) FROM dispatch WHERE state = 'acknowledged'"
        ).fetchone()[0]
        found.attempts += connection.execute("SELECT count(*) FROM attempt").fetchone()[0]
    found.reports += reports
    found.pushes += seen.pushes
    return seen.seconds, cpu


async def _fill(database: Path, reports: int) -> None:
    rng = random.Random(1)
    async with storage(str(database)) as opened:
        for start in range(0, reports, 10_000):
            size = min(10_000, reports - start)
            verdict = Verdict(entries=verdict_on_bytes(body("json", size, rng), "json").entries)
            callback = Callback("default", "json", None, datetime.now(UTC), verdict)
            await opened.store.add([callback])


def _await_pushes(sink: Running, pushes: int) -> None:
    seen, until = 0, time.monotonic() + STALLED_SECONDS
    while (now := received(sink).pushes) < pushes:
        if now > seen:
            seen, until = now, time.monotonic() + STALLED_SECONDS
        elif time.monotonic() > until:
            raise TimeoutError(f"{now} of {pushes} pushes came, and no more")
        time.sleep(0.1)


# --- the ceiling -------------------------------------------------------------------------------


def _alone(sink: Running, pushes: int) -> tuple[float, float]:
    received(sink, restart=True)
    cpu = run(["tests.benchmarks.push", "--alone", str(sink.port), "--pushes", str(pushes)])
    return received(sink, restart=True).seconds, cpu


async def _post_all(url: str, bodies: list[bytes]) -> None:
    """As a fixed crew: each posts the next body as soon as its last answer is read."""

    async def post() -> None:
        while bodies:
            headers = {"Content-Type": "application/json", "webhook-id": "1", "dlr-attempt": "1"}
            async with session.post(url, data=bodies.pop(), headers=headers) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(post() for _ in range(WINDOW)))


def _run_alone(port: int, pushes: int) -> None:
    rng = random.Random(1)
    bodies = [body("json", 1, rng) for _ in range(pushes)]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        before = time.process_time()
        runner.run(_post_all(f"http://127.0.0.1:{port}", bodies))
        print(time.process_time() - before)


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--pushes", type=int, default=10_000)
    parser.add_argument("--bucketed", type=int, default=200_000)
    given = parser.parse_args()
    if given.alone is not None:
        _run_alone(given.alone, given.pushes)
        return
    found = push(rounds=given.rounds, singles=given.pushes, bucketed=given.bucketed)
    assert found.acknowledged == found.reports, f"{found.acknowledged} of {found.reports}"
    print_table(
        f"Push, window {WINDOW}, {given.rounds} rounds: median (least - greatest)",
        ("", "dlr dispatch", "ceiling", "ratio", "target"),
        [
            _row("1 report a push", found.single.passed, found.alone.passed, ">= 0.40"),
            _row("  by CPU", found.single.cpu, found.alone.cpu, ">= 0.40"),
            _row("100 a push, reports", found.buckets.passed, found.single.passed, ">= 40"),
            _row("  by CPU", found.buckets.cpu, found.single.cpu, ">= 40"),
        ],
    )


def _row(name: str, measured: list[float], ceiling: list[float], target: str) -> list[str]:
    found, of = spread(measured, ",.0f"), spread(ceiling, ",.0f")
    return [name, f"{found}/s", f"{of}/s", f"{ratio(measured, ceiling):.2f}", target]


if __name__ == "__main__":
    main()

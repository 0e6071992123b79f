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
from collections.abc import Iterator
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
from tests.benchmarks.results import Row, arguments, print_rows
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
            for rates, reports, size in (
                (found.single, singles, 1),
                (found.buckets, bucketed, 100),
            ):
                database = Path(folder, f"{number}-{size}.db")
                rates.add(reports, *dispatched(database, sink, reports, size))
                _count(found, database, reports, received(sink, restart=True).pushes)
    return found


def dispatched(
    database: Path, sink: Running, reports: int, bucket_size: int
) -> tuple[float, float]:
    """Push new reports; the seconds from the first push to the last, and those of CPU."""
    asyncio.run(fill(database, reports))
    received(sink, restart=True)
    with dlr("dispatch", database, endpoint=sink.url, bucket_size=bucket_size, window=WINDOW) as it:
        before = cpu_seconds(it.pid)
        await_pushes(sink, -(-reports // bucket_size))
        cpu = cpu_seconds(it.pid) - before
    return received(sink).seconds, cpu


def _count(found: Push, database: Path, reports: int, pushes: int) -> None:
    with closing(sqlite3.connect(database)) as connection:
        found.acknowledged += connection.execute(
            "SELECT coalesce(sum(reports), 0) FROM dispatch WHERE state = 'acknowledged'"
        ).fetchone()[0]
        found.attempts += connection.execute("SELECT count(*) FROM attempt").fetchone()[0]
    found.reports += reports
    found.pushes += pushes


async def fill(database: Path | str, reports: int, at_once: int = 10_000) -> None:
    rng = random.Random(1)
    async with storage(str(database)) as opened:
        for start in range(0, reports, at_once):
            size = min(at_once, reports - start)
            verdict = Verdict(entries=verdict_on_bytes(body("json", size, rng), "json").entries)
            callback = Callback("default", "json", None, datetime.now(UTC), verdict)
            await opened.store.add([callback])


def await_pushes(sink: Running, pushes: int) -> None:
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
    print_rows(rows(rounds=given.rounds, pushes=given.pushes, bucketed=given.bucketed))


def rows(*, rounds: int, pushes: int, bucketed: int) -> Iterator[Row]:
    """So many pushes of one report, and so many reports in buckets of 100."""
    found = push(rounds=rounds, singles=pushes, bucketed=bucketed)
    assert found.acknowledged == found.reports, f"{found.acknowledged} of {found.reports}"
    kinds = (
        ("push, 1 report each", found.single, "aiohttp's client alone", found.alone, 0.40),
        ("push, 100 each, reports", found.buckets, "push, 1 report each", found.single, 40),
    )
    for what, measured, ceiling, beside, target in kinds:
        for name, figure in ((what, "passed"), ("  by CPU", "cpu")):
            yield Row(
                what=name,
                measured=getattr(measured, figure),
                unit="/s",
                ceiling=ceiling,
                beside=getattr(beside, figure),
                at_least=target,
            )


if __name__ == "__main__":
    main()

"""A backlog of waiting dispatches: start, memory, claim and the other looks at it.

By default 10³ against 10⁶, all waiting for one endpoint; a hundred are due at the start.
"""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.observe.first_loss import OLDEST
from dispatcher.queue.base import Lease
from dispatcher.storage import Storage, storage
from tests.benchmarks.memory import resident
from tests.benchmarks.processes import Running, dlr, server
from tests.benchmarks.results import arguments, print_table
from tests.benchmarks.sink import received
from tests.benchmarks.stock import fill_dispatches

DUE = 100
LATE_SECONDS = 60.0


class Backlog(Struct, frozen=True):
    """Of one size. Seconds for the start, MiB, and milliseconds for each look (medians)."""

    waiting: int
    listening: float  # from the start of the process
    all_due: float  # from the start of the process until the last due one was pushed
    resident: float
    looks: dict[str, float]
    pushes: int
    claimed: int


def backlog(sizes: Sequence[int], *, rounds: int) -> list[Backlog]:
    with server(["tests.benchmarks.sink"]) as sink:
        return [_of_size(size, sink, rounds) for size in sizes]


def _of_size(size: int, sink: Running, rounds: int) -> Backlog:
    endpoint = Endpoint(name="sink", url=sink.url)
    with TemporaryDirectory() as folder:
        path = Path(folder, "dlr.db")
        now = fill_dispatches(path, size, endpoint, due=DUE)
        looks, claimed = asyncio.run(_looks(path, endpoint, now, rounds))
        received(sink, restart=True)
        started = time.monotonic()
        with dlr("serve", path, endpoint=sink.url) as running:
            listening = time.monotonic() - started
            _await_pushes(sink)
            pushed = received(sink)
            _ask(running, "/metrics")
            _ask(running, "/readyz")
            memory = resident(running)
    return Backlog(
        waiting=size,
        listening=listening,
        all_due=pushed.last_at - started,
        resident=memory,
        looks=looks,
        pushes=pushed.pushes,
        claimed=claimed,
    )


def _await_pushes(sink: Running) -> None:
    until = time.monotonic() + LATE_SECONDS
    while received(sink).pushes < DUE:
        if time.monotonic() > until:
            raise TimeoutError("what is due was not pushed")
        time.sleep(0.05)


def _ask(running: Running, path: str) -> None:
    with urllib.request.urlopen(running.url + path, timeout=LATE_SECONDS) as answer:
        answer.read()


async def _looks(
    path: Path, endpoint: Endpoint, now: datetime, rounds: int
) -> tuple[dict[str, float], int]:
    """Each look at the queue, some times over, after one that finds the pages cold."""
    async with storage(str(path)) as opened:
        await opened.queue.adopt([endpoint])
        claimed = 0

        async def claim() -> None:
            nonlocal claimed
            lease = Lease("a", now + timedelta(seconds=30))
            leased = await opened.queue.claim_due(now, {"sink": lease}, {"sink": DUE})
            claimed += len(leased)
            await opened.queue.release(leased)

        looks = {"claim and release": claim, **_reading_looks(opened, now)}
        return {name: await _median(look, rounds) for name, look in looks.items()}, claimed


def _reading_looks(opened: Storage, now: datetime) -> dict[str, Callable[[], Awaitable[object]]]:
    queue, figures = opened.queue, opened.figures
    return {
        "what is pending": lambda: queue.pending(now),
        "next due time": lambda: queue.next_due(["sink"]),
        "readiness": lambda: queue.first_due(["sink"]),
        "first loss": lambda: figures.oldest_waiting(["sink"], OLDEST),
        "depths of /metrics": figures.depths,
    }


async def _median(look: Callable[[], Awaitable[object]], rounds: int) -> float:
    await look()
    spent = []
    for _ in range(rounds):
        started = time.perf_counter()
        await look()
        spent.append((time.perf_counter() - started) * 1000)
    return median(spent)


def main() -> None:
    parser = arguments(__doc__, rounds=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**3, 10**6])
    given = parser.parse_args()
    found = backlog(given.sizes, rounds=given.rounds)
    least = found[0]
    rows = [
        ["listening after", *(f"{each.listening:.2f} s" for each in found)],
        [f"{DUE} due ones pushed after", *(f"{each.all_due:.2f} s" for each in found)],
        ["resident", *(f"{each.resident:.0f} MiB" for each in found)],
        *(
            [
                name,
                *(f"{each.looks[name]:.2f} ms ({each.looks[name] / spent:.2f})" for each in found),
            ]
            for name, spent in least.looks.items()
        ),
    ]
    print_table(
        f"Backlog, {given.rounds} looks each (and their ratio to the first column)",
        ("", *(f"{each.waiting:,} waiting" for each in found)),
        rows,
    )


if __name__ == "__main__":
    main()

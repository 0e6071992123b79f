"""What a claim costs among ever more waiting dispatches, and how soon a callback is pushed on."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import Lease
from dispatcher.storage import storage
from tests.benchmarks.bodies import body
from tests.benchmarks.load import quantile
from tests.benchmarks.processes import Running, dlr, server
from tests.benchmarks.results import Row, arguments, print_rows
from tests.benchmarks.sink import Received, received
from tests.benchmarks.stock import fill_dispatches

DUE = 100
ENDPOINT = Endpoint(name="sink", url="http://127.0.0.1:9/")


class Claims(Struct, frozen=True):
    """Milliseconds of each claim by how many dispatches waited, that passed and of CPU, and what
    all of them claimed."""

    milliseconds: dict[int, list[float]]
    cpu: dict[int, list[float]]
    claimed: int


def claims(sizes: list[int], *, rounds: int) -> Claims:
    """Claim 100 due ones and give them back, again and again in each database."""
    with TemporaryDirectory() as folder:
        files = {size: Path(folder, f"{size}.db") for size in sizes}
        nows = {s: fill_dispatches(path, s, ENDPOINT, due=DUE) for s, path in files.items()}
        return asyncio.run(_claims(files, nows, rounds))


async def _claims(files: dict[int, Path], nows: dict[int, datetime], rounds: int) -> Claims:
    """Each round goes through all sizes, so that what else the machine does meets all alike."""
    found: dict[int, list[float]] = {size: [] for size in files}
    cpu: dict[int, list[float]] = {size: [] for size in files}
    claimed = 0
    async with AsyncExitStack() as stack:
        queues = {}
        for size, path in files.items():
            queues[size] = (await stack.enter_async_context(storage(str(path)))).queue
            await queues[size].adopt([ENDPOINT])
        for number in range(rounds + 1):
            for size, queue in queues.items():
                lease = Lease(str(number), nows[size] + timedelta(seconds=30))
                started, used = time.perf_counter(), time.process_time()
                leased = await queue.claim_due(nows[size], {"sink": lease}, {"sink": DUE})
                spent, used = time.perf_counter() - started, time.process_time() - used
                await queue.release(leased)
                if number:  # the first finds the pages cold
                    found[size].append(spent * 1000)
                    cpu[size].append(used * 1000)
                    claimed += len(leased)
    return Claims(found, cpu, claimed)


class Latency(Struct, frozen=True):
    """Milliseconds, ascending, from two instants to the arrival of the push at the endpoint.

    The commit lies between the two: `from_request` is more than the time from the commit,
    `from_answer` less (and negative when the push was there first).
    """

    from_request: list[float]
    from_answer: list[float]


def latency(*, callbacks: int, pause: float) -> Latency:
    """Callbacks one by one to an idle `dlr serve`."""
    from_request: list[float] = []
    from_answer: list[float] = []
    rng = Random(time.time_ns())
    with (
        TemporaryDirectory() as folder,
        server(["tests.benchmarks.sink"]) as sink,
        dlr("serve", Path(folder, "dlr.db"), endpoint=sink.url) as running,
    ):
        for number in range(callbacks):
            requested, answered = _notify(running, rng)
            pushed = _await_push(sink, number + 1).last_at
            from_request.append((pushed - requested) * 1000)
            from_answer.append((pushed - answered) * 1000)
            time.sleep(pause)
    return Latency(sorted(from_request), sorted(from_answer))


def _notify(target: Running, rng: Random) -> tuple[float, float]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(target.url + "/notify", body("json", 1, rng), headers)
    requested = time.monotonic()
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()
    return requested, time.monotonic()


def _await_push(sink: Running, number: int) -> Received:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        # Not sooner: asking costs the machine what is being measured.
        time.sleep(0.05)
        if (seen := received(sink)).pushes >= number:
            return seen
    raise TimeoutError(f"push {number} did not come")


def rows(sizes: list[int], *, rounds: int, callbacks: int) -> Iterator[Row]:
    found = claims(sizes, rounds=rounds)
    least = min(sizes)
    for size in sizes:
        if size != least:
            for what, figures in (
                (f"claim of {DUE} among {size:,}", found.milliseconds),
                ("  by CPU", found.cpu),
            ):
                yield Row(
                    what=what,
                    measured=figures[size],
                    unit=" ms",
                    ceiling=f"among {least:,}",
                    beside=figures[least],
                    at_most=2.0,
                )
    waits = latency(callbacks=callbacks, pause=0.05).from_request
    for what, share, most in (("callback to push, idle: p50", 0.5, 10.0), ("  p99", 0.99, 50.0)):
        yield Row(what=what, measured=[quantile(waits, share)], unit=" ms", at_most=most)


def main() -> None:
    parser = arguments(__doc__, rounds=20)
    parser.add_argument("--callbacks", type=int, default=200)
    parser.add_argument("--long", action="store_true", help="10⁷ too: 8 GB of disk, minutes")
    given = parser.parse_args()
    sizes = [10**3, 10**4, 10**5, 10**6, *([10**7] if given.long else [])]
    print_rows(rows(sizes, rounds=given.rounds, callbacks=given.callbacks))


if __name__ == "__main__":
    main()

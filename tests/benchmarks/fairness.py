"""How long the pushes to 99 healthy endpoints take when the hundredth is dead.

One `dlr serve` with a hundred endpoints: each of 99 gets the reports of its own source, the
hundredth gets all. Callbacks come one by one at an even pace. In each round the hundredth answers,
then it stalls (takes connections and says nothing), then it is gone (connections are refused), and
at last it has a breaker too. The schedule runs 60 times as fast, so that its backlog of retries is
always due: where connections are refused at once, they are several times as many pushes as all the
others together. The first callback of each source, for which connections are made, is not counted.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

import aiohttp
from aiohttp import web
from msgspec import Struct

from tests.benchmarks.bodies import body
from tests.benchmarks.load import quantile
from tests.benchmarks.processes import server
from tests.benchmarks.results import arguments, print_table, ratio

HEALTHY = 99
LATE_SECONDS = 30.0

Hundredth = Literal["answers", "stalls", "gone", "gone, with a breaker"]


class Fairness(Struct, frozen=True):
    """Milliseconds from each callback to its push at the healthy endpoint, ascending, by round;
    and how many pushes the hundredth got."""

    waits: dict[Hundredth, list[list[float]]]
    to_the_hundredth: dict[Hundredth, int]


class _Customers:
    """All endpoints. Each push to a healthy one ends the wait of its callback."""

    def __init__(self, hundredth: Hundredth) -> None:
        self._hundredth = hundredth
        self.arrived: dict[str, asyncio.Queue[float]] = {}
        self.to_the_hundredth = 0

    async def take(self, request: web.Request) -> web.Response:
        name = request.path[1:]
        await request.read()
        if name == "dead":
            self.to_the_hundredth += 1
            if self._hundredth == "stalls":
                await asyncio.Event().wait()
        else:
            self.arrived[name].put_nowait(time.monotonic())
        return web.Response()


def fairness(*, rounds: int, callbacks: int, a_second: float) -> Fairness:
    found = Fairness({each: [] for each in get_args(Hundredth)}, {})
    for number in range(rounds):
        for hundredth in get_args(Hundredth):
            with TemporaryDirectory() as folder:
                waits, pushes = asyncio.run(
                    _round(Path(folder), hundredth, callbacks, a_second, number)
                )
            found.waits[hundredth].append(sorted(waits))
            found.to_the_hundredth[hundredth] = pushes
    return found


async def _round(
    folder: Path, hundredth: Hundredth, callbacks: int, a_second: float, seed: int
) -> tuple[list[float], int]:
    customers = _Customers(hundredth)
    app = web.Application()
    app.router.add_post("/{name}", customers.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _configure(folder, runner.addresses[0][1], hundredth)
    words = ["dispatcher", "serve", "--port", "0", "--speed", "60"]
    words += ["--config", str(folder / "dlr.toml"), "--database", str(folder / "dlr.db")]
    try:
        with server(words) as dlr:
            waits = await _post(dlr.url, customers, callbacks, a_second, random.Random(seed))
            await runner.cleanup()  # also lets the stalled pushes go
    finally:
        await runner.cleanup()
    return waits, customers.to_the_hundredth


def _configure(folder: Path, port: int, hundredth: Hundredth) -> None:
    lines = ["[server]", 'stop_timeout = "1s"']
    for number in range(HEALTHY):
        lines += ["[[source]]", f'name = "s{number}"']
        lines += ["[[endpoint]]", f'name = "e{number}"', f'sources = ["s{number}"]']
        lines += [f'url = "http://127.0.0.1:{port}/s{number}"']
    dead_port = 9 if hundredth.startswith("gone") else port
    lines += ["[[endpoint]]", 'name = "dead"', f'url = "http://127.0.0.1:{dead_port}/dead"']
    lines += ['read_timeout = "3s"', "bucket_size = 1"]
    if hundredth.endswith("breaker"):
        lines += ["breaker_failures = 10"]
    (folder / "dlr.toml").write_text("\n".join(lines))


async def _post(
    url: str, customers: _Customers, callbacks: int, a_second: float, rng: random.Random
) -> list[float]:
    """Each callback at its time, however late the ones before are. Milliseconds to each push."""
    customers.arrived = {f"s{number}": asyncio.Queue() for number in range(HEALTHY)}
    start = time.monotonic()

    async def one(number: int) -> float:
        await asyncio.sleep(start + number / a_second - time.monotonic())
        source = f"s{number % HEALTHY}"
        posted = time.monotonic()
        path = f"{url}/notify/{source}"
        async with session.post(path, data=body("json", 1, rng), headers=headers) as answer:
            assert answer.status == 200
        # Its pushes come in order and one by one: the next of this source is a second away.
        async with asyncio.timeout(LATE_SECONDS):
            return (await customers.arrived[source].get() - posted) * 1000

    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        waits = await asyncio.gather(*(one(number) for number in range(HEALTHY + callbacks)))
        return waits[HEALTHY:]


def main() -> None:
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--callbacks", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=100.0, help="callbacks a second")
    given = parser.parse_args()
    found = fairness(rounds=given.rounds, callbacks=given.callbacks, a_second=given.rate)

    def of(hundredth: Hundredth, share: float) -> list[float]:
        return [quantile(waits, share) for waits in found.waits[hundredth]]

    print_table(
        f"Callback to push at 99 healthy endpoints, {given.rate:g} a second, {given.rounds} rounds",
        ("the hundredth", "p50", "p99", "p99 ratio", "its pushes"),
        [
            [
                hundredth,
                f"{sorted(of(hundredth, 0.5))[given.rounds // 2]:.1f} ms",
                f"{sorted(of(hundredth, 0.99))[given.rounds // 2]:.1f} ms",
                f"{ratio(of(hundredth, 0.99), of('answers', 0.99)):.2f}",
                f"{found.to_the_hundredth[hundredth]:,}",
            ]
            for hundredth in found.waits
        ],
    )


if __name__ == "__main__":
    main()

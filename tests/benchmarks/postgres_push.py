"""Push over PostgreSQL, each attempt recorded: one `dlr dispatch`, and two that share the endpoint.

Rounds alternate, each on a database of its own, on a server whose commits are on disk. The rate is
taken at the customer, from the first push to the last. Dispatchers, server and customer share the
machine's cores, so that the CPU which a push costs says more: that of the dispatchers, and that of
the server's sessions and workers.

    python -m tests.benchmarks.postgres_push [--rounds 3] [--pushes 5000] [--bucketed 100000]
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.postgres_queue import durable_server, migrated
from tests.benchmarks.processes import CPU_TICK, Running, cpu_of_children, cpu_seconds, server
from tests.benchmarks.push import WINDOW, await_pushes, fill
from tests.benchmarks.results import Row, arguments, print_rows
from tests.benchmarks.sink import received
from tests.postgres import in_autocommit

_POSTMASTER = "SELECT pg_backend_pid()"


def postmaster_of(url: str) -> int:
    """The process whose children are the server's sessions."""
    with in_autocommit(url) as connection:
        (session,) = connection.execute(_POSTMASTER).fetchone() or (0,)
        status = Path(f"/proc/{session}/stat").read_text()
    return int(status.rpartition(")")[2].split()[1])


def pushed(
    url: str, sink: Running, dispatchers: int, reports: int, size: int
) -> tuple[float, float, float]:
    """Seconds from the first push to the last; CPU of the dispatchers, and of the server."""
    with migrated(url) as database, TemporaryDirectory() as folder, ExitStack() as stack:
        received(sink, restart=True)
        config = Path(folder, "dlr.toml")
        config.write_text(
            f'[[endpoint]]\nname = "sink"\nurl = "{sink.url}"\n'
            f"bucket_size = {size}\nwindow = {WINDOW}\n"
        )
        words = ["dispatcher", "dispatch", "--port", "0"]
        words += ["--config", str(config), "--database", database]
        running = [stack.enter_context(server(words)) for _ in range(dispatchers)]
        before = sum(cpu_seconds(each.pid) for each in running)
        asyncio.run(fill(database, reports, at_once=20_000))  # nobody begins before
        of_server = cpu_of_children(postmaster := postmaster_of(url))
        await_pushes(sink, -(-reports // size))
        cpu = sum(cpu_seconds(each.pid) for each in running) - before
        of_server = cpu_of_children(postmaster) - of_server
    return received(sink).seconds, cpu, of_server


def rows(*, rounds: int, pushes: int, bucketed: int) -> Iterator[Row]:
    with durable_server() as url, server(["tests.benchmarks.sink"]) as sink:
        for what, reports, size in (
            ("push, 1 report each", pushes, 1),
            ("push, 100 each, reports", bucketed, 100),
        ):
            found = {number: list[tuple[float, float, float]]() for number in (1, 2)}
            for _ in range(rounds):
                for number, measured in found.items():
                    measured.append(pushed(url, sink, number, reports, size))
            for name, figure in ((what, 0), ("  by CPU", 1), ("  by CPU of the server", 2)):
                one, two = (
                    [reports / max(each[figure], CPU_TICK) for each in found[n]] for n in (1, 2)
                )
                yield Row(
                    what=f"{name}, 2 dispatchers",
                    measured=two,
                    unit="/s",
                    ceiling="1 dispatcher",
                    beside=one,
                )


def main() -> None:
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--pushes", type=int, default=5_000)
    parser.add_argument("--bucketed", type=int, default=100_000)
    given = parser.parse_args()
    print_rows(rows(rounds=given.rounds, pushes=given.pushes, bucketed=given.bucketed))


if __name__ == "__main__":
    main()

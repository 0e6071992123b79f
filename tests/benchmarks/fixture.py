"""A test with `dlr_sandbox` that moves the clock, against what a process of its own would cost.

A test sends a message, moves the clock over its report, looks at what was sent, and leaves a
sandbox as new to the next one. Rounds alternate; the time is that of the sandbox's process.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

from msgspec import Struct

from dispatcher.sandbox.pytest_plugin import DlrSandbox, DlrSandboxServer
from tests.benchmarks.results import Row, arguments, print_rows


class Costs(Struct, frozen=True):
    """Seconds of CPU in each round: of a test, and of a process that is started and ended. `seen`
    is how many messages all tests have seen."""

    of_test: list[float]
    of_process: list[float]
    seen: int


def costs(*, rounds: int, tests: int) -> Costs:
    of_test: list[float] = []
    of_process: list[float] = []
    seen = 0

    def suite(server: DlrSandboxServer) -> None:
        nonlocal seen
        for _ in range(tests):
            seen += _test(server.sandbox)
            server.begin_anew()

    for _ in range(rounds):
        alone = _used(lambda _: None)
        of_process.append(alone)
        of_test.append((_used(suite) - alone) / tests)
    return Costs(of_test, of_process, seen)


def _used(use: Callable[[DlrSandboxServer], None]) -> float:
    """The CPU time of a process that serves this."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with TemporaryDirectory() as folder:
        server = DlrSandboxServer(Path(folder))
        try:
            use(server)
        finally:
            server.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _test(sandbox: DlrSandbox) -> int:
    body = json.dumps({"to": "41793026727", "text": "hello"}).encode()
    headers = {"Authorization": "App key", "Content-Type": "application/json"}
    urlopen(Request(f"{sandbox.base_url}/sms/1/text/single", body, headers)).close()
    sandbox.advance("1h")
    return len(sandbox.messages)


def rows(*, rounds: int, tests: int) -> Iterator[Row]:
    found = costs(rounds=rounds, tests=tests)
    assert found.seen == rounds * tests
    of_test, of_process = ([1000 * s for s in each] for each in (found.of_test, found.of_process))
    ceiling = "a sandbox's process"
    yield Row(
        what="test with dlr_sandbox, CPU",
        measured=of_test,
        unit=" ms",
        ceiling=ceiling,
        beside=of_process,
    )


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--tests", type=int, default=50)
    given = parser.parse_args()
    print_rows(rows(rounds=given.rounds, tests=given.tests))


if __name__ == "__main__":
    main()

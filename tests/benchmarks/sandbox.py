"""POST /sms/2/binary/advanced with 100 destinations, against a bare aiohttp handler.

The sandbox does all that it does: what is accepted is on disk, and the reports of the messages are
made and stored meanwhile. Rounds alternate.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from tests.benchmarks.load import Load, load
from tests.benchmarks.processes import dlr, server
from tests.benchmarks.results import Row, arguments, print_rows

DESTINATIONS = 100


class Sending(Struct, frozen=True):
    """Rounds of the sandbox and of its ceiling; the messages that were answered, and those in the
    file after the sandbox had stopped."""

    measured: list[Load]
    ceiling: list[Load]
    answered: int
    stored: int


def sending(*, rounds: int, seconds: float, connections: int = 8) -> Sending:
    measured: list[Load] = []
    ceiling: list[Load] = []
    with TemporaryDirectory() as folder:
        database = Path(folder, "dlr.db")
        with server(["tests.benchmarks.bare"]) as bare, dlr("sandbox", database) as sandbox:
            for _ in range(rounds):
                for target, found in ((bare, ceiling), (sandbox, measured)):
                    found.append(
                        load(
                            target,
                            "send",
                            seconds=seconds,
                            reports=DESTINATIONS,
                            connections=connections,
                        )
                    )
        answered = sum(each.answered for each in measured) * DESTINATIONS
        return Sending(measured, ceiling, answered, _messages_in(database))


def _messages_in(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        count: int = connection.execute("SELECT count(*) FROM sandbox_message").fetchone()[0]
        return count


def rows(*, rounds: int, seconds: float) -> Iterator[Row]:
    found = sending(rounds=rounds, seconds=seconds)
    assert found.stored == found.answered, f"{found.answered} answered, {found.stored} stored"
    for what, figure, unit in (
        (f"sandbox, {DESTINATIONS} a request", "rate", "/s"),
        ("  by CPU", "cpu_rate", "/s"),
        ("  p99", "p99", " ms"),
    ):
        yield Row(
            what=what,
            measured=[getattr(each, figure) for each in found.measured],
            unit=unit,
            ceiling="aiohttp handler alone",
            beside=[getattr(each, figure) for each in found.ceiling],
        )


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    print_rows(rows(rounds=given.rounds, seconds=given.seconds))


if __name__ == "__main__":
    main()

"""The steps in which SQLite is searched for unrouted reports.

What every database tells is in tests/contracts/unrouted_store.py.
"""

from __future__ import annotations

from dispatcher.endpoints.endpoint import Rules
from dispatcher.queue.sqlite.unrouted import SqliteUnrouted
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import a_bench, an_endpoint


async def test_steps_are_bounded() -> None:
    """A step looks at so many reports and not at all: it may find none, and there is a next."""
    async with a_bench(an_endpoint(rules=Rules(final=True))) as bench:
        await bench.receive(
            an_sms("first", "PENDING_ENROUTE"), *(an_sms(f"m{n}") for n in range(25))
        )
        await bench.work()
        steps = SqliteUnrouted(bench.database, step=10)

        found = []
        before: int | None = None
        for following in (17, 7, None):
            step = await steps.unrouted(["acme"], before, 5)
            assert step.next == following
            found += [report.id for report in step.reports]
            before = step.next

    assert found == [1]

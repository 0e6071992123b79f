"""How many statements an answer takes: no list has one for each of its rows.

A page of fifty dispatches whose reports were far apart took 5.3 s, and every row had a statement of
its own for its reports, and another one for their messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dispatcher.api.dispatches import dispatch_answers, dispatches_with_history
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.storage import new_id
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.contracts.report_store import an_sms
from tests.dispatcher.queue.sqlite.story import ACME, BETA, an_old_story
from tests.dispatcher.replay.replaying import ReplayBench, a_replay_bench
from tests.dispatcher.support import Bench, a_bench, an_endpoint


async def statements(bench: Bench, ask: Awaitable[Any]) -> int:
    ran: list[str] = []
    await bench.database.read(lambda c: c.set_trace_callback(ran.append))
    await ask
    await bench.database.read(lambda c: c.set_trace_callback(None))
    return len([each for each in ran if "SELECT" in each])


async def _page(bench: Bench) -> None:
    await dispatch_answers(bench.store, await bench.queue.dispatches())


async def _with_history(bench: Bench) -> None:
    await dispatches_with_history(bench.store, bench.queue, range(1, 100))


@pytest.mark.parametrize("ask", [_page, _with_history])
async def test_a_page_takes_as_many_statements_as_a_row(
    ask: Callable[[Bench], Awaitable[None]],
) -> None:
    """Of one dispatch or of thirty."""
    async with a_bench(an_endpoint(bucket_size=1)) as bench:
        await bench.receive(an_sms("first"))
        await bench.work()
        of_one = await statements(bench, ask(bench))
        await bench.receive(*(an_sms(f"m{n}") for n in range(29)))
        await bench.work()
        assert len(await bench.dispatches()) == 30

        assert await statements(bench, ask(bench)) == of_one


async def test_a_page_of_replays_too() -> None:
    """Of one replay or of five."""
    async with a_replay_bench() as bench:
        await bench.exhaust(1)
        await bench.ask(state="exhausted")
        of_one = await statements(bench.bench, bench.replays.all())
        for _ in range(4):
            await bench.ask(ids=[1])

        assert await statements(bench.bench, bench.replays.all()) == of_one


async def _rows(bench: ReplayBench, statement: str) -> list[Any]:
    return await bench.database.read(lambda c: c.execute(statement).fetchall())


async def test_what_was_adopted_is_not_gone_through() -> None:
    """`adopt` looks at no dispatch, and at no replay that has ended: it held the writer for 6.8 s
    with a million dispatches and 20 endpoints."""
    async with a_bench() as bench:
        await bench.receive()
        await bench.work()
        ran: list[str] = []
        await bench.database.read(lambda c: c.set_trace_callback(ran.append))
        await bench.queue.adopt([an_endpoint(), an_endpoint("beta")])
        await bench.database.read(lambda c: c.set_trace_callback(None))

        assert ran
        assert not [each for each in ran if "dispatch" in each]


async def test_sparse_dispatches_of_an_older_database_are_listed() -> None:
    """The upgrade lists the reports of those dispatches whose reports are far apart."""
    story = await an_old_story(9)

    def sparse(connection: Any) -> int:
        number = connection.execute(
            "INSERT INTO dispatch (endpoint, url, content_type, state, attempts, created_at,"
            " first_report, last_report, reports)"
            " VALUES ('acme', 'http://acme.example/', '', 'exhausted', 21, 0, 1, 1000, 2)"
        ).lastrowid
        rows = [(1, number), (1000, number)]
        connection.executemany("INSERT INTO dispatch_report VALUES (?, ?)", rows)
        return int(number)

    number = await story.database.write(sparse)
    await story.database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
    queue = await SqliteQueue.open(story.database, lambda: "db", new_id)
    await queue.adopt([ACME, BETA])

    found = await queue.dispatch(f"db-{number}")

    assert found is not None
    assert list(found[0].report_ids) == [1, 1000]
    listed = "SELECT dispatch, reports FROM dispatch_members"
    assert await story.database.read(lambda c: c.execute(listed).fetchall()) == [
        (number, "[1,1000]")
    ]
    await story.database.close()

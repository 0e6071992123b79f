"""A database of the time when a message was known by its messageId alone, upgraded in the middle of
its work.

At an endpoint that keeps the order, beta's report waited for alpha's report with the same
messageId. After the upgrade it waits no more; what is really of one message waits on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.queue.sqlite.replays import SqliteReplays
from dispatcher.replay.replay import Item
from dispatcher.storage import new_id
from receiver.store.base import Message
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.dispatcher.queue.sqlite.story import NOON

ACME = Endpoint(name="acme", url="http://acme.example/", ordered=True)

BEFORE = [
    *(step for step in STORE_MIGRATIONS if step.number < 5),
    *(step for step in QUEUE_MIGRATIONS if step.number < 10),
]

# Reports 1, 3, 5 and 6 are alpha's, 2 and 4 beta's. All are of one messageId but 5 and 6.
REPORTS = {1: ("alpha", 7), 2: ("beta", 7), 3: ("alpha", 7), 4: ("beta", 7), 5: ("alpha", 8)}
REPORTS[6] = ("alpha", 9)

DATA = (
    "INSERT INTO endpoint (name, read_to) VALUES ('acme', 6)",
    "INSERT INTO replay (id, state, created_at, selection, total, fed)"
    " VALUES (1, 'running', 0, '{}', 1, 1)",
    # 1 is on its way, alone; 5 and 6 are in one dispatch that has ended and one that waits.
    "INSERT INTO dispatch (id, endpoint, url, content_type, state, attempts, created_at, due_at,"
    " lease, lease_until, first_report, last_report, reports) VALUES"
    " (1, 'acme', 'http://acme.example/', 'application/json', 'waiting', 1, 0, 0, NULL, NULL, 1, 1,"
    " 1), (2, 'acme', 'http://acme.example/', 'application/json', 'acknowledged', 1, 0, NULL, NULL,"
    " NULL, 5, 5, 1), (3, 'acme', 'http://acme.example/', 'application/json', 'waiting', 0, 0, 0,"
    " NULL, NULL, 6, 6, 1)",
    "INSERT INTO dispatch_body VALUES (1, x'7B7D'), (3, x'7B7D')",
    "INSERT INTO dispatch_report (report, dispatch) VALUES (1, 1), (5, 2), (6, 3)",
    "INSERT INTO message_under_way (endpoint, message_key, dispatch)"
    " VALUES ('acme', 7, 1), ('acme', 9, 3)",
    # 2 and 3 came by themselves, 4 is a replay's, 8 was erased while it was held.
    "INSERT INTO held_report (endpoint, report, replay, message_key, freed)"
    " VALUES ('acme', 2, 0, 7, 0), ('acme', 3, 0, 7, 0), ('acme', 4, 1, 7, 0),"
    " ('acme', 8, 0, 7, 0)",
)


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    """A database of before with all of this, and upgraded."""
    database = await Database.open(":memory:")
    await database.migrate(BEFORE)
    for number, (source, key) in REPORTS.items():
        values = (number, source, key, number)
        await database.write(
            lambda c, values=values: c.execute(  # type: ignore[misc]
                "INSERT INTO report (id, received_at, source, format, final, message_key, identity,"
                " item) VALUES (?, 0, ?, 'json', 1, ?, ?, '{}')",
                values,
            )
        )
    for statement in DATA:
        await database.write(lambda c, s=statement: c.execute(s))  # type: ignore[misc]
    await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
    yield database
    await database.close()


async def test_the_other_source_waits_no_more(database: Database) -> None:
    """Beta's report is free at once, and the erased one is given to whoever looks that it is no
    more; alpha's own waits until the dispatch before it has ended."""
    queue = await SqliteQueue.open(database, lambda: "db", new_id)
    await queue.adopt([ACME])
    alpha, beta, nine = (("alpha", 7), ("beta", 7), ("alpha", 9))
    messages: list[Message] = [alpha, beta, nine, ("beta", 9), ("alpha", 8)]

    assert await queue.freed("acme", 9) == [2, 8]
    assert await queue.blocked("acme", messages, [2, 8]) == {alpha, beta, nine}  # 4 is held
    pending = await queue.pending(NOON)
    assert pending.freed == {"acme"}

    await queue.cancel("db-1")
    assert await queue.freed("acme", 9) == [2, 3, 8]


async def test_a_replay_goes_on(database: Database) -> None:
    """What a replay holds waits for the held report of its own message, and is counted as before;
    what follows from its end is done by the triggers of today."""
    queue = await SqliteQueue.open(database, lambda: "db", new_id)
    await queue.adopt([ACME])
    replays = SqliteReplays(database, new_id)
    replay = await replays.one(1)
    assert replay.held == 1
    assert await replays.freed(replay, 9) == []  # 2, of the same message, comes first

    await database.write(lambda c: c.execute("DELETE FROM held_report WHERE report = 2"))
    assert await replays.freed(replay, 9) == [Item(4, "acme", 0)]
    await replays.end(1, "cancelled", NOON)
    assert (await replays.one(1)).held == 0

"""How the database finds what the sandbox asks for: by which index, and never through all there is.

What runs with each message is here. Logs are not: they go back through the messages, newest first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dispatcher.sandbox.store.sqlite.store import SqliteSandboxStore
from dispatcher.storage import MIGRATIONS, insert_new_event
from receiver.store.sqlite.database import Database
from tests.contracts.sandbox_events import PUSH, logged, pulled
from tests.contracts.sandbox_store import HOUR, NOON, Provider, an_arrival, an_sms_to
from tests.dispatcher.queue.sqlite.test_query_plans import plan

Act = Callable[[Provider], Awaitable[Any]]

BY_ID = "sandbox_message by id (=?)"
BY_NAME = "sandbox_message by sandbox_message_name (message_id=?)"
BULK = "sandbox_bulk by key (bulk_id=?)"
ITS_BULK = "sandbox_bulk by id (=?)"
OF_BULK = "sandbox_message by sandbox_message_bulk (bulk=?)"
WAITS = "sandbox_inbox by sandbox_inbox_waits (received_at>?)"
RECEIVED = "sandbox_inbox by sandbox_inbox_received (received_at>?)"
DUE = "sandbox_message by sandbox_message_due"

ONE_ROW = {"all of sandbox"}


@pytest.mark.parametrize(
    ("act", "steps"),
    [
        (lambda p: p.store.next_due(), {f"{DUE} (due_at>?)"}),
        (
            lambda p: p.step(NOON + HOUR),
            {
                *{f"{DUE} (due_at<?)", ITS_BULK, BY_ID},
                "report_key by key (day=? AND message_key=?)",
                "report_key by key (day>?)",
            },
        ),
        (lambda p: p.accept(an_arrival(an_sms_to(message_id="m2"))), {BULK, BY_NAME}),
        # Of the messages of a bulk the first is looked for, and only that one is kept.
        (lambda p: p.store.bulk("B"), {BULK, OF_BULK, "sorts"}),
        (lambda p: p.set_status("PAUSED"), {BULK, OF_BULK, BY_ID, "sorts"}),
        (lambda p: p.store.sent("m1"), {ITS_BULK, BY_NAME}),
        # Only what waits is in sandbox_pull.
        (
            lambda p: p.pull(),
            {
                "all of sandbox_pull",
                "sandbox_pull by id (=?)",
                BY_ID,
                ITS_BULK,
                "report by id (=?)",
            },
        ),
        (lambda p: p.store.linked("a"), {BY_ID, ITS_BULK, "sandbox_link by key (code=?)"}),
        (lambda p: p.store.convert(1, NOON), {BY_ID}),
        (lambda p: p.store.click(1, NOON, PUSH, converts=False), {BY_ID}),
        (lambda p: pulled(p.store), {WAITS, "sandbox_inbox by id (=?)"}),
        (lambda p: logged(p.store), {RECEIVED}),
        (lambda p: p.messages(after=1), {ITS_BULK, "sandbox_message by id (>?)"}),
    ],
)
async def test_plans(act: Act, steps: set[str]) -> None:
    """Nothing goes through all messages."""
    database = await Database.open(":memory:")
    await database.migrate(MIGRATIONS)
    provider = Provider(SqliteSandboxStore(database, insert_new_event))
    await provider.accept(an_arrival(an_sms_to(message_id="m1"), an_sms_to(send_at=NOON + HOUR)))

    assert await plan(database, act(provider)) - ONE_ROW == steps
    await database.close()

"""The sandbox's store in SQLite: each method is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dispatcher.sandbox.messages.acceptance import Arrival
from dispatcher.sandbox.messages.bulks import Bulk
from dispatcher.sandbox.messages.inbound import Inbound
from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.store.base import (
    AcceptedQuery,
    Admit,
    ChangeBulk,
    ChangeMessage,
    ClockState,
    Counters,
    InboxLogQuery,
    InboxQuery,
    LogQuery,
    PullQuery,
    Push,
    StepCounts,
    TakeStep,
)
from dispatcher.sandbox.store.sqlite import (
    accept,
    bulks,
    clicks,
    clock,
    due,
    inbox,
    queries,
    removal,
)
from dispatcher.sandbox.store.sqlite.inbox import InsertEvent
from receiver.store.base import StoredReport
from receiver.store.migrations import migrations_of
from receiver.store.sqlite.database import Database

MIGRATIONS = migrations_of("dispatcher.sandbox.store.sqlite", part="dispatcher.sandbox")


class SqliteSandboxStore:
    """Implements SandboxStore (base.py) on a Database that has the reports and dispatches too."""

    def __init__(self, database: Database, insert_event: InsertEvent) -> None:
        """`insert_event` makes a dispatch within a transaction of this store."""
        self._database = database
        self._insert_event = insert_event

    async def claim(self) -> bool:
        return self._database.claim("sandbox")

    async def accept(
        self, arrivals: Sequence[Arrival], now: datetime, admit: Admit
    ) -> list[Sequence[Message]]:
        return await self._database.write(lambda c: accept.accept(c, arrivals, now, admit))

    async def next_due(self) -> datetime | None:
        return await self._database.read(due.next_due)

    async def take_due(self, now: datetime, most: int, take: TakeStep) -> StepCounts:
        return await self._database.write(lambda c: due.take_due(c, now, most, take))

    async def change_message(
        self, message_id: str, now: datetime, change: ChangeMessage
    ) -> Message | None:
        return await self._database.write(lambda c: due.change(c, message_id, now, change))

    async def rules(self) -> list[dict[str, Any]]:
        return await self._database.read(_rules)

    async def add_rule(self, rule: Mapping[str, Any]) -> None:
        await self._database.write(lambda c: _add_rule(c, rule))

    async def forget_rules(self) -> None:
        await self._database.write(lambda c: c.execute("UPDATE sandbox SET rules = '[]'"))

    async def reset(self) -> None:
        await self._database.write(removal.reset)

    async def purge(self, before: datetime, most: int) -> int:
        return await self._database.write(lambda c: removal.purge(c, before, most))

    async def bulk(self, bulk_id: str) -> Bulk | None:
        return await self._database.read(lambda c: bulks.bulk(c, bulk_id))

    async def change_bulk(self, bulk_id: str, now: datetime, change: ChangeBulk) -> Bulk | None:
        return await self._database.write(lambda c: bulks.change(c, bulk_id, now, change))

    async def logs(self, query: LogQuery) -> list[Message]:
        return await self._database.question(lambda c: queries.logs(c, query))

    async def pull(self, query: PullQuery) -> list[StoredReport]:
        return await self._database.write(lambda c: queries.pull(c, query))

    async def sent(self, message_id: str) -> Message | None:
        return await self._database.read(lambda c: queries.sent(c, message_id))

    async def receive(self, inbound: Inbound, push: Push | None, now: datetime) -> None:
        insert = self._insert_event
        await self._database.write(lambda c: inbox.receive(c, inbound, push, now, insert))

    async def pull_inbox(self, query: InboxQuery) -> tuple[list[Inbound], int]:
        return await self._database.write(lambda c: inbox.pull(c, query))

    async def inbox(self, query: InboxLogQuery) -> list[Inbound]:
        return await self._database.question(lambda c: inbox.logs(c, query))

    async def inbox_waiting(self, received_after: datetime) -> frozenset[str]:
        return await self._database.read(lambda c: inbox.waiting(c, received_after))

    async def linked(self, code: str) -> Message | None:
        return await self._database.read(lambda c: clicks.linked(c, code))

    async def click(
        self, message: int, now: datetime, push: Push | None, *, converts: bool
    ) -> None:
        insert = self._insert_event
        await self._database.write(
            lambda c: clicks.click(c, message, now, push, insert, converts=converts)
        )

    async def convert(self, message: int, now: datetime) -> None:
        await self._database.write(lambda c: clicks.convert(c, message, now))

    async def messages(self, query: AcceptedQuery) -> list[Message]:
        return await self._database.question(lambda c: queries.messages(c, query))

    async def clock(self) -> ClockState:
        return await self._database.read(clock.state)

    async def move_clock(self, ahead: timedelta, now: datetime) -> None:
        await self._database.write(lambda c: clock.move(c, ahead, now))

    async def counters(self) -> Counters:
        return await self._database.read(clock.counters)


def _rules(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    text: str = connection.execute("SELECT rules FROM sandbox").fetchone()[0]
    return msgspec.json.decode(text, type=list[dict[str, Any]])


def _add_rule(connection: sqlite3.Connection, rule: Mapping[str, Any]) -> None:
    text = msgspec.json.encode([rule, *_rules(connection)]).decode()
    connection.execute("UPDATE sandbox SET rules = ?", (text,))

"""A process with nothing to do leaves its database alone.

It asked it 28 times a second: five looks of the loop with three questions each, ten of the feeder
of replays, two of the read model, and one for leases that had run out.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.runner import LOOK_EVERY
from dispatcher.service import Parts, service
from dispatcher.settings.settings import EndpointSettings
from receiver.store.sqlite.database import Database
from tests.contracts.report_store import an_sms
from tests.dispatcher.observe.test_metrics import posted, settings

LOOKS = 10
A_SECOND = 6
"""The most round trips to the database of an idle process."""


class RoundTrips:
    """Counts what goes to the database, and is told of each look of the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        self.looks = asyncio.Semaphore(0)
        for name in ("read", "question", "write", "write_unflushed"):
            monkeypatch.setattr(Database, name, self._counted(getattr(Database, name)))
        news, looks = SqliteQueue.news, self.looks

        async def told(queue: SqliteQueue, now: Any) -> Any:
            found = await news(queue, now)
            looks.release()
            return found

        monkeypatch.setattr(SqliteQueue, "news", told)

    def _counted(self, method: Any) -> Any:
        async def counted(database: Database, work: Any) -> Any:
            self.made.append(getattr(work, "__qualname__", ""))
            return await method(database, work)

        return counted

    async def while_idle(self) -> list[str]:
        """What goes to the database during LOOKS looks, after those that follow the last change."""
        for _ in range(5):
            await self.looks.acquire()
        self.made.clear()
        for _ in range(LOOKS):
            await self.looks.acquire()
        return self.made


@pytest.mark.parametrize("parts", [Parts(), Parts(receives=False), Parts(sandbox=True)])
async def test_an_idle_process_makes_six_round_trips_a_second_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Parts
) -> None:
    """Whatever it does, and with a dispatch that waits for its retry."""
    trips = RoundTrips(monkeypatch)
    refused = EndpointSettings(name="acme", url="http://127.0.0.1:9/")
    async with service(replace(settings(tmp_path), endpoint=(refused,)), parts=parts) as running:
        if parts.receives:
            await posted(running.url, msgspec.json.encode({"results": [an_sms("m")]}))
        made = await trips.while_idle()

    assert len(made) <= LOOKS * LOOK_EVERY.total_seconds() * A_SECOND, made

"""The dispatcher on a clock that is moved by hand: real store, real queue, scripted endpoints."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dispatcher.attempts import Sender
from dispatcher.clocks.clock import Clock, VirtualClock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.flow.total import Total
from dispatcher.observe.events import AttemptMade, Listener
from dispatcher.queue.base import Lease, Leased, StoredDispatch
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.retrying.outcome import Answer, Outcome
from dispatcher.retrying.schedule import INFOBIP
from dispatcher.storage import MIGRATIONS, Storage, new_id, of_sqlite
from dispatcher.worker import Worker
from receiver.dlr.model import Format
from receiver.store.base import StoredReport
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import SqliteStore
from tests.contracts.report_store import a_callback, an_sms

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
YEAR = timedelta(days=365)

Reaction = int | Outcome
"""How an endpoint takes a push: a status, or what happens to the connection."""


def an_endpoint(name: str = "acme", **changes: Any) -> Endpoint:
    return Endpoint(name=name, url=f"http://{name}.example/dlr", **changes)


def a_push(url: str = "http://acme.example/dlr", **changes: Any) -> Leased:
    """A dispatch in the hands of a worker."""
    dispatch = Leased(
        id=7,
        name="db-7",
        webhook_id="db-7-5eed",
        endpoint="acme",
        url=url,
        content_type="application/json",
        body=b'{"results":[]}',
        reports=1,
        attempts_made=0,
        due_at=START,
        lease=Lease("token", START + MINUTE),
    )
    return replace(dispatch, **changes)


def since_start(hours_minutes: str) -> timedelta:
    """`41:30` after the start."""
    hours, minutes = hours_minutes.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


class Pushed(Struct, frozen=True):
    """One push as the endpoint saw it."""

    at: datetime
    endpoint: str
    name: str
    webhook_id: str
    number: int
    body: bytes
    reports: int
    url: str
    content_type: str


class ScriptedSender:
    """Implements Sender: each endpoint reacts as it was told, and 200 when it was told nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._scripts: dict[str, deque[Reaction]] = {}
        self._always: dict[str, Reaction] = {}
        self.pushes: list[Pushed] = []
        self.said = b"said"
        """The body of each answer."""
        self.held = asyncio.Event()
        """Set when a push has come while the sender held them back."""
        self._open = asyncio.Event()
        self._open.set()

    def answers(self, *reactions: Reaction, endpoint: str = "acme") -> None:
        """The next pushes are met so, in this order."""
        self._scripts.setdefault(endpoint, deque()).extend(reactions)

    def always(self, reaction: Reaction, *, endpoint: str = "acme") -> None:
        """What `answers` says nothing of is met so."""
        self._always[endpoint] = reaction

    def hold(self) -> None:
        """Pushes get no answer until `let_go`."""
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:
        push = Pushed(
            at=self._clock.now(),
            endpoint=endpoint.name,
            name=dispatch.name,
            webhook_id=dispatch.webhook_id,
            number=dispatch.attempts_made + 1,
            body=dispatch.body,
            reports=dispatch.reports,
            url=dispatch.url,
            content_type=dispatch.content_type,
        )
        self.pushes.append(push)
        script = self._scripts.get(endpoint.name)
        reaction = script.popleft() if script else self._always.get(endpoint.name, 200)
        if not self._open.is_set():
            self.held.set()
            await self._open.wait()
        if isinstance(reaction, Outcome):
            return Answer(5.0, failure=reaction, error=reaction.value)
        return Answer(5.0, status=reaction, body=self.said)


def database_of(storage: Storage) -> Database:
    """The SQLite file itself, for tests of what only SQLite does and of rows that have no other way
    in or out. Nobody but a test gets at it from a storage."""
    assert isinstance(storage.store, SqliteStore)
    return storage.store._database


class Bench:
    """A worker with all it needs, and the words to try it."""

    def __init__(self, storage: Storage, clock: VirtualClock, *endpoints: Endpoint) -> None:
        self.clock = clock
        self.storage = storage
        self.store = storage.store
        self.outbox = storage.outbox
        self.queue = storage.queue
        self.sender = ScriptedSender(clock)
        self.events: list[AttemptMade] = []
        self.listeners: list[Listener] = [self.events.append]
        self._tokens = count()
        self._messages = count()
        self.worker = self.another_worker(*endpoints)

    @property
    def database(self) -> Database:
        """As `database_of`: the contract suites have a bench on any database, and do without."""
        return database_of(self.storage)

    def another_worker(
        self,
        *endpoints: Endpoint,
        sender: Sender | None = None,
        clock: Clock | None = None,
        total: Total | None = None,
    ) -> Worker:
        """A worker beside the first, as in another process."""
        return Worker(
            outbox=self.outbox,
            queue=self.queue,
            sender=sender or self.sender,
            clock=clock or self.clock,
            endpoints=endpoints,
            schedule=INFOBIP,
            new_token=lambda: f"token-{next(self._tokens)}",
            listeners=self.listeners,
            total=total,
        )

    async def receive(self, *items: dict[str, Any], format: Format = "json", **said: Any) -> None:
        """A callback with these items is stored, or one with a report of a new message."""
        given = items or (an_sms(f"m{next(self._messages)}"),)
        await self.store.add([a_callback(*given, at=self.clock.now(), format=format, **said)])

    async def work(self) -> int:
        """Do all that is due at this instant. Returns how many attempts that took."""
        made = 0
        while attempts := await self.worker.tick():
            made += attempts
        return made

    async def run_until_idle(self, until: timedelta = YEAR) -> None:
        """Work, and move the clock to the next due time, until nothing is due any more."""
        await self.work()
        while (due := await self.next_due()) is not None and due <= START + until:
            self.clock.advance_to(due)
            await self.work()

    async def next_due(self) -> datetime | None:
        return await self.worker.next_at()

    def timeline(self, endpoint: str = "acme") -> list[timedelta]:
        """When this endpoint was pushed to, since the start."""
        return [push.at - START for push in self.sender.pushes if push.endpoint == endpoint]

    async def dispatches(self, endpoint: str = "acme") -> list[StoredDispatch]:
        """This endpoint's dispatches, the oldest first."""
        return (await self.queue.dispatches(limit=1000, endpoint=endpoint))[::-1]

    async def states(self, endpoint: str = "acme") -> list[str]:
        return [dispatch.state for dispatch in await self.dispatches(endpoint)]


@asynccontextmanager
async def a_bench(
    *endpoints: Endpoint, path: str | Path = ":memory:", known: bool = True
) -> AsyncIterator[Bench]:
    """A bench on a new database in memory, for these endpoints (by default: Acme). With `known`
    False the database has seen none yet."""
    these = endpoints or (an_endpoint(),)
    database = await Database.open(path)
    try:
        await database.migrate(MIGRATIONS)
        queue = await SqliteQueue.open(database, lambda: "db", new_id)
        if known:
            await queue.adopt(these)
        yield Bench(of_sqlite(database, queue), VirtualClock(START), *these)
    finally:
        await database.close()


async def stored(*callbacks: Any) -> list[StoredReport]:
    """The reports of these callbacks as they lie in a store."""
    async with a_bench() as bench:
        await bench.store.add(callbacks)
        return await bench.store.reports_after(0, 10_000)

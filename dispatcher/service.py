"""Puts receiver and dispatcher together into one running process.

`dlr serve`, `dlr receive`, `dlr dispatch`, `dlr demo` and the end-to-end tests all run this.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from dispatcher.api import DispatchApi
from dispatcher.clock import Clock, SystemClock
from dispatcher.endpoint import Endpoint, Rules, credentials_to_header
from dispatcher.events import Listener
from dispatcher.http_sender import HttpSender
from dispatcher.queue.sqlite import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite import SqliteQueue
from dispatcher.runner import Runner
from dispatcher.schedule import PRESETS
from dispatcher.settings import EndpointSettings, Settings
from dispatcher.worker import Worker
from receiver.api import StoreApi
from receiver.app import Health, Receiver, new_app
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.store.database import Database
from receiver.store.sqlite import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.sqlite import SqliteStore

MIGRATIONS = [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS]


def new_name() -> str:
    """A name for a database that no other has."""
    return secrets.token_hex(4)


def endpoint_of(settings: EndpointSettings) -> Endpoint:
    """An endpoint from its settings. Credentials in the URL become a header."""
    url, credentials = credentials_to_header(settings.url)
    return Endpoint(
        name=settings.name,
        url=url,
        content_type=settings.content_type,
        generation=None if settings.generation == "as-received" else settings.generation,
        bucket_size=settings.bucket_size,
        window=settings.window,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        headers={
            **credentials,
            **{name: value.reveal() for name, value in settings.headers.items()},
        },
        rules=Rules(
            sources=frozenset(settings.sources),
            final={"all": None, "final": True, "intermediate": False}[settings.reports],
            status_groups=frozenset(GROUP_NUMBERS[name] for name in settings.status_groups),
        ),
    )


@dataclass(frozen=True, slots=True)
class Storage:
    """An open, migrated database as its two users see it."""

    database: Database
    store: SqliteStore
    queue: SqliteQueue


@asynccontextmanager
async def storage(path: str) -> AsyncIterator[Storage]:
    """Open the database at `path`, bring it to the current schema, close it at the end."""
    database = await Database.open(path)
    try:
        await database.migrate(MIGRATIONS)
        queue = await SqliteQueue.open(database, new_name)
        yield Storage(database, SqliteStore(database), queue)
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process does: take callbacks, push to endpoints, or both."""

    receives: bool = True
    dispatches: bool = True


@dataclass(frozen=True, slots=True)
class Service:
    """A running process: where it listens, and what it works on."""

    url: str
    storage: Storage


@asynccontextmanager
async def service(
    settings: Settings,
    *,
    parts: Parts = Parts(),
    clock: Clock | None = None,
    listeners: Sequence[Listener] = (),
) -> AsyncIterator[Service]:
    """Run until the block ends, then stop in order: no intake, running attempts end, all is
    committed, the file is closed."""
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(storage(settings.store.database))
        app = new_app(body_limit=settings.server.body_limit)
        health = Health(opened.store)
        health.add_routes(app)
        endpoints = [endpoint_of(each) for each in settings.endpoint]
        dispatch_api = DispatchApi(opened.store, opened.queue, endpoints)
        dispatch_api.add_routes(app)
        StoreApi(opened.store, dispatch_api.dispatches_of).add_routes(app)
        runner = None
        if parts.dispatches:
            sender = await stack.enter_async_context(HttpSender())
            worker = Worker(
                outbox=opened.store,
                queue=opened.queue,
                sender=sender,
                clock=clock,
                endpoints=endpoints,
                schedule=PRESETS[settings.schedule.preset],
                new_token=new_name,
                listeners=listeners,
            )
            runner = Runner(worker, opened.queue, clock)
        receiver = None
        if parts.receives:
            receiver = Receiver(
                opened.store,
                sources=[source.name for source in settings.source],
                now=clock.now,
                on_stored=runner.wake if runner else lambda: None,
            )
            receiver.add_routes(app)
        url = await stack.enter_async_context(_listening(app, settings))
        async with _running(runner, receiver, health, settings):
            yield Service(url, opened)


@asynccontextmanager
async def _listening(app: web.Application, settings: Settings) -> AsyncIterator[str]:
    server = settings.server
    # aiohttp's own access log costs four tenths of the rate.
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=server.stop_timeout.total_seconds()
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, server.bind, server.port, backlog=1024).start()
        yield f"http://{_host(server.bind)}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _host(bind: str) -> str:
    return f"[{bind}]" if ":" in bind else bind


@asynccontextmanager
async def _running(
    runner: Runner | None, receiver: Receiver | None, health: Health, settings: Settings
) -> AsyncIterator[None]:
    draining = False
    health.add(lambda: "stopping" if draining else None)
    if runner is not None:
        await runner.start()
        health.add(lambda: None if runner.alive else "the dispatcher's loop has ended")
    try:
        yield
    finally:
        draining = True
        if receiver is not None:
            receiver.draining = True
        if runner is not None:
            await runner.stop(settings.server.stop_timeout)

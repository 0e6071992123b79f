"""Puts receiver and dispatcher together into one running process.

`dlr serve`, `dlr receive`, `dlr dispatch`, `dlr demo` and the end-to-end tests all run this.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from dispatcher.api import DispatchApi
from dispatcher.clock import Clock, MachineClock, SystemClock, wall_time
from dispatcher.common_time import CommonTime, boot_id
from dispatcher.described import DESCRIBED as DISPATCHER_DESCRIBED
from dispatcher.endpoint_api import EndpointApi
from dispatcher.events import Listener
from dispatcher.first_loss import LossMetrics
from dispatcher.following import Following
from dispatcher.from_settings import schedule_of
from dispatcher.http_sender import HttpSender
from dispatcher.metrics import AttemptMetrics, QueueMetrics
from dispatcher.queue.history import AttemptTrack
from dispatcher.queue.replay_selection import Selector
from dispatcher.queue.replays import SqliteReplays
from dispatcher.queue.sqlite import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite import SqliteQueue
from dispatcher.registry import Registry
from dispatcher.replay.api import ReplayApi
from dispatcher.replay.feeder import Feeder, Feeding
from dispatcher.replay.replaying import Replaying
from dispatcher.runner import Runner
from dispatcher.security_settings import policy_of
from dispatcher.settings import Settings
from dispatcher.unrouted import Unrouted, UnroutedApi
from dispatcher.upkeep import Upkeep
from dispatcher.worker import Worker
from receiver.api import StoreApi
from receiver.api_tokens import ApiTokens
from receiver.app import Health, Receiver, new_app
from receiver.auth import Gate
from receiver.described import DESCRIBED as RECEIVER_DESCRIBED
from receiver.event_stream import EventStream, ReportTrack
from receiver.events import Listener as CallbackListener
from receiver.forwarded import Proxies
from receiver.intake import Limits
from receiver.metrics import Readiness, ReceiverMetrics, RefusedCallbacks, Scrape, new_registry
from receiver.openapi import OpenApi
from receiver.reading import BodyReader
from receiver.server import listening
from receiver.store.database import Database
from receiver.store.followup import Follower
from receiver.store.sqlite import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.sqlite import SqliteStore

MIGRATIONS = [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS]


def new_name() -> str:
    """A name for a database that no other has."""
    return secrets.token_hex(4)


def _time_of_others(clock: Clock) -> Callable[[], datetime]:
    """The clock of signatures and tokens. Those who judge them live in the world's time: on a
    clock sixty times as fast, a signature would be out of date after five seconds."""
    return clock.now if clock.speed == 1 and not isinstance(clock, SystemClock) else wall_time


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


def registry_of(opened: Storage, settings: Settings) -> Registry:
    """The endpoints of a database and a settings file."""
    sources = [source.name for source in settings.source]
    return Registry(opened.database, settings.endpoint, sources)


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
    app: web.Application
    endpoints: Registry


@asynccontextmanager
async def service(
    settings: Settings,
    *,
    parts: Parts = Parts(),
    clock: Clock | None = None,
    listeners: Sequence[Listener] = (),
    callback_listeners: Sequence[CallbackListener] = (),
) -> AsyncIterator[Service]:
    """Run until the block ends, then stop in order: no intake, running attempts end, all is
    committed, the file is closed."""
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(storage(settings.store.database))
        common_time = None
        if isinstance(clock, MachineClock):
            common_time = CommonTime(opened.database, clock, boot_id())
            await common_time.join()
        app = new_app(body_limit=settings.server.body_limit)
        if settings.api.token:
            app.middlewares.append(ApiTokens(settings.api.token).middleware())
        health = Health(opened.store)
        health.add_routes(app)
        endpoints = registry_of(opened, settings)
        EndpointApi(endpoints, opened.queue).add_routes(app)
        UnroutedApi(Unrouted(opened.database, endpoints)).add_routes(app)
        dispatch_api = DispatchApi(opened.store, opened.queue)
        dispatch_api.add_routes(app)
        replays = SqliteReplays(opened.database)
        replaying = Replaying(
            replays, Selector(opened.database, opened.store), endpoints, clock.now
        )
        ReplayApi(replaying, opened.store).add_routes(app)
        events = EventStream(
            [ReportTrack(opened.store), AttemptTrack(opened.database)],
            readers=settings.server.event_readers,
        )
        events.add_routes(app)
        registry = new_registry()
        scrape = Scrape(registry)
        scrape.before(Readiness(registry, health.reasons).measure)
        scrape.before(QueueMetrics(registry, opened.database, clock.now).measure)
        schedule = schedule_of(settings.schedule)
        scrape.before(
            LossMetrics(registry, opened.database, endpoints, schedule, clock.now).measure
        )
        scrape.add_routes(app)
        OpenApi([RECEIVER_DESCRIBED, DISPATCHER_DESCRIBED], settings).add_routes(app)
        runner = None
        if parts.dispatches:
            sender = await stack.enter_async_context(
                HttpSender(_time_of_others(clock), policy_of(settings.outgoing))
            )
            worker = Worker(
                outbox=opened.store,
                queue=opened.queue,
                sender=sender,
                clock=clock,
                endpoints=await endpoints.endpoints(),
                schedule=schedule,
                new_token=new_name,
                listeners=[
                    AttemptMetrics(registry).attempted,
                    lambda _: events.wake(),
                    *listeners,
                ],
            )
            runner = Runner(worker, opened.queue, clock, endpoints, common_time)
        on_stored = _both(events.wake, runner.wake if runner else None)
        limits = Limits(
            body=settings.server.body_limit,
            items=settings.limits.items,
            field=settings.limits.field,
        )
        StoreApi(
            opened.store,
            dispatch_api.dispatches_of,
            now=clock.now,
            on_stored=on_stored,
            limits=limits,
        ).add_routes(app)
        receiver = None
        if parts.receives:
            metrics = ReceiverMetrics(registry)
            receiver = Receiver(
                opened.store,
                sources=[source.name for source in settings.source],
                # The senders' signatures are judged by it, and they go by the wall clock.
                now=wall_time if isinstance(clock, SystemClock) else clock.now,
                on_stored=on_stored,
                commit=metrics.timed(opened.store.add),
                listeners=[metrics.answered, *callback_listeners],
                gates=gates_of(settings),
                limits=limits,
                bodies=BodyReader(
                    limit=settings.server.body_limit,
                    timeout=settings.limits.body_timeout,
                    at_once=settings.limits.bodies,
                ),
            )
            RefusedCallbacks(registry, receiver.refused)
            receiver.add_routes(app)
        url = await stack.enter_async_context(_listening(app, settings))
        upkeep = Upkeep(
            opened.database,
            settings.retention,
            clock,
            received=parts.receives,
            dispatched=parts.dispatches,
        )
        async with _running(runner, receiver, health, settings):
            upkeep.start()
            stack.push_async_callback(upkeep.stop)
            if parts.receives:
                following = Following(Follower(opened.database))
                following.start()
                stack.push_async_callback(following.stop)
            if runner is not None:
                feeding = Feeding(Feeder(replays, endpoints, clock.now).look, runner.wake)
                feeding.start()
                stack.push_async_callback(feeding.stop)
            yield Service(url, opened, app, endpoints)


def _both(first: Callable[[], None], second: Callable[[], None] | None) -> Callable[[], None]:
    if second is None:
        return first
    also = second

    def both() -> None:
        first()
        also()

    return both


@asynccontextmanager
async def _listening(app: web.Application, settings: Settings) -> AsyncIterator[str]:
    server = settings.server
    async with AsyncExitStack() as stack:
        with naming_the_address(server.bind, server.port):
            port = await stack.enter_async_context(listening(app, server, settings.limits))
        yield f"http://{_host(server.bind)}:{port}"


def gates_of(settings: Settings) -> dict[str, Gate]:
    """What the sources demand; those that demand nothing are not asked."""
    server = settings.server
    proxies = Proxies.of(server.trusted_proxies, server.proxy_networks)
    gates = {source.name: Gate(source, proxies) for source in settings.source}
    return {name: gate for name, gate in gates.items() if not gate.open}


@contextmanager
def naming_the_address(bind: str, port: int) -> Iterator[None]:
    """Say what cannot be listened on, and why, in words for a person."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0  # below 0 it is of getaddrinfo: an unknown host
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        raise OSError(f"cannot listen on {_host(bind)}:{port}: {reason}") from error


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
        health.add(runner.trouble)
    try:
        yield
    finally:
        draining = True
        if receiver is not None:
            receiver.draining = True
        if runner is not None:
            await runner.stop(settings.server.stop_timeout)

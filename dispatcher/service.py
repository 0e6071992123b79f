"""Puts receiver and dispatcher together into one running process.

`dlr serve`, `dlr receive`, `dlr dispatch`, `dlr demo` and the end-to-end tests all run this.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry

from dispatcher.api.attempt_track import AttemptTrack
from dispatcher.api.dispatches import DispatchApi
from dispatcher.api.endpoints import EndpointApi
from dispatcher.api.replays import ReplayApi
from dispatcher.api.unrouted import Unrouted, UnroutedApi
from dispatcher.clocks.clock import Clock, MachineClock, SystemClock, wall_time
from dispatcher.clocks.common_time import CommonTime, boot_id
from dispatcher.endpoints.from_settings import schedule_of
from dispatcher.endpoints.registry import Registry
from dispatcher.observe.events import Listener
from dispatcher.observe.first_loss import LossMetrics
from dispatcher.observe.metrics import AttemptMetrics, FileMetrics, QueueMetrics
from dispatcher.pushing.http_sender import HttpSender
from dispatcher.reconcile.scheduled import ReconcileMetrics, Reconciling
from dispatcher.reconcile.spool import Spool
from dispatcher.replay.feeder import Feeder, feeding
from dispatcher.replay.replaying import Replaying
from dispatcher.retrying.schedule import RetrySchedule
from dispatcher.runner import Runner
from dispatcher.sandbox.api.routes import add_sandbox
from dispatcher.sandbox.api.send import REQUESTS
from dispatcher.sandbox.clock import MovableClock
from dispatcher.sandbox.metrics import SandboxMetrics
from dispatcher.sandbox.sandbox import Sandbox
from dispatcher.settings.security import policy_of
from dispatcher.settings.settings import Settings, sources_of
from dispatcher.storage import Storage, new_name, storage
from dispatcher.upkeep.following import following
from dispatcher.upkeep.log_watch import LogWatch
from dispatcher.upkeep.retention import Upkeep
from dispatcher.worker import Worker
from receiver.api.event_stream import EventStream, ReportTrack, Track
from receiver.api.openapi import OpenApi
from receiver.api.provider import PROVIDER
from receiver.api.store_api import StoreApi
from receiver.api.tokens import ApiTokens
from receiver.callbacks.app import Health, Receiver, new_app
from receiver.callbacks.arriving import BodyReader
from receiver.callbacks.auth import Authenticator
from receiver.callbacks.events import Listener as CallbackListener
from receiver.callbacks.forwarded import Proxies
from receiver.callbacks.intake import Limits
from receiver.metrics import Readiness, ReceiverMetrics, RefusedCallbacks, Scrape, new_registry
from receiver.routes import add_routes
from receiver.server import listening

LOOPBACK = ("127.0.0.0/8", "::1/128")


def time_of_others(clock: Clock) -> Callable[[], datetime]:
    """The clock of signatures and tokens. Those who judge them live in the world's time: on a
    clock sixty times as fast, a signature would be out of date after five seconds."""
    machines = isinstance(clock, SystemClock | MovableClock)
    return clock.now if clock.speed == 1 and not machines else wall_time


def registry_of(opened: Storage, settings: Settings, *, own_urls: bool = False) -> Registry:
    """The endpoints of a database and a settings file; with that of reports which come with a URL
    of their own wherever there have been such."""
    sources = sources_of(settings)
    return Registry(opened.endpoints, settings.endpoint, sources, own_urls=own_urls)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process does: take callbacks, push to endpoints, or both. A sandbox does both."""

    receives: bool = True
    dispatches: bool = True
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A running process: where it listens, and what it works on."""

    url: str
    storage: Storage
    app: web.Application
    endpoints: Registry


@dataclass(frozen=True, slots=True)
class _Common:
    """What receiving, dispatching and answering have in common."""

    settings: Settings
    opened: Storage
    clock: Clock
    app: web.Application
    endpoints: Registry
    health: Health
    events: EventStream
    metrics: CollectorRegistry

    @property
    def schedule(self) -> RetrySchedule:
        return schedule_of(self.settings.schedule)

    @property
    def limits(self) -> Limits:
        return limits_of(self.settings)


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
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(storage(settings.store.database))
        common = _common(settings, opened, clock or SystemClock(), sandbox=parts.sandbox)
        time = await _common_time(common)
        runner = None
        if parts.dispatches:
            sender = await stack.enter_async_context(_sender(common))
            runner = await _runner(common, sender, time, listeners)
        wakes = [common.events.wake] if runner is None else [common.events.wake, runner.wake]

        def on_stored() -> None:
            for wake in wakes:
                wake()

        receiver = _receiver(common, on_stored, callback_listeners) if parts.receives else None
        _add_api(common, on_stored)
        sandbox = await _sandbox(common, on_stored, runner) if parts.sandbox else None
        url = await stack.enter_async_context(_listening(common.app, settings))
        async with _running(runner, receiver, common.health, settings):
            for job in _beside(common, parts, runner, sandbox, on_stored):
                job.start()
                stack.push_async_callback(job.stop)
            yield Service(url, opened, common.app, common.endpoints)


def _common(settings: Settings, opened: Storage, clock: Clock, *, sandbox: bool) -> _Common:
    app = new_app(body_limit=settings.server.body_limit)
    if settings.api.token:
        app.middlewares.append(ApiTokens(settings.api.token).middleware())
    tracks: list[Track] = [ReportTrack(opened.store), AttemptTrack(opened.history)]
    return _Common(
        settings=settings,
        opened=opened,
        clock=MovableClock(clock) if sandbox else clock,
        app=app,
        endpoints=registry_of(opened, settings, own_urls=sandbox),
        health=Health(opened.store),
        events=EventStream(tracks, readers=settings.server.event_readers),
        metrics=new_registry(),
    )


async def _common_time(common: _Common) -> CommonTime | None:
    """The time shared with other processes; a clock that is moved by hand shares nothing. That of
    a sandbox goes on from where it was moved to."""
    clock = common.clock
    base = clock.base if isinstance(clock, MovableClock) else clock
    time = None
    if isinstance(base, MachineClock):
        time = CommonTime(common.opened.time, base, boot_id())
        await time.join()
    if isinstance(clock, MovableClock):
        stored = await common.opened.sandbox.clock()
        clock.restore(stored.ahead, stored.seen_at)
    return time


def _sender(common: _Common) -> HttpSender:
    outgoing = common.settings.outgoing
    if isinstance(common.clock, MovableClock):  # of a sandbox: the app is on this machine
        networks = (*outgoing.allowed_networks, *LOOPBACK)
        outgoing = replace(outgoing, allowed_networks=networks)
    return HttpSender(time_of_others(common.clock), policy_of(outgoing))


async def _runner(
    common: _Common, sender: HttpSender, time: CommonTime | None, listeners: Sequence[Listener]
) -> Runner:
    """The dispatcher: the worker and its loop."""
    queue, clock = common.opened.queue, common.clock
    attempted = AttemptMetrics(common.metrics).attempted
    worker = Worker(
        outbox=common.opened.store,
        queue=queue,
        sender=sender,
        clock=clock,
        endpoints=await common.endpoints.endpoints(),
        schedule=common.schedule,
        new_token=new_name,
        listeners=[attempted, lambda _: common.events.wake(), *listeners],
    )
    return Runner(worker, queue, clock, common.endpoints, time)


def _receiver(
    common: _Common, on_stored: Callable[[], None], listeners: Sequence[CallbackListener]
) -> Receiver:
    """The receiver: takes callbacks under /notify."""
    settings, clock, metrics = common.settings, common.clock, ReceiverMetrics(common.metrics)
    receiver = Receiver(
        common.opened.store,
        sources=[source.name for source in settings.source],
        # The senders' signatures are judged by it, and they go by the wall clock.
        now=wall_time if isinstance(clock, SystemClock) else clock.now,
        on_stored=on_stored,
        commit=metrics.timed(common.opened.store.add),
        listeners=[metrics.answered, *listeners],
        authenticators=authenticators_of(settings),
        limits=common.limits,
        bodies=BodyReader(
            limit=settings.server.body_limit,
            timeout=settings.limits.body_timeout,
            at_once=settings.limits.bodies,
        ),
    )
    RefusedCallbacks(common.metrics, receiver.refused)
    receiver.add_routes(common.app)
    return receiver


def _add_api(common: _Common, on_stored: Callable[[], None]) -> None:
    """Everything that is not a callback: questions, orders, health, metrics, events."""
    app, opened, now = common.app, common.opened, common.clock.now
    add_routes(app, common.health)
    common.events.add_routes(app)
    dispatches = DispatchApi(opened.store, opened.queue)
    replaying = Replaying(opened.replays, opened.selector, common.endpoints.all, now)
    add_routes(
        app,
        EndpointApi(common.endpoints, opened.queue),
        UnroutedApi(Unrouted(opened.unrouted, common.endpoints)),
        dispatches,
        StoreApi(
            opened.store,
            dispatches.dispatches_of,
            now=now,
            on_stored=on_stored,
            limits=common.limits,
        ),
        ReplayApi(replaying, opened.store),
        _scrape(common),
        OpenApi(common.settings, {**PROVIDER, **REQUESTS}),
    )


async def _sandbox(
    common: _Common, on_stored: Callable[[], None], runner: Runner | None
) -> Sandbox:
    """The provider's send API, and what becomes of the messages."""
    assert isinstance(common.clock, MovableClock)
    assert runner is not None, "a sandbox pushes"
    sandbox = Sandbox(
        common.opened.sandbox,
        common.settings.sandbox,
        common.clock,
        common.endpoints,
        on_stored,
        kept=common.settings.retention.reports,
    )
    await sandbox.read_rules()
    add_sandbox(common.app, sandbox, runner, common.settings)
    SandboxMetrics(common.metrics, sandbox)
    common.health.add(sandbox.trouble)
    return sandbox


def _scrape(common: _Common) -> Scrape:
    """`/metrics`, and what is measured only when somebody asks."""
    metrics, figures, now = common.metrics, common.opened.figures, common.clock.now
    scrape = Scrape(metrics)
    scrape.before(Readiness(metrics, common.health.reasons).measure)
    scrape.before(FileMetrics(metrics, common.opened.files).measure)
    scrape.before(QueueMetrics(metrics, figures, now).measure)
    scrape.before(LossMetrics(metrics, figures, common.endpoints, common.schedule, now).measure)
    return scrape


class _Job(Protocol):
    """Runs beside the requests from its start to its stop."""

    def start(self) -> None: ...

    async def stop(self) -> None: ...


def _beside(
    common: _Common,
    parts: Parts,
    runner: Runner | None,
    sandbox: Sandbox | None,
    on_stored: Callable[[], None],
) -> list[_Job]:
    """Retention, the read model of the store, reconciling, and the feeding of replays."""
    clock = common.clock
    jobs: list[_Job] = [
        Upkeep(
            common.opened.retention,
            common.settings.retention,
            clock,
            received=parts.receives,
            dispatched=parts.dispatches,
        ),
        LogWatch(common.opened.files),
    ]
    if parts.receives:
        jobs.append(following(common.opened.read_model))
        jobs.extend(_reconciling(common, on_stored))
    if runner is not None:
        feeder = Feeder(common.opened.replays, common.endpoints, clock.now)
        jobs.append(feeding(feeder.look, runner.wake))
    if sandbox is not None:
        jobs.append(sandbox)
    return jobs


def _reconciling(common: _Common, on_stored: Callable[[], None]) -> Iterator[Reconciling]:
    """For each source whose provider is to be asked at an interval."""
    metrics = ReconcileMetrics(common.metrics)
    for source in common.settings.source:
        asked = source.reconcile
        if asked is not None and asked.interval:
            yield Reconciling(
                source.name,
                asked,
                common.opened.store,
                Spool(common.settings.store.database, source.name),
                metrics,
                now=time_of_others(common.clock),
                seconds=asked.interval.total_seconds() / common.clock.speed,
                limits=common.limits,
                on_stored=on_stored,
            )


@asynccontextmanager
async def _listening(app: web.Application, settings: Settings) -> AsyncIterator[str]:
    server = settings.server
    async with AsyncExitStack() as stack:
        with naming_the_address(server.bind, server.port):
            port = await stack.enter_async_context(listening(app, server, settings.limits))
        yield f"http://{_host(server.bind)}:{port}"


def limits_of(settings: Settings) -> Limits:
    """What is taken of a body at most."""
    server, limits = settings.server, settings.limits
    return Limits(body=server.body_limit, items=limits.items, field=limits.field)


def authenticators_of(settings: Settings) -> dict[str, Authenticator]:
    """What the sources demand; those that demand nothing are not asked."""
    server = settings.server
    proxies = Proxies.of(server.trusted_proxies, server.proxy_networks)
    every = {source.name: Authenticator(source, proxies) for source in settings.source}
    return {name: each for name, each in every.items() if not each.open}


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

"""Puts receiver and dispatcher together into one running process.

`dlr serve`, `dlr receive`, `dlr dispatch`, `dlr demo` and the end-to-end tests all run this.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry

from dispatcher.api.again import AgainApi
from dispatcher.api.alerts import AlertApi, Alerts
from dispatcher.api.attempt_track import AttemptTrack
from dispatcher.api.dispatches import DispatchApi
from dispatcher.api.endpoint_health import HealthApi, Healths
from dispatcher.api.endpoint_totals import EndpointTotals
from dispatcher.api.endpoints import EndpointApi
from dispatcher.api.example_pushes import ExamplePushApi
from dispatcher.api.page_guard import page_guard_of
from dispatcher.api.placed import PlacedReports
from dispatcher.api.replays import ReplayApi
from dispatcher.api.unrouted import Unrouted, UnroutedApi
from dispatcher.api.why import Why, WhyApi
from dispatcher.clocks.clock import Clock, MachineClock, SystemClock, wall_time
from dispatcher.clocks.common_time import CommonTime, boot_id
from dispatcher.endpoints.from_settings import schedule_of
from dispatcher.endpoints.registry import Registry, registry_of
from dispatcher.flow.descriptors import Shares, raised_limit, shares
from dispatcher.flow.gate import Flows
from dispatcher.flow.total import Total
from dispatcher.observe.events import Listener
from dispatcher.observe.metrics import (
    AttemptMetrics,
    DispatcherMetrics,
    FileMetrics,
    HeldMetrics,
    LossMetrics,
    QueueMetrics,
    RemainingMetrics,
)
from dispatcher.pushing.example import ExamplePushes
from dispatcher.pushing.http_sender import HttpSender
from dispatcher.pushing.leads_to import LeadsTo
from dispatcher.receivers.child import Order
from dispatcher.receivers.children import Children, Told
from dispatcher.receivers.ports import shared_port
from dispatcher.receivers.receiving import receiver_of, shared_out
from dispatcher.receivers.sums import Summed
from dispatcher.reconcile.scheduled import ReconcileMetrics, Reconciling
from dispatcher.reconcile.spool import Spool
from dispatcher.replay.feeder import Feeder, Feeding
from dispatcher.replay.replaying import Replaying
from dispatcher.retrying.schedule import RetrySchedule
from dispatcher.runner import Runner
from dispatcher.sandbox.advance import Advance
from dispatcher.sandbox.api.pushes import PushesApi
from dispatcher.sandbox.api.routes import add_sandbox
from dispatcher.sandbox.api.send import REQUESTS
from dispatcher.sandbox.certificate import Certificate, certificate_of, names_of
from dispatcher.sandbox.clock import MovableClock
from dispatcher.sandbox.metrics import SandboxMetrics
from dispatcher.sandbox.sandbox import Sandbox
from dispatcher.sandbox.seen import PushLog
from dispatcher.security.addresses import AddressPolicy
from dispatcher.settings.security import policy_of
from dispatcher.settings.settings import Settings
from dispatcher.sharing import Sharing
from dispatcher.storage import Storage, new_name, storage
from dispatcher.upkeep.following import Following
from dispatcher.upkeep.log_watch import LogWatch
from dispatcher.upkeep.retention import Upkeep
from dispatcher.upkeep.room import Room
from dispatcher.worker import Worker
from receiver.api.audit import AuditApi, Auditor
from receiver.api.event_stream import EventStream, ReportTrack, Track
from receiver.api.health import Health
from receiver.api.not_taken import NotTakenApi
from receiver.api.openapi import OpenApi
from receiver.api.provider import PROVIDER
from receiver.api.sessions import Sessions
from receiver.api.store_api import StoreApi
from receiver.api.tokens import ApiTokens
from receiver.callbacks.app import Receiver, new_app
from receiver.callbacks.events import Listener as CallbackListener
from receiver.callbacks.events import Teller
from receiver.callbacks.forwarded import proxies_of
from receiver.callbacks.intake import Limits
from receiver.metrics import (
    Places,
    Readiness,
    ReceiverMetrics,
    Scrape,
    bare_registry,
    new_registry,
)
from receiver.routes import add_routes
from receiver.server import REFUSED_MOST, Opened, host_in_url, listening
from receiver.store.base import StoreUnavailable

log = logging.getLogger("dlr.service")


def time_of_others(clock: Clock) -> Callable[[], datetime]:
    """The clock of signatures and tokens. Those who judge them live in the world's time: on a
    clock sixty times as fast, a signature would be out of date after five seconds."""
    if isinstance(clock, SystemClock):
        return clock.believed_wall
    return clock.now if clock.speed == 1 and not isinstance(clock, MovableClock) else wall_time


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process does: take callbacks, push to endpoints, or both. A sandbox does both."""

    receives: bool = True
    dispatches: bool = True
    sandbox: bool = False
    tls: bool = False  # a sandbox with a certificate of its own


@dataclass(frozen=True, slots=True)
class Service:
    """A running process: where it listens, and what it works on. `trust_file` is what clients have
    to trust; `None`: what is served is plain."""

    url: str
    storage: Storage
    app: web.Application
    endpoints: Registry
    trust_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Inside:
    """A process as its pages see it (web/). They call the functions that the API calls too.

    `on_due` is called when a dispatch may have become due. `runner` and `examples` None: it does
    not push. `sandbox` and `advance` None: it is no sandbox, and its clock cannot be moved.
    """

    settings: Settings
    storage: Storage
    clock: Clock
    app: web.Application
    registry: Registry
    tokens: ApiTokens
    sessions: Sessions
    is_secure: Callable[[web.Request], bool]
    is_crowded: Callable[[], bool]
    dispatches: DispatchApi
    endpoints: EndpointApi
    reports: StoreApi
    replaying: Replaying
    again: AgainApi
    examples: ExamplePushes | None
    unrouted: Unrouted
    why: Why
    healths: Healths
    alerts: Alerts
    openapi: OpenApi
    on_due: Callable[[], None]
    runner: Runner | None
    sandbox: Sandbox | None
    advance: Advance | None


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
    shares: Shares
    opened_connections: Opened
    places: Places
    tokens: ApiTokens
    sessions: Sessions
    others: Children | None  # processes that take callbacks for this one

    @property
    def schedule(self) -> RetrySchedule:
        return schedule_of(self.settings.schedule)

    @property
    def limits(self) -> Limits:
        return Limits.of(self.settings)

    def is_crowded(self) -> bool:
        """Whether half of the connections that may be are in use."""
        return self.opened_connections.served > self.shares.connections // 2

    @property
    def policy(self) -> AddressPolicy:
        """Where it may send to. A sandbox plays with the endpoints of a file, and calls none of
        them unless it is told to."""
        of_a_sandbox = isinstance(self.clock, MovableClock)
        settings = self.settings
        return policy_of(settings.outgoing, settings.sandbox if of_a_sandbox else None)


_CLAIMED = (
    "another sandbox uses the database {}: stop it, or choose another database for this one"
    " (--database FILE)"
)


@asynccontextmanager
async def service(
    settings: Settings,
    *,
    parts: Parts = Parts(),
    clock: Clock | None = None,
    listeners: Sequence[Listener] = (),
    callback_listeners: Sequence[CallbackListener] = (),
    bound: socket.socket | None = None,
    pages: Callable[[Inside], None] | None = None,
) -> AsyncIterator[Service]:
    """Run until the block ends, then stop in order: running attempts end, nobody is listened to any
    more, all is committed, the file is closed. `bound` is a socket to listen on, which stays open.
    `pages` adds the pages for people (web/).
    """
    store = settings.store
    settings, others = _other_receivers(settings, parts, clock)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(
            storage(store.database, wait=store.wait.total_seconds())
        )
        if parts.sandbox and not await opened.sandbox.claim():
            raise StoreUnavailable(_CLAIMED.format(store.database))
        common = _common(settings, opened, clock or SystemClock(), parts, others)
        time = await _common_time(common)
        runner = sender = counting = None
        pushes = PushLog() if parts.sandbox else None
        if parts.dispatches:
            sender = await stack.enter_async_context(_sender(common, pushes))
            seeing: list[Listener] = [] if pushes is None else [pushes.attempted]
            counting = Following(opened.activity, "the health of endpoints")
            count = counting.stored
            seeing = [*seeing, lambda _: count()]
            runner = await _runner(common, sender, time, [*seeing, *listeners])
        following = Following(opened.read_model) if parts.receives else None
        wakes = [common.events.wake]
        wakes += [runner.wake] if runner is not None else []
        wakes += [following.stored] if following is not None else []

        def on_stored() -> None:
            for wake in wakes:
                wake()

        receiver = None
        if parts.receives:
            receiver = _add_receiver(common, on_stored, callback_listeners)
        else:
            _tell_of_strays(common, callback_listeners)
        inside = _add_api(common, on_stored, runner, sender)
        sandbox = advance = None
        if pushes is not None:
            sandbox, advance = await _sandbox(common, on_stored, runner, pushes)
        if pages is not None:
            pages(replace(inside, sandbox=sandbox, advance=advance))
        shown = _certificate(settings) if parts.tls else None
        url = await stack.enter_async_context(_listening(common, receiver, bound, shown))
        async with _running(runner, common.health, settings):
            followings = [each for each in (following, counting) if each is not None]
            for job in [*followings, *_beside(common, parts, runner, sandbox, on_stored)]:
                job.start()
                stack.push_async_callback(job.stop)
            trust_file = None if shown is None else shown.trust_file
            yield Service(url, opened, common.app, common.endpoints, trust_file)


def _other_receivers(
    settings: Settings, parts: Parts, clock: Clock | None
) -> tuple[Settings, Children | None]:
    """The settings of this process, and those that take callbacks for it, if there are any."""
    if settings.server.receivers == 1 or not parts.receives or parts.sandbox:
        return settings, None
    speed = 1.0 if clock is None else clock.speed
    own, *others = shared_out(settings)
    return own, Children([Order(each, speed) for each in others])


def _common(
    settings: Settings, opened: Storage, clock: Clock, parts: Parts, others: Children | None
) -> _Common:
    app = new_app(body_limit=settings.server.body_limit)
    page_guard_of(settings).add_to(app)
    sessions = Sessions(settings.api)
    tokens = ApiTokens(settings.api, sessions)
    if settings.api.token:
        app.middlewares.append(tokens.middleware(app))
    Auditor(opened.audit, wall_time).add_to(app, proxies_of(settings.server))
    tracks: list[Track] = [ReportTrack(opened.store), AttemptTrack(opened.history)]
    registry, shared = new_registry(), _shares(settings, parts)
    return _Common(
        settings=settings,
        opened=opened,
        clock=MovableClock(clock) if parts.sandbox else clock,
        app=app,
        endpoints=registry_of(opened.endpoints, settings, own_urls=parts.sandbox),
        health=Health(opened.store),
        events=EventStream(tracks, readers=settings.server.event_readers),
        metrics=registry,
        shares=shared,
        opened_connections=Opened(shared.refused),
        places=Places(registry),
        tokens=tokens,
        sessions=sessions,
        others=others,
    )


def _shares(settings: Settings, parts: Parts) -> Shares:
    """What of the descriptors is whose, told where it is less than was asked for."""
    wanted = settings.limits.connections
    shared = shares(raised_limit(), wanted, refused=REFUSED_MOST, pushes=parts.dispatches)
    if shared.connections < wanted:
        log.warning(
            "limits.connections = %d, but %d are served, because only %d files may be open: raise"
            " the limit (ulimit -Hn, LimitNOFILE)",
            wanted,
            shared.connections,
            shared.limit,
        )
    return shared


async def _common_time(common: _Common) -> CommonTime | None:
    """The time shared with other processes; a clock that is moved by hand shares nothing. That of
    a sandbox goes on from where it was moved to."""
    clock = common.clock
    base = clock.base if isinstance(clock, MovableClock) else clock
    time = None
    if isinstance(base, SystemClock) and base is not clock:
        base.steps_by_itself = False  # a sandbox has a time of its own: what is due in it stays so
    if isinstance(base, MachineClock):
        time = CommonTime(common.opened.time, base, boot_id())
        await time.join()
    if isinstance(clock, MovableClock):
        stored = await common.opened.sandbox.clock()
        clock.restore(stored.ahead, stored.seen_at)
    return time


def _sender(common: _Common, pushes: PushLog | None) -> HttpSender:
    return HttpSender(
        time_of_others(common.clock),
        common.policy,
        connections=common.shares.pushes,
        sending=None if pushes is None else pushes.sending,
    )


async def _runner(
    common: _Common, sender: HttpSender, time: CommonTime | None, listeners: Sequence[Listener]
) -> Runner:
    """The dispatcher: the worker and its loop."""
    queue, clock = common.opened.queue, common.clock
    attempted = AttemptMetrics(common.metrics).attempted
    worker = Worker(
        outbox=common.opened.outbox,
        queue=queue,
        sender=sender,
        clock=clock,
        endpoints=await common.endpoints.endpoints(),
        schedule=common.schedule,
        new_token=new_name,
        listeners=[attempted, lambda _: common.events.wake(), *listeners],
        total=Total(common.shares.pushes),
    )
    _show_pushes(common, worker)
    alone = isinstance(clock, MovableClock)  # a sandbox is the only one on its database
    sharing = None if alone else Sharing(queue, worker, clock)
    DispatcherMetrics(common.metrics, lambda: 1 if sharing is None else sharing.count)
    return Runner(worker, queue, clock, common.endpoints, time, sharing=sharing)


def _show_pushes(common: _Common, worker: Worker) -> None:
    total = worker.total
    assert total is not None
    common.places.add("pushes", lambda: (worker.under_way, total.most, total.short))
    common.health.add_shortage(
        lambda: (
            (
                f"pushes: {worker.under_way} of {total.most} are in progress, and endpoints are"
                " waiting"
            )
            if total.short
            else None
        )
    )


def _show_connections(common: _Common) -> None:
    """How many there are in all processes; what runs short is told of this one."""
    opened, most, others = common.opened_connections, common.shares.connections, common.others
    common.places.add(
        "connections",
        lambda: (
            (opened.served, most, opened.full)
            if others is None
            else (
                opened.served + others.served,
                most + others.most,
                opened.full or others.full,
            )
        ),
    )
    common.health.add_shortage(
        lambda: f"connections: {opened.served} of {most} are in use" if opened.full else None
    )


def _add_receiver(
    common: _Common, on_stored: Callable[[], None], listeners: Sequence[CallbackListener]
) -> Receiver:
    """The receiver: takes callbacks under /notify."""
    registry, others = common.metrics, common.others
    if others is not None:
        registry = bare_registry()
        common.metrics.register(Summed(registry, others.counted))
    receiver = receiver_of(
        common.settings, common.opened.store, common.clock, registry, on_stored, listeners
    )
    common.opened_connections.on_head_not_read = receiver.head_not_read
    receiver.add_routes(common.app)
    add_routes(common.app, NotTakenApi(receiver.not_taken))
    return receiver


def _tell_of_strays(common: _Common, listeners: Sequence[CallbackListener]) -> None:
    """Tell the listeners of callbacks that come to this process, which takes none."""
    metrics = ReceiverMetrics(common.metrics)
    common.app.middlewares.insert(0, Teller((), [metrics.answered, *listeners]).middleware(None))


def _add_api(
    common: _Common,
    on_stored: Callable[[], None],
    runner: Runner | None,
    sender: HttpSender | None,
) -> Inside:
    """Add the routes of everything that is not a callback: questions, orders, health, metrics,
    events. Returns what pages see of it."""
    app, scrape = common.app, _scrape(common)
    inside = _inside(common, on_stored, runner, sender, Alerts(scrape))
    add_routes(app, common.health)
    common.events.add_routes(app)
    add_routes(
        app,
        HealthApi(inside.healths),
        inside.endpoints,
        ExamplePushApi(common.endpoints, inside.examples),
        UnroutedApi(inside.unrouted),
        WhyApi(inside.why),
        inside.dispatches,
        inside.again,
        inside.reports,
        ReplayApi(inside.replaying, common.opened.store),
        AuditApi(common.opened.audit),
        AlertApi(inside.alerts),
        scrape,
        inside.openapi,
    )
    return inside


def _inside(
    common: _Common,
    on_stored: Callable[[], None],
    runner: Runner | None,
    sender: HttpSender | None,
    alerts: Alerts,
) -> Inside:
    """What the API and the pages call. A sandbox is not in it yet."""
    opened, now = common.opened, common.clock.now
    dispatches = DispatchApi(opened.store, opened.queue, now=now, on_due=on_stored)
    unrouted = Unrouted(opened.unrouted, common.endpoints)
    replaying = Replaying(opened.replays, opened.selector, common.endpoints.all, now)
    set_aside = tuple if runner is None else lambda: runner.flows().set_aside
    return Inside(
        settings=common.settings,
        storage=opened,
        clock=common.clock,
        app=common.app,
        registry=common.endpoints,
        tokens=common.tokens,
        sessions=common.sessions,
        is_secure=partial(_is_secure, common),
        is_crowded=common.is_crowded,
        dispatches=dispatches,
        endpoints=_endpoint_api(common, on_stored),
        reports=_report_api(common, on_stored, dispatches, unrouted),
        replaying=replaying,
        again=AgainApi(opened.store, opened.queue, replaying, on_due=on_stored),
        examples=None if sender is None else ExamplePushes(sender, common.schedule, now),
        unrouted=unrouted,
        why=Why(opened.store, opened.queue, common.endpoints, now, set_aside),
        healths=_healths(common, runner),
        alerts=alerts,
        openapi=OpenApi(common.settings, {**PROVIDER, **REQUESTS}),
        on_due=on_stored,
        runner=runner,
        sandbox=None,
        advance=None,
    )


def _endpoint_api(common: _Common, on_due: Callable[[], None]) -> EndpointApi:
    return EndpointApi(
        common.endpoints,
        common.opened.queue,
        common.opened.figures,
        now=common.clock.now,
        on_due=on_due,
        leads_to=LeadsTo(common.policy),
    )


def _report_api(
    common: _Common, on_stored: Callable[[], None], dispatches: DispatchApi, unrouted: Unrouted
) -> StoreApi:
    store, queue = common.opened.store, common.opened.queue
    return StoreApi(
        store,
        dispatches.dispatches_of,
        PlacedReports(store, queue, unrouted).find,
        EndpointTotals(store, queue).of,
        now=common.clock.now,
        on_stored=on_stored,
        limits=common.limits,
    )


def _healths(common: _Common, runner: Runner | None) -> Healths:
    return Healths(
        common.endpoints,
        common.opened.figures,
        common.opened.activity,
        common.schedule,
        common.clock.now,
        Flows if runner is None else runner.flows,
    )


def _is_secure(common: _Common, request: web.Request) -> bool:
    """Whether the browser speaks TLS, to us or to a proxy that is trusted."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    proxies = proxies_of(common.settings.server)
    by_proxy = peer is not None and proxies.trust(peer[0])
    said = request.headers.get("X-Forwarded-Proto") if by_proxy else None
    return request.secure or said == "https"


async def _sandbox(
    common: _Common, on_stored: Callable[[], None], runner: Runner | None, pushes: PushLog
) -> tuple[Sandbox, Advance]:
    """The provider's send API, and what becomes of the messages; and what moves its clock."""
    assert isinstance(common.clock, MovableClock)
    assert runner is not None, "a sandbox pushes"
    sandbox = Sandbox(
        common.opened.sandbox,
        common.settings.sandbox,
        common.clock,
        common.endpoints,
        on_stored,
        kept=common.settings.retention.reports,
        pushes=pushes.pushes,
    )
    await sandbox.read_rules()
    advance = Advance(sandbox, runner)
    add_sandbox(common.app, sandbox, advance, common.settings)
    add_routes(common.app, PushesApi(pushes.pushes, common.opened.queue, common.opened.store))
    SandboxMetrics(common.metrics, sandbox)
    common.health.add(sandbox.trouble)
    return sandbox, advance


def _scrape(common: _Common) -> Scrape:
    """`/metrics`, and what is measured only when somebody asks."""
    metrics, figures, now = common.metrics, common.opened.figures, common.clock.now
    scrape = Scrape(metrics)
    if common.others is not None:
        scrape.before(common.others.ask)
    scrape.before(Readiness(metrics, common.health.reasons).measure)
    scrape.before(common.places.measure)
    scrape.before(FileMetrics(metrics, common.opened.files).measure)
    scrape.before(QueueMetrics(metrics, figures, now).measure)
    scrape.before(RemainingMetrics(metrics, figures, common.endpoints, now).measure)
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
    """Retention, reconciling, and the feeding of replays."""
    clock = common.clock
    jobs: list[_Job] = [
        Upkeep(
            common.opened.retention,
            common.settings.retention,
            clock,
            common.endpoints,
            received=parts.receives,
            dispatched=parts.dispatches,
            tell=HeldMetrics(common.metrics).held,
        ),
        LogWatch(common.opened.files),
        Room(common.opened.files, clock),
    ]
    if parts.receives:
        jobs.extend(_reconciling(common, on_stored))
    if runner is not None:
        feeder = Feeder(common.opened.replays, common.endpoints, clock.now)
        fed = Feeding(feeder, clock, runner.wake, lambda: runner.ended)
        runner.on_change(lambda news: fed.wake() if news.replays else None)
        jobs.append(fed)
    if sandbox is not None:
        jobs.append(sandbox)
    return jobs


def _reconciling(common: _Common, on_stored: Callable[[], None]) -> Iterator[Reconciling]:
    """For each source whose provider is to be asked at an interval."""
    metrics = ReconcileMetrics(common.metrics)
    for source in common.settings.source:
        asked = source.reconcile
        if asked is not None and asked.interval:
            if not common.policy.may_call(asked.base_url):
                setting = common.policy.setting
                log.warning(
                    "source %s is not reconciled, because %s forbids it", source.name, setting
                )
                continue
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
async def _listening(
    common: _Common,
    receiver: Receiver | None,
    bound: socket.socket | None,
    shown: Certificate | None,
) -> AsyncIterator[str]:
    """Take connections until the block ends. If others take callbacks, they listen on the port, and
    this process gets the connections that ask for something else."""
    server, others = common.settings.server, common.others
    limits = replace(common.settings.limits, connections=common.shares.connections)
    _show_connections(common)
    scheme, tls = ("http", None) if shown is None else ("https", shown.context())
    served = partial(
        listening,
        common.app,
        server,
        limits,
        common.opened_connections,
        short=None if receiver is None else receiver.short_way,
        tls=tls,
    )
    url = f"{scheme}://{host_in_url(server.bind)}"
    if others is None or receiver is None:
        async with served(bound=None if bound is None else [bound]) as listener:
            yield f"{url}:{listener.port}"
        return
    with shared_port(server, len(others)) as ports:
        async with served(bound=[]) as listener:
            told = Told(receiver.wake, receiver.not_taken.add, listener)
            async with others.running(ports, told):
                common.health.add(others.trouble)
                yield f"{url}:{ports[0][0].getsockname()[1]}"


def _certificate(settings: Settings) -> Certificate:
    return certificate_of(settings.store.database, names_of(settings.server))


@asynccontextmanager
async def _running(
    runner: Runner | None, health: Health, settings: Settings
) -> AsyncIterator[None]:
    """The dispatcher at work. While it is stopped the process is not ready, so that no new client
    is sent here, and callbacks are taken to the end: what is on disk is pushed by the next process.
    """
    draining = False
    health.add(lambda: "stopping" if draining else None)
    if runner is not None:
        await runner.start()
        health.add(runner.trouble)
    try:
        yield
    finally:
        draining = True
        if runner is not None:
            await runner.stop(settings.server.stop_timeout)

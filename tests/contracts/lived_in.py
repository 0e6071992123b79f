"""A storage in which something of every kind lies, and what can be asked of it.

`live` fills it as it is filled in use: callbacks of all sorts come in, endpoints take them, refuse
them, wait in order and come back, replays run, somebody changes things, and the machine ends in the
middle of it. `answers` is what every protocol says of that.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

from msgspec.structs import replace

from dispatcher.capsule.base import Window
from dispatcher.clocks.base import Reading
from dispatcher.endpoints.base import StoredEndpoint
from dispatcher.endpoints.endpoint import Rules
from dispatcher.endpoints.from_settings import endpoint_of
from dispatcher.endpoints.own_urls import OF_OWN_URLS, taking_own_urls
from dispatcher.queue.base import DispatchSearch, Lease
from dispatcher.replay.request import read_request
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.storage import Storage
from receiver.store.audit import AuditQuery
from receiver.store.base import PartTotals, ReportQuery, Totals, TotalsQuery
from receiver.store.callback import NotifyTo
from receiver.store.excerpt import Dimension
from tests.contracts.audit_log import a_change
from tests.contracts.report_store import (
    LATIN,
    NOT_A_REPORT,
    PRETTY,
    TEXTS,
    XML,
    a_callback,
    an_sms,
)
from tests.dispatcher.replay.replaying import ReplayBench
from tests.dispatcher.support import MINUTE, START, Bench, an_endpoint

OWN = taking_own_urls(endpoint_of(OF_OWN_URLS))
ENDPOINTS = [
    an_endpoint("acme"),
    an_endpoint("apart", rules=Rules(sources=frozenset({"rare"}))),
    an_endpoint("down"),
    an_endpoint("ordered", ordered=True, bucket_size=1),
    an_endpoint("xml", content_type="application/xml"),
    OWN,
]
NAMES = [each.name for each in ENDPOINTS]
DIMENSIONS: tuple[Dimension, ...] = ("source", "network", "sender")
HOUR = timedelta(hours=1)
UNTIL = START + timedelta(days=4)
LEASE = Lease("held", START + timedelta(days=3.5))


async def live(bench: Bench) -> None:
    """Fill the empty storage of a bench for ENDPOINTS."""
    bench.sender.always(503, endpoint="down")
    await _callbacks(bench)
    await bench.work()
    await bench.storage.read_model.catch_up()
    await _dispatches(bench)
    await _replays(bench)
    await _in_order(bench)
    await bench.storage.activity.catch_up()
    await _changes(bench)
    await bench.receive()  # nobody has followed or read it yet


async def _callbacks(bench: Bench) -> None:
    """Far apart in one bucket; with texts that are hard to keep; in both formats, as they came;
    again; with a URL of their own; unreadable, twice."""
    store = bench.store
    await bench.receive(an_sms("first"), source="rare")
    await bench.receive(*(an_sms(f"t{at}", callbackData=text) for at, text in enumerate(TEXTS)))
    await bench.receive(an_sms("zoned", doneAt="2026-03-02T10:00:00.123+0530", sentAt="?"))
    await bench.receive(*(an_sms(f"p{at}", price=_price(at)) for at in range(3)))
    await bench.receive(an_sms("last"), source="rare")
    pretty = a_callback(PRETTY, at=bench.clock.now())
    received = b'{"results":[' + PRETTY + b"]}"
    await store.add([_as_received(pretty, received)])
    for body in (XML, LATIN.encode()):
        got = a_callback(an_sms(f"x{len(body)}"), format="xml", at=bench.clock.now())
        await store.add([_as_received(got, body)])
    await bench.receive(an_sms("zoned", doneAt="2026-03-02T10:00:00.123+0530", sentAt="?"))
    own = a_callback(an_sms("own"), at=bench.clock.now())
    to = NotifyTo("http://somebody:secret@app.example/hook?a=b", "xml")
    entries = [replace(each, notify_to=to) for each in own.verdict.entries]
    await store.add([replace(own, verdict=replace(own.verdict, entries=entries))])
    for _ in range(2):
        await bench.receive(NOT_A_REPORT)  # type: ignore[arg-type]


def _price(at: int) -> dict[str, Any]:
    return {"pricePerMessage": ("0.10", "1E-7", "12345678901234567890.5")[at], "currency": "EUR"}


def _as_received(callback: Any, body: bytes) -> Any:
    return replace(callback, verdict=replace(callback.verdict, received=body))


async def _in_order(bench: Bench) -> None:
    """A message's second report waits for its first, which is leased."""
    bench.sender.always(503, endpoint="ordered")
    await bench.receive(an_sms("held", "PENDING_ENROUTE"))
    await bench.work()
    await bench.receive(an_sms("held"))
    await bench.work()
    bench.clock.advance(MINUTE)
    await bench.queue.claim_due(bench.clock.now(), {"ordered": LEASE}, {"ordered": 1})


async def _dispatches(bench: Bench) -> None:
    """One is cancelled, one exhausted, one was leased when its process ended."""
    queue, clock = bench.queue, bench.clock
    waiting = await bench.dispatches("down")
    await queue.cancel(waiting[0].id)
    bench.sender.always(400, endpoint="acme")
    await bench.receive(an_sms("refused"))
    await bench.work()
    await bench.run_until_idle(timedelta(hours=50))
    bench.sender.always(200, endpoint="acme")
    await bench.receive(an_sms("lost lease"))
    await bench.work()
    clock.advance(9 * HOUR)
    await queue.claim_due(clock.now(), {"down": replace(LEASE, until=clock.now())}, {"down": 1})
    await queue.release_expired(clock.now())


async def _replays(bench: Bench) -> None:
    """One is done, one goes on, one was cancelled before it began."""
    replays = ReplayBench(bench, *ENDPOINTS)
    await replays.ask(endpoint="acme", key="whole")
    await replays.run()
    going = await replays.ask(since="2026-01-01", to="http://new.example/", rate="1/s", key="k\0")
    bench.clock.advance(2 * MINUTE)
    await replays.feeder.look()
    gone = await replays.ask(endpoint="xml", rate="1/m")
    await bench.storage.replays.end(gone.id, "cancelled", bench.clock.now())
    assert (await replays.now_at(going)).state == "running"


async def _changes(bench: Bench) -> None:
    """Endpoints come and go, and somebody writes that down."""
    storage = bench.storage
    said = StoredEndpoint('{"name":"new","url":"http://new.example","x":"\\u0000"}', True, True)
    await storage.endpoints.put("new", lambda _: said, known=NAMES)
    await storage.endpoints.put("gone", lambda _: said, known=NAMES)
    await storage.endpoints.remove("gone", lambda _: None, known=NAMES)
    number = await storage.audit.begin(a_change("addEndpoint", who="h\0w"))
    await storage.audit.end(number, "done", "new", {"url": "http://new.example", "x": "\0"})
    await storage.audit.begin(a_change())
    await storage.time.agree("boot", 1.0, lambda _: Reading(HOUR, START))


# --- what is said of it -------------------------------------------------------------------------


async def answers(storage: Storage) -> dict[str, Any]:
    """What each protocol says of all that `live` has left."""
    return {
        **await _of_store(storage),
        **await _of_queue(storage),
        **await _of_others(storage),
    }


async def _of_store(storage: Storage) -> dict[str, Any]:
    store = storage.store
    reports = await store.reports_after(0, 1_000)
    entries = await store.quarantine(None, 100)
    day = int(START.timestamp()) // 86_400 * 86_400
    days = TotalsQuery(86_400, day, day + 20 * 86_400)
    return {
        "reports": reports,
        "texts": [await store.reports(ReportQuery(callback_data=text)) for text in TEXTS],
        "of a number": await store.reports(ReportQuery(to_prefix="41")),
        "of a source": await store.find(ReportQuery(source="rare")),
        "page": await store.reports(ReportQuery(limit=3, before=reports[-2].id)),
        "newest": await store.newest_report(),
        "as received": await store.as_received(reports),
        "message": await store.reports_of("held"),
        "messages": await store.newest_of_messages(None, 100),
        "quarantine": [(each, await store.quarantined(each.id)) for each in entries],
        "totals": _in_any_order(await store.totals(days)),
        "minutes": _in_any_order(await store.totals(TotalsQuery(60, day, day + 86_400))),
        "parts": [_in_any_order(await store.part_totals(days, of)) for of in DIMENSIONS],
    }


def _in_any_order(totals: Totals | PartTotals) -> tuple[Any, ...]:
    told = (totals.outcomes, totals.prices, totals.durations)
    return *(sorted(map(repr, each)) for each in told), totals.lag


async def _of_queue(storage: Storage) -> dict[str, Any]:
    queue = storage.queue
    dispatches = await queue.dispatches(limit=1_000)
    names = [each.id for each in dispatches]
    reports = await storage.store.reports_after(0, 1_000)
    states: tuple[DispatchState, ...] = get_args(DispatchState)
    return {
        "dispatches": dispatches,
        "dispatch": [await queue.dispatch(name) for name in names],
        "requests": [await queue.request(name) for name in names],
        "last attempts": await queue.last_attempts(names),
        "found": [await queue.find(DispatchSearch(state=state)) for state in states],
        "placed": [
            await queue.reports_in(name, state, None, 100) for name in NAMES for state in states
        ],
        "takers": await queue.takers([each.id for each in reports]),
        "readings": [await queue.readings(each) for each in reports],
        "counts": {name: dict(of) for name, of in (await queue.counts()).items()},
        "pending": await queue.pending(UNTIL),
        "first due": dict(await queue.first_due(NAMES)),
        "freed": [await queue.freed(name, 100) for name in NAMES],
        "attempts": await storage.history.after(0, 1_000),
        "activity": [
            await storage.activity.activity(span, START - 99 * HOUR) for span in ("minute", "hour")
        ],
    }


async def _of_others(storage: Storage) -> dict[str, Any]:
    replays = await storage.replays.all()
    selection = read_request({"endpoint": "acme"}, UNTIL)[0].selection
    items, _ = await storage.selector.resolve(selection, None, set(NAMES))
    window = Window(START - HOUR, UNTIL, None)
    span = await storage.recording.report_span(window)
    assert span is not None
    depths = await storage.figures.depths()
    return {
        "endpoints": await storage.endpoints.stored(),
        "depths": replace(depths, dispatches={k: n for k, n in depths.dispatches.items() if n}),
        "oldest": await storage.figures.oldest_waiting(NAMES, 10),
        "backlogs": await storage.figures.backlogs(NAMES, UNTIL, 100),
        "remaining": await storage.figures.remaining(NAMES, 100),
        "replays": replays,
        "keys": [await storage.replays.with_key(key) for key in ("whole", "k\0")],
        "items": [await storage.replays.following(each, 1_000) for each in replays],
        "selected": [(each.report, each.endpoint) for each in items],
        "unrouted": await storage.unrouted.unrouted(NAMES, None, 100),
        "recorded": await storage.recording.reports(window, *span),
        "old": await storage.retention.count_dispatches(before=UNTIL, most=0),
        "audit": await storage.audit.changes(AuditQuery()),
    }

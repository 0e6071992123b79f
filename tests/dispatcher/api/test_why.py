"""Why a report went where it went: a verdict for each endpoint, made of what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from dispatcher.api.why import EndpointVerdict, Why, WhyAnswer, WhyApi
from dispatcher.endpoints.registry import Registry
from dispatcher.forming import former
from dispatcher.queue.base import Forming
from dispatcher.retrying.outcome import Outcome
from dispatcher.settings.settings import OWN_URLS, EndpointSettings
from receiver.answers import timestamp
from receiver.callbacks.app import new_app
from receiver.routes import add_routes
from receiver.store.callback import NotifyTo
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.endpoints.test_own_urls import with_url
from tests.dispatcher.support import MINUTE, START, Bench, a_bench

PENDING = "PENDING_ENROUTE"
HOUR = timedelta(hours=1)

ACME = EndpointSettings("acme", "http://acme.example/dlr")
FINAL = EndpointSettings("beta", "http://beta.example/dlr", reports="final")


class Desk:
    """A dispatcher and its endpoints, and what is said of the report received last."""

    def __init__(self, bench: Bench, *of_file: EndpointSettings, own_urls: bool = False) -> None:
        self.bench = bench
        self.registry = Registry(
            bench.storage.endpoints, of_file, own_urls=own_urls, now=bench.clock.now
        )
        self.why = Why(
            bench.store,
            bench.queue,
            self.registry,
            bench.clock.now,
            lambda: bench.worker.flows().set_aside,
        )

    async def start(self) -> None:
        """As a process that starts, or has noticed a change."""
        endpoints = await self.registry.endpoints()
        await self.bench.queue.adopt(endpoints)
        self.bench.worker.use(endpoints)
        await self.registry.work(HOUR)

    async def of(self, report: int) -> WhyAnswer:
        found = await self.why.of_id(report)
        assert found is not None
        return found

    async def verdict(self, endpoint: str = "acme", report: int = 1) -> EndpointVerdict:
        (one,) = (e for e in (await self.of(report)).endpoints if e.endpoint == endpoint)
        return one


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench(known=False) as made:
        yield made


async def a_desk(bench: Bench, *of_file: EndpointSettings, own_urls: bool = False) -> Desk:
    desk = Desk(bench, *of_file, own_urls=own_urls)
    await desk.start()
    return desk


async def test_one_took_it_and_one_has_a_rule_that_says_no(bench: Bench) -> None:
    """The two commonest answers, and the sentence over both."""
    desk = await a_desk(bench, ACME, FINAL)
    await bench.receive(an_sms("a", PENDING))
    await bench.work()

    why = await desk.of(1)
    assert (why.report, why.message_id, why.source) == (1, "a", "default")
    assert (why.words, why.next) == ("It goes to 1 of 2 endpoints: acme (acknowledged).", None)
    acme, beta = why.endpoints
    assert (acme.endpoint, acme.verdict, acme.next) == ("acme", "acknowledged", None)
    assert acme.words == "dispatch db-1 was acknowledged after 1 attempt"
    assert [(each.id, each.state, each.attempts) for each in acme.dispatches] == [
        ("db-1", "acknowledged", 1)
    ]
    assert (beta.verdict, beta.words) == (
        "refused",
        'reports = "final": the report is intermediate',
    )
    assert (beta.rule, beta.expected, beta.got) == ("reports", '"final"', "intermediate")


async def test_what_became_of_its_dispatch(bench: Bench) -> None:
    """Leased, waiting with its due time, overdue, exhausted, cancelled, and pushed again: the
    dispatch that is under way counts before the one that has ended."""
    desk = await a_desk(bench, ACME)
    bench.sender.always(503)
    await bench.receive(an_sms("a"))
    await bench.worker.claim()
    one = await desk.verdict()
    assert (one.verdict, one.words) == ("leased", "attempt 1 of dispatch db-1 is under way")

    await bench.queue.release_expired(START + HOUR)
    await bench.work()
    one = await desk.verdict()
    assert (one.verdict, one.words) == (
        "waiting",
        "dispatch db-1 waits after 1 attempt; the last attempt failed: status 503",
    )
    assert one.next == "Attempt 2 is due in 1m (2026-03-02 12:01:00 UTC)."
    assert one.dispatches[0].due_at == "2026-03-02T12:01:00.000Z"
    bench.clock.advance_to(START + 2 * MINUTE)
    room = "It is sent as soon as the endpoint's window and rate limit allow it."
    assert (await desk.verdict()).next == f"Attempt 2 is due. {room}"

    await bench.run_until_idle()
    one = await desk.verdict()
    assert (one.verdict, one.words) == (
        "exhausted",
        "dispatch db-1 is exhausted: no retry is left after 21 attempts;"
        " the last attempt failed: status 503",
    )
    assert one.next == "To push the report again: `dlr replays start --id 1 --to-endpoint acme`."

    await bench.receive(an_sms("b"), an_sms("c"))
    await bench.work()
    await bench.queue.cancel("db-2")
    for report in (2, 3):  # of one dispatch; what is to be pushed again is the one that is asked of
        one = await desk.verdict(report=report)
        assert one.verdict == "cancelled"
        assert one.next is not None
        assert f" --id {report} " in one.next


@pytest.mark.parametrize("paused", [False, True])
async def test_what_the_last_attempt_failed_with(bench: Bench, paused: bool) -> None:
    """Support sees why it waits without a look at the attempts, also while the endpoint is paused.
    A status that came before is not told."""
    desk = await a_desk(bench, ACME)
    bench.sender.answers(503, Outcome.TIMED_OUT)
    await bench.receive(an_sms("a"))
    await bench.work()
    bench.clock.advance_to(START + MINUTE)
    await bench.work()
    if paused:
        await desk.registry.pause("acme", True)
    one = await desk.verdict()

    assert one.words.endswith("; the last attempt failed: timed_out")
    assert one.dispatches[0].last_attempt is not None
    assert one.dispatches[0].last_attempt.outcome == "timed_out"


async def test_a_paused_endpoint(bench: Bench) -> None:
    """What waits there for its retry, and what it has not read."""
    desk = await a_desk(bench, ACME)
    bench.sender.always(503)
    await bench.receive(an_sms("a"))
    await bench.work()
    await desk.registry.pause("acme", True)
    await desk.start()
    await bench.receive(an_sms("b"))

    waits, unread = await desk.verdict(), await desk.verdict(report=2)

    assert (waits.verdict, unread.verdict) == ("paused", "paused")
    assert waits.dispatches[0].state == "waiting"
    assert unread.dispatches == []
    assert unread.next == "To resume pushing: `dlr endpoints resume acme`."


async def test_not_read_yet(bench: Bench) -> None:
    """It waits for room; and when nobody pushes, the answer says which command does."""
    desk = await a_desk(bench, ACME)
    await bench.receive(an_sms("a"))
    one = await desk.verdict()
    assert (one.verdict, one.words) == (
        "unread",
        "the endpoint takes the report, but has not read it yet",
    )
    assert one.next == "It is sent as soon as the endpoint's window and rate limit allow it."

    await desk.registry.work(timedelta())
    assert (await desk.verdict()).next == (
        "No running process pushes to it. Start `dlr serve` or `dlr dispatch`."
    )


async def test_an_open_breaker(bench: Bench) -> None:
    """Known from the attempts that are stored: all of the newest have failed."""
    breaker = EndpointSettings("acme", "http://acme.example/", breaker_failures=2, bucket_size=1)
    desk = await a_desk(bench, breaker)
    bench.sender.always(503)
    await bench.receive(an_sms("a"), an_sms("b"))
    await bench.work()
    await bench.receive(an_sms("c"))
    await bench.work()

    one = await desk.verdict(report=3)

    assert one.verdict == "unread"
    assert one.next is not None
    assert one.next.startswith("Its breaker is open, because the last 2 attempts failed. One probe")


async def test_an_endpoint_that_is_set_aside(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody has foreseen keeps its dispatches from being formed, for a minute."""

    def broken(*_: object, **__: object) -> Forming:
        raise ArithmeticError

    desk = await a_desk(bench, ACME)
    monkeypatch.setattr(former, "fill", broken)
    await bench.receive(an_sms("a"))
    await bench.work()

    one = await desk.verdict()
    assert one.verdict == "unread"
    assert one.next is not None
    assert one.next.startswith("An error prevents dispatches for this endpoint")
    bench.clock.advance_to(START + MINUTE)
    following = (await desk.verdict()).next
    assert following == "It is sent as soon as the endpoint's window and rate limit allow it."


async def test_held_for_the_order(bench: Bench) -> None:
    """The dispatch that holds it up is named."""
    desk = await a_desk(bench, EndpointSettings("acme", "http://acme.example/", ordered=True))
    bench.sender.always(503)
    await bench.receive(an_sms("a", PENDING))
    await bench.work()
    await bench.receive(an_sms("a"))
    await bench.work()
    await bench.receive(an_sms("a", "EXPIRED_EXPIRED"))
    await bench.work()

    for report in (2, 3):
        one = await desk.verdict(report=report)
        assert (one.verdict, one.words) == (
            "held",
            "ordered = true: the report waits until dispatch db-1, of the same message, has ended",
        )
    bench.sender.always(200)
    await bench.run_until_idle()
    assert (await desk.verdict(report=2)).verdict == "acknowledged"


async def test_an_endpoint_that_came_later(bench: Bench) -> None:
    """It begins with the next report. The first endpoints of a database get everything."""
    desk = await a_desk(bench)
    await bench.receive(an_sms("a"))
    assert (await desk.of(1)).words == (
        "There is no endpoint, so the report is stored and goes nowhere."
    )
    first = Desk(bench, ACME)
    assert (await first.verdict()).verdict == "unread"
    await first.start()
    later = Desk(bench, ACME, FINAL)
    assert (await later.verdict("beta")).verdict == "later"
    await later.start()
    await bench.work()

    one = await later.verdict("beta")
    assert (one.verdict, one.next) == (
        "later",
        "To push it there: `dlr replays start --id 1 --to-endpoint beta`.",
    )
    assert (await later.verdict("acme")).verdict == "acknowledged"


async def test_rules_that_were_others_then(bench: Bench) -> None:
    """It was read past, and today's rules would take it. What had been taken stays so, though
    today's rules would refuse it."""
    desk = await a_desk(bench, ACME, FINAL)
    await bench.receive(an_sms("a", PENDING))
    await bench.work()
    await desk.registry.change("beta", {"reports": "all"}, from_outside=False)
    await desk.registry.change("acme", {"reports": "final"}, from_outside=False)

    assert (await desk.verdict("beta")).verdict == "passed"
    assert (await desk.verdict("acme")).verdict == "acknowledged"


async def test_a_report_that_nobody_takes(bench: Bench) -> None:
    """It says so, and what to do; and that repeats are not pushed."""
    desk = await a_desk(bench, FINAL)
    await bench.receive(an_sms("a", PENDING))
    await bench.receive(an_sms("a", PENDING))
    await bench.work()

    why = await desk.of(1)

    assert why.words == (
        "No endpoint takes the report. It is stored and goes nowhere."
        " The report came in 2 times; repeats are not pushed."
    )
    assert why.next is not None
    assert "`dlr replays start --id 1 --to-endpoint NAME`" in why.next


async def test_endpoints_that_are_no_more(bench: Bench) -> None:
    """One that has left the settings file, with and without the report; one that was removed; and
    one whose stored settings cannot be used any more."""
    desk = await a_desk(bench, ACME, FINAL)
    bench.sender.always(503)
    await bench.receive(an_sms("a", PENDING))
    await bench.work()
    await desk.registry.work(timedelta())

    left = Desk(bench)
    acme, beta = (await left.of(1)).endpoints
    assert acme.verdict == "waiting"
    assert acme.words.endswith("; the endpoint has left the settings file")
    assert acme.next is not None
    assert "`dlr endpoints resume acme --as NAME`" in acme.next
    assert beta.verdict == "gone"

    await left.registry.remove("acme")
    one = await left.verdict("acme")
    assert (one.verdict, one.words) == (
        "cancelled",
        "dispatch db-1 was cancelled after 1 attempt; the last attempt failed: status 503;"
        " the endpoint has since been removed",
    )


async def test_a_url_of_its_own(bench: Bench) -> None:
    """It goes there and nowhere else. Other reports have nothing to do with that endpoint."""
    desk = await a_desk(bench, ACME, own_urls=True)
    own_url = NotifyTo("http://u:pw@app.example/dlr?k=1", "json")
    await bench.store.add([with_url(a_callback(an_sms("a")), own_url)])
    await bench.receive(an_sms("b"))
    await bench.work()

    own, acme = await desk.verdict(OWN_URLS), await desk.verdict("acme")
    assert own.verdict == "acknowledged"
    assert own.words.endswith(", to http://app.example/dlr?…")
    assert (acme.verdict, acme.rule) == ("refused", "notifyUrl")
    assert [each.endpoint for each in (await desk.of(2)).endpoints] == ["acme"]


async def test_over_http(bench: Bench, aiohttp_client: AiohttpClient) -> None:
    """GET /api/reports/{id}/why; 404 for one that is not there, 400 for what is no id."""
    desk = await a_desk(bench, ACME, FINAL)
    await bench.receive(an_sms("a", PENDING))
    await bench.work()
    app = new_app(body_limit=1000)
    add_routes(app, WhyApi(desk.why))
    client = await aiohttp_client(app)

    async with client.get("/api/reports/1/why") as response:
        assert response.status == 200
        said: dict[str, Any] = await response.json()
    last = {"startedAt": timestamp(START), "status": 200, "outcome": "acknowledged", "error": None}
    assert said["endpoints"][0]["dispatches"] == [
        {"id": "db-1", "state": "acknowledged", "attempts": 1, "dueAt": None, "lastAttempt": last}
    ]
    assert said["endpoints"][1]["rule"] == "reports"
    for path, status in (("2", 404), ("x", 400)):
        async with client.get(f"/api/reports/{path}/why") as response:
            assert response.status == status

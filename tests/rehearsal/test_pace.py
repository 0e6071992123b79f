"""Checks run side by side as far as the webhook's pace allows, and are judged by it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace
from yarl import URL

from dispatcher.rehearsal import CHECKS, Verdict, select, verify_of
from dispatcher.rehearsal.bodies import Body, Maker
from dispatcher.rehearsal.check import Evidence, Stage
from dispatcher.rehearsal.checks.answers import NESTED, WRONG_SHAPE
from dispatcher.rehearsal.exchange import Exchange
from dispatcher.rehearsal.growth import Footing, Growing, Start
from dispatcher.rehearsal.judges import held, taken, under_load
from dispatcher.rehearsal.plan import Plan
from dispatcher.rehearsal.truth import DELIVERED, UNKNOWN, Expected, Held, Words
from dispatcher.rehearsal.verify import Verifier
from tests.data.webhooks.right_aiohttp import Webhook
from tests.rehearsal.served import NOT_HERE, SMALL, a_target, listening, results, verdicts

SEMANTICS = select(["semantics"])


class Paced(Webhook):
    """Takes its time, and knows how many pushes it had at once, but for those that measure it."""

    seconds = 0.3
    places = 1000

    def __init__(self) -> None:
        super().__init__()
        self.running = self.most = 0

    def app(self) -> web.Application:
        self.room = asyncio.Semaphore(self.places)
        return super().app()

    async def callback(self, request: web.Request) -> web.StreamResponse:
        counted = b"-pace-" not in await request.read()
        self.running += counted
        self.most = max(self.most, self.running)
        try:
            async with self.room:
                await asyncio.sleep(self.seconds)
                return await super().callback(request)
        finally:
            self.running -= counted


class OneAtATime(Paced):
    """Has one place for work."""

    places = 1


async def test_slow_and_wide() -> None:
    """A slow webhook that takes several at once gets many checks side by side, and passes."""
    webhook = Paced()
    async with listening(webhook) as base:
        found = await results(a_target(base), SEMANTICS)

    assert verdicts(found) == {}
    assert [each.check for each in found] == [each.name for each in SEMANTICS]
    assert webhook.most > 8


async def test_slow_and_narrow() -> None:
    """A slow webhook with one place for work is asked one thing after the other: what waits for
    others of our own would be too late."""
    webhook = OneAtATime()
    async with listening(webhook) as base:
        target = a_target(base, verified=False)
        found = await results(target, select(["json-v3", "dates", "prices"]))

    assert verdicts(found) == {}
    assert webhook.most == 1


async def test_a_quick_one_with_one_thread() -> None:
    """A quick webhook gets few side by side: those of one thread have few places to wait."""
    webhook = Paced()
    webhook.seconds = 0.002
    async with listening(webhook) as base:
        found = await results(a_target(base, verified=False), select(["formats"]))

    assert verdicts(found) == {}
    assert 1 < webhook.most <= 4


class Trips(Webhook):
    """Answers 503 while it works on something else: what runs side by side is to blame."""

    def __init__(self) -> None:
        super().__init__()
        self.running = 0

    async def callback(self, request: web.Request) -> web.StreamResponse:
        if self.running >= 2:
            return web.Response(status=503)
        self.running += 1
        try:
            await asyncio.sleep(0.01)
            return await super().callback(request)
        finally:
            self.running -= 1


async def test_what_is_side_by_side_is_not_blamed() -> None:
    """What fails beside others is asked once more alone before it is believed."""
    async with listening(Trips()) as base:
        found = await results(a_target(base, verified=False), select(["formats"]))

    assert verdicts(found) == {}


class DiesOfPrices(Webhook):
    """Cuts every connection from a price of 0 on."""

    dead = False

    async def body(self, request: web.Request) -> bytes:
        body = await super().body(request)
        if self.dead or b'"pricePerMessage": 0,' in body:
            self.dead = True
            assert request.transport is not None
            request.transport.abort()
        return body


async def test_the_one_that_ended_the_webhook_is_named() -> None:
    """When a webhook is gone after a batch, the check that ended it is named, and the others beside
    it are not judged."""
    async with listening(DiesOfPrices()) as base:
        found = await results(a_target(base, verified=False), select(["formats", "retries"]))

    told = verdicts(found)
    assert told["prices"] == "failed", [str(each) for each in found]
    assert {verdict for name, verdict in told.items() if name != "prices"} == {"not judged"}
    (prices,) = (each for each in found if each.check == "prices")
    assert "since then it takes no plain report" in prices.text


def an_exchange(seconds: float) -> Exchange:
    return Exchange(sent="a push", seconds=seconds, status=200)


@pytest.mark.parametrize(
    ("seconds", "pace", "verdict"),
    [(4.9, 0.1, "passed"), (8.0, 0.1, "weak"), (8.0, 7.0, "passed")],
)
def test_close_to_the_timeout(seconds: float, pace: float, verdict: Verdict) -> None:
    """More than half of the time there is for an answer is weak, with the figure; unless a plain
    push takes as long, which `quick-answer` says."""
    evidence = Evidence(exchanges=(an_exchange(seconds),), pace=pace, plan=Plan())

    for judge in (taken, held):
        told = judge(evidence)
        assert told.verdict in (verdict, "answered only" if verdict == "passed" else verdict)
        assert ("an answer took 8.0 s; the limit is 10 s" in told.text) == (verdict == "weak")


def test_one_answer_close_to_the_timeout_under_load() -> None:
    """One answer in 500 that takes 8.5 of 10 s is weak, with the figure, whatever p99 is."""
    exchanges = (*(an_exchange(0.01) for _ in range(499)), an_exchange(8.5))
    told = under_load(Evidence(exchanges=exchanges, plan=Plan()))

    assert told.verdict == "weak"
    assert "slowest 8500 ms" in told.text


async def test_sustained_load_at_its_own_pace() -> None:
    """A webhook that takes twenty pushes a second is given no more than that, and passes."""
    webhook = Paced()
    webhook.places = 2
    webhook.seconds = 0.1
    plan = replace(SMALL, timeout=timedelta(seconds=3))
    async with listening(webhook) as base:
        (found,) = await results(a_target(base, plan=plan), select(["sustained"]))

    assert found.verdict == "passed", found
    assert found.measures["ratePerSecond"] < 20


def test_what_is_made_alone() -> None:
    """Load, floods and bombs are made alone, and what measures time."""
    assert {each.name for each in CHECKS if each.alone} == {
        *("quick-answer", "deep-nesting", "body-limit", "entity-bomb"),
        *("burst", "fifty-at-once", "sustained", "growth"),
    }
    assert NOT_HERE


class Remembers(Webhook):
    """Knows in which order the bodies came."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []

    async def body(self, request: web.Request) -> bytes:
        self.bodies.append(await super().body(request))
        return self.bodies[-1]


async def test_what_runs_alone_runs_last_and_is_told_in_its_place() -> None:
    """One check alone between others had these wait for one another twice. The results come in the
    order of the list all the same."""
    names = ["quick-answer", "garbage-json", "deep-nesting", "no-stack-trace"]
    webhook = Remembers()
    async with listening(webhook) as base:
        found = await results(a_target(base, verified=False), select(names))

    assert [each.check for each in found] == names
    assert webhook.bodies.index(NESTED.data) > webhook.bodies.index(WRONG_SHAPE[2].data)


def a_stage(pushes: int) -> Stage:
    """Of a webhook of a second an answer that has had so many pushes since it was warm."""
    client: Any = SimpleNamespace(pushes=pushes)

    async def push(sent: Body) -> Exchange:
        client.pushes += 1
        return replace(an_exchange(1.0), sent=str(sent))

    client.push = push
    way: Any = SimpleNamespace(url=URL("http://webhook.example/dlr"))
    wires: Any = None
    make = Maker("run", "growth")
    start = Start(make.report(), an_exchange(1.0), 0, None)
    growing = Growing(Footing(1, 1.0), start)
    return Stage(make, client, wires, way, Plan(), an_exchange(1.0), growing)


@pytest.mark.parametrize(("before", "after"), [(130, 133), (10, 123)])
async def test_growth_counts_what_came_before(before: int, after: int) -> None:
    """A slow webhook is not pushed to for six more seconds when it has had as much already since it
    was warm. Then some pushes show its pace, and the report of then comes once more."""
    (check,) = select(["growth"])
    stage = a_stage(before)

    evidence = await check.perform(stage)

    assert stage.client.pushes == after
    assert evidence.expected[0].once
    assert check.judge(evidence).verdict == "passed"


class Asked(Verifier):
    """Of an app that knows every message, after so many questions. The first of them are answered
    when `together` have come."""

    def __init__(self, *, knows_after: int = 0, together: int = 1) -> None:
        super().__init__(verify_of("http://app.example/{messageId}"), SMALL)
        self.knows_after = knows_after
        self.together = asyncio.Barrier(together)
        self.questions = 0

    async def ask(self, message_id: str) -> Held:  # noqa: ARG002
        self.questions += 1
        known = self.questions > self.knows_after
        if self.questions <= self.together.parties:
            async with asyncio.timeout(10):
                await self.together.wait()
        return Held("DELIVERED" if known else None)


WORDS = Words({DELIVERED: Held("DELIVERED")}, UNKNOWN)


@pytest.mark.parametrize("slow", [True, False])
async def test_looks_at_a_slow_app_do_not_wait_for_one_another(slow: bool) -> None:
    """The fence and both looks are on their way together: a look that waits for the one before it
    costs an answer's time. A quick app is asked one after the other, no more and no less."""
    verifier = Asked(together=3 if slow else 1)
    if slow:
        verifier.many(wide=True)

    stored, held_then = await verifier.behind("fence", [Expected("m")], WORDS)

    assert stored
    assert held_then == {"m": Held("DELIVERED")}
    assert verifier.questions == 3


async def test_a_slow_app_behind_a_queue_is_looked_at_again() -> None:
    """What it held before it knew the fence does not count."""
    verifier = Asked(knows_after=3)
    verifier.many(wide=True)

    stored, held_then = await verifier.behind("fence", [Expected("m")], WORDS)

    assert stored
    assert held_then == {"m": Held("DELIVERED")}
    assert verifier.questions == 6


class Counts(Webhook):
    """Counts what it is asked."""

    requests = 0

    def app(self) -> web.Application:
        app = super().app()

        async def counted(*_: object) -> None:
            self.requests += 1

        app.on_response_prepare.append(counted)
        return app


async def test_the_quick_ones_are_few_requests() -> None:
    """`--quick` with --verify asks so little that an app of 20 ms an answer is through in less than
    ten seconds, even if all of it came one after the other."""
    webhook = Counts()
    async with listening(webhook) as base:
        found = await results(a_target(base), select(quick=True))

    assert verdicts(found, "not judged") == {}
    assert webhook.requests * 0.02 < 10

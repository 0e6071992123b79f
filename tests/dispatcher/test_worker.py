"""The worker on a clock that is moved by hand, with the real store and queue in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from dispatcher.endpoints.endpoint import Rules
from dispatcher.queue.base import Leased
from dispatcher.retrying.outcome import Answer, Outcome
from dispatcher.worker import LEASE_MARGIN
from receiver.dlr import json_format, xml_format
from receiver.dlr.item import read_item
from receiver.dlr.model import Report
from receiver.store.base import StoreUnavailable
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import (
    MINUTE,
    START,
    YEAR,
    Bench,
    Reaction,
    a_bench,
    an_endpoint,
    since_start,
)
from tests.receiver.payloads import a_v3_item, an_item

_INSTANTS = """
    0:00 0:01 0:03 0:08 0:18 0:35 1:01 1:38 2:28 3:33 4:55
    6:36 8:38 11:03 13:53 17:10 20:56 25:13 30:03 35:28 41:30
"""
INSTANTS = [since_start(instant) for instant in _INSTANTS.split()]
"""The 21 attempts of the documented retry cycle."""


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A worker for Acme alone."""
    async with a_bench() as made:
        yield made


def message_ids(body: bytes) -> list[str | None]:
    reports = json_format.decode_body(body)
    return [report.message_id for report in reports if isinstance(report, Report)]


# --- the schedule --------------------------------------------------------------------------------


async def test_21_attempts_at_the_scheduled_instants(bench: Bench) -> None:
    """An endpoint that never comes back is tried 21 times, at 0 and last at 41:30 h; then the
    dispatch is exhausted, and nothing comes after it even a year later."""
    bench.sender.always(503)
    await bench.receive()

    await bench.run_until_idle()

    assert bench.timeline() == INSTANTS
    assert await bench.states() == ["exhausted"]
    assert await bench.next_due() is None

    bench.clock.advance(YEAR)
    assert await bench.work() == 0
    assert len(bench.sender.pushes) == 21


async def test_history_agrees_with_the_schedule(bench: Bench) -> None:
    """Each attempt stands in the history under its number, with the instant it began at."""
    bench.sender.always(503)
    await bench.receive()
    await bench.run_until_idle()

    found = await bench.queue.dispatch("db-1")
    assert found is not None
    dispatch, history = found
    assert dispatch.attempts == 21
    assert [attempt.number for attempt in history] == list(range(1, 22))
    assert [attempt.started_at - START for attempt in history] == INSTANTS
    assert {attempt.outcome for attempt in history} == {"failed"}


async def test_nothing_is_sent_before_it_is_due(bench: Bench) -> None:
    """A microsecond before its instant a retry is not sent, and at its instant it is."""
    bench.sender.always(503)
    await bench.receive()
    await bench.work()

    for number, instant in enumerate(INSTANTS[1:], start=1):
        bench.clock.advance_to(START + instant - timedelta(microseconds=1))
        assert await bench.work() == 0
        assert len(bench.sender.pushes) == number
        bench.clock.advance_to(START + instant)
        assert await bench.work() == 1


async def test_late_retry_does_not_hurry_the_next(bench: Bench) -> None:
    """After an outage of our own the waits count from the attempts that were made."""
    bench.sender.always(503)
    await bench.receive()
    await bench.work()

    bench.clock.advance(timedelta(hours=5))
    await bench.work()
    assert await bench.next_due() == START + timedelta(hours=5, minutes=2)


@pytest.mark.parametrize("failures", [0, 1, 7, 20])
async def test_acknowledged_after_failures(bench: Bench, failures: int) -> None:
    """The first 2xx ends the matter, as late as at the last attempt."""
    bench.sender.answers(*[500] * failures, 204)
    await bench.receive()

    await bench.run_until_idle()

    assert bench.timeline() == INSTANTS[: failures + 1]
    assert await bench.states() == ["acknowledged"]


async def test_whatever_fails_is_retried(bench: Bench) -> None:
    """No answer, a refusal and a redirect are repeated like any failure."""
    reactions: list[Reaction] = [301, 404, 410, 429, 500, Outcome.TIMED_OUT, Outcome.UNREACHABLE]
    bench.sender.answers(*reactions)
    await bench.receive()

    await bench.run_until_idle()

    assert bench.timeline() == INSTANTS[: len(reactions) + 1]


async def test_same_bytes_and_id_at_each_attempt(bench: Bench) -> None:
    """A retried bucket is the same bytes under the same id, whatever came in meanwhile."""
    bench.sender.answers(*[503] * 5)
    await bench.receive(an_item(messageId="first", novel=[1]))
    await bench.work()
    while (due := await bench.next_due()) is not None:
        await bench.receive()
        bench.clock.advance_to(due)
        await bench.work()

    first = bench.sender.pushes[0]
    attempts = [push for push in bench.sender.pushes if push.name == first.name]
    assert {push.body for push in attempts} == {first.body}
    assert [push.number for push in attempts] == list(range(1, len(attempts) + 1))
    assert len(attempts) > 1
    others = [push for push in bench.sender.pushes if push.name != first.name]
    assert others
    assert b"first" not in b"".join(push.body for push in others)


async def test_fresh_report_in_an_outage_has_its_own_schedule(bench: Bench) -> None:
    """A report that comes in while the endpoint is down is tried at once, and then on a schedule of
    its own."""
    bench.sender.always(503)
    await bench.receive()
    await bench.run_until_idle(until=since_start("1:00"))
    bench.clock.advance_to(START + since_start("1:00"))
    await bench.receive()
    await bench.run_until_idle()

    by_dispatch: dict[str, list[timedelta]] = {}
    for push in bench.sender.pushes:
        by_dispatch.setdefault(push.name, []).append(push.at - START)
    assert by_dispatch == {
        "db-1": INSTANTS,
        "db-2": [since_start("1:00") + instant for instant in INSTANTS],
    }


# --- what is sent --------------------------------------------------------------------------------


async def test_waiting_reports_go_together(bench: Bench) -> None:
    """Reports that wait together go in one push, in the order of arrival."""
    await bench.receive(an_sms("a"), an_sms("b"))
    await bench.receive(an_sms("c"))

    assert await bench.work() == 1

    assert [message_ids(push.body) for push in bench.sender.pushes] == [["a", "b", "c"]]


async def test_every_report_once() -> None:
    """However many reports wait, each is pushed once, in buckets of the endpoint's size."""
    async with a_bench(an_endpoint(bucket_size=7, window=3)) as bench:
        items = [an_sms(f"m{n}") for n in range(100)]
        await bench.receive(*items)

        await bench.work()

        sent = [message_ids(push.body) for push in bench.sender.pushes]
        assert [len(bucket) for bucket in sent] == [7] * 14 + [2]
        assert [each for bucket in sent for each in bucket] == [f"m{n}" for n in range(100)]
        assert await bench.work() == 0


async def test_duplicates_are_not_pushed(bench: Bench) -> None:
    """A report that the platform repeats is pushed once."""
    await bench.receive(an_sms("a"), an_sms("a"))
    await bench.work()
    await bench.receive(an_sms("a"))

    assert await bench.work() == 0
    assert [message_ids(push.body) for push in bench.sender.pushes] == [["a"]]


async def test_received_as_xml_pushed_as_json(bench: Bench) -> None:
    """The endpoint's format does not depend on the format that the report came in."""
    await bench.receive(an_item(), format="xml")

    await bench.work()

    (push,) = bench.sender.pushes
    assert push.content_type == "application/json"
    assert json_format.decode_body(push.body) == [read_item(an_item(), "report")]


async def test_received_as_json_pushed_as_xml() -> None:
    """And the reverse."""
    async with a_bench(an_endpoint(content_type="application/xml", generation="v2")) as bench:
        await bench.receive(an_item())
        await bench.receive(a_v3_item(messageId="2"))

        await bench.work()

        (push,) = bench.sender.pushes
        assert push.content_type == "application/xml"
        first, second = xml_format.decode_body(push.body)
        assert first == read_item(an_item(), "report")
        assert isinstance(second, Report)
        assert second.generation == "v2"


async def test_unwanted_reports_are_not_sent() -> None:
    """An endpoint gets the reports that its rules name, and no others."""
    rules = Rules(sources=frozenset({"eu"}), final=True)
    async with a_bench(an_endpoint("picky", rules=rules), an_endpoint("greedy")) as bench:
        await bench.receive(an_sms("default"))
        await bench.receive(an_sms("pending", "PENDING_ENROUTE"), an_sms("final"), source="eu")

        await bench.work()

        bodies = {push.endpoint: message_ids(push.body) for push in bench.sender.pushes}
        assert bodies == {"picky": ["final"], "greedy": ["default", "pending", "final"]}
        assert await bench.work() == 0


async def test_wanted_report_behind_many_unwanted() -> None:
    """A small window does not slow an endpoint down that passes over most of what comes.

    Once a look took off as many reports as the window could send, and then the loop slept for
    200 ms: behind 1,000 unwanted reports a wanted one waited for minutes.
    """
    endpoint = an_endpoint(bucket_size=1, window=1, rules=Rules(final=True))
    async with a_bench(endpoint) as bench:
        await bench.receive(*(an_sms(f"m{n}", "PENDING_ENROUTE") for n in range(50)))
        await bench.receive(an_sms("wanted"))

        assert await bench.worker.tick() == 1
        assert message_ids(bench.sender.pushes[0].body) == ["wanted"]


async def test_only_unwanted_reports_are_nothing_to_do() -> None:
    """Where no report is wanted, the worker reads them off and is done."""
    async with a_bench(an_endpoint(rules=Rules(sources=frozenset({"eu"})))) as bench:
        await bench.receive(an_sms("a"), an_sms("b"))

        assert await bench.worker.tick() == 0
        assert not bench.worker.more_to_read
        assert (await bench.queue.pending(START)).unread == {}


# --- leases --------------------------------------------------------------------------------------


async def test_lease_that_ran_out_is_repeated(bench: Bench) -> None:
    """When a worker dies in the middle of an attempt, another repeats it. It does not count."""
    await bench.receive()
    await bench.worker.claim()  # and then this worker is heard of no more
    survivor = bench.another_worker(an_endpoint())
    assert await survivor.tick() == 0

    bench.clock.advance(an_endpoint().attempt_time + LEASE_MARGIN)
    assert await survivor.tick() == 1

    (push,) = bench.sender.pushes
    assert (push.name, push.number) == ("db-1", 1)
    assert [view.attempts for view in await bench.dispatches()] == [1]
    assert await bench.states() == ["acknowledged"]


@pytest.mark.parametrize("generation", [None, "v3"])
@pytest.mark.parametrize("content_type", ["application/json", "application/xml"])
async def test_what_is_repeated_after_a_crash_has_the_same_bytes(
    content_type: str, generation: str | None
) -> None:
    """The bytes of a first attempt may lie in no database yet. When its worker has died they are
    made anew, and are the same, though the endpoint's settings have changed meanwhile."""
    before = an_endpoint(content_type=content_type, generation=generation, bucket_size=5)
    async with a_bench(before) as bench:
        await bench.receive(*[an_item(messageId=name) for name in ("a", "b", "c")])
        (lost,) = await bench.worker.claim()
        survivor = bench.another_worker(an_endpoint(generation="v2" if generation else "v3"))
        bench.clock.advance_to(lost.lease.until)
        bench.sender.answers(503)

        assert await survivor.tick() == 1
        bench.clock.advance(timedelta(days=1))
        assert await survivor.tick() == 1

        first, second = bench.sender.pushes
        assert (first.webhook_id, first.number, first.reports) == (lost.webhook_id, 1, 3)
        assert first.body == second.body == lost.body
        assert first.content_type == content_type


async def test_lease_outlasts_the_attempt(bench: Bench) -> None:
    """A lease does not run out while an attempt may still be under way."""
    await bench.receive()
    (leased,) = await bench.worker.claim()

    assert leased.lease.until - START > an_endpoint().attempt_time


async def test_late_record_is_fenced_off(bench: Bench) -> None:
    """What a worker reports after its dispatch was rescued is not recorded, and not told."""
    bench.sender.hold()
    await bench.receive()
    (leased,) = await bench.worker.claim()
    slow = asyncio.create_task(bench.worker.attempt(leased))
    await asyncio.wait_for(bench.sender.held.wait(), 5)

    bench.clock.advance(timedelta(hours=1))
    await bench.queue.release_expired(bench.clock.now())
    (again,) = await bench.another_worker(an_endpoint()).claim()
    bench.sender.let_go()
    await slow

    assert (again.name, again.attempts_made) == (leased.name, 0)
    assert bench.events == []
    found = await bench.queue.dispatch(leased.name)
    assert found is not None
    assert (found[0].state, found[0].attempts, found[1]) == ("leased", 0, [])


async def test_two_workers_send_each_report_once(bench: Bench) -> None:
    """Workers side by side share the work out; nothing is sent twice."""
    other = bench.another_worker(an_endpoint())
    bench.sender.always(503)
    for _ in range(10):
        await bench.receive()
        await asyncio.gather(bench.worker.tick(), other.tick())
    bench.sender.always(200)
    bench.clock.advance(MINUTE)
    while sum(await asyncio.gather(bench.worker.tick(), other.tick())):
        pass

    assert set(await bench.states()) == {"acknowledged"}
    first = [push for push in bench.sender.pushes if push.number == 1]
    assert sum(push.reports for push in first) == 10
    attempts = [(push.name, push.number) for push in bench.sender.pushes]
    assert len(attempts) == len(set(attempts))


async def test_given_back_dispatch_is_due_again(bench: Bench) -> None:
    """A lease that is given back leaves the dispatch as it was, for whoever comes next."""
    await bench.receive()
    await bench.worker.give_back(await bench.worker.claim())
    await bench.worker.give_back([])

    assert await bench.another_worker(an_endpoint()).tick() == 1
    assert [view.attempts for view in await bench.dispatches()] == [1]


# --- windows -------------------------------------------------------------------------------------


async def test_window_bounds_what_is_in_flight() -> None:
    """No more pushes are under way to an endpoint than its window takes."""
    async with a_bench(an_endpoint(window=3, bucket_size=1)) as bench:
        await bench.receive(*(an_sms(f"m{n}") for n in range(5)))

        leased = await bench.worker.claim()
        assert len(leased) == 3
        assert await bench.worker.claim() == []

        await bench.worker.attempt(leased[0])
        assert [each.name for each in await bench.worker.claim()] == ["db-4"]


async def test_retries_leave_room_for_first_attempts() -> None:
    """A backlog of retries takes three quarters of the window: fresh reports are not held up."""
    async with a_bench(an_endpoint(window=8, bucket_size=1)) as bench:
        bench.sender.answers(*[*[503] * 7, 200] * 4)
        await bench.receive(*(an_sms(f"old-{n}") for n in range(30)))
        await bench.work()
        bench.clock.advance(MINUTE)
        await bench.receive(*(an_sms(f"new-{n}") for n in range(30)))

        leased = await bench.worker.claim()

        assert [each.attempts_made for each in leased] == [1] * 6 + [0] * 2
        assert await bench.worker.claim() == []


async def test_room_comes_back_after_a_failed_claim(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that the store broke off half-way takes no room away.

    Once each such claim left its dispatches counted as in flight for ever, until nothing more was
    sent to the endpoint.
    """
    bench.sender.answers(503)
    await bench.receive()
    await bench.work()
    await bench.receive()

    async def unavailable(*_: object) -> None:
        raise StoreUnavailable("disk full")

    for _ in range(50):
        bench.clock.advance(timedelta(hours=1))
        await bench.queue.release_expired(bench.clock.now())
        with monkeypatch.context() as broken:
            broken.setattr(bench.queue, "form", unavailable)
            with pytest.raises(StoreUnavailable):
                await bench.worker.claim()

    bench.clock.advance(timedelta(hours=1))
    assert await bench.work() == 2
    assert await bench.states() == ["acknowledged"] * 2


async def test_unrecorded_attempt_is_repeated(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that cannot be recorded is repeated when its lease has run out."""

    async def unavailable(_: object) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(bench.queue, "record", unavailable)
    broken = bench.another_worker(an_endpoint())
    await bench.receive()
    (leased,) = await broken.claim()
    with pytest.raises(StoreUnavailable):
        await broken.attempt(leased)
    assert bench.events == []

    bench.clock.advance(timedelta(hours=1))
    assert await bench.work() == 1
    assert [(push.name, push.number) for push in bench.sender.pushes] == [("db-1", 1)] * 2
    assert await bench.states() == ["acknowledged"]


# --- several endpoints ---------------------------------------------------------------------------


async def test_endpoints_do_not_hold_each_other_up() -> None:
    """While one endpoint fails, the other gets everything at once."""
    async with a_bench(an_endpoint("down"), an_endpoint("up")) as bench:
        bench.sender.always(Outcome.UNREACHABLE, endpoint="down")
        for _ in range(5):
            await bench.receive()
            await bench.work()
            bench.clock.advance(MINUTE)
        await bench.run_until_idle()

        assert bench.timeline("up") == [n * MINUTE for n in range(5)]
        assert await bench.states("up") == ["acknowledged"] * 5
        assert await bench.states("down") == ["exhausted"] * 5
        assert len(bench.timeline("down")) == 5 * 21


async def test_slow_endpoint_does_not_hold_others_up() -> None:
    """While one endpoint's window is full of pushes that get no answer, the other's are sent."""
    async with a_bench(an_endpoint("slow", window=1), an_endpoint("up", window=1)) as bench:
        await bench.receive()
        under_way = {each.endpoint: each for each in await bench.worker.claim()}
        await bench.worker.attempt(under_way["up"])
        await bench.receive()

        assert [each.endpoint for each in await bench.worker.claim()] == ["up"]


async def test_moved_endpoint_gets_its_retries_at_the_new_url(bench: Bench) -> None:
    """What waits when an endpoint moves is retried at the new URL."""
    bench.sender.answers(503)
    await bench.receive()
    await bench.work()

    await bench.queue.adopt([replace(an_endpoint("acme"), url="http://new.example/")])
    bench.clock.advance(MINUTE)
    await bench.work()

    assert [push.url for push in bench.sender.pushes] == [
        "http://acme.example/dlr",
        "http://new.example/",
    ]


# --- what can be seen ----------------------------------------------------------------------------


async def test_tells_everything_of_each_attempt(bench: Bench) -> None:
    """Each attempt is told once it is recorded: dispatch, number, answer, outcome, next due."""
    bench.sender.answers(Outcome.TIMED_OUT, 503, 200)
    await bench.receive(an_sms("a"), an_sms("b"))

    await bench.run_until_idle()

    first, second, third = bench.events
    assert (first.dispatch, first.endpoint, first.url) == ("db-1", "acme", an_endpoint().url)
    assert (first.reports, first.number, first.started_at) == (2, 1, START)
    assert first.answer == Answer(5.0, failure=Outcome.TIMED_OUT, error="timed_out")
    assert (first.outcome, first.state, first.due_at) == (
        Outcome.TIMED_OUT,
        "waiting",
        START + MINUTE,
    )
    assert (second.number, second.answer.status, second.outcome) == (2, 503, Outcome.FAILED)
    assert second.due_at == START + 3 * MINUTE
    assert (third.number, third.state, third.due_at) == (3, "acknowledged", None)
    assert third.answer.body == b"said"


async def test_tells_of_exhaustion(bench: Bench) -> None:
    """The last attempt's event says that there is no other."""
    bench.sender.always(503)
    await bench.receive()
    await bench.run_until_idle()

    last = bench.events[-1]
    assert (last.number, last.state, last.due_at) == (21, "exhausted", None)


# --- secrets and their host ----------------------------------------------------------------------


async def test_a_url_and_its_secrets_go_together() -> None:
    """Another process moved an endpoint and with it what waits in the database. For the fifth of a
    second until this one noticed, it pushed to the new URL with the password of the old."""
    before = an_endpoint(headers={"Authorization": "Basic old"})
    async with a_bench(before) as bench:
        bench.sender.answers(503)
        await bench.receive()
        await bench.work()
        moved = replace(before, url="http://elsewhere.example/")
        await bench.queue.adopt([moved])
        bench.clock.advance(MINUTE)

        (leased,) = await bench.worker.claim()
        assert leased.url == moved.url
        await bench.worker.attempt(leased)

        assert bench.sender.pushes[-1].url == before.url


async def test_a_tick_makes_what_it_has_claimed_though_the_next_claim_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its places were taken for ever otherwise."""
    await bench.receive()
    claim = bench.worker.claim

    async def fails() -> list[Leased]:
        raise StoreUnavailable("gone")

    async def then_fails() -> list[Leased]:
        leased = await claim()
        bench.worker.more_to_read = True
        monkeypatch.setattr(bench.worker, "claim", fails)
        return leased

    monkeypatch.setattr(bench.worker, "claim", then_fails)
    with pytest.raises(StoreUnavailable):
        await bench.worker.tick()

    assert await bench.states() == ["acknowledged"]
    assert bench.worker.under_way == 0

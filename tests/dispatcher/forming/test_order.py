"""`ordered = true`: the reports of one message go one after another."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.endpoints.endpoint import Rules
from dispatcher.forming.bucket import fill
from receiver.store.base import StoredReport
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.support import MINUTE, a_bench, an_endpoint, since_start, stored

PENDING, DELIVERED = "PENDING_ENROUTE", "DELIVERED_TO_HANDSET"


async def a_b_a() -> list[StoredReport]:
    """Two reports of message a, and one of b between them."""
    return await stored(a_callback(an_sms("a", PENDING), an_sms("b"), an_sms("a", DELIVERED)))


async def test_one_bucket_holds_them_in_order() -> None:
    """Reports of one message that wait together go in one bucket, in the order of arrival."""
    reports = await a_b_a()

    forming = fill(an_endpoint(), reports, blocked=(), room=1)

    assert [[report.id for report in bucket.reports] for bucket in forming.buckets] == [[1, 2, 3]]
    assert forming.hold == []


async def test_a_second_bucket_has_to_wait() -> None:
    """What would go to another bucket than the earlier report of its message is held."""
    reports = await a_b_a()

    forming = fill(an_endpoint(bucket_size=2), reports, blocked=(), room=5)

    assert [[report.id for report in bucket.reports] for bucket in forming.buckets] == [[1, 2]]
    assert [report.id for report in forming.hold] == [3]
    assert forming.read_to == 3


async def test_other_messages_are_not_held_up() -> None:
    """Only the blocked message waits."""
    reports = await a_b_a()

    forming = fill(an_endpoint(), reports, blocked={reports[0].message}, room=5)

    assert [[report.id for report in bucket.reports] for bucket in forming.buckets] == [[2]]
    assert [report.id for report in forming.hold] == [1, 3]


async def test_what_does_not_go_there_is_not_held() -> None:
    """A report that the rules keep from an endpoint does not block its message there."""
    reports = await a_b_a()
    endpoint = an_endpoint(bucket_size=1, rules=Rules(final=True))

    forming = fill(endpoint, reports, blocked=(), room=5)

    assert [[report.id for report in bucket.reports] for bucket in forming.buckets] == [[2], [3]]


async def test_a_later_report_waits_for_the_retries_of_the_earlier() -> None:
    """The final report of a message goes out only after its intermediate one has come to an end;
    the reports of another message go at once."""
    async with a_bench(an_endpoint(ordered=True)) as bench:
        bench.sender.answers(503, 200, 503)
        await bench.receive(an_sms("a", PENDING))
        await bench.work()
        await bench.receive(an_sms("a", DELIVERED))
        await bench.receive(an_sms("b"))
        await bench.run_until_idle()

        went = [
            ("pending" if b"PENDING" in push.body else "b" if b'"b"' in push.body else "delivered")
            for push in bench.sender.pushes
        ]
        assert went == ["pending", "b", "pending", "pending", "delivered"]
        assert bench.timeline() == [
            since_start(at) for at in ("00:00",) * 2 + ("00:01",) + ("00:03",) * 2
        ]


@pytest.mark.parametrize("ending", ["exhausted", "cancelled"])
async def test_an_end_without_success_frees_too(ending: str) -> None:
    """When the earlier dispatch is exhausted or cancelled, the later report goes."""
    async with a_bench(an_endpoint(ordered=True)) as bench:
        bench.sender.always(503)
        await bench.receive(an_sms("a", PENDING))
        await bench.work()
        await bench.receive(an_sms("a", DELIVERED))
        if ending == "cancelled":
            await bench.queue.cancel("db-1")
        else:
            await bench.run_until_idle(since_start("41:29"))
            assert len(await bench.dispatches()) == 1
        bench.sender.answers(*([503] if ending == "exhausted" else []))
        bench.sender.always(200)
        await bench.run_until_idle()

        assert await bench.states() == [ending, "acknowledged"]


async def test_a_report_that_is_held_loses_no_retry() -> None:
    """A look that claims a retry and only holds the new report still makes the retry.

    Once it was forgotten: it kept its lease and its place in the window for ever.
    """
    async with a_bench(an_endpoint(ordered=True)) as bench:
        bench.sender.answers(503)
        await bench.receive(an_sms("a", PENDING))
        await bench.work()
        bench.clock.advance(MINUTE)
        await bench.receive(an_sms("a", DELIVERED))

        assert await bench.worker.tick() == 1
        await bench.run_until_idle()

        assert await bench.states() == ["acknowledged", "acknowledged"]
        assert bench.timeline() == [MINUTE * 0, MINUTE, MINUTE]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), min_size=1, max_size=14
    ),
    st.integers(1, 3),
    st.integers(1, 4),
)
async def test_never_out_of_order(
    steps: list[tuple[str, int, bool]], bucket_size: int, window: int
) -> None:
    """Whatever fails and whenever, the acknowledged reports of a message are in the order of
    arrival, and each is acknowledged once."""
    endpoint = an_endpoint(ordered=True, bucket_size=bucket_size, window=window)
    async with a_bench(endpoint) as bench:
        sent: list[str] = []
        for number, (message, failures, wait) in enumerate(steps):
            bench.sender.answers(*[503] * failures)
            await bench.receive(
                an_sms(
                    message, callbackData=f"{message}{number}", doneAt=None, error={"id": number}
                )
            )
            sent.append(f"{message}{number}")
            await bench.worker.tick()
            if wait:
                bench.clock.advance(MINUTE)
        await bench.run_until_idle()

        assert set(await bench.states()) == {"acknowledged"}
        went = _acknowledged(bench.events, bench.sender.pushes)
        assert sorted(went) == sorted(sent)
        for message in "abc":
            of_message = [data for data in went if data[0] == message]
            assert of_message == [data for data in sent if data[0] == message]


def _acknowledged(events: list, pushes: list) -> list[str]:  # type: ignore[type-arg]
    """The callbackData of all acknowledged reports, in the order of acknowledgement."""
    bodies = {push.name: push.body for push in pushes}
    done = [event.dispatch for event in events if event.state == "acknowledged"]
    return [
        item["callbackData"]
        for name in done
        for item in msgspec.json.decode(bodies[name])["results"]
    ]

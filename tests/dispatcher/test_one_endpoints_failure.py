"""One endpoint's failure is its own, whatever it is.

An endpoint whose URL made the HTTP library raise what no list of its errors names was tried once a
minute for ever: the attempt was not recorded, so no retry counted and the dispatch never ended. One
report that could not be encoded stopped the pushes of all endpoints, and what the same look had
claimed stayed leased until its lease ran out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming import bucket
from dispatcher.forming.former import SET_ASIDE
from dispatcher.queue.base import Forming, Leased
from dispatcher.retrying.outcome import Answer, Outcome
from receiver.dlr import json_format
from receiver.store.base import StoreUnavailable
from receiver.store.recipient import Recipient
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import MINUTE, START, Bench, ScriptedSender, a_bench, an_endpoint

ACME, BETA = an_endpoint("acme"), an_endpoint("beta")


class Unforeseen(Exception):
    """What no list names."""


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench(ACME, BETA) as made:
        yield made


def raising(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, endpoint: str = "acme"
) -> list[BaseException]:
    """Pushes to this endpoint raise, until the list that is returned is empty."""
    send, errors = ScriptedSender.send, [error]

    async def raises(self: ScriptedSender, dispatch: Leased, to: Endpoint) -> Answer:
        if to.name == endpoint and errors:
            raise errors[0]
        return await send(self, dispatch, to)

    monkeypatch.setattr(ScriptedSender, "send", raises)
    return errors


@pytest.mark.parametrize(
    "error", [Unforeseen("s3cret"), UnicodeError("s3cret"), asyncio.CancelledError()]
)
async def test_an_error_that_no_list_names_is_a_failed_attempt(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    """It is recorded as `failed`, its retry is due when the schedule says, others are pushed to,
    and neither log nor history repeats the error's text, which may hold a secret."""
    caplog.set_level(logging.INFO)
    errors = raising(monkeypatch, error)
    await bench.receive()

    await bench.work()

    (stored,) = await bench.dispatches("acme")
    assert (stored.state, stored.attempts, stored.due_at) == ("waiting", 1, START + MINUTE)
    assert await bench.states("beta") == ["acknowledged"]
    found = await bench.queue.dispatch(stored.id)
    assert found is not None
    (attempt,) = found[1]
    assert (attempt.outcome, attempt.error) == ("failed", f"unforeseen: {type(error).__name__}")
    assert "a push to acme failed; this is a defect of dlr" in caplog.text
    assert "s3cret" not in caplog.text

    errors.clear()
    bench.clock.advance(MINUTE)
    await bench.work()
    assert await bench.states("acme") == ["acknowledged"]


async def test_it_ends_after_the_last_retry(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its retries count: after 21 attempts the dispatch is exhausted."""
    raising(monkeypatch, Unforeseen())
    await bench.receive()

    await bench.run_until_idle()

    assert [(d.state, d.attempts) for d in await bench.dispatches("acme")] == [("exhausted", 21)]
    assert [each.outcome for each in bench.events if each.endpoint == "acme"] == (
        [Outcome.FAILED] * 21
    )


async def test_whoever_is_cancelled_is_cancelled(bench: Bench) -> None:
    """A cancellation of the attempt itself, as at a stop, is no outcome."""
    bench.sender.hold()
    await bench.receive()
    leased = await bench.worker.claim()
    attempt = asyncio.create_task(bench.worker.attempt(leased[0]))
    await bench.sender.held.wait()

    attempt.cancel()

    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert await bench.states(leased[0].endpoint) == ["leased"]


# --- bytes that cannot be made -------------------------------------------------------------------


def refusing(
    monkeypatch: pytest.MonkeyPatch, refused: Callable[[bytes], bool]
) -> list[BaseException]:
    """A body of such items cannot be encoded, until the list that is returned is empty."""
    encode_body, errors = json_format.encode_body, [Unforeseen("s3cret")]

    def refuses(items: Any) -> bytes:
        body = encode_body(items)
        if errors and refused(body):
            raise errors[0]
        return body

    ours = SimpleNamespace(encode_body=refuses, encode_item=json_format.encode_item)
    monkeypatch.setattr(bucket, "json_format", ours)
    return errors  # type: ignore[return-value]


def of_messages(bench: Bench, endpoint: str) -> list[list[str | None]]:
    """The messages in each push."""
    return [
        [report.message_id for report in json_format.decode_body(push.body)]  # type: ignore[union-attr]
        for push in bench.sender.pushes
        if push.endpoint == endpoint
    ]


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_report_that_cannot_be_encoded_costs_no_neighbour(
    monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    """It is in a dispatch of its own, with all of its message, and fails by itself: its attempts
    are recorded and its retries count. What can be encoded is pushed at once."""
    async with a_bench(an_endpoint(ordered=ordered)) as bench:
        errors = refusing(monkeypatch, lambda body: b"bad" in body)
        other = an_sms("bad", "PENDING_ENROUTE")
        await bench.receive(an_sms("a"), other, an_sms("b"), an_sms("bad"))

        await bench.work()

        assert of_messages(bench, "acme") == [["a", "b"]]
        fine, bad = await bench.dispatches()
        assert (fine.state, fine.attempts, fine.reports) == ("acknowledged", 1, 2)
        assert (bad.state, bad.attempts, bad.reports) == ("waiting", 1, 2)
        found = await bench.queue.dispatch(bad.id)
        assert found is not None
        assert [(each.outcome, each.error) for each in found[1]] == [
            ("failed", "unforeseen: Unforeseen")
        ]

        errors.clear()  # as after an upgrade
        bench.clock.advance(MINUTE)
        bench.sender.answers(503, 200)
        await bench.run_until_idle()

        assert of_messages(bench, "acme") == [["a", "b"], ["bad", "bad"], ["bad", "bad"]]
        assert len({push.body for push in bench.sender.pushes[1:]}) == 1
        assert await bench.states() == ["acknowledged", "acknowledged"]


async def test_what_never_can_be_encoded_is_exhausted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its 21 attempts it is kept, listed and replayable like anything else."""
    refusing(monkeypatch, lambda _: True)
    await bench.receive()

    await bench.run_until_idle()

    assert bench.sender.pushes == []
    for endpoint in ("acme", "beta"):
        assert [(d.state, d.attempts) for d in await bench.dispatches(endpoint)] == [
            ("exhausted", 21)
        ]


async def test_no_thread_to_encode_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """XML is encoded on a thread. When there is none to be had the dispatch fails, and is tried
    again."""

    async def none_left(*_: object) -> Any:
        raise RuntimeError("can't start new thread")

    async with a_bench(an_endpoint(content_type="application/xml"), BETA) as bench:
        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "to_thread", none_left)
            await bench.receive()
            await bench.work()

        assert await bench.states("acme") == ["acknowledged"]  # at the attempt, without a thread
        assert await bench.states("beta") == ["acknowledged"]


async def test_the_erasure_of_one_of_them_keeps_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiting dispatch that has no bytes yet and loses one recipient still brings the others."""
    errors = refusing(monkeypatch, lambda _: True)
    await bench.receive(an_sms("a", to="4179111"), an_sms("b", to="4179222"))
    await bench.work()

    await bench.storage.erasure.erase(Recipient("4179111"))
    errors.clear()
    await bench.run_until_idle()

    assert of_messages(bench, "acme") == [["b"]]
    assert await bench.states("acme") == ["cancelled", "acknowledged"]


# --- forming -------------------------------------------------------------------------------------


async def test_an_endpoint_that_nothing_can_be_formed_for_is_set_aside(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Others go on; it is looked at again after a minute, and not five times a second."""
    form, looked = bench.queue.form, 0

    async def refuses(now: Any, leases: Any, formings: Sequence[Forming]) -> list[Leased]:
        nonlocal looked
        if any(each.endpoint.name == "acme" for each in formings):
            looked += len(formings) == 1
            raise Unforeseen
        return await form(now, leases, formings)

    monkeypatch.setattr(bench.queue, "form", refuses)
    await bench.receive()
    await bench.work()
    await bench.work()

    assert await bench.states("beta") == ["acknowledged"]
    assert (await bench.dispatches("acme"), looked) == ([], 1)
    assert "no dispatch can be made for acme" in caplog.text
    assert await bench.next_due() == START + SET_ASIDE

    monkeypatch.setattr(bench.queue, "form", form)
    await bench.run_until_idle()
    assert await bench.states("acme") == ["acknowledged"]
    assert await bench.next_due() is None


async def test_rules_that_fail_are_their_endpoints_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that an endpoint's rules cannot be asked about holds up no other endpoint."""
    fill = bucket.fill

    def fails(endpoint: Endpoint, *given: Any, **more: Any) -> Forming:
        if endpoint.name == "acme":
            raise Unforeseen
        return fill(endpoint, *given, **more)

    monkeypatch.setattr("dispatcher.forming.former.fill", fails)
    await bench.receive()
    await bench.work()

    assert await bench.states("beta") == ["acknowledged"]
    monkeypatch.undo()
    await bench.run_until_idle()
    assert await bench.states("acme") == ["acknowledged"]


@pytest.mark.parametrize("error", [StoreUnavailable("disk full"), Unforeseen()])
async def test_leases_of_a_claim_that_fails_are_given_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A look claims what is due and then fails at what is new: what it has claimed is due again."""
    bench.sender.answers(503)
    await bench.receive()
    await bench.work()
    bench.clock.advance(MINUTE)

    async def fails(*_: Any) -> list[Leased]:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(bench.worker, "_form", fails)
        with pytest.raises(type(error)):
            await bench.worker.claim()

    (stored,) = await bench.dispatches()
    assert (stored.state, stored.due_at) == ("waiting", START + MINUTE)


# --- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Answer(5.0, failure=Outcome.NOT_HTTP, error="the answer is not HTTP: \udcff"),
        Answer(5.0, status=503, retry_after="9" * 5000),
    ],
)
async def test_an_answer_that_cannot_be_kept_is_recorded_without_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    """An endpoint may answer what no database takes. What the answer means is recorded."""

    async def answers(_: ScriptedSender, __: Leased, to: Endpoint) -> Answer:
        return answer if to.name == "acme" else Answer(5.0, status=200)

    monkeypatch.setattr(ScriptedSender, "send", answers)
    await bench.receive()

    await bench.work()

    assert [(d.state, d.attempts) for d in await bench.dispatches("acme")] == [("waiting", 1)]
    assert await bench.states("beta") == ["acknowledged"]

"""One message over time: the order of what happened, and the schedule ahead."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dispatcher.api.dispatches import AttemptAnswer, DispatchWithHistory
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.retrying.schedule import INFOBIP, RetrySchedule
from dispatcher.web.timeline import ahead, moments
from receiver.answers import timestamp
from tests.contracts.report_store import NOON, a_callback, an_sms
from tests.dispatcher.support import stored

URL = "https://acme.example/dlr"


def an_attempt(number: int, after: int, **more: Any) -> AttemptAnswer:
    """One that failed, so many seconds after noon."""
    fields: dict[str, Any] = {
        "number": number,
        "started_at": timestamp(NOON + timedelta(seconds=after)),
        "duration_ms": 12.0,
        "status": 503,
        "outcome": "failed",
        "error": None,
        "answer": "",
        "note": None,
        "unrecorded": 0,
    }
    return AttemptAnswer(**{**fields, **more})


def a_dispatch(*history: AttemptAnswer, **more: Any) -> DispatchWithHistory:
    fields: dict[str, Any] = {
        "id": "db-1",
        "endpoint": "acme",
        "url": URL,
        "state": "waiting",
        "attempts": len(history),
        "created_at": timestamp(NOON + timedelta(seconds=1)),
        "due_at": timestamp(NOON + timedelta(minutes=5)),
        "message_ids": ["m"],
        "reports": 1,
        "webhook_id": "w",
        "history": history,
    }
    return DispatchWithHistory(**{**fields, **more})


async def test_what_happened_is_told_in_order() -> None:
    """Reports, dispatches and attempts on one line, by their instants."""
    reports = await stored(a_callback(an_sms("m", "PENDING_ENROUTE")))
    history = [an_attempt(1, 1), an_attempt(2, 61, status=None, outcome="timed_out", error="10 s")]

    told = moments(reports, [a_dispatch(*history)])

    assert [each.kind for each in told] == ["report", "dispatch", "attempt", "attempt"]
    assert [each.title for each in told] == [
        "PENDING_ENROUTE, intermediate",
        "Dispatch to acme with 1 report",
        "Attempt 1 to acme: 503, failed, 12 ms",
        "Attempt 2 to acme: timed out, 12 ms",
    ]
    assert told[-1].notes == ["10 s"]
    assert told[0].link == "/reports/1"


async def test_a_late_intermediate_report_changes_nothing() -> None:
    """It came after the final one: the time line says so, and where the message stands."""
    reports = await stored(
        a_callback(an_sms("m", "DELIVERED_TO_HANDSET")), a_callback(an_sms("m", "PENDING_ENROUTE"))
    )

    final, late = moments(reports, [])

    assert final.notes == ["This is the state of the message now."]
    assert late.notes == ["It came in after a final report, so it changes nothing."]


async def test_duplicates_are_marked() -> None:
    """A report that came three times is one moment."""
    once = an_sms("m", "DELIVERED_TO_HANDSET")
    reports = await stored(a_callback(once), a_callback(once), a_callback(once))

    (told,) = moments(reports, [])

    assert "Duplicates: it came in 3 times. Repeats are neither stored nor pushed." in told.notes


def test_the_schedule_ahead() -> None:
    """After one attempt the next is the second of 21, and the last one is 41 hours away."""
    acme = Endpoint(name="acme", url=URL)

    (told,) = ahead([a_dispatch(an_attempt(1, 1))], {"acme": acme}, INFOBIP, NOON)

    assert told.attempts == 21
    assert told.following[0].at == NOON + timedelta(minutes=5)
    assert [each.number for each in told.following] == list(range(2, 22))
    rest = sum(INFOBIP.waits[1:], timedelta())
    assert told.following[-1].at == told.following[0].at + rest


def test_nothing_is_ahead_of_what_has_ended() -> None:
    """Neither of what is acknowledged, nor of what is exhausted; the last attempt says so."""
    lost = a_dispatch(an_attempt(1, 1), state="exhausted", due_at=None)
    done = a_dispatch(state="acknowledged", due_at=None)

    assert ahead([lost, done], {}, INFOBIP, NOON) == []
    assert moments([], [lost])[-1].notes == ["No retry is left."]


def test_an_endpoint_that_is_gone_or_paused() -> None:
    """Of a gone one the schedule is not known; a paused one says so; a last attempt is alone."""
    once = RetrySchedule("once", (timedelta(minutes=1),), "its own")
    paused = Endpoint(name="acme", url=URL, paused=True, schedule=once)

    (gone,) = ahead([a_dispatch(an_attempt(1, 1))], {}, INFOBIP, NOON)
    (last,) = ahead([a_dispatch(an_attempt(1, 1))], {"acme": paused}, INFOBIP, NOON)

    assert (gone.attempts, len(gone.following)) == (None, 1)
    assert (last.attempts, len(last.following), last.paused) == (2, 1, True)

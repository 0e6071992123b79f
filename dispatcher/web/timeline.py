"""One message over time: its reports, dispatches and attempts in order, and what is ahead. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Literal

from msgspec import Struct

from dispatcher.api.dispatches import AttemptAnswer, DispatchWithHistory
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.retrying.outcome import Outcome
from dispatcher.retrying.schedule import RetrySchedule
from dispatcher.web.rows import group_name
from dispatcher.web.shown import duration
from receiver.dlr.instants import parse_instant
from receiver.dlr.message import state_of
from receiver.store.base import StoredReport


class Moment(Struct, frozen=True):
    """Something that has happened. `link` is the page of what it happened to, `answer` what an
    endpoint said."""

    at: datetime
    kind: Literal["report", "dispatch", "attempt"]
    tone: Literal["good", "wait", "bad", "idle"]
    title: str
    link: str
    notes: Sequence[str] = ()
    answer: str = ""


class AttemptAhead(Struct, frozen=True):
    """An attempt that will be made if all before it fail."""

    number: int
    at: datetime


class Ahead(Struct, frozen=True):
    """What waits at an endpoint if every attempt fails: its attempts by number, the next one first.
    `attempts` is how many there are in all; None: the schedule is not known here, and only the next
    one is told. `paused`: none is made before somebody resumes the endpoint."""

    endpoint: str
    dispatch: str
    following: Sequence[AttemptAhead]
    attempts: int | None
    paused: bool


_ORDER = {"report": 0, "dispatch": 1, "attempt": 2}


def moments(
    reports: Sequence[StoredReport], dispatches: Sequence[DispatchWithHistory]
) -> list[Moment]:
    """What has happened, the earliest first. `reports` are in the order of arrival."""
    told = [*_of_reports(reports)]
    for each in dispatches:
        told += _of_dispatch(each)
    return sorted(told, key=lambda moment: (moment.at, _ORDER[moment.kind]))


# --- reports -------------------------------------------------------------------------------------


def _of_reports(reports: Sequence[StoredReport]) -> Iterator[Moment]:
    read = [each.read() for each in reports]
    current = state_of(read).report if read else None
    final_before = False
    for stored, report in zip(reports, read, strict=True):
        status = report.status
        group = group_name(stored.status_group, report)
        name = (status.name if status is not None else None) or group or "no status"
        yield Moment(
            at=stored.received_at,
            kind="report",
            tone=_tone(group, stored.final),
            title=f"{name}, {'final' if stored.final else 'intermediate'}",
            link=f"/reports/{stored.id}",
            notes=[*_notes(stored, final_before, report is current)],
        )
        final_before = final_before or stored.final


def _tone(group: str | None, final: bool) -> Literal["good", "wait", "bad"]:
    if not final:
        return "wait"
    return "good" if group == "DELIVERED" else "bad"


def _notes(stored: StoredReport, final_before: bool, is_current: bool) -> Iterator[str]:
    if is_current:
        yield "This is the state of the message now."
    if final_before and not stored.final:
        yield "It came in after a final report, so it changes nothing."
    elif final_before:
        yield "It came in after another final report."
    if stored.duplicates:
        times = stored.duplicates + 1
        yield f"Duplicates: it came in {times} times. Repeats are neither stored nor pushed."


# --- dispatches ----------------------------------------------------------------------------------


def _of_dispatch(dispatch: DispatchWithHistory) -> Iterator[Moment]:
    link = f"/dispatches/{dispatch.id}"
    reports = "1 report" if dispatch.reports == 1 else f"{dispatch.reports} reports"
    cancelled = ["It was cancelled."] if dispatch.state == "cancelled" else []
    yield Moment(
        at=parse_instant(dispatch.created_at),
        kind="dispatch",
        tone="idle",
        title=f"Dispatch to {dispatch.endpoint} with {reports}",
        link=link,
        notes=[f"State now: {dispatch.state}.", *cancelled],
    )
    for each in dispatch.history:
        is_last = each is dispatch.history[-1]
        ends = dispatch.state == "exhausted" and is_last
        yield _attempt(each, dispatch, link, ends)


def _attempt(
    attempt: AttemptAnswer, dispatch: DispatchWithHistory, link: str, ends: bool
) -> Moment:
    acknowledged = attempt.outcome == Outcome.ACKNOWLEDGED.value
    status = "" if attempt.status is None else f"{attempt.status}, "
    outcome = attempt.outcome.replace("_", " ")
    took = duration(attempt.duration_ms / 1000)
    notes = [each for each in (attempt.error, attempt.note) if each]
    if attempt.unrecorded:
        notes.append(
            f"It may have been made {attempt.unrecorded} times before without being recorded."
        )
    if ends:
        notes.append("No retry is left.")
    return Moment(
        at=parse_instant(attempt.started_at),
        kind="attempt",
        tone="good" if acknowledged else "bad",
        title=f"Attempt {attempt.number} to {dispatch.endpoint}: {status}{outcome}, {took}",
        link=link,
        notes=notes,
        answer=attempt.answer,
    )


# --- the schedule ahead --------------------------------------------------------------------------


def attempts_ahead(
    attempts: int, due_at: datetime, schedule: RetrySchedule, now: datetime
) -> list[AttemptAhead]:
    """The attempts that a waiting dispatch still has, without jitter. A schedule that was shortened
    meanwhile still has the one that is due."""
    first = max(due_at, now)
    instants = accumulate(schedule.waits[attempts:], lambda at, wait: at + wait, initial=first)
    return [AttemptAhead(number, at) for number, at in enumerate(instants, attempts + 1)]


def ahead(
    dispatches: Sequence[DispatchWithHistory],
    endpoints: Mapping[str, Endpoint],
    usual: RetrySchedule,
    now: datetime,
) -> list[Ahead]:
    """What waits, by endpoint. `usual` is the schedule of endpoints without one of their own."""
    return [
        _ahead(each, parse_instant(each.due_at), endpoints.get(each.endpoint), usual, now)
        for each in dispatches
        if each.state == "waiting" and each.due_at is not None
    ]


def _ahead(
    dispatch: DispatchWithHistory,
    due_at: datetime,
    endpoint: Endpoint | None,
    usual: RetrySchedule,
    now: datetime,
) -> Ahead:
    schedule = None if endpoint is None else endpoint.schedule or usual
    only = AttemptAhead(dispatch.attempts + 1, max(due_at, now))
    return Ahead(
        endpoint=dispatch.endpoint,
        dispatch=dispatch.id,
        following=[only]
        if schedule is None
        else attempts_ahead(dispatch.attempts, due_at, schedule, now),
        attempts=None if schedule is None else schedule.attempts,
        paused=endpoint is not None and endpoint.paused,
    )

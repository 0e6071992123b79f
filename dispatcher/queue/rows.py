"""Rows of the queue's tables, as every database gives and takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import structs

from dispatcher.queue.base import (
    Lease,
    Leased,
    NotWaiting,
    Pending,
    Reading,
    Record,
    StoredAttempt,
    StoredDispatch,
    UnknownDispatch,
)
from dispatcher.queue.names import DispatchNames
from dispatcher.retrying.dispatch import TRANSITIONS, DispatchState, InvalidTransition
from receiver.store.instants import instant, instant_or_none, micros, micros_or_null

SPARSE = 4
"""How many times as many ids as reports lie between a dispatch's first report and its last before
its reports are listed beside it. What lies between is gone through otherwise: a few rows."""


def are_far_apart(reports: Sequence[int]) -> bool:
    """Whether these reports of one dispatch, which ascend, are listed beside it."""
    return reports[-1] - reports[0] >= SPARSE * len(reports)


def leased(names: DispatchNames, row: Sequence[Any], endpoint: str, lease: Lease) -> Leased:
    """A dispatch that was claimed. The row: id, url, content_type, reports, attempts, due_at, body,
    replay, authorization, generation, webhook_id_end."""
    number, url, content_type, reports, attempts, due_at, body, replay, *rest = row
    authorization, generation, end = rest
    return Leased(
        id=number,
        name=names.name(number),
        webhook_id=names.webhook_id(number, end),
        endpoint=endpoint,
        url=url,
        content_type=content_type,
        body=body or b"",
        encoded=body is not None,
        reports=reports,
        attempts_made=attempts,
        due_at=instant(due_at),
        lease=lease,
        replay=replay,
        authorization=authorization,
        generation=generation,
    )


def change_of(record: Record) -> tuple[Any, ...]:
    """What a record does to its dispatch: id, token, state, attempts, due_at."""
    due_at = micros_or_null(record.due_at)
    return record.dispatch, record.token, record.state, record.number, due_at


def attempt_of(record: Record) -> tuple[Any, ...]:
    """The attempt: dispatch, number, started_at, duration_ms, status, outcome, error, answer,
    note."""
    answer = record.answer
    return (
        record.dispatch,
        record.number,
        micros(record.started_at),
        answer.duration_ms,
        answer.status,
        record.outcome.value,
        answer.error,
        answer.body,
        answer.note,
    )


def stored_dispatch(
    row: Sequence[Any], names: DispatchNames, report_ids: Sequence[int]
) -> StoredDispatch:
    """The row: id, endpoint, url, state, attempts, created_at, due_at, reports, webhook_id_end,
    messageId of an event."""
    number, endpoint, url, state, attempts, created_at, due_at, reports, end, event_of = row
    return StoredDispatch(
        id=names.name(number),
        endpoint=endpoint,
        url=url,
        state=state,
        attempts=attempts,
        created_at=instant(created_at),
        due_at=instant_or_none(due_at),
        reports=reports,
        report_ids=report_ids,
        webhook_id=names.webhook_id(number, end),
        event_of=event_of,
    )


def stored_attempts(
    rows: Iterable[Sequence[Any]], unrecorded: Iterable[tuple[int, int]]
) -> dict[int, list[StoredAttempt]]:
    """The attempts of each dispatch, in the order of the rows: as `attempt_of`. `unrecorded`: a
    dispatch and a number for each attempt that was begun, or may have been, and not recorded."""
    times = Counter(unrecorded)
    found: dict[int, list[StoredAttempt]] = {}
    for dispatch, nth, at, *rest in rows:
        attempt = StoredAttempt(nth, instant(at), *rest)
        if lost := times[dispatch, nth]:
            attempt = structs.replace(attempt, unrecorded=lost)
        found.setdefault(dispatch, []).append(attempt)
    return found


def readings_by_endpoint(
    names: DispatchNames,
    readers: Iterable[tuple[str, int, int | None]],
    held: Mapping[str, bool],
    under_way: Mapping[str, int],
    newest: Iterable[tuple[str, bool]],
) -> dict[str, Reading]:
    """How far each endpoint is with a report.

    `readers`: name, read_to, read_from. `held`: whether it is free by now, for those where it is
    held. `under_way`: the dispatch that carries its message. `newest`: the endpoint of each of the
    newest attempts, newest first, and whether it was acknowledged.
    """
    failures = _failures(newest)
    return {
        name: Reading(
            read_to=read_to,
            read_from=read_from,
            held=name in held,
            freed=held.get(name, False),
            waits_for=names.name(under_way[name]) if name in under_way else None,
            failures=failures.get(name, 0),
        )
        for name, read_to, read_from in readers
    }


def _failures(newest: Iterable[tuple[str, bool]]) -> Mapping[str, int]:
    """How many attempts of each endpoint have failed since the last one that was acknowledged."""
    failures: dict[str, int] = {}
    ended: set[str] = set()
    for endpoint, acknowledged in newest:
        if acknowledged:
            ended.add(endpoint)
        elif endpoint not in ended:
            failures[endpoint] = failures.get(endpoint, 0) + 1
    return failures


def pending_of(
    at: int,
    *,
    first_due: Mapping[str, int],
    read_to: Mapping[str, int],
    highest: int,
    freed: Collection[str],
    expiry: int | None,
) -> Pending:
    """What there is to do at an instant. `first_due`: when the first that waits is due, of the
    endpoints for which any waits. `read_to`: of those that are there. `highest`: the newest
    report. `expiry`: when the first lease ends."""
    return Pending(
        due=frozenset(name for name, due in first_due.items() if due <= at),
        unread={name: to for name, to in read_to.items() if to < highest or name in freed},
        freed=frozenset(freed),
        first_due={name: instant(due) for name, due in first_due.items()},
        lease_until=instant_or_none(expiry),
    )


def counts_by_endpoint(
    rows: Iterable[tuple[str, DispatchState, int]],
) -> Mapping[str, Mapping[DispatchState, int]]:
    counts: dict[str, dict[DispatchState, int]] = {}
    for endpoint, state, count in rows:
        counts.setdefault(endpoint, {})[state] = count
    return counts


def state_of(name: str, row: Sequence[Any] | None) -> DispatchState:
    """The state in the row of a dispatch. Raises UnknownDispatch when there is none."""
    if row is None:
        raise UnknownDispatch(name)
    state: DispatchState = row[0]
    return state


def check_cancelled(name: str, state: DispatchState) -> None:
    """Raises InvalidTransition."""
    if "cancelled" not in TRANSITIONS[state]:
        raise InvalidTransition(name, state, "cancelled")


def check_waits(name: str, state: DispatchState) -> None:
    """Raises NotWaiting."""
    if state != "waiting":
        raise NotWaiting(name, state)

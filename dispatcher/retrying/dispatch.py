"""A dispatch, its states, and what an attempt does to it.

A dispatch is the duty to bring one bucket of reports to one endpoint. It is made when the bucket
is formed and ends in exactly one of three states; until then it is either waiting for its due time
or leased to the worker that is trying it.

             formed
               │
               ▼           2xx
      ┌────▶ leased ───────────────▶ acknowledged
      │        │ │
 due  │ failed │ │ failed, no retry left
      │        ▼ └─────────────────▶ exhausted
      └───── waiting ──────────────▶ cancelled
                        by hand

A lease that runs out (the worker died) or is given back (the worker stops) leads from `leased` to
`waiting` without counting as an attempt: what was tried may be tried twice, never not at all.
What waits can be made due now by hand; it goes on waiting until its endpoint has room, and the
attempt counts like any other.
A status after which the endpoint's rules send no more leads to `exhausted` with retries left.
The three ends are ends: to push again what a dispatch has pushed, its reports are dispatched anew,
and an event, which has none, becomes a new dispatch of the same bytes.
What follows from each change is told in consequences.py.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Literal

from msgspec import Struct

from dispatcher.retrying.outcome import Answer, Outcome, OutcomeRules
from dispatcher.retrying.retry_after import asked_for
from dispatcher.retrying.schedule import RetrySchedule

DispatchState = Literal["waiting", "leased", "acknowledged", "exhausted", "cancelled"]

TRANSITIONS: dict[DispatchState, frozenset[DispatchState]] = {
    "waiting": frozenset({"leased", "cancelled"}),
    "leased": frozenset({"waiting", "acknowledged", "exhausted"}),
    "acknowledged": frozenset(),
    "exhausted": frozenset(),
    "cancelled": frozenset(),
}


class InvalidTransition(Exception):
    """A dispatch was to go where its states do not lead."""

    def __init__(self, dispatch: str, state: DispatchState, to: DispatchState) -> None:
        super().__init__(f"dispatch {dispatch}: cannot go from {state} to {to}")


class Next(Struct, frozen=True):
    """What becomes of a dispatch after an attempt. `due_at` is None unless it waits."""

    state: DispatchState
    due_at: datetime | None


def after_attempt(
    outcome: Outcome,
    *,
    attempts_made: int,
    started_at: datetime,
    schedule: RetrySchedule,
    ended_at: datetime | None = None,
    answer: Answer | None = None,
    rules: OutcomeRules | None = None,
    rng: Random | None = None,
) -> Next:
    """Judge by the outcome of attempt number `attempts_made`, which began at `started_at`.

    `ended_at` None: it took no time. `rules` None: those of the schedule. `rng` None: no jitter.
    """
    if outcome.acknowledges:
        return Next("acknowledged", None)
    wait = schedule.wait_after(attempts_made, rng)
    if wait is None or outcome is Outcome.STOPPED:
        return Next("exhausted", None)
    ended_at = started_at if ended_at is None else ended_at
    base = started_at if schedule.counted_from == "start" else ended_at
    if answer is not None:
        rules = schedule.rules if rules is None else rules
        wait = _as_asked(answer, rules, wait, ended_at, base)
    return Next("waiting", base + wait)


def _as_asked(
    answer: Answer, rules: OutcomeRules, wait: timedelta, ended_at: datetime, base: datetime
) -> timedelta:
    """The wait, counted from `base`, after an answer that may ask for another one."""
    obeyed = rules.retry_after
    if obeyed is None or answer.retry_after is None or answer.status not in obeyed.statuses:
        return wait
    asked = asked_for(answer.retry_after, ended_at)
    return wait if asked is None else obeyed.bounded(asked + (ended_at - base), wait)

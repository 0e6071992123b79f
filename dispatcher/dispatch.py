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
The three ends are ends: to send an exhausted dispatch again, its reports are dispatched anew.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from dispatcher.outcome import Outcome
from dispatcher.schedule import RetrySchedule

State = Literal["waiting", "leased", "acknowledged", "exhausted", "cancelled"]

TRANSITIONS: dict[State, frozenset[State]] = {
    "waiting": frozenset({"leased", "cancelled"}),
    "leased": frozenset({"waiting", "acknowledged", "exhausted"}),
    "acknowledged": frozenset(),
    "exhausted": frozenset(),
    "cancelled": frozenset(),
}


class InvalidTransition(Exception):
    """A dispatch was to go where its states do not lead."""

    def __init__(self, dispatch: str, state: State, to: State) -> None:
        super().__init__(f"dispatch {dispatch}: cannot go from {state} to {to}")


class Next(Struct, frozen=True):
    """What becomes of a dispatch after an attempt. `due_at` is None unless it waits."""

    state: State
    due_at: datetime | None


def after_attempt(
    outcome: Outcome, *, attempts_made: int, started_at: datetime, schedule: RetrySchedule
) -> Next:
    """Judge by the outcome of attempt number `attempts_made`, which began at `started_at`."""
    if outcome.acknowledges:
        return Next("acknowledged", None)
    wait = schedule.wait_after(attempts_made)
    if wait is None:
        return Next("exhausted", None)
    return Next("waiting", started_at + wait)

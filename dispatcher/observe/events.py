"""What the worker tells of itself: frozen facts. Logs, the demo and metrics listen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from dispatcher.retrying.dispatch import DispatchState
from dispatcher.retrying.outcome import Answer, Outcome


class AttemptMade(Struct, frozen=True):
    """One attempt is over and recorded. `due_at` is when the next is due, None if there is none."""

    dispatch: str
    endpoint: str
    url: str
    reports: int
    number: int
    started_at: datetime
    answer: Answer
    outcome: Outcome
    state: DispatchState
    due_at: datetime | None


Listener = Callable[[AttemptMade], None]

"""A replay, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from dispatcher.replay.pace import Fed, Pace, Rate
from dispatcher.replay.request import Selection
from dispatcher.retrying.dispatch import DispatchState

ReplayState = Literal["running", "done", "stopped", "cancelled"]

JUDGED_AFTER = 20
"""Dispatches that must have been tried before the share of errors says anything."""


class Item(Struct, frozen=True):
    """One report that is to go to one endpoint, `offset` microseconds after the first."""

    report: int
    endpoint: str
    offset: int


class Replay(Struct, frozen=True, kw_only=True):
    """A replay as it lies in the database. Counts are of reports, an endpoint each.

    `counts` are those that are in dispatches in each state; `held` were due and wait for an earlier
    report of their message; `dropped` were due and are no more, or their endpoint is.
    `acknowledged` counts dispatches, as `tried` and `attempts` do.
    """

    id: int
    key: str | None
    state: ReplayState
    created_at: datetime
    selection: Selection
    endpoint: str | None
    url: str | None
    pace: Pace
    stop_on_errors: float | None
    total: int
    fed: int
    dropped: int
    held: int
    counts: Mapping[DispatchState, int]
    tried: int
    attempts: int
    acknowledged: int
    progress: Fed
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def waiting(self) -> int:
        """In dispatches that are not at their end, or held."""
        return self.counts.get("waiting", 0) + self.counts.get("leased", 0) + self.held

    @property
    def settled(self) -> int:
        """Of which nothing more is to be expected."""
        return max(self.fed - self.waiting, 0)

    @property
    def failed_attempts(self) -> int:
        """A dispatch ends with its first attempt that is no failure."""
        return self.attempts - self.acknowledged

    @property
    def failed(self) -> bool:
        """Whether it has ended without having brought everything."""
        return self.state in ("stopped", "cancelled") or (
            self.state == "done" and self.counts.get("acknowledged", 0) < self.total
        )


class InvalidReplay(Exception):
    """A replay was to go where its states do not lead."""

    def __init__(self, replay: int, state: ReplayState, to: ReplayState) -> None:
        super().__init__(f"replay {replay}: cannot go from {state} to {to}")


class UnknownReplay(Exception):
    """There is no replay with this id."""

    def __init__(self, replay: int) -> None:
        super().__init__(f"there is no replay {replay}")


def target_name(replay: int) -> str:
    """The endpoint that is made for a replay to a URL."""
    return f"replay-{replay}"


def must_stop(replay: Replay) -> bool:
    """Whether the share of failed attempts is above what was allowed."""
    if replay.stop_on_errors is None or replay.tried < JUDGED_AFTER:
        return False
    return replay.failed_attempts > replay.stop_on_errors * replay.attempts


def eta(replay: Replay, now: datetime) -> datetime | None:
    """When the replay ends if it goes on as so far; `None` when that cannot be told."""
    if replay.state != "running" or replay.started_at is None or not replay.settled:
        return None
    elapsed = max(now - replay.started_at, timedelta(0))
    remaining = elapsed * ((replay.total - replay.settled) / replay.settled)
    if isinstance(replay.pace, Rate):
        feeding = timedelta(seconds=(replay.total - replay.fed) / replay.pace.per_second)
        remaining = max(remaining, feeding)
    try:
        return now + remaining
    except OverflowError:
        return None


class Selected(Struct, frozen=True):
    """What a selection comes to. `undispatched` reports match but never had a dispatch, so that
    there is no place they went to; `gone` names endpoints that are no more, with their counts."""

    total: int
    undispatched: int
    gone: Mapping[str, int]
    first: Sequence[Item]

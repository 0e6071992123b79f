"""What metrics and the stream of events need of a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from msgspec import Struct

from dispatcher.retrying.dispatch import DispatchState
from receiver.store.base import TURN
from receiver.store.instants import instant, instant_or_none

Waiting = tuple[int, datetime]
"""Of a waiting dispatch: the attempts made, and when the next is due."""


class Depths(Struct, frozen=True):
    """By endpoint; those that have nothing of a kind are not in it.

    The oldest unread report is the one that was stored first. Ids that are missing may count as
    unread, but not when everything that is there has been read.
    """

    dispatches: Mapping[tuple[str, str], int]  # by endpoint and state
    oldest_waiting: Mapping[str, datetime]  # when it was formed
    unread: Mapping[str, int]  # reports that no dispatch was formed of yet
    oldest_unread: Mapping[str, datetime]  # when it was received


class Backlog(Struct, frozen=True):
    """What waits for an endpoint, counted up to a bound: of more, `dispatches` is the bound, and
    `reports` are those in as many."""

    dispatches: int
    reports: int
    due: int  # of the dispatches, up to the same bound


class Remaining(Struct, frozen=True):
    """What was not brought to anybody, and how far back the store goes.

    `unrouted` and `unrouted_final` are among the newest reports that all endpoints have read:
    those that none took, and those of them that are final. `exhausted` is by endpoint, among the
    newest exhausted dispatches: those whose reports no later dispatch to it carries.
    """

    unrouted: int
    unrouted_final: int
    exhausted: Mapping[str, int]
    oldest_report: datetime | None  # when it was received; None: there is none


class FileSizes(Struct, frozen=True):
    """In bytes. `None`: it is on another machine, whose disk cannot be seen from here."""

    database: int
    log: int | None  # what was written and is not in the database's file yet
    free: int | None = 0  # on the disk that both are on


class HeldLog(Struct, frozen=True):
    """A log that grows because somebody reads for long. `readers` are the processes beside this one
    that have the database open, as far as that can be told."""

    size: int
    readers: Sequence[str]


class DatabaseFiles(Protocol):
    """What a database takes of the disk."""

    async def sizes(self) -> FileSizes | None:
        """`None` for a database that is only in memory. Raises StoreUnavailable."""

    async def keep_room(self, now: datetime) -> None:
        """Make what reports and attempts of the next days go into, where that has to be made.
        Raises StoreUnavailable; then it is to be tried again."""

    async def held_log(self) -> HeldLog | None:
        """`None` while the log is as small as it should be, or would be with the next write.
        Raises StoreUnavailable."""


class QueueFigures(Protocol):
    """How much there is to do. No look grows with what waits."""

    async def depths(self) -> Depths:
        """The depths at this instant. Endpoints that were removed have only dispatches."""

    async def oldest_waiting(
        self, endpoints: Collection[str], most: int
    ) -> Mapping[str, Sequence[Waiting]]:
        """Of each of these endpoints the `most` dispatches that were formed first of those that
        wait, in the order in which they were formed."""

    async def backlogs(
        self, endpoints: Collection[str], now: datetime, most: int
    ) -> Mapping[str, Backlog]:
        """Of each of these endpoints what waits, counted up to `most` dispatches."""

    async def remaining(self, endpoints: Collection[str], most: int) -> Remaining:
        """Among the `most` newest reports that all of these endpoints have read, and the `most`
        newest exhausted dispatches. A dispatch is judged by its first report and its last."""

    async def idle(self) -> bool:
        """Whether nothing waits, is under way, is held for the order's sake or is unread."""


class RecordedAttempt(Struct, frozen=True):
    """An attempt, and its dispatch as that is now. `id` ascends as attempts are recorded, and is
    never used twice."""

    id: int
    dispatch: str
    endpoint: str
    number: int
    reports: int
    started_at: datetime
    duration_ms: float
    status: int | None
    outcome: str
    error: str | None
    state: DispatchState
    due_at: datetime | None
    note: str | None = None


def recorded_attempt(row: Sequence[Any]) -> RecordedAttempt:
    """Of a row of a database, in the order of the fields."""
    number, dispatch, endpoint, nth, reports, started_at, ms, status, outcome, error, *now = row
    state, due_at, note = now
    return RecordedAttempt(
        id=number,
        dispatch=dispatch,
        endpoint=endpoint,
        number=nth,
        reports=reports,
        started_at=instant(started_at),
        duration_ms=ms,
        status=status,
        outcome=outcome,
        error=error,
        state=state,
        due_at=instant_or_none(due_at),
        note=note,
    )


class AttemptHistory(Protocol):
    """The attempts of all dispatches, in the order in which they were recorded."""

    async def newest(self) -> int:
        """The id of the attempt recorded last, even if it is no longer kept; 0: there was none."""

    async def after(self, attempt: int, limit: int) -> Sequence[RecordedAttempt]:
        """At most `limit` attempts that were recorded after this one."""


ActivitySpan = Literal["minute", "hour"]

ACTIVITY_KEPT: dict[ActivitySpan, timedelta] = {
    "minute": timedelta(hours=2),
    "hour": timedelta(hours=26),
}
"""For how long each is counted: a little longer than is asked for."""


class AttemptCount(Struct, frozen=True):
    """Attempts that ended alike. `status_class` is 5 for a 503 and 0 without a status, `bin` the
    duration (receiver/store/histogram.py)."""

    endpoint: str
    outcome: str
    status_class: int
    bin: int
    attempts: int


class LatenessCount(Struct, frozen=True):
    """Reports that were acknowledged so long after they were received (a bin). All reports of a
    push count as its first one, which has waited longest."""

    endpoint: str
    bin: int
    reports: int


class Activity(Struct, frozen=True):
    """What endpoints did. `lag` attempts are not in it yet; 0 unless more came than can be counted
    at once."""

    attempts: Sequence[AttemptCount]
    lateness: Sequence[LatenessCount]
    lag: int


class AttemptActivity(Protocol):
    """Counts of the attempts of the last hours, made after these were recorded.

    They are complete however far `turn` has come: it decides only how fast an answer is. Reports of
    replays are not late, and reports that are no longer stored are left out of lateness.
    """

    async def activity(
        self, span: ActivitySpan, since: datetime, endpoint: str | None = None
    ) -> Activity:
        """All whole spans from the one that `since` lies in, of all endpoints or of this one.
        Attempts count when they began. Durations are rounded by 6 % at most."""

    async def turn(self, most: int = TURN) -> int:
        """Count at most `most` more attempts; returns how many there were. Raises StoreUnavailable;
        then nothing is changed. Of several that take a turn at once each attempt is counted once.
        """

    async def catch_up(self) -> int:
        """Take turns until there is nothing to count. Returns how many attempts were counted."""

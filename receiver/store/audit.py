"""What was changed by hand: who did what, when, and from where. No secrets, and no recipients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct, structs

from receiver.store.instants import instant, micros, micros_or_null

COMMAND_LINE = "command line"
"""From where a change came that was not made over HTTP."""

ChangeOutcome = Literal["done", "refused", "failed", "dry run"]


class BegunChange(Struct, frozen=True, kw_only=True):
    """What is known before it is made. `who` is the name of the API's token or of the operating
    system's user; `None`: nobody was asked. `origin` is an address, or `COMMAND_LINE`; `subject`
    what is changed, `None` where that has no name yet."""

    at: datetime
    who: str | None
    origin: str
    what: str
    subject: str | None = None


class Change(BegunChange, frozen=True, kw_only=True):
    """`outcome` None: it is under way, or its process ended before it could be told."""

    id: int
    outcome: ChangeOutcome | None
    details: Mapping[str, Any]


class AuditQuery(Struct, frozen=True, kw_only=True):
    """Which changes are wanted, newest first: those with an id smaller than `before`. `since`
    belongs to the range, `until` does not."""

    limit: int = 100
    before: int | None = None
    who: str | None = None
    what: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def begun_row(change: BegunChange) -> tuple[Any, ...]:
    """at, who, origin, what, subject."""
    return micros(change.at), change.who, change.origin, change.what, change.subject


def ended_row(
    change: int, outcome: ChangeOutcome, subject: str | None, details: Mapping[str, Any]
) -> tuple[Any, ...]:
    """outcome, subject, details, id."""
    return outcome, subject, msgspec.json.encode(details).decode(), change


def asked_of(query: AuditQuery) -> dict[str, Any]:
    """The fields of a query, as a database compares them."""
    return structs.asdict(query) | {
        "since": micros_or_null(query.since),
        "until": micros_or_null(query.until),
    }


def stored_change(row: Sequence[Any]) -> Change:
    """The row: id, at, who, origin, what, subject, outcome, details."""
    number, at, who, origin, what, subject, outcome, details = row
    return Change(
        id=number,
        at=instant(at),
        who=who,
        origin=origin,
        what=what,
        subject=subject,
        outcome=outcome,
        details=msgspec.json.decode(details, type=dict[str, Any]),
    )


class AuditLog(Protocol):
    """Keeps changes for all processes on a database. Each of these raises StoreUnavailable."""

    async def begin(self, change: BegunChange) -> int:
        """The id of a change that is going to be made. When this returns it is on disk."""

    async def end(
        self, change: int, outcome: ChangeOutcome, subject: str | None, details: Mapping[str, Any]
    ) -> None:
        """What became of it."""

    async def changes(self, query: AuditQuery) -> Sequence[Change]:
        """Those that are wanted, newest first."""

"""Bulks that wait: they can be seen, moved, held, let go on and cancelled. Pure; the store carries
it out (`store/`).

     PENDING ──▶ PROCESSING ──▶ FINISHED        FAILED: not one of its messages was accepted
        │ ▲          │ ▲
        ▼ │          ▼ │
       PAUSED ◀──────────
        │            │
        └────────────┴───▶ CANCELED

The words are the provider's. That these are the ways between them is ours, because it documents
none: PENDING until the first message has left, FINISHED when the last one has (not when it has
arrived). A bulk that is let go on takes PENDING or PROCESSING, whichever it says of itself then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct, structs

from dispatcher.sandbox.messages.message import Message, next_step_at
from dispatcher.sandbox.messages.sending_times import sending_times
from receiver.faults import Misfit

BulkStatus = Literal["PENDING", "PAUSED", "PROCESSING", "CANCELED", "FINISHED", "FAILED"]
"""The provider's words."""

BulkState = Literal["open", "paused", "cancelled"]
"""What was asked for, as it is stored."""

TRANSITIONS: Final[dict[BulkStatus, frozenset[BulkStatus]]] = {
    "PENDING": frozenset({"PENDING", "PAUSED", "CANCELED"}),
    "PROCESSING": frozenset({"PROCESSING", "PAUSED", "CANCELED"}),
    "PAUSED": frozenset({"PAUSED", "PENDING", "PROCESSING", "CANCELED"}),
    "CANCELED": frozenset({"CANCELED"}),
    "FINISHED": frozenset({"FINISHED"}),
    "FAILED": frozenset({"FAILED"}),
}
"""From each status to those that can be asked for."""

_WAITS: Final[frozenset[BulkStatus]] = frozenset({"PENDING", "PROCESSING", "PAUSED"})


class ImpossibleChange(Exception):
    """A change that the status of a bulk does not allow."""

    def __init__(self, misfit: Misfit) -> None:
        self.misfit = misfit
        super().__init__(str(misfit))


class Bulk(Struct, frozen=True):
    """A bulk, and how many of its accepted messages have not left yet. `gap` is the time between
    two of them. `send_at` is when the first of those that wait, or otherwise of all, is to leave,
    as it was asked for: it may be past. `last_left_at` None: none has."""

    bulk_id: str
    state: BulkState
    gap: timedelta
    waiting: int
    accepted: int
    send_at: datetime
    last_left_at: datetime | None

    @property
    def status(self) -> BulkStatus:
        if self.state == "cancelled":
            return "CANCELED"
        if not self.waiting:
            return "FINISHED" if self.accepted else "FAILED"
        if self.state == "paused":
            return "PAUSED"
        return "PENDING" if self.waiting == self.accepted else "PROCESSING"


class WaitingBulk(Struct, frozen=True):
    """A bulk, and its messages that wait, in their order."""

    bulk: Bulk
    messages: Sequence[Message]


class BulkChange(Struct, frozen=True):
    """What is to be stored of a bulk: its state, and those of its messages that change. Of them
    `start_at`, `leaves_at`, `cancelled_at`, `due_at` and `sms.send_at` do."""

    state: BulkState
    messages: Sequence[Message] = ()


def moved(found: WaitingBulk, send_at: datetime, at: datetime) -> BulkChange:
    """Have the messages that wait leave at another time; one that is past means at once, as it
    does when they are sent. Raises ImpossibleChange."""
    bulk = found.bulk
    if bulk.status not in _WAITS:
        raise ImpossibleChange(Misfit("bulkId", f"the bulk is {bulk.status}"))
    return BulkChange(bulk.state, _planned(found, send_at, at, paused=bulk.state == "paused"))


def with_status(found: WaitingBulk, status: BulkStatus, at: datetime) -> BulkChange:
    """Hold a bulk, let it go on, or cancel what waits of it. Raises ImpossibleChange."""
    bulk = found.bulk
    if status not in TRANSITIONS[bulk.status]:
        reason = f"the bulk is {bulk.status} and cannot become {status}"
        raise ImpossibleChange(Misfit("status", reason))
    if status == "CANCELED":
        return BulkChange("cancelled", [_cancelled(message, at) for message in found.messages])
    if status == "PAUSED":
        return BulkChange("paused", [structs.replace(m, due_at=None) for m in found.messages])
    return gone_on(found, at) if bulk.state == "paused" else BulkChange(bulk.state)


def gone_on(found: WaitingBulk, at: datetime) -> BulkChange:
    """Let a paused bulk go on."""
    return BulkChange("open", _planned(found, None, at, paused=False))


def _planned(
    found: WaitingBulk, send_at: datetime | None, at: datetime, *, paused: bool
) -> list[Message]:
    """Work out anew when those that wait leave: from `send_at` on, or from when they could, but not
    in the past. While a bulk is paused they have no next step."""
    starts = [max(send_at or message.start_at, at) for message in found.messages]
    windows = [message.sms.window for message in found.messages]
    bulk = found.bulk
    leaves = sending_times(zip(starts, windows, strict=True), bulk.gap, bulk.last_left_at)
    return [
        _due(
            structs.replace(
                message,
                start_at=start,
                leaves_at=leaves_at,
                sms=structs.replace(message.sms, send_at=send_at or message.sms.send_at),
            ),
            paused=paused,
        )
        for message, start, leaves_at in zip(found.messages, starts, leaves, strict=True)
    ]


def _cancelled(message: Message, at: datetime) -> Message:
    return _due(structs.replace(message, cancelled_at=at), paused=False)


def _due(message: Message, *, paused: bool) -> Message:
    return structs.replace(message, due_at=None if paused else next_step_at(message))

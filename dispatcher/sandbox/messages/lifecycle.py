"""The life of a message, as a list of steps with their instants. Pure, and without a state of its
own: how many of the steps have been taken is all that is stored.

     accepted ──▶ waiting ──▶ enroute ──▶ outcome
     PENDING_     sendAt,     PENDING_    of the rules (outcomes.py), or
     ACCEPTED     window,     ENROUTE     EXPIRED_EXPIRED when the validity runs out,
                  speed          ▲        be it waiting or on its way
                     │
                     └──▶ cancelled: UNDELIVERABLE_NOT_SENT

What is asked for (`intermediateReport`, `notify`) and what is decided (`Fate`) tell which steps are
reported. A rejected message is never on its way. All of it is the provider's words in an order of
ours: it documents the statuses and not when they come.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct, structs

from dispatcher.sandbox.messages.outcomes import Fate, Key, usual_error
from dispatcher.sandbox.messages.send import Delivery
from dispatcher.sandbox.messages.statuses import PENDING_ACCEPTED, UNDELIVERABLE_NOT_SENT
from receiver.dlr.sms_errors import NO_ERROR
from receiver.dlr.statuses import EXPIRED, REJECTED

PENDING_ENROUTE: Final = (1, 7)
EXPIRED_EXPIRED: Final = (4, 15)
CANCELED: Final = "EC_MESSAGE_CANCELED"

LATE: Final = timedelta(seconds=5)
"""How long after the final report an overtaken one is told, or its copy."""

MessageState = Literal["waiting", "enroute", "ended", "refused"]
"""`ended`: nothing more happens by itself, whatever the status."""


class Life(Struct, frozen=True, kw_only=True):
    """What the steps follow from. `start_at` is `sendAt`, or when the message was accepted; the
    validity counts from there (ours). `leaves_at` is when window and speed let it go."""

    accepted_at: datetime
    start_at: datetime
    leaves_at: datetime
    validity: timedelta
    delivery: Delivery
    fate: Fate
    cancelled_at: datetime | None = None


class Step(Struct, frozen=True):
    """Something that happens to a message. A `late` one is told long after `happened_at`, and
    changes nothing any more; a `copy` tells what was told before."""

    at: datetime
    state: MessageState
    status: Key
    error: str = NO_ERROR
    told: bool = False
    happened_at: datetime | None = None  # None: at `at`
    late: bool = False
    copy: bool = False

    @property
    def done_at(self) -> datetime:
        return self.at if self.happened_at is None else self.happened_at


def steps_of(life: Life) -> tuple[Step, ...]:
    """All steps, in the order in which they happen. The first is the acceptance itself."""
    told = life.delivery.notify and life.delivery.intermediate
    accepted = Step(life.accepted_at, "waiting", PENDING_ACCEPTED, told=told)
    if life.cancelled_at is not None:
        return accepted, _end(life, life.cancelled_at, UNDELIVERABLE_NOT_SENT, CANCELED)
    if life.leaves_at >= _expires_at(life):
        return accepted, _expiry(life)
    enroute = Step(life.leaves_at, "enroute", PENDING_ENROUTE, told=told)
    if life.fate.told == "never":
        return accepted, structs.replace(enroute, state="ended")
    if life.fate.status[0] == REJECTED:
        return accepted, *_outcome(life)
    outcome = _outcome(life)
    if life.fate.told != "late-enroute" or not told:
        return accepted, enroute, *outcome
    overtaken = structs.replace(
        enroute, at=outcome[-1].at + LATE, state="ended", happened_at=life.leaves_at, late=True
    )
    return accepted, structs.replace(enroute, told=False), *outcome, overtaken


def _outcome(life: Life) -> tuple[Step, ...]:
    at = life.leaves_at + life.fate.after
    if at > _expires_at(life):
        return (_expiry(life),)
    outcome = _end(life, at, life.fate.status, life.fate.error)
    if life.fate.told != "twice":
        return (outcome,)
    copy = structs.replace(outcome, at=at + LATE, happened_at=at, late=True, copy=True)
    return outcome, copy


def _expiry(life: Life) -> Step:
    return _end(life, _expires_at(life), EXPIRED_EXPIRED, usual_error(EXPIRED))


def _end(life: Life, at: datetime, status: Key, error: str) -> Step:
    return Step(at, "ended", status, error, told=life.delivery.notify)


def _expires_at(life: Life) -> datetime:
    return life.start_at + life.validity

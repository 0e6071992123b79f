"""What the app should hold after a check, and whether it does. Pure.

Apps name states in their own words. `Words` are learned at the start of a run: what the app tells
of a message with one plain report of a status. Equal words mean equal states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

DELIVERED = "DELIVERED_TO_HANDSET"
UNDELIVERABLE = "UNDELIVERABLE_NOT_DELIVERED"
PENDING = "PENDING_ENROUTE"
WITH_OPERATOR = "DELIVERED_TO_OPERATOR"


class Held(Struct, frozen=True):
    """What the app tells of a message. `None`: nothing is told of it."""

    state: str | None = None
    count: int | None = None
    callback_data: str | None = None
    done_at: str | None = None


UNKNOWN = Held()


class Expected(Struct, frozen=True):
    """What the app should tell of a message.

    `status` is the name of the status whose word is expected; None: any, but the message is known.
    `once`: the message's one report must have been counted once. `callback_data` None: not looked
    at. `done_at`: the instant that the app should tell, in whatever zone. `what` says what is
    special about the message.
    """

    message_id: str
    status: str | None = DELIVERED
    once: bool = False
    callback_data: str | None = None
    done_at: datetime | None = None
    what: str = ""

    def __str__(self) -> str:
        return f"{self.message_id} ({self.what})" if self.what else self.message_id


class Words(Struct, frozen=True):
    """What the app tells after one plain report of each status, and of a message without any."""

    by_status: Mapping[str, Held]
    unknown: Held

    def known(self, held: Held) -> bool:
        return held.state is not None and held.state != self.unknown.state

    def of(self, status: str) -> str | None:
        return self.by_status.get(status, UNKNOWN).state

    @property
    def count(self) -> int | None:
        """What the app counts after one report."""
        return self.by_status.get(DELIVERED, UNKNOWN).count

    def faults(self) -> list[str]:
        """Why nothing can be judged by these words."""
        if not self.tells(DELIVERED):
            told = _shown(self.of(DELIVERED))
            return [f"after one plain {DELIVERED} report, the app shows {told} for the message"]
        return []

    def tells(self, status: str) -> bool:
        """Whether a plain report of this status alone makes the message known."""
        return self.known(self.by_status.get(status, UNKNOWN))

    def same(self, one: str, other: str) -> bool:
        return self.of(one) == self.of(other)


def differences(expected: Sequence[Expected], held: Mapping[str, Held], words: Words) -> list[str]:
    """A sentence for each way in which what is held is not what is expected."""
    missing = [e for e in expected if not words.known(held.get(e.message_id, UNKNOWN))]
    lost = {each.message_id for each in missing}
    rest = [e for e in expected if e.message_id not in lost]
    found = [text for each in rest for text in _differs(each, held[each.message_id], words)]
    return [*_missing(missing, len(expected)), *found]


def _missing(missing: Sequence[Expected], asked: int) -> list[str]:
    if not missing:
        return []
    names = ", ".join(str(each) for each in missing[:3])
    more = ", …" if len(missing) > 3 else ""
    return [f"{len(missing)} of {asked} messages are not in the app: {names}{more}"]


def _differs(expected: Expected, held: Held, words: Words) -> list[str]:
    found = []
    status = expected.status
    if status is not None and words.tells(status) and held.state != words.of(status):
        found.append(
            f"{expected} is {_shown(held.state)} in the app, expected"
            f" {_shown(words.of(status))} as after {status} alone"
        )
    if expected.once and held.count is not None and held.count != words.count:
        times = f"{held.count} times in the app, expected {words.count}"
        found.append(f"{expected} is counted {times}")
    of = f" ({expected.what})" if expected.what else ""
    wanted = expected.callback_data
    if wanted is not None and held.callback_data is not None and held.callback_data != wanted:
        found.append(f"callbackData{of} is {_shown(held.callback_data)}, expected {_shown(wanted)}")
    if expected.done_at is not None and held.done_at is not None:
        told = instant(held.done_at)
        if told is None or told != expected.done_at:
            at = expected.done_at.isoformat()
            found.append(
                f"doneAt{of} is {_shown(held.done_at)}, expected {at} or the same elsewhere"
            )
    return found


def instant(text: str) -> datetime | None:
    """An instant as apps tell it: ISO 8601, in UTC when it has no zone, or a number of seconds or
    milliseconds since 1970. None for what is none."""
    try:
        if text.removeprefix("-").isdigit():
            number = int(text)
            return datetime.fromtimestamp(number / 1000 if abs(number) > 10**11 else number, UTC)
        read = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError, OSError):
        return None
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


def untold(expected: Sequence[Expected], held: Mapping[str, Held]) -> list[str]:
    """What was asked and is not told: the paths to give."""
    told = [held.get(each.message_id, UNKNOWN) for each in expected]
    pairs = list(zip(expected, told, strict=True))
    paths = []
    if any(each.once and one.count is None for each, one in pairs):
        paths.append("count")
    if any(each.callback_data is not None and one.callback_data is None for each, one in pairs):
        paths.append("callbackData")
    if any(each.done_at is not None and one.done_at is None for each, one in pairs):
        paths.append("doneAt")
    return paths


def _shown(text: str | None) -> str:
    if text is None:
        return "nothing"
    return repr(text if len(text) <= 80 else text[:80] + "…")

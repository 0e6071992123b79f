"""A message whose end is told by hand: it comes now, whatever the rules had decided. Pure."""

from __future__ import annotations

from datetime import datetime

from msgspec import structs

from dispatcher.sandbox.messages.lifecycle import Life, steps_of
from dispatcher.sandbox.messages.message import Message, next_step_at
from dispatcher.sandbox.messages.outcomes import STATUS_KEYS, Fate, usual_error
from dispatcher.sandbox.messages.statuses import status_of
from dispatcher.settings.sandbox import Ending
from receiver.dlr.statuses import is_final


class HasEnded(Exception):
    """The message has its final status already."""


class NotFinal(Exception):
    """A status with which no message ends."""


def may_end(message: Message) -> bool:
    """Whether a final status can still come."""
    refused, cancelled = message.state == "refused", message.cancelled_at is not None
    return not (refused or cancelled or is_final(status_of(*message.status)))


def ended(message: Message, ending: Ending, at: datetime) -> Message:
    """The message with this end, which is due at `at`, in milliseconds. What is to be told before
    it is due then too. One that waits leaves now. Raises HasEnded, NotFinal."""
    if not may_end(message):
        raise HasEnded(f"the message has already ended with {status_of(*message.status).name}")
    key = STATUS_KEYS[ending.status]
    if not is_final(status_of(*key)):
        raise NotFinal(f"status: expected a final status, got {ending.status}")
    waits = message.state == "waiting"
    leaves_at = at if waits else message.leaves_at
    left = structs.replace(message, start_at=at if waits else message.start_at, leaves_at=leaves_at)
    last = max(at, leaves_at)
    fate = structs.replace(
        message.life.fate,
        status=key,
        error=ending.error or usual_error(key[0]),
        after=min(last, left.start_at + left.sms.validity) - leaves_at,
    )
    told = structs.replace(left, fate=_told(fate))
    # A rejected message is never on its way, so its list is shorter: the end is always the next.
    made = structs.replace(told, done=min(message.done, _end_of(told.life)))
    return structs.replace(made, due_at=next_step_at(made))


def _told(fate: Fate) -> Fate:
    """An end by hand is told, also of a message of which nothing was to be heard."""
    return structs.replace(fate, told="once") if fate.told == "never" else fate


def _end_of(life: Life) -> int:
    """Where the end stands among the steps."""
    return next(i for i, step in enumerate(steps_of(life)) if step.state == "ended")

"""A message as the sandbox keeps it, and what a step of its life cycle changes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct, structs

from dispatcher.sandbox.messages.lifecycle import Life, MessageState, Step, steps_of
from dispatcher.sandbox.messages.outcomes import Fate, Key
from dispatcher.sandbox.messages.send import Api, Asked, Sms


class Message(Struct, frozen=True, kw_only=True):
    """A message with all that is known of it. `done` is how many steps of its life cycle it has
    taken, `due_at` when the next one is; `None`: none by itself. `process_key` is of its conversion
    tracking; `None`: it is not tracked."""

    id: int
    message_id: str
    bulk_id: str
    api: Api
    state: MessageState
    accepted_at: datetime
    start_at: datetime
    leaves_at: datetime
    cancelled_at: datetime | None = None
    done: int
    due_at: datetime | None
    done_at: datetime | None
    status: Key
    error: str
    process_key: str | None
    sms: Sms
    fate: Fate | None  # None: refused
    asked: Asked | None = None  # None: taken by a version that did not keep it
    clicks: int = 0
    converted_at: datetime | None = None  # None: nobody has told that it is

    @property
    def life(self) -> Life:
        return Life(
            accepted_at=self.accepted_at,
            start_at=self.start_at,
            leaves_at=self.leaves_at,
            validity=self.sms.validity,
            delivery=self.sms.delivery,
            fate=self.fate or Fate(self.status, self.error, timedelta(0)),
            cancelled_at=self.cancelled_at,
        )


def after_next_step(message: Message) -> tuple[Step, Message]:
    """The step that is due, and the message as it stands after it."""
    step, *rest = steps_of(message.life)[message.done :]
    due_at = rest[0].at if rest else None
    after = structs.replace(message, done=message.done + 1, due_at=due_at, state=step.state)
    if step.late:
        return step, after
    return step, structs.replace(after, status=step.status, error=step.error, done_at=step.done_at)


def steps_ahead(message: Message) -> Sequence[Step]:
    """What happens to a message by itself from now on. None of it while its bulk is paused."""
    return () if message.due_at is None else steps_of(message.life)[message.done :]


def next_step_at(message: Message) -> datetime:
    """When the next step of a message that waits is due, if nothing holds it."""
    return steps_of(message.life)[message.done].at


def in_milliseconds(now: datetime) -> datetime:
    """The provider's instants have no smaller unit, and reports must say what is stored."""
    return now.replace(microsecond=now.microsecond // 1000 * 1000)

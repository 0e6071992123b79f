"""What becomes of a request when it is accepted: which messages are refused, when the others leave,
and how far each has come at once. Pure; the store carries it out (`store/`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from dispatcher.sandbox.messages.bulks import BulkChange, WaitingBulk, gone_on
from dispatcher.sandbox.messages.lifecycle import Life, Step, steps_of
from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.messages.outcomes import Fate
from dispatcher.sandbox.messages.send import Accepted, AcceptedSms, Refusal, Send, Sms
from dispatcher.sandbox.messages.sending_times import gap_of, sending_times
from dispatcher.sandbox.messages.statuses import PENDING_ACCEPTED
from receiver.dlr.sms_errors import NO_ERROR

DUPLICATE: Final = Refusal(5, 23)
"""REJECTED_DUPLICATE_MESSAGE_ID: a message that was not refused has this id already."""

FateOf = Callable[[Sms, int], Fate]
"""What becomes of a message, by its number."""


class Arrival(Struct, frozen=True):
    """A request, and the bulk that its messages belong to: the one it names, or a new one."""

    send: Send
    bulk_id: str


class Known(Struct, frozen=True):
    """What the store knows when a request arrives: the number of its first message, which of its
    messageIds are taken by messages that were not refused, and its bulk if that is paused."""

    first_number: int
    taken: frozenset[str]
    paused: WaitingBulk | None = None


class Admission(Struct, frozen=True):
    """What is to be stored of a request: its messages, the time between two of its bulk, and what
    changes of a paused bulk, which goes on because messages are added to it."""

    messages: Sequence[Message]
    gap: timedelta
    reopened: BulkChange | None = None


def admitted(
    arrival: Arrival, known: Known, at: datetime, fate_of: FateOf, new_id: Callable[[], str]
) -> Admission:
    """Judge a request at `at`."""
    send, gap = arrival.send, gap_of(arrival.send.speed)
    refusals = list(_refusals(send.messages, known.taken))
    going = [s for s, refusal in zip(send.messages, refusals, strict=True) if refusal is None]
    leaves = sending_times(((start_of(sms, at), sms.window) for sms in going), gap)
    messages = []
    for number, (sms, refusal) in enumerate(
        zip(send.messages, refusals, strict=True), known.first_number
    ):
        message_id = sms.message_id or new_id()
        if refusal is None:
            life = _life(sms, at, next(leaves), fate_of(sms, number))
            messages.append(_begun(arrival, sms, number, message_id, life))
        else:
            messages.append(_refused(arrival, sms, number, message_id, refusal, at))
    reopened = None if known.paused is None else gone_on(known.paused, at)
    return Admission(messages, gap, reopened)


def accepted_of(bulk_id: str, messages: Sequence[Message]) -> Accepted:
    """The answer to a request whose messages were stored."""
    return Accepted(
        bulk_id,
        [
            AcceptedSms(
                message.message_id,
                message.sms.to,
                *(message.status if message.state == "refused" else PENDING_ACCEPTED),
                message.sms.parts,
                None if message.fate is None else message.fate.answered,
            )
            for message in messages
        ],
    )


def start_of(sms: Sms, accepted_at: datetime) -> datetime:
    """When a message could leave if nothing else held it."""
    return accepted_at if sms.send_at is None else max(sms.send_at, accepted_at)


def _refusals(messages: Sequence[Sms], taken: frozenset[str]) -> Iterator[Refusal | None]:
    """Of each message why it is refused. Of two in one request that have one id, the second is."""
    used: set[str | None] = set(taken)
    for sms in messages:
        if sms.refusal is None and sms.message_id in used:
            yield DUPLICATE
            continue
        if sms.refusal is None and sms.message_id is not None:
            used.add(sms.message_id)
        yield sms.refusal


def _life(sms: Sms, at: datetime, leaves_at: datetime, fate: Fate) -> Life:
    return Life(
        accepted_at=at,
        start_at=start_of(sms, at),
        leaves_at=leaves_at,
        validity=sms.validity,
        delivery=sms.delivery,
        fate=fate,
    )


def _begun(arrival: Arrival, sms: Sms, number: int, message_id: str, life: Life) -> Message:
    """An accepted message takes some steps at once: those that are due and told to nobody."""
    steps = steps_of(life)
    done = 0
    while done < len(steps) and steps[done].at <= life.accepted_at and not steps[done].told:
        done += 1
    last: Step = steps[max(done - 1, 0)]
    return Message(
        id=number,
        message_id=message_id,
        bulk_id=arrival.bulk_id,
        api=arrival.send.api,
        state=last.state,
        accepted_at=life.accepted_at,
        start_at=life.start_at,
        leaves_at=life.leaves_at,
        done=done,
        due_at=steps[done].at if done < len(steps) else None,
        done_at=last.done_at,
        status=last.status,
        error=last.error,
        process_key=_process_key(arrival.send),
        sms=sms,
        fate=life.fate,
        asked=arrival.send.asked,
    )


def _refused(
    arrival: Arrival, sms: Sms, number: int, message_id: str, refusal: Refusal, at: datetime
) -> Message:
    return Message(
        id=number,
        message_id=message_id,
        bulk_id=arrival.bulk_id,
        api=arrival.send.api,
        state="refused",
        accepted_at=at,
        start_at=at,
        leaves_at=at,
        done=0,
        due_at=None,
        done_at=at,
        status=(refusal.group_id, refusal.status_id),
        error=NO_ERROR,
        process_key=_process_key(arrival.send),
        sms=sms,
        fate=None,
        asked=arrival.send.asked,
    )


def _process_key(send: Send) -> str | None:
    return None if send.tracking is None else send.tracking.process_key

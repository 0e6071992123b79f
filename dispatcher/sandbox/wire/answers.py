"""What was accepted, as each generation tells it (reference, part 6.4)."""

from __future__ import annotations

from typing import Any, Final

from msgspec import to_builtins

from dispatcher.sandbox.model import Accepted, AcceptedSms, Api, Binary, Send, Sms
from dispatcher.sandbox.statuses import PENDING_ACCEPTED, status_of

ROOTS: Final[dict[Api, str]] = {
    "v1": "smsResponse",
    "v2": "smsResponse",
    "v3": "SmsResponseEnvelope",
}


def answer_of(
    send: Send,
    accepted: Accepted,
    *,
    counts: bool,
    bulk_id: bool = True,
    accepted_as: tuple[int, int] = PENDING_ACCEPTED,
) -> dict[str, Any]:
    """The fields of the answer. `counts`: each message with its number of parts. `accepted_as`:
    the status that is told instead of PENDING_ACCEPTED.
    """
    fields: dict[str, Any] = {"bulkId": accepted.bulk_id} if bulk_id else {}
    if send.api != "v3" and send.tracking and send.tracking.process_key:
        fields["trackingProcessKey"] = send.tracking.process_key
    write = _v3 if send.api == "v3" else _v1
    fields["messages"] = [
        write(sms, one, _status(sms, one, accepted_as), counts)
        for sms, one in zip(send.messages, accepted.messages, strict=True)
    ]
    return fields


def _v1(sms: Sms, accepted: AcceptedSms, status: dict[str, Any], counts: bool) -> dict[str, Any]:
    count = {"smsCount": accepted.parts} if counts else {}
    return {"to": sms.to, "status": status, **count, "messageId": accepted.message_id}


def _v3(sms: Sms, accepted: AcceptedSms, status: dict[str, Any], counts: bool) -> dict[str, Any]:
    """The count "is not usable with binary content" (OAS): there it is left out."""
    fields = {"messageId": accepted.message_id, "status": status, "destination": sms.to}
    if counts and not isinstance(sms.content, Binary):
        fields["details"] = {"messageCount": accepted.parts}
    return fields


def _status(sms: Sms, accepted: AcceptedSms, accepted_as: tuple[int, int]) -> dict[str, Any]:
    key = (accepted.group_id, accepted.status_id)
    if key == PENDING_ACCEPTED:
        key = accepted_as
    status: dict[str, Any] = to_builtins(status_of(*key))
    if key == PENDING_ACCEPTED and sms.send_at is not None:
        status["description"] = "Pending Accepted"  # of scheduled messages, in S2 and S3
    return status

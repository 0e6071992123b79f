"""What was accepted, as each generation tells it (reference, part 6.4)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from dispatcher.sandbox.messages.send import Accepted, AcceptedSms, Api, BinaryContent, Send, Sms
from dispatcher.sandbox.messages.statuses import PENDING_ACCEPTED, status_of
from receiver.answers import Count
from receiver.dlr.model import Status
from receiver.routes import ref

ROOTS: Final[dict[Api, str]] = {
    "v1": "smsResponse",
    "v2": "smsResponse",
    "v3": "SmsResponseEnvelope",
}

ReportStatus = Annotated[Any, Meta(extra_json_schema=ref("Status"))]
"""A `Status`, as reports have it."""


class SmsResponseDetails(Struct, frozen=True, kw_only=True, rename="camel"):
    to: str
    status: ReportStatus
    sms_count: Count | UnsetType = UNSET
    message_id: str


class SmsResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """in XML `smsResponse`"""

    bulk_id: str | UnsetType = UNSET
    tracking_process_key: str | UnsetType = UNSET
    messages: list[SmsResponseDetails]


class SmsMessageDetails(Struct, frozen=True, rename="camel"):
    message_count: Count


class SmsMessageResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    message_id: str
    status: ReportStatus
    destination: str
    details: SmsMessageDetails | UnsetType = UNSET


class SmsResponseEnvelope(Struct, frozen=True, rename="camel"):
    bulk_id: str
    messages: list[SmsMessageResponse]


def answer_of(
    send: Send,
    accepted: Accepted,
    *,
    counts: bool,
    bulk_id: bool = True,
    accepted_as: tuple[int, int] = PENDING_ACCEPTED,
) -> SmsResponse | SmsResponseEnvelope:
    """The answer. `counts`: each message with its number of parts. `accepted_as`: the status that
    is told instead of PENDING_ACCEPTED.
    """
    each = [
        (sms, one, _status(sms, one, accepted_as))
        for sms, one in zip(send.messages, accepted.messages, strict=True)
    ]
    if send.api == "v3":
        return SmsResponseEnvelope(accepted.bulk_id, [_v3(*one, counts) for one in each])
    key = send.tracking.process_key if send.tracking else None
    return SmsResponse(
        bulk_id=accepted.bulk_id if bulk_id else UNSET,
        tracking_process_key=key or UNSET,
        messages=[_v1(*one, counts) for one in each],
    )


def _v1(sms: Sms, accepted: AcceptedSms, status: Status, counts: bool) -> SmsResponseDetails:
    return SmsResponseDetails(
        to=sms.to,
        status=status,
        sms_count=accepted.parts if counts else UNSET,
        message_id=accepted.message_id,
    )


def _v3(sms: Sms, accepted: AcceptedSms, status: Status, counts: bool) -> SmsMessageResponse:
    """The count "is not usable with binary content" (OAS): there it is left out."""
    counted = counts and not isinstance(sms.content, BinaryContent)
    return SmsMessageResponse(
        message_id=accepted.message_id,
        status=status,
        destination=sms.to,
        details=SmsMessageDetails(accepted.parts) if counted else UNSET,
    )


def _status(sms: Sms, accepted: AcceptedSms, accepted_as: tuple[int, int]) -> Status:
    key = (accepted.group_id, accepted.status_id)
    if key == PENDING_ACCEPTED:
        key = accepted_as
    status = status_of(*key)
    if key == PENDING_ACCEPTED and sms.send_at is not None:
        # of scheduled messages, in S2 and S3
        return structs.replace(status, description="Pending Accepted")
    return status

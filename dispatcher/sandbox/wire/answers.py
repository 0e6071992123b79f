"""What was accepted, as each generation tells it (reference, part 6.4)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from dispatcher.sandbox.messages.lifecycle import PENDING_ENROUTE
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


Counts = Literal["always", "at once", "never"]
"""Which messages of an answer have their number of parts; "at once": those without a `sendAt`."""


def answer_of(
    send: Send,
    accepted: Accepted,
    *,
    counts: Counts,
    bulk_id: bool = True,
    accepted_as: tuple[int, int] = PENDING_ACCEPTED,
) -> SmsResponse | SmsResponseEnvelope:
    """The answer. `accepted_as`: the status that is told instead of PENDING_ACCEPTED where no rule
    says another.
    """
    each = [
        (sms, one, _status(send.api, sms, one, accepted_as), _is_counted(sms, counts))
        for sms, one in zip(send.messages, accepted.messages, strict=True)
    ]
    if send.api == "v3":
        return SmsResponseEnvelope(accepted.bulk_id, [_v3(*one) for one in each])
    key = send.tracking.process_key if send.tracking else None
    return SmsResponse(
        bulk_id=accepted.bulk_id if bulk_id else UNSET,
        tracking_process_key=key or UNSET,
        messages=[_v1(*one) for one in each],
    )


def _is_counted(sms: Sms, counts: Counts) -> bool:
    return counts == "always" or (counts == "at once" and sms.send_at is None)


def _v1(sms: Sms, accepted: AcceptedSms, status: Status, counted: bool) -> SmsResponseDetails:
    return SmsResponseDetails(
        to=sms.to,
        status=status,
        sms_count=accepted.parts if counted else UNSET,
        message_id=accepted.message_id,
    )


def _v3(sms: Sms, accepted: AcceptedSms, status: Status, counted: bool) -> SmsMessageResponse:
    """The count "is not usable with binary content" (OAS): there it is left out."""
    counted = counted and not isinstance(sms.content, BinaryContent)
    return SmsMessageResponse(
        message_id=accepted.message_id,
        status=status,
        destination=sms.to,
        details=SmsMessageDetails(accepted.parts) if counted else UNSET,
    )


def _status(api: Api, sms: Sms, accepted: AcceptedSms, accepted_as: tuple[int, int]) -> Status:
    """S2 and S3, of v1 and v2, have "Pending Accepted" as the description of a scheduled message;
    v3 shows one description only. A scheduled message is never told to be on its way (S2)."""
    key = (accepted.group_id, accepted.status_id)
    scheduled = sms.send_at is not None
    if key == PENDING_ACCEPTED:
        key = accepted.answered or accepted_as
    if key == PENDING_ENROUTE and scheduled:
        key = PENDING_ACCEPTED
    status = status_of(*key)
    if key == PENDING_ACCEPTED and scheduled and api != "v3":
        return structs.replace(status, description="Pending Accepted")
    return status

"""Received SMS as the provider tells them, to whoever pulls them and in a push (OAS; `logs`: the
provider's documents of 2015).

    {"results":[{"messageId","from","to","text","cleanText","keyword","receivedAt","smsCount",
                 "price","callbackData",…}],"messageCount","pendingMessageCount"}

What a message does not have is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType, field, to_builtins

from dispatcher.sandbox.messages.inbound import Inbound
from receiver.answers import Count
from receiver.dlr import xml_format
from receiver.dlr.instants import format_instant
from receiver.dlr.model import Format

ROOT: Final = "reportResponse"

_encode = msgspec.json.Encoder().encode


class InboundPrice(Struct, frozen=True, rename="camel"):
    """of an SMS that comes in: it costs nothing"""

    price_per_message: Count
    currency: str


class InboundLog(Struct, frozen=True, kw_only=True, rename="camel"):
    """a received SMS, in the logs"""

    message_id: str
    sender: str = field(name="from")
    to: str
    text: str
    clean_text: str
    keyword: str | UnsetType = UNSET
    received_at: str
    sms_count: Count


class InboundMessage(InboundLog, frozen=True, kw_only=True, rename="camel"):
    """a received SMS"""

    price: InboundPrice
    callback_data: str | UnsetType = UNSET
    application_id: str | UnsetType = UNSET
    entity_id: str | UnsetType = UNSET
    campaign_reference_id: str | UnsetType = UNSET


class InboundLogs(Struct, frozen=True):
    """in XML `reportResponse`"""

    results: list[InboundLog]


class InboundMessages(Struct, frozen=True, rename="camel"):
    """in XML `reportResponse`; pendingMessageCount are those that still wait to be pulled"""

    results: list[InboundMessage]
    message_count: Count
    pending_message_count: Count


def messages_of(found: Sequence[Inbound], pending: int, currency: str) -> InboundMessages:
    """What is handed out, or pushed. `pending` of those that fit wait for the next request."""
    return InboundMessages([_message(each, currency) for each in found], len(found), pending)


def logs_of(found: Sequence[Inbound]) -> InboundLogs:
    return InboundLogs([InboundLog(**_log(each)) for each in found])


def encoded(told: InboundMessages | InboundLogs, form: Format) -> bytes:
    """The body that tells it."""
    if form == "json":
        return _encode(told)
    fields = to_builtins(told)
    items = fields["results"]
    return xml_format.encode_document(
        ROOT, {**fields, "results": {"result": items} if items else ""}
    )


def _log(inbound: Inbound) -> dict[str, Any]:
    return {
        "message_id": inbound.message_id,
        "sender": inbound.sender,
        "to": inbound.to,
        "text": inbound.text,
        "clean_text": inbound.clean_text,
        "keyword": inbound.keyword or UNSET,
        "received_at": format_instant(inbound.received_at),
        "sms_count": inbound.parts,
    }


def _message(inbound: Inbound, currency: str) -> InboundMessage:
    return InboundMessage(
        **_log(inbound),
        price=InboundPrice(0, currency),
        callback_data=inbound.callback_data or UNSET,
        application_id=inbound.application_id or UNSET,
        entity_id=inbound.entity_id or UNSET,
        campaign_reference_id=inbound.campaign_reference_id or UNSET,
    )

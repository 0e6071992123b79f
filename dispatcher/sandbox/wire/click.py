"""The event that tells of a click (OAS, UrlTrackingWebhook). What a message does not have is left
out. What is told of the device and of the place is ours: nobody knows it here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dispatcher.sandbox.messages.message import Message
from receiver.dlr.instants import utc_microseconds


class RecipientInfo(Struct, frozen=True, rename="camel"):
    device_type: str
    os: str
    device_name: str


class GeoLocationInfo(Struct, frozen=True, rename="camel"):
    country_name: str
    city: str


PHONE: Final = RecipientInfo("Phone", "Android 14", "Sandbox")
PLACE: Final = GeoLocationInfo("Switzerland", "Zurich")


class ClickEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """`send_date_time` is when it was clicked, in milliseconds since 1970 UTC."""

    notification_type: Literal["CLICKED"] = "CLICKED"
    recipient: str
    url: str
    send_date_time: int
    message_id: str
    bulk_id: str
    callback_data: str | UnsetType = UNSET
    recipient_info: RecipientInfo = PHONE
    geo_location_info: GeoLocationInfo = PLACE
    application_id: str | UnsetType = UNSET
    entity_id: str | UnsetType = UNSET


def click_event(message: Message, url: str, at: datetime) -> bytes:
    """The body that tells of a click on the link that leads to `url`."""
    sms = message.sms
    return msgspec.json.encode(
        ClickEvent(
            recipient=sms.to,
            url=url,
            send_date_time=utc_microseconds(at) // 1000,
            message_id=message.message_id,
            bulk_id=message.bulk_id,
            callback_data=sms.delivery.callback_data or UNSET,
            application_id=sms.application_id or UNSET,
            entity_id=sms.entity_id or UNSET,
        )
    )

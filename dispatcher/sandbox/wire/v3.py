"""POST /sms/3/messages: the fields, and the `Send` of them (OAS, reference 6.5)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import repeat
from typing import Any, Final

from dispatcher.sandbox.messages.send import VALIDITY_MOST, Api, Delivery, Send, Sms, Tracking
from dispatcher.sandbox.wire.common import (
    CALLBACK_DATA,
    CONTENT_TYPE,
    LANGUAGE_CODE,
    REGIONAL,
    SEND_AT,
    SPEED,
    TO,
    TRANSLITERATION,
    URL_OPTIONS,
    WINDOW,
)
from dispatcher.sandbox.wire.content import (
    Content,
    Shortening,
    binary_content,
    destination,
    shortening_of,
    text_contents,
)
from dispatcher.sandbox.wire.rules import (
    Boolean,
    Choice,
    Hex,
    HttpUrl,
    Inspection,
    Integer,
    SenderId,
    Text,
)
from dispatcher.sandbox.wire.tables import Field, ListOf, Table, Values


def _validity(values: Values) -> timedelta:
    """Above 48 hours it is 48 hours: the provider's samples ask for 720 HOURS."""
    most = VALIDITY_MOST // values["timeUnit"]
    return values["timeUnit"] * min(values["amount"], most)  # type: ignore[no-any-return]


def _one_content(_: Values, came: dict[str, Any]) -> Iterator[tuple[str, str]]:
    given = [name for name in ("text", "hex") if came.get(name) is not None]
    if len(given) != 1:
        yield "", f"must have either text or hex, got {' and '.join(given) or 'neither'}"


_VALIDITY_UNITS = {
    "SECONDS": timedelta(seconds=1),
    "MINUTES": timedelta(minutes=1),
    "HOURS": timedelta(hours=1),
}

# fmt: off
_DESTINATION = Table(
    Field("to",        TO,        "OAS; missing: status 51, no number: status 52"),
    Field("messageId", Text(200), "OAS"),
    Field("networkId", Integer(), "OAS"),
)

_LANGUAGE = Table(
    Field("languageCode", LANGUAGE_CODE, "OAS"),
    Field("singleShift",  Boolean(),     "OAS"),
    Field("lockingShift", Boolean(),     "OAS"),
)

_CONTENT = Table(
    Field("text",            Text(),          "OAS"),
    Field("transliteration", TRANSLITERATION, "OAS"),
    Field("language",        _LANGUAGE,       "OAS"),
    Field("hex",             Hex(),           "OAS"),
    Field("dataCoding",      Integer(0, 255), "OAS; an octet: SMPP", default=0),
    Field("esmClass",        Integer(0, 255), "OAS; an octet: SMPP", default=0),
    check=_one_content,
)

_PLATFORM = Table(
    Field("entityId",      Text(255), "OAS"),
    Field("applicationId", Text(255), "OAS"),
)

_VALIDITY = Table(
    Field("amount",   Integer(1, 2**31 - 1),   "OAS; from 1: ours; at most 48 h", True),
    Field("timeUnit", Choice(_VALIDITY_UNITS), "OAS", default=_VALIDITY_UNITS["MINUTES"]),
    make=_validity,
)

_MESSAGE_OPTIONS = Table(
    Field("platform",            _PLATFORM, "OAS"),
    Field("validityPeriod",      _VALIDITY, "OAS"),
    Field("deliveryTimeWindow",  WINDOW,    "OAS"),
    Field("campaignReferenceId", Text(255), "OAS"),
    Field("regional",            REGIONAL,  "OAS"),
    Field("flash",               Boolean(), "OAS", default=False),
)

_DELIVERY = Table(
    Field("url",                HttpUrl(), "OAS"),
    Field("intermediateReport", Boolean(), "OAS", default=False),
    Field("notify",             Boolean(), "OAS", default=True),
)

_WEBHOOKS = Table(
    Field("delivery",     _DELIVERY,     "OAS"),
    Field("contentType",  CONTENT_TYPE,  "OAS", default="json"),
    Field("callbackData", CALLBACK_DATA, "OAS"),
)

_DESTINATIONS = ListOf(_DESTINATION, ("destination", "destinations"))

_MESSAGE = Table(
    Field("sender",       SenderId(),       "OAS; S4: the sizes"),
    Field("destinations", _DESTINATIONS,    "OAS", required=True),
    Field("content",      _CONTENT,         "OAS", required=True),
    Field("options",      _MESSAGE_OPTIONS, "OAS"),
    Field("webhooks",     _WEBHOOKS,        "OAS"),
)

_SCHEDULE = Table(
    Field("bulkId",            Text(100), "OAS"),
    Field("sendAt",            SEND_AT,   "OAS"),
    Field("sendingSpeedLimit", SPEED,     "OAS"),
)

_CONVERSION = Table(
    Field("useConversionTracking",  Boolean(), "OAS", default=False),
    Field("conversionTrackingName", Text(),    "OAS"),
)

_OPTIONS = Table(
    Field("schedule",                  _SCHEDULE,   "OAS, S4"),
    Field("tracking",                  URL_OPTIONS, "OAS"),
    Field("includeSmsCountInResponse", Boolean(),   "OAS", default=False),
    Field("conversionTracking",        _CONVERSION, "OAS"),
)

REQUEST: Final = Table(
    Field("messages", ListOf(_MESSAGE, ("message", "messages")), "OAS, S4", required=True),
    Field("options",  _OPTIONS,                                  "OAS, S4"),
)
# fmt: on

_NO_SCHEDULE: Values = {"bulkId": None, "sendAt": None, "sendingSpeedLimit": None}
_NO_PLATFORM: Values = {"entityId": None, "applicationId": None}


def send_of(api: Api, values: Values, inspection: Inspection) -> Send:
    """The request of what `REQUEST` read."""
    options = values["options"] or {}
    schedule = options.get("schedule") or _NO_SCHEDULE
    shortening = shortening_of(options.get("tracking"), inspection)
    return Send(
        api=api,
        bulk_id=schedule["bulkId"] or None,
        messages=[
            sms
            for message in values["messages"]
            for sms in _messages(message, schedule, shortening)
        ],
        speed=schedule["sendingSpeedLimit"],
        tracking=_tracking(options, inspection),
    )


def _messages(values: Values, schedule: Values, shortening: Shortening | None) -> Iterator[Sms]:
    """One for each destination."""
    destinations = values["destinations"]
    contents = _contents(values["content"], shortening, len(destinations))
    options = values["options"] or {}
    platform = options.get("platform") or _NO_PLATFORM
    delivery = _delivery(values["webhooks"])
    for each, content in zip(destinations, contents, strict=True):
        to, refusal = destination(each["to"])
        yield Sms(
            message_id=each["messageId"] or None,
            to=to,
            sender=values["sender"],
            content=content.content,
            parts=content.parts,
            delivery=delivery,
            flash=options.get("flash", False),
            validity=options.get("validityPeriod") or VALIDITY_MOST,
            send_at=schedule["sendAt"],
            window=options.get("deliveryTimeWindow"),
            application_id=platform["applicationId"],
            entity_id=platform["entityId"],
            campaign_reference_id=options.get("campaignReferenceId"),
            network_id=each["networkId"],
            regional=options.get("regional"),
            links=content.links,
            refusal=refusal or content.refusal,
        )


def _contents(values: Values, shortening: Shortening | None, count: int) -> Iterator[Content]:
    if values["text"] is None:
        return repeat(binary_content(values), count)
    return text_contents({**values, **(values["language"] or {})}, shortening, count)


def _delivery(webhooks: Values | None) -> Delivery:
    if webhooks is None:
        return Delivery()
    delivery = webhooks["delivery"] or {}
    return Delivery(
        intermediate=delivery.get("intermediateReport", False),
        notify=delivery.get("notify", True),
        url=delivery.get("url"),
        format=webhooks["contentType"],
        callback_data=webhooks["callbackData"],
    )


def _tracking(options: Values, inspection: Inspection) -> Tracking | None:
    conversion, urls = options.get("conversionTracking"), options.get("tracking")
    clicks = urls["trackingUrl"] if urls and urls["trackClicks"] else None
    if conversion and conversion["useConversionTracking"]:
        return Tracking(inspection.new_key(), conversion["conversionTrackingName"], clicks)
    return Tracking(url=clicks) if clicks else None

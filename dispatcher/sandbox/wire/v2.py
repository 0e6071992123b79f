"""POST /sms/1|2/text/advanced and /sms/1|2/binary/advanced: the fields, and the `Send` of them.

v1 and v2 share their tables (reference, part 6.5), but for one thing: samples of S2 post binary
messages to /sms/1/text/advanced, so that route takes either content.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any, Final

from dispatcher.sandbox.messages.send import Api, Delivery, Send, Sms, Tracking
from dispatcher.sandbox.wire.common import (
    BULK_ID,
    CALLBACK_DATA,
    CONTENT_TYPE,
    LANGUAGE_CODE,
    MESSAGE_ID,
    MINUTES,
    REGIONAL,
    SEND_AT,
    SPEED,
    TO,
    TRANSLITERATION,
    URL_OPTIONS,
    WINDOW,
    validity,
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
    NOT_NULL,
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

# fmt: off
BINARY: Final = Table(
    Field("hex",        Hex(),           "S0, S1", required=True),
    Field("dataCoding", Integer(0, 255), "S0, S1; an octet: SMPP", default=0),
    Field("esmClass",   Integer(0, 255), "S0, S1; an octet: SMPP", default=0),
)

_DESTINATION = Table(
    Field("to",        TO,             "S0; missing: status 51, no number: status 52"),
    Field("messageId", MESSAGE_ID, "S0"),
)

_LANGUAGE = Table(Field("languageCode", LANGUAGE_CODE, "S3, OAS"))

_TEXT: Final = (
    Field("text",            Text(),          "S3; required: ours"),
    Field("language",        _LANGUAGE,       "S3"),
    Field("transliteration", TRANSLITERATION, "S3, OAS"),
)

_BINARY: Final = (
    Field("binary", BINARY, "S0; required: ours"),
)

_LISTED_TO = ListOf(_DESTINATION, ("destination", "destinations"))


def _message(content: tuple[Field, ...], platform_most: int) -> Table:
    return Table(
        Field("from",                SenderId(),          "S4; S1, S3: at most 14 digits"),
        Field("destinations",        _LISTED_TO,          "S0, S3", required=True),
        *content,
        Field("flash",               Boolean(),           "S0, S3", default=False),
        Field("intermediateReport",  Boolean(),           "S0, S3", default=False),
        Field("notifyUrl",           HttpUrl(),           "S0, S3"),
        Field("notifyContentType",   CONTENT_TYPE,        "S0, S3", default="json"),
        Field("callbackData",        CALLBACK_DATA,       "S0, OAS"),
        Field("validityPeriod",      MINUTES,             "S0, S3: at most 48 h"),
        Field("sendAt",              SEND_AT,             "S0"),
        Field("deliveryTimeWindow",  WINDOW,              "S0, S3"),
        Field("campaignReferenceId", Text(255),           "S0"),
        Field("regional",            REGIONAL,            "S0"),
        Field("entityId",            Text(platform_most), "S0, OAS"),
        Field("applicationId",       Text(platform_most), "S0, OAS"),
        check=_needs(*(field.name for field in content if field.name in ("text", "binary"))),
    )
# fmt: on


def _needs(*contents: str) -> Any:
    def check(_: Values, came: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if all(came.get(name) is None for name in contents):
            yield contents[0], NOT_NULL

    return check


TRACKING: Final = Table(
    Field("track", Choice(("SMS", "URL")), "S3"),
    Field("processKey", Text(), "S3"),
    Field("type", Text(), "S3"),
    Field("baseUrl", HttpUrl(), "S3"),
)


def _request(message: Table, *more: Field) -> Table:
    return Table(
        Field("bulkId", BULK_ID, "S0"),
        Field("messages", ListOf(message, ("message", "messages")), "S0, S3", required=True),
        Field("sendingSpeedLimit", SPEED, "S0"),
        *more,
    )


_TEXT_REQUEST: Final = (
    Field("tracking", TRACKING, "S3"),
    Field("urlOptions", URL_OPTIONS, "OAS"),
    Field("includeSmsCountInResponse", Boolean(), "OAS", default=False),
)

TEXT_REQUEST: Final = _request(_message(_TEXT, 50), *_TEXT_REQUEST)
TEXT_REQUEST_V1: Final = _request(_message((*_TEXT, *_BINARY), 50), *_TEXT_REQUEST)
BINARY_REQUEST: Final = _request(_message(_BINARY, 66))


def send_of(api: Api, values: Values, inspection: Inspection) -> Send:
    """The request of what `TEXT_REQUEST` or `BINARY_REQUEST` read."""
    shortening = _shortening(values, inspection)
    return Send(
        api=api,
        bulk_id=values["bulkId"] or None,
        messages=[sms for message in values["messages"] for sms in _messages(message, shortening)],
        speed=values["sendingSpeedLimit"],
        tracking=_tracking(values, inspection),
    )


def _messages(values: Values, shortening: Shortening | None) -> Iterator[Sms]:
    """One for each destination."""
    destinations = values["destinations"]
    contents = _contents(values, shortening, len(destinations))
    delivery = Delivery(
        intermediate=values["intermediateReport"],
        url=values["notifyUrl"],
        format=values["notifyContentType"],
        callback_data=values["callbackData"],
    )
    period = validity(values["validityPeriod"])
    for each, content in zip(destinations, contents, strict=True):
        to, refusal = destination(each["to"])
        yield Sms(
            message_id=each["messageId"] or None,
            to=to,
            sender=values["from"],
            content=content.content,
            parts=content.parts,
            delivery=delivery,
            flash=values["flash"],
            validity=period,
            send_at=values["sendAt"],
            window=values["deliveryTimeWindow"],
            application_id=values["applicationId"],
            entity_id=values["entityId"],
            campaign_reference_id=values["campaignReferenceId"],
            regional=values["regional"],
            links=content.links,
            refusal=refusal or content.refusal,
        )


def _contents(values: Values, shortening: Shortening | None, count: int) -> Iterator[Content]:
    if values.get("text") is None:
        return repeat(binary_content(values["binary"]), count)
    return text_contents({**values, **(values["language"] or {})}, shortening, count)


def _shortening(values: Values, inspection: Inspection) -> Shortening | None:
    tracking = values.get("tracking") or {}
    return shortening_of(
        values.get("urlOptions"),
        inspection,
        base_url=tracking.get("baseUrl"),
        converts=tracking.get("track") == "URL",
    )


def _tracking(values: Values, inspection: Inspection) -> Tracking | None:
    """Whoever asks for tracking without a process key gets one (S3)."""
    tracking, urls = values.get("tracking"), values.get("urlOptions")
    clicks = urls["trackingUrl"] if urls and urls["trackClicks"] else None
    if tracking is None:
        return Tracking(url=clicks) if clicks else None
    return Tracking(tracking["processKey"] or inspection.new_key(), tracking["type"], clicks)

"""GET /sms/1/text/query and /sms/3/text/query[.xml]: the parameters, and the `Send` of them (OAS).

One message to many numbers; `to` may be repeated, or have commas, or both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from multidict import MultiMapping

from dispatcher.sandbox.messages.send import Api, Delivery, Send, Sms, Tracking
from dispatcher.sandbox.wire.common import (
    BULK_ID,
    CALLBACK_DATA,
    CONTENT_TYPE,
    LANGUAGE_CODE,
    MINUTES,
    SEND_AT,
    TO,
    TRANSLITERATION,
    validity,
    without_absent,
)
from dispatcher.sandbox.wire.content import (
    Shortening,
    destination,
    shortening_of,
    text_contents,
)
from dispatcher.sandbox.wire.rules import (
    NOT_NULL,
    Boolean,
    Choice,
    HttpUrl,
    Inspection,
    Integer,
    SenderId,
    Text,
)
from dispatcher.sandbox.wire.tables import Field, ListOf, Table, Values


def _regional_faults(_: Values, came: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """As in the objects of the other routes: some fields need another."""
    for prefix, needed in (("indiaDlt", "PrincipalEntityId"), ("turkeyIys", "RecipientType")):
        given = any(name.startswith(prefix) for name in came)
        if given and came.get(prefix + needed) is None:
            yield prefix + needed, NOT_NULL


# fmt: off
_COMMON: Final = (
    Field("to",                        ListOf(TO, ("to",)),            "OAS", required=True),
    Field("from",                      SenderId(),                     "OAS; S4: the sizes"),
    Field("flash",                     Boolean(),                      "OAS", default=False),
    Field("transliteration",           TRANSLITERATION,                "OAS"),
    Field("languageCode",              LANGUAGE_CODE,                  "OAS"),
    Field("intermediateReport",        Boolean(),                      "OAS", default=False),
    Field("notifyUrl",                 HttpUrl(),                      "OAS"),
    Field("notifyContentType",         CONTENT_TYPE,                   "OAS", default="json"),
    Field("callbackData",              CALLBACK_DATA,                  "OAS"),
    Field("sendAt",                    SEND_AT,                        "OAS"),
    Field("trackingType",              Text(),                         "OAS"),
    Field("indiaDltPrincipalEntityId", Text(),                         "OAS"),
    Field("indiaDltContentTemplateId", Text(),                         "OAS"),
    Field("indiaDltTelemarketerId",    Text(),                         "OAS"),
    Field("turkeyIysRecipientType",    Choice(("BIREYSEL", "TACIR")),  "OAS"),
    Field("turkeyIysBrandCode",        Integer(),                      "OAS"),
    Field("southKoreaResellerCode",    Integer(),                      "OAS"),
    Field("southKoreaTitle",           Text(66),                       "OAS"),
)

V1: Final = Table(
    Field("bulkId",         BULK_ID,                "OAS"),
    Field("text",           Text(),                 "OAS; required: ours", required=True),
    *_COMMON,
    Field("validityPeriod", MINUTES,                "OAS: at most 2880"),
    Field("track",          Choice(("SMS", "URL")), "OAS"),
    Field("processKey",     Text(),                 "OAS"),
    check=_regional_faults,
)

V3: Final = Table(
    Field("bulkId",                    Text(100),             "OAS"),
    Field("text",                      Text(),                "OAS", required=True),
    *_COMMON,
    Field("validityPeriod",            Integer(1, 2**31 - 1), "OAS: at most 2880"),
    Field("trackingUrl",               HttpUrl(),             "OAS"),
    Field("includeSmsCountInResponse", Boolean(),             "OAS", default=False),
    check=_regional_faults,
)
# fmt: on


def parameters(query: MultiMapping[str]) -> dict[str, Any]:
    """A query string as the object that the tables read. Of what is repeated the last counts."""
    came: dict[str, Any] = {name: query.getall(name)[-1] for name in query}
    if "to" in came:
        came["to"] = [each for text in query.getall("to") for each in text.split(",")]
    return came


def send_of(api: Api, values: Values, inspection: Inspection) -> Send:
    """The request of what `V1` or `V3` read."""
    contents = text_contents(values, _shortening(values, inspection), len(values["to"]))
    delivery = Delivery(
        intermediate=values["intermediateReport"],
        url=values["notifyUrl"],
        format=values["notifyContentType"],
        callback_data=values["callbackData"],
    )
    messages = []
    for each, content in zip(values["to"], contents, strict=True):
        to, refusal = destination(each)
        messages.append(
            Sms(
                message_id=None,
                to=to,
                sender=values["from"],
                content=content.content,
                parts=content.parts,
                delivery=delivery,
                flash=values["flash"],
                validity=validity(values["validityPeriod"]),
                send_at=values["sendAt"],
                regional=_regional(values),
                links=content.links,
                refusal=refusal or content.refusal,
            )
        )
    tracking = _tracking(values, inspection)
    return Send(api=api, bulk_id=values["bulkId"] or None, messages=messages, tracking=tracking)


def _regional(values: Values) -> Values | None:
    """The flat parameters as the objects of the other routes: `indiaDlt{principalEntityId}`."""
    grouped = {
        prefix: {
            name[len(prefix)].lower() + name[len(prefix) + 1 :]: value
            for name, value in values.items()
            if name.startswith(prefix) and value is not None
        }
        for prefix in ("indiaDlt", "turkeyIys", "southKorea")
    }
    return without_absent({name: group or None for name, group in grouped.items()}) or None


def _shortening(values: Values, inspection: Inspection) -> Shortening | None:
    """Whoever wants clicks told, or tracked as conversions, wants links shortened (ours)."""
    url = values.get("trackingUrl")
    urls = None if url is None else {"shortenUrl": True, "trackingUrl": url}
    return shortening_of(urls, inspection, converts=values.get("track") == "URL")


def _tracking(values: Values, inspection: Inspection) -> Tracking | None:
    url = values.get("trackingUrl")
    if values.get("track") is None:
        return Tracking(type=values["trackingType"], url=url) if url else None
    return Tracking(values["processKey"] or inspection.new_key(), values["trackingType"], url)

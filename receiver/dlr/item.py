"""One item of `results`, as both formats hold it: names and values to a Report, and back.

No field is required and none is refused for being new: what has no name here is kept as unknown
and written again. What was not received is not invented. `null` is an absent field.

The two generations name four things differently (reference, part 1.3). Either name is read in any
item. Where both came, the name of the item's own generation is the field and the other is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec import Struct, to_builtins

from receiver.dlr.errors import MalformedReport
from receiver.dlr.fields import (
    an_object,
    boolean,
    decimal,
    describe,
    instant,
    integer,
    text,
    unknown,
)
from receiver.dlr.instants import format_instant
from receiver.dlr.model import Error, Generation, Price, Report, Status, Unknown

Fields = dict[str, Any]
Take = Callable[..., Any]


def read_item(item: object, place: str, generation: Generation | None = None) -> Report:
    """The report that `item` holds.

    `place` is where it stands in the body (`results[3]`). `generation` is what the surroundings
    tell, such as an XML root; it counts only when the fields do not tell. Raises
    `MalformedReport`, with the place of the field, and nothing else.
    """
    if not isinstance(item, dict):
        raise MalformedReport(place, "an object", describe(item))
    rest = dict(item)
    generation = _generation(rest, generation)
    platform = an_object(rest.pop("platform", None), place, "platform")
    v2_first = generation == "v2"
    take = rest.pop
    count = ("smsCount", "messageCount") if v2_first else ("messageCount", "smsCount")
    sender = ("from", "sender") if v2_first else ("sender", "from")
    return Report(
        generation=generation,
        bulk_id=text(take("bulkId", None), place, "bulkId"),
        message_id=text(take("messageId", None), place, "messageId"),
        to=text(take("to", None), place, "to"),
        sender=text(*_either(take, place, *sender)),
        sent_at=instant(take("sentAt", None), place, "sentAt"),
        done_at=instant(take("doneAt", None), place, "doneAt"),
        message_count=integer(*_either(take, place, *count)),
        # 2015 documents spell it in small letters
        mcc_mnc=text(*_either(take, place, "mccMnc", "mccmnc")),
        callback_data=text(take("callbackData", None), place, "callbackData"),
        price=_price(take("price", None), place),
        status=_status(take("status", None), place),
        error=_error(take("error", None), place),
        entity_id=_of_platform("entityId", rest, platform, v2_first, place),
        application_id=_of_platform("applicationId", rest, platform, v2_first, place),
        campaign_reference_id=text(take("campaignReferenceId", None), place, "campaignReferenceId"),
        unknown=_rest(rest, platform, place),
    )


def _generation(fields: Fields, hint: Generation | None) -> Generation | None:
    """What the fields tell; the hint when they tell nothing or both, and then v3 rather than v2."""
    get = fields.get
    v2 = (
        get("smsCount") is not None
        or get("from") is not None
        or get("applicationId") is not None
        or get("entityId") is not None
    )
    v3 = get("messageCount") is not None or get("sender") is not None or get("platform") is not None
    if v2 != v3:
        return "v2" if v2 else "v3"
    return hint or ("v3" if v3 else None)


def _either(take: Take, place: str, first: str, second: str) -> tuple[Any, str, str]:
    """The value of the first name, else of the second, with where it stood; only that is taken."""
    value = take(first, None)
    if value is not None:
        return value, place, first
    return take(second, None), place, second


def _of_platform(
    name: str, flat: Fields, platform: Fields | None, flat_first: bool, place: str
) -> str | None:
    if platform is None:
        return text(flat.pop(name, None), place, name)
    nested = f"{place}.platform"
    first, second = (flat, platform) if flat_first else (platform, flat)
    holder = first if first.get(name) is not None else second
    return text(holder.pop(name, None), place if holder is flat else nested, name)


def _rest(rest: Fields, platform: Fields | None, place: str) -> Unknown | None:
    if platform:
        rest["platform"] = platform
    return unknown(rest, place) if rest else None


def _price(value: Any, place: str) -> Price | None:
    rest = an_object(value, place, "price")
    if rest is None:
        return None
    place += ".price"
    return Price(
        per_message=decimal(rest.pop("pricePerMessage", None), place, "pricePerMessage"),
        currency=text(rest.pop("currency", None), place, "currency"),
        unknown=unknown(rest, place) if rest else None,
    )


def _status(value: Any, place: str) -> Status | None:
    rest = an_object(value, place, "status")
    if rest is None:
        return None
    place += ".status"
    take = rest.pop
    return Status(
        group_id=integer(take("groupId", None), place, "groupId"),
        group_name=text(take("groupName", None), place, "groupName"),
        id=integer(take("id", None), place, "id"),
        name=text(take("name", None), place, "name"),
        description=text(take("description", None), place, "description"),
        action=text(take("action", None), place, "action"),
        unknown=unknown(rest, place) if rest else None,
    )


def _error(value: Any, place: str) -> Error | None:
    rest = an_object(value, place, "error")
    if rest is None:
        return None
    place += ".error"
    take = rest.pop
    return Error(
        group_id=integer(take("groupId", None), place, "groupId"),
        group_name=text(take("groupName", None), place, "groupName"),
        id=integer(take("id", None), place, "id"),
        name=text(take("name", None), place, "name"),
        description=text(take("description", None), place, "description"),
        permanent=boolean(take("permanent", None), place, "permanent"),
        unknown=unknown(rest, place) if rest else None,
    )


def write_item(report: Report, generation: Generation | None = None) -> Fields:
    """The item of `report`, fields in the order of the provider's examples.

    `generation` None = the report's own, v2 when it has none. Prices are `Decimal`, instants text.
    Absent fields are left out; an unknown field never stands in the place of a known one.
    """
    fields = wire_item(report, generation)
    for name in ("price", "status", "error"):
        value = fields.get(name)
        if isinstance(value, Struct):
            fields[name] = to_builtins(value, builtin_types=(Decimal,))
    return fields


def wire_item(report: Report, generation: Generation | None = None) -> Fields:
    """As `write_item`, but objects that msgspec can write by itself are still structs."""
    v3 = (generation or report.generation) == "v3"
    return _present(_v3(report) if v3 else _v2(report), report.unknown)


def _v2(report: Report) -> Fields:
    return {
        "bulkId": report.bulk_id,
        "messageId": report.message_id,
        "to": report.to,
        "from": report.sender,
        "sentAt": report.sent_at and format_instant(report.sent_at),
        "doneAt": report.done_at and format_instant(report.done_at),
        "smsCount": report.message_count,
        "mccMnc": report.mcc_mnc,
        "callbackData": report.callback_data,
        "price": report.price and _nested(report.price),
        "status": report.status and _nested(report.status),
        "error": report.error and _nested(report.error),
        "entityId": report.entity_id,
        "applicationId": report.application_id,
        "campaignReferenceId": report.campaign_reference_id,
    }


def _v3(report: Report) -> Fields:
    return {
        "bulkId": report.bulk_id,
        "price": report.price and _nested(report.price),
        "status": report.status and _nested(report.status),
        "error": report.error and _nested(report.error),
        "messageId": report.message_id,
        "to": report.to,
        "sender": report.sender,
        "sentAt": report.sent_at and format_instant(report.sent_at),
        "doneAt": report.done_at and format_instant(report.done_at),
        "messageCount": report.message_count,
        "mccMnc": report.mcc_mnc,
        "callbackData": report.callback_data,
        "platform": _platform_fields(report),
        "campaignReferenceId": report.campaign_reference_id,
    }


def _platform_fields(report: Report) -> Fields | None:
    kept = report.unknown and report.unknown.get("platform")
    known = {"entityId": report.entity_id, "applicationId": report.application_id}
    return _present(known, kept if isinstance(kept, dict) else None) or None


def _nested(part: Price | Status | Error) -> Fields | Price | Status | Error:
    if part.unknown is None:
        return part
    fields: Fields = to_builtins(part, builtin_types=(Decimal,))
    del fields["unknown"]
    return _present(fields, part.unknown)


def _present(known: Fields, kept: Unknown | None) -> Fields:
    fields = {name: value for name, value in known.items() if value is not None}
    if kept:
        for name, value in kept.items():
            fields.setdefault(name, value)
    return fields

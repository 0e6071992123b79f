"""What the body of a push carries, and the same body without one recipient. Pure."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from receiver.dlr import json_format, xml_format
from receiver.dlr.errors import MalformedBody
from receiver.dlr.model import Report
from receiver.store.recipient import Recipient


def carried_by(body: bytes, content_type: str) -> list[tuple[bytes, Report]]:
    """What a body of ours carries: each item's bytes (in JSON) and the report in it."""
    try:
        if content_type == "application/xml":
            read = xml_format.decode_body(body)
            return [(b"", report) for report in read if isinstance(report, Report)]
        results = msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]])["results"]
        return [(bytes(item), json_format.decode_item(bytes(item))) for item in results]
    except (MalformedBody, msgspec.MsgspecError, KeyError):
        return []


def without(
    body: bytes, content_type: str, recipient: Recipient, spared: Collection[int]
) -> bytes | None:
    """The body without the recipient's reports, except those at the `spared` places. None when
    nothing is left."""
    others = [
        each
        for place, each in enumerate(carried_by(body, content_type))
        if place in spared or not recipient.has(each[1])
    ]
    if not others:
        return None
    if content_type == "application/xml":
        return xml_format.encode_body([report for _, report in others], others[0][1].generation)
    return json_format.encode_body(item for item, _ in others)

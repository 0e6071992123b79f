"""A request's body: from bytes to the values of a table, with all its faults."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from dispatcher.sandbox.errors import BODY, Refused
from dispatcher.sandbox.wire.rules import Inspection
from dispatcher.sandbox.wire.tables import Table, Values, from_xml
from receiver.answers import NotTaken
from receiver.callbacks.body import (
    Unsupported,
    as_utf8,
    charset_of,
    coding_of,
    format_of,
    inflate,
)
from receiver.dlr import xml_format
from receiver.dlr.errors import MalformedBody
from receiver.dlr.model import Format
from receiver.faults import Misfit

T = TypeVar("T")

TAGS_MOST: Final = 1_000_000
"""A destination in XML has four tags in 48 bytes, so 10 MB of them have fewer. Smaller elements
would fill the memory."""

_REFUSALS = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)  # all seen

_decode = msgspec.json.Decoder().decode


def read_body(
    body: bytes, content_type: str | None, content_encoding: str | None, limit: int, table: Table
) -> Any:
    """The body as JSON has it, or would have it; not yet checked.

    Raises Refused for what cannot be read, 400 or 415, and NotTaken for what is not looked at: too
    large, or in a charset or a coding that is not read here.
    """
    try:
        if (coding := coding_of(content_encoding)) is not None:
            body = inflate(body, coding, limit)
        form = format_of(content_type, body)
        if form is None:
            expected = "must be application/json or application/xml"
            raise Refused(415, misfits=[Misfit("Content-Type", expected)])
        utf8 = as_utf8(body, form, charset_of(content_type))
        return _document(utf8, form, table)
    except Unsupported as error:
        raise NotTaken(415, error.code, error.reason) from error
    except MalformedBody as error:
        raise Refused(400, misfits=[Misfit(BODY, str(error))]) from error


def _document(body: bytes, form: Format, table: Table) -> Any:
    if form == "xml":
        if body.count(b"<") > TAGS_MOST:
            raise MalformedBody("", f"has more than {TAGS_MOST} tags")
        return from_xml(xml_format.decode_document(body), table)
    try:
        return _decode(body)
    except RecursionError as error:
        raise MalformedBody("", "is nested too deeply") from error
    except _REFUSALS as error:
        raise MalformedBody("", f"is not JSON: {error}") from error


def checked(
    table: Table,
    document: Any,
    make: Callable[[Values, Inspection], T],
    now: datetime,
    new_key: Callable[[], str],
    origin: str = "",
) -> T:
    """What `make` makes of the document. Raises Refused with all faults. `origin` is where this
    server was called."""
    inspection = Inspection(now, new_key, origin)
    values = table.read(document, "", inspection)
    if inspection.misfits:
        raise Refused(400, misfits=inspection.misfits)
    return make(values, inspection)

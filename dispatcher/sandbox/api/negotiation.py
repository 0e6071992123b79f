"""JSON or XML, each way on its own: what comes is told by Content-Type, what goes by Accept. Who
accepts anything is answered in the format of the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from aiohttp import web
from msgspec import Struct, to_builtins

from receiver.answers import answer
from receiver.callbacks.auth import as_text
from receiver.callbacks.body import format_of
from receiver.dlr import xml_format
from receiver.dlr.model import Format

ITEM_NAMES: Final[Mapping[str, str]] = {
    "messages": "message",
    "results": "result",
    "previews": "previews",
    "violations": "violation",
    "resources": "resource",
    "validationErrors": "validationError",
}
"""How the items of a list are called in XML (reference, part 2.4); others repeat the list's name,
as the provider does it with `previews` and `days`."""

_ANY: Final = frozenset({"*/*", "application/*"})

_KINDS: Final[Mapping[str, Format]] = {
    "application/json": "json",
    "application/xml": "xml",
    "text/xml": "xml",
}


def wanted(accept: str | None, path: str = "", came: Format = "json") -> Format:
    """The format of the answer. `….xml` in the path asks for XML, whatever is accepted.

    The format in which the request `came` is the default: S3 asks in XML without an Accept and is
    answered in XML; without a body it is JSON (S4). So it is for a client that accepts neither: an
    unexpected answer tells more than none.
    """
    if path.endswith(".xml"):
        return "xml"
    best: tuple[float, Format] = (0.0, came)
    for part in (accept or "").split(","):
        kind, *parameters = part.split(";")
        kind = kind.strip().lower()
        form = came if kind in _ANY else _KINDS.get(kind)
        if form is not None and (quality := _quality(parameters)) > best[0]:
            best = (quality, form)
    return best[1]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(float(value), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def client_of(request: web.Request) -> str | None:
    """The `User-Agent`."""
    name = request.headers.get("User-Agent")
    return None if name is None else as_text(name)


def wanted_by(request: web.Request) -> Format:
    """The format in which this request is to be answered."""
    headers = request.headers
    came = format_of(headers.get("Content-Type"), b"") or "json"
    return wanted(headers.get("Accept"), request.path, came)


def respond(
    form: Format, root: str, value: Struct | dict[str, Any], status: int = 200
) -> web.Response:
    """`value` as JSON, or as XML under `root`."""
    if form == "json":
        return answer(value, status)
    fields = to_builtins(value, builtin_types=(Decimal,))
    body = xml_format.encode_document(root, in_xml(fields))
    return web.Response(body=body, status=status, content_type="application/xml", charset="utf-8")


def in_xml(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with each list as an element that holds its items: `messages/message`."""
    return {name: _value(name, value) for name, value in fields.items()}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return in_xml(value) or ""
    if not isinstance(value, list):
        return value
    return {ITEM_NAMES.get(name, name): [_value("", each) for each in value]} if value else ""

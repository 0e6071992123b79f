"""What of a report goes into a capsule: what is listed here, and nothing else.

Fields that nobody knows may hold anything, so they stay behind; so do prices and descriptions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from dispatcher.capsule.pseudonyms import Pseudonyms
from receiver.dlr.instants import format_instant, parse_instant
from receiver.dlr.statuses import GROUP_NAMES, SMS_STATUSES

_IDS = ("bulkId", "messageId", "applicationId", "entityId")
_NUMBERS = ("to", "from", "sender")
_INSTANTS = ("sentAt", "doneAt")
_COUNTS = ("smsCount", "messageCount")
_NETWORK = re.compile(r"[0-9]{5,6}", re.ASCII)

_KNOWN_NAMES = frozenset({*SMS_STATUSES.values(), *GROUP_NAMES.values(), "OK", "Ok", "NO_ERROR"})
"""A name that is none of these could be a text of anybody's."""


def shared(item: bytes | str, pseudonyms: Pseudonyms) -> dict[str, Any]:
    """The item of a stored report as others may see it, in the provider's field names."""
    told = msgspec.json.decode(item)
    if not isinstance(told, dict):
        return {}
    found = _with_pseudonyms(told, pseudonyms)
    for name in _INSTANTS:
        if (at := _instant(told.get(name))) is not None:
            found[name] = at
    for name in _COUNTS:
        if isinstance(told.get(name), int):
            found[name] = told[name]
    if _NETWORK.fullmatch(str(told.get("mccMnc", ""))):
        found["mccMnc"] = str(told["mccMnc"])
    for name in ("status", "error"):
        if isinstance(told.get(name), Mapping):
            found[name] = _said(told[name])
    return found


def _with_pseudonyms(told: Mapping[str, Any], pseudonyms: Pseudonyms) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in (*_IDS, "callbackData"):
        if _is_text(told.get(name)):
            found[name] = pseudonyms.text(name, str(told[name]))
    for name in _NUMBERS:
        if _is_text(told.get(name)):
            found[name] = pseudonyms.number(str(told[name]))
    platform = told.get("platform")
    if isinstance(platform, Mapping):
        found["platform"] = {
            name: pseudonyms.text(name, str(platform[name]))
            for name in _IDS
            if _is_text(platform.get(name))
        }
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _instant(value: object) -> str | None:
    try:
        return format_instant(parse_instant(str(value))) if value is not None else None
    except ValueError:
        return None


def _said(told: Mapping[str, Any]) -> dict[str, Any]:
    """A status or an error: its numbers, and its names if everybody has them."""
    found: dict[str, Any] = {}
    for name in ("groupId", "id"):
        if isinstance(told.get(name), int):
            # The largest number of the reference has four digits; more could be anybody's.
            found[name] = told[name] if abs(told[name]) < 100_000 else 0
    for name in ("groupName", "name"):
        if told.get(name) in _KNOWN_NAMES:
            found[name] = told[name]
    if isinstance(told.get("permanent"), bool):
        found["permanent"] = told["permanent"]
    return found

"""The forms of a new replay: what somebody has typed, in the words of ReplayRequest and back. Pure.

The filters travel in the page's address; from there to the end they are one JSON value, which keeps
a messageId with line breaks in it as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from multidict import MultiMapping

from dispatcher.replay.request import FILTERS

Asked = dict[str, Any]
"""Fields of ReplayRequest."""


Said = MultiMapping[Any]
"""A query, or a form that was sent."""

_ONE = ("bulkId", "dispatch", "endpoint", "state", "source", "since", "until")
_WORDS = ("ids", "statuses", "statusGroups")


def filters_of(said: Said) -> Asked:
    """The filters; what is empty is not there. A list is its field several times, or its members
    in one: message ids a line each, all others with commas or blanks between them."""
    asked: Asked = {name: text for name in _ONE if (text := _text(said, name))}
    for name in _WORDS:
        words = [word for text in _texts(said, name) for word in re.split(r"[,\s]+", text) if word]
        if words:
            asked[name] = [_number(word) for word in words] if name == "ids" else words
    # Browsers end the lines of a text area with both; a link may have an id with only one of them.
    lines = [line for text in _texts(said, "messageIds") for line in text.split("\r\n")]
    if message_ids := [read_line(line) for line in lines if line.strip()]:
        asked["messageIds"] = message_ids
    return asked


def filters_of_json(text: str) -> Asked | None:
    """The filters as a page has written them (`json.dumps`); `None`: they are none of ours."""
    try:
        read = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    return read if read.keys() <= set(FILTERS) else None


def shown_filters(asked: Asked) -> Mapping[str, str]:
    """The text of each field of the first form."""
    shown = {name: str(asked.get(name, "")) for name in _ONE}
    shown |= {name: " ".join(map(str, asked.get(name, ()))) for name in ("ids", "statuses")}
    return shown | {"messageIds": "\r\n".join(map(write_line, asked.get("messageIds", ())))}


def write_line(text: str) -> str:
    """A text on one line: as it is, or in JSON if it has line breaks or would be read as JSON."""
    plain = text.isprintable() and text == text.strip() and not text.startswith('"')
    return text if plain else json.dumps(text)


def read_line(line: str) -> str:
    """What `write_line` has written."""
    line = line.strip(" \t")
    if line.startswith('"'):
        try:
            return msgspec.json.decode(line, type=str)
        except msgspec.MsgspecError:
            return line
    return line


def target_and_pace(said: Said) -> Asked:
    """Where to, how fast, and when to stop. Of each choice only the chosen one counts, though
    something may have been typed beside the others."""
    asked: Asked = {}
    match _text(said, "target"):
        case "endpoint":
            asked["toEndpoint"] = _text(said, "toEndpoint")
        case "url":
            asked["to"] = _text(said, "to")
    match _text(said, "pacing"):
        case "rate":
            asked["rate"] = _text(said, "rate")
        case "original":
            asked["pace"] = "original"
            if speed := _text(said, "speed"):
                asked["speed"] = _decimal(speed)
    if share := _text(said, "stopOnErrors"):
        asked["stopOnErrors"] = _decimal(share)
    return asked


def choices_of_link(said: Said) -> Mapping[str, str]:
    """The second form as it begins: a link may name a target, a rate or a pace."""
    names = ("toEndpoint", "to", "rate", "speed", "stopOnErrors")
    typed = {name: _text(said, name) for name in names}
    target = "endpoint" if typed["toEndpoint"] else "url" if typed["to"] else "went"
    pacing = "rate" if typed["rate"] else "original" if _text(said, "pace") else "fast"
    return {**typed, "target": target, "pacing": pacing}


def choices_as_typed(said: Said) -> Mapping[str, str]:
    """The second form as it was sent."""
    names = ("toEndpoint", "to", "rate", "speed", "stopOnErrors", "target", "pacing")
    return {name: _text(said, name) for name in names}


_FIELDS = {*FILTERS, "toEndpoint", "to", "rate", "pace", "speed", "stopOnErrors"}


def placed(fault: str) -> tuple[str, str]:
    """The field that a fault is about, and the fault without it; `` where it is about none."""
    name, mark, _ = fault.partition(": ")
    field = re.match(r"\w*", name)
    if mark and field is not None and field[0] in _FIELDS and "," not in name:
        return field[0], fault[len(field[0]) :].removeprefix(": ")
    return "", fault


def in_words(asked: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """A selection for people: each filter with what it asks for."""
    return [
        (_WORDS_OF.get(name, name), _joined(value)) for name, value in asked.items() if value != []
    ]


_WORDS_OF = {
    "ids": "report",
    "messageIds": "message",
    "bulkId": "bulk",
    "statuses": "status",
    "statusGroups": "status",
    "since": "received from",
    "until": "received before",
}

_NAMED_MOST = 5


def _joined(value: Any) -> str:
    if not isinstance(value, list | tuple):
        return str(value)
    named = ", ".join(str(each) for each in value[:_NAMED_MOST])
    more = len(value) - _NAMED_MOST
    return f"{named} and {more} more" if more > 0 else named


def _texts(said: Said, name: str) -> list[str]:
    return [text for text in said.getall(name, []) if isinstance(text, str)]


def _text(said: Said, name: str) -> str:
    return next(iter(_texts(said, name)), "").strip()


def _number(word: str) -> int | str:
    """A number where it is one; otherwise what was typed, for the fault to tell."""
    return int(word) if re.fullmatch("[0-9]{1,18}", word, re.ASCII) else word


def _decimal(text: str) -> float | str:
    return float(text) if re.fullmatch(r"[0-9]{0,9}\.?[0-9]{1,9}", text, re.ASCII) else text

"""The JSON Schema of settings, for editors and whatever else checks a TOML file (draft 2020-12).

It has names, types, choices, bounds, defaults and required settings. Rules over several settings,
and those that take a look at a file, are checked only when the settings are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import timedelta
from typing import Any, Literal, get_args, get_origin

from receiver.faults import joined
from receiver.settings.configuration import (
    SIZE,
    Between,
    Form,
    Hint,
    Secret,
    default_of,
    hints_of,
)
from receiver.settings.durations import duration_text
from receiver.settings.writing import plain

Schema = dict[str, Any]

_SIZE = {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]{1,18}(B|KB|MB|GB)?$"}

_NUMBER = r"([0-9]+(\.[0-9]+)?)"

_DURATION = {
    "type": "string",
    "minLength": 2,
    "pattern": "^" + "".join(f"({_NUMBER}{unit})?" for unit in ("d", "h", "m", "s", "ms")) + "$",
}

_LEAVES: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    timedelta: _DURATION,
    Secret: {"type": "string", "writeOnly": True},
}


def json_schema(kind: Any, words: Mapping[str, str]) -> Schema:
    """The schema of a file of the settings `kind`. `words` explains settings, by the place of each
    without numbers, such as `endpoint.window`."""
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {**draft, "title": "Settings of dlr", **_section(kind, words, "")}


def words_in(text: str) -> dict[str, str]:
    """What a settings file with a comment above each setting says of it, by its place."""
    found: dict[str, str] = {}
    table, comment = "", list[str]()
    for line in text.splitlines():
        if (head := re.fullmatch(r"#?\[{1,2}([a-z_.0-9]+)\]{1,2}", line)) is not None:
            table = place = head[1]
        elif (setting := re.match(r"#?([a-z_0-9]+) = ", line)) is not None:
            place = joined(table, setting[1])
        elif line.startswith("# "):
            comment.append(line.removeprefix("# "))
            continue
        else:
            comment = []
            continue
        if comment:
            found.setdefault(place, "\n".join(comment))
        comment = []
    return found


def _section(kind: Any, words: Mapping[str, str], place: str) -> Schema:
    hints = hints_of(kind)
    properties: Schema = {}
    required: list[str] = []
    for each in fields(kind):
        inner, default = joined(place, each.name), default_of(each)
        said = _of(hints[each.name], words, inner)
        described = [words.get(inner), said.pop("description", None)]
        if any(described):
            said = {"description": "\n".join(filter(None, described)), **said}
        if default is MISSING:
            if not hints[each.name].section:
                required.append(each.name)
        elif default is not None and not hints[each.name].section:
            said |= {"default": plain(default)}
        properties[each.name] = said
    needed = {"required": required} if required else {}
    return {"type": "object", "properties": properties, **needed, "additionalProperties": False}


def _of(hint: Hint, words: Mapping[str, str], place: str) -> Schema:
    if hint.section:
        return _section(hint.base, words, place)
    origin = get_origin(hint.base)
    if origin is Literal:
        return {"enum": list(get_args(hint.base))}
    if origin is tuple:
        return {"type": "array", "items": _of(hint.inner, words, place)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(hint.inner, words, place)}
    return _leaf(hint)


def _leaf(hint: Hint) -> Schema:
    said = dict(_SIZE if SIZE in hint.marks else _LEAVES[hint.base])
    for mark in hint.marks:
        if isinstance(mark, Form):
            said["description"] = f"Expected: {mark.words}."
        elif isinstance(mark, Between):
            said |= _bounds(mark, hint.base)
    return said


def _bounds(mark: Between, base: Any) -> Schema:
    if base is timedelta:  # a text has no bounds that a schema could tell
        return {"description": f"Expected: a duration {mark.words(duration_text)}."}
    bounds = {"minimum": mark.least, "maximum": mark.most}
    return {name: value for name, value in bounds.items() if value is not None}

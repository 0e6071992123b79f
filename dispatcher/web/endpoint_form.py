"""An endpoint's settings as a form, and what was typed as a table. Pure.

The fields follow from the settings' own types: what is one value, or a list of them, has a field;
tables stand in a box, in TOML as in the settings file. A secret is shown as `set` there, and kept
where that is left.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, Final, Literal, get_args, get_origin

from msgspec import Struct

from dispatcher.settings.settings import RULES, EndpointSettings
from dispatcher.web.documented import of_endpoint
from receiver.faults import without_credentials
from receiver.settings.configuration import ConfigurationError, Hint, default_of, hints_of, written
from receiver.settings.reader import table_of
from receiver.settings.writing import as_table

KEPT: Final = "set"
"""What stands for a value that is not shown."""

BOX: Final = "tables"
"""The name of the box in the form."""

_HINTS = hints_of(EndpointSettings)

# --- what it shows -----------------------------------------------------------------------------


class SettingField(Struct, frozen=True):
    """A setting as a field. `choices` None: a text. `default` is told where nothing is said."""

    name: str
    help: str
    value: str
    default: str
    choices: Sequence[str] | None
    required: bool
    routes: bool
    faults: Sequence[str] = ()


class Box(Struct, frozen=True):
    """The settings that are tables, in TOML. `help` by the setting's name."""

    text: str
    help: Mapping[str, str]
    faults: Sequence[str] = ()


class EndpointForm(Struct, frozen=True):
    """`faults` are those that belong to no field."""

    fields: Sequence[SettingField]
    box: Box
    faults: Sequence[str] = ()

    @property
    def is_faulty(self) -> bool:
        return bool(self.faults or self.box.faults or any(each.faults for each in self.fields))


def told_settings(settings: EndpointSettings) -> dict[str, Any]:
    """The settings that differ from their defaults, as a table without secrets: what the API does
    not tell either is `set`."""
    table = as_table(settings) | {"url": without_credentials(settings.url)}
    return {k: _masked(v) if _HINTS[k].secret else v for k, v in table.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: each if k == "type" else _masked(each) for k, each in value.items()}
    return KEPT


def typed_of(table: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the fields of a form for these settings."""
    texts = {name: _text(table[name]) for name in _plain() if name in table}
    return texts | {BOX: as_toml({k: v for k, v in table.items() if k in _tables()})}


def form_of(typed: Mapping[str, str], faults: Iterable[str] = ()) -> EndpointForm:
    """A form with what was typed, and each fault beside its field."""
    at: dict[str, list[str]] = {}
    for fault in faults:
        place, _, reason = fault.partition(": ")
        name = re.split(r"[.\[]", place)[0]
        at.setdefault(name, []).append(reason if place == name and name in _plain() else fault)
    plain, help_ = _plain(), of_endpoint()
    in_box = {*_tables(), BOX, *_keys_of(typed.get(BOX, ""))} - plain.keys()
    return EndpointForm(
        [_field(each, typed.get(name, ""), at.get(name, ())) for name, each in plain.items()],
        Box(
            typed.get(BOX, ""),
            {k: words for k, words in help_.items() if k.partition(".")[0] in _tables()},
            [fault for name, told in at.items() if name in in_box for fault in told],
        ),
        [f for name, told in at.items() if name not in in_box | plain.keys() for f in told],
    )


def _field(setting: Field[Any], value: str, faults: Sequence[str]) -> SettingField:
    hint = _HINTS[setting.name]
    default = default_of(setting)
    return SettingField(
        name=setting.name,
        help=of_endpoint().get(setting.name, ""),
        value=value,
        default="" if default is MISSING else _default(default, hint),
        choices=_choices(hint),
        required=default is MISSING,
        routes=setting.name in (*RULES, "reports"),
        faults=faults,
    )


def _default(default: Any, hint: Hint) -> str:
    return "all" if default in ((), "") else written(default, hint.marks)


def _choices(hint: Hint) -> Sequence[str] | None:
    if hint.base is bool:
        return ("true", "false")
    return get_args(hint.base) if get_origin(hint.base) is Literal else None


def _plain() -> dict[str, Field[Any]]:
    return {each.name: each for each in fields(EndpointSettings) if each.name not in _tables()}


def _tables() -> set[str]:
    return {name for name, hint in _HINTS.items() if hint.section or get_origin(hint.base) is dict}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return as_toml_value(value) if any("," in str(v) for v in value) else ", ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- what was typed ----------------------------------------------------------------------------


def table_of_typed(typed: Mapping[str, str]) -> dict[str, Any]:
    """The settings that were typed, by their names in the file; what is empty is not in it. A text
    that is no value stays one, so that the settings' reader tells what it expects there.

    Raises ConfigurationError for a box that is no TOML, or says what a field is for.
    """
    table = {
        name: _value(_HINTS[name], typed[name].strip())
        for name in _plain()
        if typed.get(name, "").strip()
    }
    try:
        boxed = table_of(typed.get(BOX, "").replace("\r\n", "\n"))
    except ConfigurationError as error:
        raise ConfigurationError([f"{BOX}: {fault}" for fault in error.faults]) from error
    if twice := [name for name in boxed if name in _plain()]:
        raise ConfigurationError(
            [f"{BOX}: {name} has its own field on this page" for name in twice]
        )
    return table | boxed


def _value(hint: Hint, text: str) -> Any:
    if get_origin(hint.base) is tuple:
        return (
            _toml(text)
            if text.startswith("[")
            else [*filter(None, map(str.strip, text.split(",")))]
        )
    value = _toml(text) if hint.base in (int, float, bool) else text
    return value if type(value) in (str, int, float, bool) else text


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text


def _keys_of(text: str) -> Iterable[str]:
    try:
        return table_of(text).keys()
    except ConfigurationError:
        return ()


def patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7396) that makes `after` of `before`. What was not touched is not in it,
    so what somebody else has changed meanwhile stays, and so do secrets."""
    changes: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            if inner := patch(old, value):
                changes[name] = inner
        elif name not in before or old != value:
            changes[name] = value
    return changes


# --- TOML --------------------------------------------------------------------------------------


def as_toml(table: Mapping[str, Any], head: str = "") -> str:
    """A table as TOML: its values, then its tables."""
    values = [f"{_key(k)} = {as_toml_value(v)}" for k, v in table.items() if not _is_table(v)]
    parts = ["\n".join([f"[{head}]", *values] if head and (values or not table) else values)]
    for name, value in table.items():
        if _is_table(value):
            parts.append(as_toml(value, f"{head}.{_key(name)}" if head else _key(name)))
    return "\n".join(filter(None, parts))


def as_toml_value(value: Any) -> str:
    """A text, a number, true or false, or a list of them. A text of JSON is one of TOML, but for
    DEL."""
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else as_toml_value(name)

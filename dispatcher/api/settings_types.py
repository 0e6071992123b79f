"""Settings as msgspec Structs in camelCase, made of the very dataclasses that read them: what can
be said of them over the API, and what it shows of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from receiver.routes import Schema
from receiver.settings.configuration import Between, Form, Secret
from receiver.settings.durations import duration_text

_DURATION: Schema = {
    "description": "such as 500ms, 10s or 1h30m",
    "pattern": r"^([0-9]+(\.[0-9]+)?(d|h|m|s|ms))+$",
}

StructField = tuple[str, Any, Any]
"""Name, type and default."""


class SettingsTypes:
    """Makes the types. `names` are the settings' names in camelCase."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._nested: dict[str, type[Struct]] = {}

    def said(
        self, name: str, kind: type, *, without: Collection[str] = (), required: bool = True
    ) -> type[Struct]:
        """What can be said: each setting that is not `without`, and nothing else. Null is the
        default, where there is one; those that have none must be there where `required`."""
        made = [
            self._said_field(each, hint, without, required)
            for each, hint in _settings(kind)
            if each.name not in without
        ]
        return self._struct(name, made, forbid_unknown_fields=True)

    def _said_field(
        self, setting: Field[Any], hint: Any, without: Collection[str], required: bool
    ) -> StructField:
        inner, _ = _without_none(hint)
        if is_dataclass(inner):
            assert isinstance(inner, type)
            name = f"Said{inner.__name__}"
            if name not in self._nested:
                self._nested[name] = self.said(name, inner, without=without)
            told: Any = self._nested[name]
        else:
            told = told_type(inner, _SAID_SECRET)
        if setting.default is MISSING and setting.default_factory is MISSING:
            return setting.name, told, msgspec.NODEFAULT if required else UNSET
        return setting.name, told | None, _default(setting)

    def shown(self, kind: type) -> list[StructField]:
        """The fields of an answer that shows every setting, or none."""
        return [
            (each.name, self._shown_type(hint) | UnsetType, UNSET) for each, hint in _settings(kind)
        ]

    def _shown_type(self, hint: Any) -> Any:
        inner, optional = _without_none(hint)
        if is_dataclass(inner):
            assert isinstance(inner, type)
            name = inner.__name__
            if name not in self._nested:
                made = [
                    (each.name, self._shown_type(nested), msgspec.NODEFAULT)
                    for each, nested in _settings(inner)
                ]
                self._nested[name] = self._struct(name, made)
            told: Any = self._nested[name]
        else:
            told = told_type(inner)
        return told | None if optional else told

    def value(self, value: Any) -> Any:
        """A setting as an answer shows it."""
        if is_dataclass(value):
            shown = {each.name: self.value(getattr(value, each.name)) for each in fields(value)}
            return self._nested[type(value).__name__](**shown)
        if isinstance(value, Secret):
            return "set"
        if isinstance(value, timedelta):
            return duration_text(value)
        if isinstance(value, dict):
            return {name: self.value(each) for name, each in value.items()}
        return value

    def _struct(self, name: str, made: list[StructField], **more: Any) -> type[Struct]:
        return msgspec.defstruct(
            name,
            [(n, told, msgspec.field(default=d)) for n, told, d in made],
            rename=self._names.get,
            kw_only=True,
            frozen=True,
            **more,
        )


_SAID_SECRET = Annotated[str, Meta(extra_json_schema={"writeOnly": True})]


def _settings(kind: Any) -> Iterator[tuple[Field[Any], Any]]:
    hints = get_type_hints(kind, include_extras=True)
    for each in fields(kind):
        yield each, hints[each.name]


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, UnionType):
        (inner,) = (each for each in get_args(hint) if each is not NoneType)
        return inner, True
    return hint, False


def told_type(hint: Any, secret: Any = Literal["set"]) -> Any:
    """What stands in JSON for a setting of this type; `secret` for a Secret."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        schema: Schema = _DURATION if inner[0] is timedelta else {}
        for mark in inner[1:]:
            schema = {**schema, **_marked(mark, inner[0] is Secret)}
        told = str if inner[0] is timedelta else told_type(inner[0], secret)
        return Annotated[told, Meta(extra_json_schema=schema)]
    if origin is tuple:
        return tuple[told_type(inner[0], secret), ...]  # type: ignore[misc]
    if origin is dict:
        return dict[str, told_type(inner[1], secret)]  # type: ignore[misc]
    if hint is timedelta:
        return Annotated[str, Meta(extra_json_schema=_DURATION)]
    return secret if hint is Secret else hint


def _marked(mark: Any, is_secret: bool) -> Schema:
    """A bound, or the words and the pattern of a form. Of a secret only the words are told."""
    if isinstance(mark, Form):
        pattern = getattr(mark.accepts, "__self__", None)
        marked: Schema = {"description": mark.words}
        if not is_secret and isinstance(pattern, re.Pattern):
            marked["pattern"] = f"^(?:{pattern.pattern})$"
        return marked
    if isinstance(mark, Between):
        bounds = {"minimum": mark.least, "maximum": mark.most}
        if isinstance(mark.least, timedelta):
            words = f"a duration from {duration_text(mark.least)} to {duration_text(mark.most)}"
            return {"description": words}
        return {name: bound for name, bound in bounds.items() if bound is not None}
    return {}


def _default(setting: Field[Any]) -> Any:
    """What is told of it; UNSET where nothing is."""
    default = setting.default
    if default is MISSING or default is None:
        return UNSET
    return duration_text(default) if isinstance(default, timedelta) else default

"""The settings of an endpoint as JSON Schema, out of the very dataclasses that read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from functools import partial
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from receiver.api.openapi import a_list, nullable
from receiver.routes import Schema
from receiver.settings.configuration import Between, Form, Secret
from receiver.settings.durations import duration_text

DURATION: Schema = {
    "type": "string",
    "description": "such as 500ms, 10s or 1h30m",
    "pattern": r"^([0-9]+(\.[0-9]+)?(d|h|m|s|ms))+$",
}

_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    timedelta: DURATION,
}


class SettingsSchema:
    """Schemas of settings under the names that `camel` gives them; `secret` is that of secrets."""

    def __init__(self, camel: Callable[[str], str], secret: Schema) -> None:
        self._camel = camel
        self._secret = secret

    def taken(self, kind: type, *, without: Collection[str] = ()) -> Schema:
        """What may be said: each setting that is not `without`, and nothing else. Null is the
        default, where there is one; those that have none must be there."""
        required = [each.name for each in fields(kind) if _has_none(each)]
        return {
            "type": "object",
            "properties": {
                self._camel(name): schema if name in required else nullable(schema)
                for name, schema in self._properties(kind, partial(self._said, without))
                if name not in without
            },
            "required": required,
            "additionalProperties": False,
        }

    def shown(self, kind: type) -> dict[str, Schema]:
        """The properties of an answer that shows every setting."""
        return {self._camel(name): each for name, each in self._properties(kind, self._shown)}

    def _properties(
        self, kind: type, of: Callable[[Any, Field[Any]], Schema]
    ) -> list[tuple[str, Schema]]:
        hints = get_type_hints(kind, include_extras=True)
        return [(each.name, of(hints[each.name], each)) for each in fields(kind)]

    def _said(self, without: Collection[str], hint: Any, setting: Field[Any]) -> Schema:
        inner, _ = _without_none(hint)
        if is_dataclass(inner):
            assert isinstance(inner, type)
            return self.taken(inner, without=without)
        return {**self._schema(inner), **_default(setting)}

    def _shown(self, hint: Any, _: Field[Any]) -> Schema:
        inner, optional = _without_none(hint)
        if is_dataclass(inner):
            assert isinstance(inner, type)
            properties = self.shown(inner)
            schema: Schema = {
                "type": "object",
                "properties": properties,
                "required": list(properties),
            }
        else:
            schema = self._schema(inner)
        return nullable(schema) if optional else schema

    def _schema(self, hint: Any) -> Schema:
        origin, inner = get_origin(hint), get_args(hint)
        if origin is Annotated:
            schema = self._schema(inner[0])
            for mark in inner[1:]:
                schema = {**schema, **_marked(mark, inner[0] is Secret)}
            return schema
        if origin is Literal:
            return {"type": "string", "enum": list(inner)}
        if origin is tuple:
            return a_list(self._schema(inner[0]))
        if origin is dict:
            return {"type": "object", "additionalProperties": self._schema(inner[1])}
        return self._secret if hint is Secret else _PLAIN[hint]


def _has_none(setting: Field[Any]) -> bool:
    return setting.default is MISSING and setting.default_factory is MISSING


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, UnionType):
        (inner,) = (each for each in get_args(hint) if each is not NoneType)
        return inner, True
    return hint, False


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


def _default(setting: Field[Any]) -> Schema:
    default = setting.default
    if default is MISSING or default is None:
        return {}
    if isinstance(default, timedelta):
        return {"default": duration_text(default)}
    return {"default": list(default) if isinstance(default, tuple) else default}

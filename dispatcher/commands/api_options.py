"""Options of the command line that the API has too: made of its filters and of its bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click
from msgspec import Meta, Struct, structs

from dispatcher.commands.option_words import in_option_words
from dispatcher.commands.options import Command
from receiver.api.parameters import Filter


def filter_options(filters: Iterable[Filter]) -> Callable[[Command], Command]:
    """The options of filters, by the names of the API's parameters (`parameters`)."""

    options = {each.option: each for each in filters if each.option is not None}
    names = {each.name: option.partition("/")[0] for option, each in options.items()}

    def decorate(command: Command) -> Command:
        command = in_option_words(names)(command)
        for option, each in reversed(options.items()):
            command = click.option(option, help=each.words or None, **_typed(each))(command)
        return command

    return decorate


def _typed(row: Filter) -> dict[str, Any]:
    shape = row.kind.shape
    if shape is bool:
        return {"default": None}
    if isinstance(shape, dict) and "enum" in shape:
        default = {"default": shape["default"], "show_default": True} if "default" in shape else {}
        return {"type": click.Choice(shape["enum"]), **default}
    return {}


def body_options(body: type[Struct], **more: Mapping[str, Any]) -> Callable[[Command], Command]:
    """The options of the fields of a request's body; `parameters` gives what it is read from. A
    list is an option that is given several times. `more` is what a field cannot tell of its
    option."""

    def decorate(command: Command) -> Command:
        names: dict[str, str] = {}
        for each in structs.fields(body):
            said = _kind(each).__metadata__[-1]
            names[each.encode_name] = said.extra["option"] or f"--{each.name.replace('_', '-')}"
        command = in_option_words(names)(command)
        for each in reversed(structs.fields(body)):
            kind = _kind(each)
            said, name = kind.__metadata__[-1], names[each.encode_name]
            typed = {**_body_typed(kind.__origin__, said), **more.get(each.name, {})}
            command = click.option(name, each.name, help=said.description, **typed)(command)
        return command

    return decorate


def _kind(each: structs.FieldInfo) -> Any:
    return next(kind for kind in _alternatives(each.type) if kind is not NoneType)


def _alternatives(kind: Any) -> Sequence[Any]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _body_typed(kind: Any, said: Meta) -> dict[str, Any]:
    if kind is bool:
        return {"is_flag": True}
    if kind is float:
        return {"type": click.FloatRange(said.ge, said.le)}
    if get_origin(kind) is Literal:
        return {"type": click.Choice(get_args(kind))}
    if get_origin(kind) is tuple:
        of_numbers = getattr(get_args(kind)[0], "__origin__", None) is int
        return {"multiple": True, **({"type": int} if of_numbers else {})}
    return {}


def parameters(**options: Any) -> dict[str, str]:
    """The options of a command by the names of the API's parameters: one set of rules for both."""
    words = {True: "true", False: "false"}
    return {
        _camel(name): words[value] if isinstance(value, bool) else value
        for name, value in options.items()
        if value is not None
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)

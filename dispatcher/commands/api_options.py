"""Options of the command line that the API has too: made of its filters and of its bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click
from msgspec import Meta, Struct, structs

from dispatcher.commands.option_words import in_option_words
from dispatcher.commands.options import Command
from dispatcher.commands.times import TimeOption, time_options
from receiver.api.parameters import INSTANT, Filter, snake


def filter_options(filters: Iterable[Filter]) -> Callable[[Command], Command]:
    """The options of filters, by the names of the API's parameters (`parameters`)."""

    options = {each.option: each for each in filters if each.option is not None}
    names = {each.name: option.partition("/")[0] for option, each in options.items()}

    def decorate(command: Command) -> Command:
        command = in_option_words(names)(command)
        times = [_time(each, option) for option, each in options.items() if each.kind is INSTANT]
        command = time_options(*times)(command)
        for option, each in reversed(options.items()):
            if each.kind is not INSTANT:
                command = click.option(option, help=each.words or None, **_typed(each))(command)
        return command

    return decorate


def _time(row: Filter, option: str) -> TimeOption:
    """The name of its argument is that of the parameter, so that `parameters` finds it."""
    return TimeOption(snake(row.name), option, row.words, row.old_option)


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

    fields = [(each, _kind(each.type)) for each in structs.fields(body)]
    times = [
        TimeOption(each.name, f"--{each.name}", said.extra["time"])
        for each, said in ((each, kind.__metadata__[-1]) for each, kind in fields)
        if "time" in said.extra
    ]
    names = {
        each.encode_name: kind.__metadata__[-1].extra.get("option")
        or f"--{each.name.replace('_', '-')}"
        for each, kind in fields
    }

    def decorate(command: Command) -> Command:
        command = time_options(*times)(in_option_words(names)(command))
        for each, kind in reversed(fields):
            said, name = kind.__metadata__[-1], names[each.encode_name]
            if "time" in said.extra:
                continue
            typed = {**_body_typed(kind.__origin__, said), **more.get(each.name, {})}
            command = click.option(name, each.name, help=said.description, **typed)(command)
        return command

    return decorate


def _kind(kind: Any) -> Any:
    return next(each for each in _alternatives(kind) if each is not NoneType)


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

"""One way to say what is wrong with input: where, what was expected, what came.

retry.waits[2]: expected a positive duration, got "-5s"
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import inspect, structs

from receiver.dlr.fields import describe

_SHOWN = 80  # characters of a text that are told


class Misfit(NamedTuple):
    """A part of some input that cannot be used. `place` is empty for all of it."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" if self.place else self.reason


def expected(what: str, got: str) -> str:
    """The reason of most misfits. `got` is what came, already in words or quotes."""
    return f"expected {what}, got {got}"


def joined(place: str, *steps: str | int) -> str:
    """The place that these keys and indices lead to from `place`: `a.b[2]."c d"`."""
    for step in steps:
        if isinstance(step, int):
            place = f"{place}[{step}]"
        else:
            key = step if re.fullmatch(r"[A-Za-z0-9_-]+", step) else quoted(step)
            place = f"{place}.{key}" if place else key
    return place


def quoted(text: str) -> str:
    """`text` in quotes and in one line, the beginning of a long one."""
    text = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return json.dumps(text, ensure_ascii=False)


def either(*choices: object) -> str:
    """`"a", "b" or 3`."""
    named = [quoted(each) if isinstance(each, str) else str(each) for each in choices]
    return " or ".join(filter(None, (", ".join(named[:-1]), named[-1])))


# What was found

# A host with or without a port, then the end of a URL's authority.
_PLAIN_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:@/?#\\\s]+)(:[0-9]*)?(?=[/?#]|$)")


def without_credentials(text: str) -> str:
    """`text` as it may be printed: a URL loses user, password and query (tokens travel there).

    What is no proper URL is cut at its last `@`, for a password may be what broke it.
    """
    scheme, mark, rest = text.partition("://") if "://" in text else ("", "", text)
    if not mark and ":" not in text:
        return text
    if not (mark and _PLAIN_PLACE.match(rest)):
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        place = authority.rpartition("@")[2]
        proper = mark and _PLAIN_PLACE.fullmatch(place)
        rest = place + rest[len(authority) :] if proper else rest.rpartition("@")[2]
    path, query, _ = rest.partition("?")
    return f"{scheme}{mark}{path}?…" if mark and query else scheme + mark + rest


def came(value: object) -> str:
    """What JSON had, for people: its kind, or a short look at it, without credentials."""
    return describe(without_credentials(value) if isinstance(value, str) else value)


# What msgspec does not convert


def misfit(value: Any, kind: Any) -> Misfit:
    """Why `msgspec.convert(value, kind)` raises ValidationError, in our words.

    It is the first part, from outside to inside, that does not convert alone. So it is decided by
    the value and its type, not by msgspec's text. `value` is what JSON can hold.
    """
    return _misfit(value, kind, "")


def _misfit(value: Any, kind: Any, place: str) -> Misfit:
    alternatives = _alternatives(kind)
    shape = _unmarked(alternatives[0]) if len(alternatives) == 1 else None
    for step, part, inner in _parts(value, shape):
        if inner is None:
            return Misfit(joined(place, step), "unknown field")
        if not _converts(part, inner):
            return _misfit(part, inner, joined(place, step))
    for name, inner in _missing(value, shape):
        return Misfit(joined(place, name), expected(_words(inner), "nothing"))
    return Misfit(place, expected(_words(kind), came(value)))


def _converts(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """The types of a union. Nobody is told that null would do."""
    if get_origin(kind) not in (Union, UnionType):
        return (kind,)
    return tuple(each for each in get_args(kind) if each is not NoneType)


def _unmarked(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _parts(value: Any, shape: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """Key or index, value and type of what is in `value`; the type is `None` where none is due."""
    if isinstance(value, list) and get_origin(shape) in (list, tuple):
        yield from ((index, part, get_args(shape)[0]) for index, part in enumerate(value))
    elif isinstance(value, dict) and get_origin(shape) is dict:
        yield from ((key, part, get_args(shape)[1]) for key, part in value.items())
    elif isinstance(value, dict) and _is_struct(shape):
        kinds = {each.encode_name: each.type for each in structs.fields(shape)}
        unknown = None if shape.__struct_config__.forbid_unknown_fields else Any
        yield from ((key, part, kinds.get(key, unknown)) for key, part in value.items())


def _missing(value: Any, shape: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and _is_struct(shape):
        for each in structs.fields(shape):
            if each.required and each.encode_name not in value:
                yield each.encode_name, each.type


def _is_struct(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, msgspec.Struct)


def _words(kind: Any) -> str:
    return " or ".join(_noun(each) for each in _alternatives(kind))


def _noun(kind: Any) -> str:
    if get_origin(_unmarked(kind)) is Literal:
        return either(*get_args(_unmarked(kind)))
    known = inspect.type_info(kind)
    if isinstance(known, inspect.Metadata):  # words for clients
        known = known.type
    noun = _NOUNS.get(type(known), "another value")
    bounds = " and ".join(filter(None, _bounds(known)))
    return f"{noun} {bounds}" if bounds else noun


def _bounds(known: inspect.Type) -> Iterator[str]:
    if isinstance(known, inspect.StrType):
        if length := _range(known.min_length, known.max_length, "of"):
            yield f"{length} characters"
    elif isinstance(known, inspect.IntType | inspect.FloatType):
        if known.gt is not None:
            yield f"above {known.gt}"
        yield _range(known.ge, known.le, "from")


def _range(least: float | None, most: float | None, between: str) -> str:
    if least is None:
        return "" if most is None else f"of at most {most}"
    return f"of at least {least}" if most is None else f"{between} {least} to {most}"


_NOUNS: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.IntType: "an integer",
    inspect.FloatType: "a number",
    inspect.StrType: "a text",
    inspect.DateTimeType: "an instant such as 2026-11-21T10:00:00Z",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.DictType: "an object",
    inspect.StructType: "an object",
}

"""Settings as frozen dataclasses, which `reader` makes of one TOML file and the environment.

The dataclasses say everything: a field is a section (a dataclass), an array of tables
(`tuple[Section, ...]`) or a setting; its name is the TOML key, its default the default.

| hint | in the file | in the environment |
|---|---|---|
| `str`, `int`, `float`, `bool` | as TOML has them | as TOML writes them, a text without quotes |
| `timedelta` | `"10s"`, `"1h30m"` | the same |
| `ByteSize` | `"10MB"`, or a number of bytes | the same |
| `Literal[...]` | one of the words | the same |
| `Secret` | a text; it is never printed | the same |
| `tuple[X, ...]` | `["a", "b"]` | `a,b` |
| `dict[str, X]` | a table | `a=1,b=2` |
| `X | None` | as X | as X; empty is `None` |

`Annotated` adds `Between` and `Form`. A dataclass with a method
`faults() -> Iterable[tuple[str, str]]` (place within it, text) checks what takes several settings.
One with `shown() -> Iterable[str]` prints only the settings that it names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from receiver.faults import either, without_credentials
from receiver.settings.durations import duration_text


class ConfigurationError(Exception):
    """The settings cannot be used. `faults` has a line for each thing to repair, all of them.

    `readable` are the settings with defaults in place of what cannot be read, so that more can be
    checked of them in one round. `None`: there is nothing to check.
    """

    def __init__(self, faults: Iterable[str], readable: Any = None) -> None:
        self.faults = tuple(faults)
        self.readable = readable
        super().__init__("\n".join(self.faults))


class Secret:
    """A text that prints as `set`. Only `reveal` gives it away."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "set"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds of a number, a size or a duration, both included. `None` is no bound."""

    least: Any = None
    most: Any = None

    def accepts(self, value: Any) -> bool:
        above = self.least is None or self.least <= value
        return above and (self.most is None or value <= self.most)

    def words(self, written: Callable[[Any], str]) -> str:
        if self.most is None:
            return f"of at least {written(self.least)}"
        if self.least is None:
            return f"of at most {written(self.most)}"
        return f"from {written(self.least)} to {written(self.most)}"


@dataclass(frozen=True, slots=True)
class Form:
    """What a text must look like: `words` for people, `accepts` true or false for a value. `fault`
    has something more precise to say of a text that is accepted otherwise."""

    words: str
    accepts: Callable[[str], object]
    fault: Callable[[str], str | None] = lambda _: None


MAY_HOLD_SECRET = object()
"""Marks a setting beside a secret in which people write the secret too, such as a name of a header
with its value. No fault quotes what came there."""

SIZE = object()
ByteSize = Annotated[int, SIZE]
"""A number of bytes, written `10MB`, `10KB`, `1GB` or plain. 1 KB is 1024 bytes."""


# Sizes


def size(text: str) -> int:
    """`10MB`, `10KB`, `1GB` or `1000` as bytes. Raises `ValueError` for anything else."""
    match = re.fullmatch(r"([0-9]{1,18})(B|KB|MB|GB)?", text)
    if match is None:
        raise ValueError(f'expected a size such as 10MB, got "{text}"')
    return int(match[1]) * _BYTES[match[2] or "B"]


def size_text(value: int) -> str:
    """`value` bytes in the largest unit that leaves a whole number."""
    unit = next(u for u, n in _BYTES.items() if (value % n == 0 and value >= n) or u == "B")
    return f"{value // _BYTES[unit]}{unit}"


_BYTES = {"GB": 1024**3, "MB": 1024**2, "KB": 1024, "B": 1}


# What a dataclass says


@dataclass(frozen=True, slots=True)
class Hint:
    """A field's type, taken apart: `Annotated[base, *marks]`, with `| None` or without."""

    base: Any
    marks: tuple[Any, ...]
    optional: bool

    @property
    def section(self) -> bool:
        return is_dataclass(self.base)

    @property
    def entry(self) -> Any:
        """The section that is repeated in an array of tables; `None` when it is no such array."""
        if get_origin(self.base) is tuple and is_dataclass(get_args(self.base)[0]):
            return get_args(self.base)[0]
        return None

    @property
    def secret(self) -> bool:
        """Whether a secret may stand there, or below it. Then no fault quotes what came."""
        if self.base is Secret or MAY_HOLD_SECRET in self.marks:
            return True
        if self.section:
            return any(each.secret for each in hints_of(self.base).values())
        return get_origin(self.base) in (tuple, dict) and self.inner.secret

    @property
    def inner(self) -> Hint:
        """Of a list or a table, what its values are."""
        parts = get_args(self.base)
        return hint_of(parts[1] if get_origin(self.base) is dict else parts[0])

    def words(self) -> str:
        """What is expected, for people."""
        for mark in self.marks:
            if isinstance(mark, Form):
                return mark.words
            if isinstance(mark, Between):
                return f"{self._noun()} {mark.words(lambda v: written(v, self.marks))}"
        if self.base is timedelta:
            return "a duration such as 10s"
        return "a size such as 10MB" if SIZE in self.marks else self._noun()

    def _noun(self) -> str:
        origin = get_origin(self.base)
        if origin is Literal:
            return either(*get_args(self.base))
        return "a size" if SIZE in self.marks else _NOUNS[origin or self.base]


def hint_of(annotation: Any) -> Hint:
    marks: tuple[Any, ...] = ()
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            marks += tuple(more)
        elif origin in (Union, UnionType):
            (annotation,) = (each for each in get_args(annotation) if each is not NoneType)
            optional = True
        else:
            return Hint(annotation, marks, optional)


@cache  # evaluating annotations is two thirds of reading a table
def hints_of(kind: Any) -> dict[str, Hint]:
    annotations = get_type_hints(kind, include_extras=True)
    return {each.name: hint_of(annotations[each.name]) for each in fields(kind)}


def default_of(setting: Field[Any]) -> Any:
    """A setting's default; `MISSING` when it has none."""
    if setting.default_factory is not MISSING:
        return setting.default_factory()
    return setting.default


def written(value: Any, marks: tuple[Any, ...]) -> str:
    """A value as the file would have it, a text without quotes and credentials."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, tuple):
        return f"[{', '.join(written(each, marks) for each in value)}]"
    if SIZE in marks:
        return size_text(value)
    return without_credentials(value) if isinstance(value, str) else str(value)


_NOUNS: dict[Any, str] = {
    str: "a text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    timedelta: "a duration",
    Secret: "a text",
    tuple: "a list",
    dict: "a table",
}

"""Settings from one TOML file and the environment, into frozen dataclasses.

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

A variable is `DLR_`, section and key: `DLR_SERVER_PORT`. In an array of tables that have names it
is the entry's name (`DLR_ENDPOINT_ACME_URL`), for entries that the file has.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from datetime import date, time, timedelta
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from receiver.faults import either, expected, joined, quoted, without_credentials
from receiver.settings.durations import duration, duration_text

T = TypeVar("T")

NOT_SETTINGS = frozenset({"DLR_CONFIG", "DLR_DATABASE", "DLR_DEBUG"})
"""Variables of the command line, which are no settings of the file."""


class ConfigurationError(Exception):
    """The settings cannot be used. `faults` has a line for each thing to repair, all of them."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
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
    """What a text must look like: `words` for people, `accepts` true or false for a value."""

    words: str
    accepts: Callable[[str], object]


_SIZE = object()
ByteSize = Annotated[int, _SIZE]
"""A number of bytes, written `10MB`, `10KB`, `1GB` or plain. 1 KB is 1024 bytes."""


def read(kind: type[T], file: Path | None, environment: Mapping[str, str]) -> T:
    """The settings of `kind` from `file` (`None`: from the defaults) and the environment.

    Raises `ConfigurationError` with all faults. Only a file that cannot be parsed is told alone.
    """
    table = _table(file) if file else {}
    variables = _Variables(kind, table, environment)
    reader = _Reader(file, variables.used)
    settings = reader.section(kind, table, "")
    if faults := reader.faults + variables.faults:
        raise ConfigurationError(faults)
    assert isinstance(settings, kind)
    return settings


def read_table(kind: type[T], table: Mapping[str, Any]) -> T:
    """The settings of `kind` from a table that came otherwise than in a file, as JSON for instance.

    Raises `ConfigurationError` with all faults.
    """
    reader = _Reader(None, {})
    settings = reader.section(kind, dict(table), "")
    if reader.faults:
        raise ConfigurationError(reader.faults)
    assert isinstance(settings, kind)
    return settings


def as_table(settings: Any) -> dict[str, Any]:
    """What `read_table` makes the same settings of, secrets included. Defaults are left out."""
    return {
        each.name: _plain(value)
        for each in fields(settings)
        if (value := getattr(settings, each.name))
        != (_default(each) if _has_default(each) else _UNREADABLE)
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return as_table(value)
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


def effective(settings: Any) -> list[tuple[str, str]]:
    """Dotted name and printable value of every setting. Secrets are `set` or `not set`; URLs come
    without user, password and query.
    """
    return list(_printed(settings, (), ""))


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

# The file


def _table(file: Path) -> dict[str, Any]:
    try:
        text = file.read_bytes().decode()
        return tomllib.loads(text)
    except FileNotFoundError:
        fault = "there is no such file"
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        fault = f"{_position(error.object[: error.start].decode())}: expected UTF-8"
    except tomllib.TOMLDecodeError as error:
        fault = _syntax_fault(str(error), text)
    except ValueError:  # Python reads no integer of more than 4300 digits; it does not say where
        fault = "it has a number that is too long"
    raise ConfigurationError([f"{file}: {fault}"])


def _syntax_fault(message: str, text: str) -> str:
    what, _, place = message.partition(" (at ")
    place = place.removesuffix(")")
    if place == "end of document":
        place = _position(text)
    return f"{place}: {what[:1].lower()}{what[1:]}"


def _position(before: str) -> str:
    """Where a text goes on that starts with `before`."""
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


# The environment


class _FromEnvironment(str):
    """A value from the environment, where everything is a text."""

    __slots__ = ()


class _Variables:
    """Puts the variables into the table that the file gave.

    `used` has the variable by the place that it sets, `faults` those that set nothing.
    """

    def __init__(self, kind: Any, table: dict[str, Any], environment: Mapping[str, str]) -> None:
        self.used: dict[str, str] = {}
        self.faults: list[str] = []
        self._arrays: list[str] = []
        self._steps: dict[str, list[_Steps]] = {}
        self._collect(kind, table, "DLR", ())
        for variable, text in sorted(environment.items()):
            if variable.startswith("DLR_") and variable not in NOT_SETTINGS:
                self._apply(variable, text, table)

    def _collect(self, kind: Any, table: object, prefix: str, steps: _Steps) -> None:
        for name, hint in _hints(kind).items():
            variable, inner = f"{prefix}_{_upper(name)}", _step_into(table, name)
            if hint.section:
                self._collect(hint.base, inner, variable, (*steps, name))
            elif hint.entry:
                self._arrays.append(variable)
                self._collect_entries(hint.entry, inner, variable, (*steps, name))
            elif not (name == "name" and steps and isinstance(steps[-1], int)):
                self._steps.setdefault(variable, []).append((*steps, name))

    def _collect_entries(self, kind: Any, entries: object, prefix: str, steps: _Steps) -> None:
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(name := _step_into(entry, "name"), str):
                self._collect(kind, entry, f"{prefix}_{_upper(name)}", (*steps, index))

    def _apply(self, variable: str, text: str, table: dict[str, Any]) -> None:
        meant = self._steps.get(variable, [])
        if len(meant) == 1:
            self.used[joined("", *meant[0])] = variable
            _put(table, meant[0], _FromEnvironment(text))
        elif meant:
            places = " and ".join(joined("", *steps) for steps in meant)
            self.faults.append(f"{variable}: cannot be told apart, it names {places}")
        else:
            self.faults.append(f"{variable}: there is no such setting{self._guess(variable)}")

    def _guess(self, variable: str) -> str:
        """Compared without the beginning that all have, which would make strangers look alike."""
        array = next((each for each in self._arrays if variable.startswith(f"{each}_")), "")
        begin = len(array or "DLR") + 1
        ends = [each[begin:] for each in self._steps if each.startswith(variable[:begin])]
        if close := get_close_matches(variable[begin:], ends, 1, 0.7):
            return f"; did you mean {variable[:begin]}{close[0]}?"
        return "; a variable sets only entries that the file has, by their name" if array else ""


_Steps = tuple[str | int, ...]


def _upper(name: str) -> str:
    return re.sub("[^A-Z0-9]", "_", name.upper())


def _step_into(table: object, key: str) -> object:
    return table.get(key) if isinstance(table, dict) else None


def _put(table: dict[str, Any], steps: _Steps, value: str) -> None:
    """Where the file has something else than a table on the way, nothing: that is told anyway."""
    node: Any = table
    for step in steps[:-1]:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
        if not isinstance(node, dict | list):
            return
    node[steps[-1]] = value


# The dataclasses


@dataclass(frozen=True, slots=True)
class _Hint:
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

    def words(self) -> str:
        """What is expected, for people."""
        for mark in self.marks:
            if isinstance(mark, Form):
                return mark.words
            if isinstance(mark, Between):
                return f"{self._noun()} {mark.words(lambda v: _written(v, self.marks))}"
        if self.base is timedelta:
            return "a duration such as 10s"
        return "a size such as 10MB" if _SIZE in self.marks else self._noun()

    def _noun(self) -> str:
        origin = get_origin(self.base)
        if origin is Literal:
            return either(*get_args(self.base))
        return "a size" if _SIZE in self.marks else _NOUNS[origin or self.base]


def _hint(annotation: Any) -> _Hint:
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
            return _Hint(annotation, marks, optional)


@cache  # evaluating annotations is two thirds of reading a table
def _hints(kind: Any) -> dict[str, _Hint]:
    annotations = get_type_hints(kind, include_extras=True)
    return {each.name: _hint(annotations[each.name]) for each in fields(kind)}


def _hints_of(section: Any) -> dict[str, _Hint]:
    kind: Any = type(section)
    return _hints(kind)


def _has_default(setting: Field[Any]) -> bool:
    return setting.default is not MISSING or setting.default_factory is not MISSING


def _default(setting: Field[Any]) -> Any:
    if setting.default_factory is not MISSING:
        return setting.default_factory()
    return setting.default


class _Unreadable:
    """Stands for a value whose fault has been told."""


_UNREADABLE = _Unreadable()


@dataclass(slots=True)
class _Reader:
    """Turns tables into dataclasses and gathers the faults on the way.

    After a fault the sections around it are still checked, for one reading shall tell everything:
    they see the default of the setting or, of a text without default, the text as it came. Where
    there is neither they cannot be built, hence not checked. The section itself is not checked.
    """

    file: Path | None
    variables: Mapping[str, str]  # by the place that each sets
    faults: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)  # places that have a fault

    def section(self, kind: Any, raw: object, place: str) -> Any:
        if not isinstance(raw, dict):
            return self._unfit(place, "a table", _came(raw))
        hints = _hints(kind)
        self._unknown(raw, hints, place)
        values = {
            each.name: self._setting(each, hints[each.name], raw, place) for each in fields(kind)
        }
        unread = [each for each in fields(kind) if values[each.name] is _UNREADABLE]
        for each in unread:
            values[each.name] = _stand_in(each, hints[each.name], raw)
        if _UNREADABLE in values.values():
            return _UNREADABLE
        built = kind(**values)
        if not unread:
            self._across(built, place)
        return built

    def _setting(self, setting: Field[Any], hint: _Hint, raw: dict[str, Any], place: str) -> Any:
        inner = joined(place, setting.name)
        if setting.name in raw:
            return self._value(hint, raw[setting.name], inner)
        if hint.section and not hint.optional:
            return self.section(hint.base, {}, inner)
        if _has_default(setting):
            return _default(setting)
        return self._unfit(inner, hint.words(), "nothing")

    def _value(self, hint: _Hint, raw: Any, place: str) -> Any:
        if hint.optional and isinstance(raw, _FromEnvironment) and not raw:
            return None
        if hint.section:
            return self.section(hint.base, raw, place)
        origin = get_origin(hint.base)
        if origin is tuple:
            return self._list(hint, raw, place)
        if origin is dict:
            return self._dict(hint, raw, place)
        try:
            return _leaf(hint, raw)
        except (ValueError, OverflowError):
            return self._unfit(place, hint.words(), _came(raw, hint.base is Secret))

    def _list(self, hint: _Hint, raw: Any, place: str) -> Any:
        raw = _split(raw)
        if not isinstance(raw, list):
            what = f"tables headed [[{place}]]" if hint.entry else hint.words()
            secret = _hint(get_args(hint.base)[0]).base is Secret
            return self._unfit(place, what, _came(raw, secret))
        inner = _hint(get_args(hint.base)[0])
        values = tuple(self._value(inner, each, f"{place}[{i}]") for i, each in enumerate(raw))
        return _UNREADABLE if _UNREADABLE in values else values

    def _dict(self, hint: _Hint, raw: Any, place: str) -> Any:
        inner = _hint(get_args(hint.base)[1])
        if isinstance(raw, _FromEnvironment):
            pairs = [each.partition("=") for each in _split(raw)]
            if not all(mark for _, mark, _ in pairs):
                return self._unfit(place, "name=value, name=value …", _came(raw, secret=True))
            raw = {key.strip(): _FromEnvironment(value.strip()) for key, _, value in pairs}
        if not isinstance(raw, dict):
            return self._unfit(place, hint.words(), _came(raw))
        values = {key: self._value(inner, each, joined(place, key)) for key, each in raw.items()}
        return _UNREADABLE if _UNREADABLE in values.values() else values

    def _across(self, section: Any, place: str) -> None:
        if hasattr(section, "faults"):
            for inner, text in section.faults():
                if (whole := f"{place}.{inner}" if place else inner) not in self.told:
                    self._fault(whole, text)

    def _unknown(self, raw: dict[str, Any], known: Iterable[str], place: str) -> None:
        for key in raw:
            if key not in known:
                close = get_close_matches(key, known, 1)
                guess = f'; did you mean "{close[0]}"?' if close else ""
                self._fault(joined(place, key), f"there is no such setting{guess}")

    def _unfit(self, place: str, what: str, came: str) -> _Unreadable:
        self._fault(place, expected(what, came))
        return _UNREADABLE

    def _fault(self, place: str, text: str) -> None:
        self.told.add(place)
        self.faults.append(f"{self._origin(place)}: {text}")

    def _origin(self, place: str) -> str:
        for known, variable in self.variables.items():
            if place == known or place.startswith((f"{known}.", f"{known}[")):
                return variable + place.removeprefix(known)
        return f"{self.file}: {place}" if self.file else place


def _stand_in(setting: Field[Any], hint: _Hint, raw: dict[str, Any]) -> Any:
    """What a section is built with for a setting that cannot be read, if there is such a thing."""
    if hint.section or hint.entry:
        return _UNREADABLE
    if _has_default(setting):
        return _default(setting)
    return str(raw.get(setting.name, "")) if hint.base is str else _UNREADABLE


# Single values


class _Unfit(ValueError):
    """Not what the setting expects; `_Hint.words` has the text for it."""


def _leaf(hint: _Hint, raw: Any) -> Any:
    if get_origin(hint.base) is Literal:
        return _choice(get_args(hint.base), raw)
    value: Any = _size(raw) if _SIZE in hint.marks else _LEAVES[hint.base](raw)
    tested = value.reveal() if isinstance(value, Secret) else value
    if not all(m.accepts(tested) for m in hint.marks if isinstance(m, Between | Form)):
        raise _Unfit
    return value


def _choice(choices: tuple[Any, ...], raw: Any) -> Any:
    for choice in choices:
        if raw == (str(choice) if isinstance(raw, _FromEnvironment) else choice):
            return choice
    raise _Unfit


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise _Unfit
    return str(raw)


def _integer(raw: Any) -> int:
    if isinstance(raw, _FromEnvironment) and re.fullmatch(r"[+-]?[0-9]+", raw):
        return int(raw)
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise _Unfit
    return raw


def _number(raw: Any) -> float:
    if not isinstance(raw, int | float | _FromEnvironment) or isinstance(raw, bool):
        raise _Unfit
    value = float(raw)
    if not math.isfinite(value):
        raise _Unfit
    return value


def _boolean(raw: Any) -> bool:
    if isinstance(raw, _FromEnvironment) and raw in ("true", "false"):
        return raw == "true"
    if not isinstance(raw, bool):
        raise _Unfit
    return raw


def _size(raw: Any) -> int:
    return size(raw) if isinstance(raw, str) else _integer(raw)


def _split(raw: Any) -> Any:
    """A text of the environment at its commas; anything else as it is."""
    if not isinstance(raw, _FromEnvironment):
        return raw
    return [_FromEnvironment(each.strip()) for each in raw.split(",") if each.strip()]


_LEAVES: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _boolean,
    timedelta: lambda raw: duration(_text(raw)),
    Secret: lambda raw: Secret(_text(raw)),
}

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


# Words


def _came(raw: object, secret: bool = False) -> str:
    """What was found, for people. Of a secret only its kind."""
    if isinstance(raw, str):
        length = f"a text of {len(raw)} characters"
        return length if secret else quoted(without_credentials(raw))
    for kind, noun in ((list, "a list"), (dict, "a table"), (date | time, "a date or time")):
        if isinstance(raw, kind):
            return noun
    return "a value of another kind" if secret else _written(raw, ())


def _written(value: Any, marks: tuple[Any, ...]) -> str:
    """A value as the file would have it, a text without quotes and credentials."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_written(each, marks) for each in value)}]"
    if _SIZE in marks:
        return size_text(value)
    return without_credentials(value) if isinstance(value, str) else str(value)


def _printed(value: Any, marks: tuple[Any, ...], place: str) -> Iterator[tuple[str, str]]:
    if is_dataclass(value):
        hints = _hints_of(value)
        shown = value.shown() if hasattr(value, "shown") else hints
        for name, hint in ((each, hints[each]) for each in shown):
            yield from _printed(getattr(value, name), hint.marks, joined(place, name))
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        for index, entry in enumerate(value):
            own = getattr(entry, "name", None)
            yield from _printed(entry, (), joined(place, own) if own else f"{place}[{index}]")
    elif isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _printed(inner, marks, joined(place, key))
    else:
        yield place, _written(value, marks)

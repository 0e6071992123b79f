"""From one TOML file and the environment to frozen dataclasses, or to every fault at once."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import date, time, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from receiver.faults import expected, joined, quoted, without_credentials
from receiver.settings.configuration import (
    SIZE,
    Between,
    ConfigurationError,
    Form,
    Hint,
    Secret,
    default_of,
    hint_of,
    hints_of,
    size,
    written,
)
from receiver.settings.durations import duration
from receiver.settings.environment import FromEnvironment, Variables, split

T = TypeVar("T")


def read(kind: type[T], file: Path | None, environment: Mapping[str, str]) -> T:
    """The settings of `kind` from `file` (`None`: from the defaults) and the environment.

    Raises `ConfigurationError` with all faults. Only a file that cannot be parsed is told alone.
    """
    table = _table(file) if file else {}
    variables = Variables(kind, table, environment)
    reader = _Reader(file, variables.used)
    settings = reader.section(kind, table, "")
    if faults := reader.faults + variables.faults:
        raise ConfigurationError(faults, None if settings is _UNREADABLE else settings)
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


def table_of(text: str) -> dict[str, Any]:
    """What a text in TOML says. Raises `ConfigurationError` with the place of its fault."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = _syntax_fault(str(error), text)
    except ValueError:
        fault = _TOO_LONG
    raise ConfigurationError([fault])


# The file

_TOO_LONG = "it has a number that is too long"
"""Python reads no integer of more than 4300 digits; it does not say where."""


def _table(file: Path) -> dict[str, Any]:
    try:
        text = file.read_bytes().decode("utf-8-sig")  # Notepad writes a byte order mark
        return tomllib.loads(text)
    except FileNotFoundError:
        fault = "there is no such file"
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        fault = f"{_position(error.object[: error.start].decode())}: expected UTF-8"
    except tomllib.TOMLDecodeError as error:
        fault = _syntax_fault(str(error), text)
    except ValueError:
        fault = _TOO_LONG
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


# The dataclasses


class _Unreadable:
    """Stands for a value whose fault has been told."""


_UNREADABLE = _Unreadable()


@dataclass(slots=True)
class _Reader:
    """Turns tables into dataclasses and gathers the faults on the way.

    After a fault the sections around it are still checked, because one reading tells everything:
    they see the default of the setting or, if it has none, the text as it came or an empty value.
    The section itself is not checked.
    """

    file: Path | None
    variables: Mapping[str, str]  # by the place that each sets
    faults: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)  # places that have a fault

    def section(self, kind: Any, raw: object, place: str) -> Any:
        if not isinstance(raw, dict):
            return self._unfit(place, "a table", _instead(raw, hint_of(kind)))
        hints = hints_of(kind)
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

    def _setting(self, setting: Field[Any], hint: Hint, raw: dict[str, Any], place: str) -> Any:
        inner = joined(place, setting.name)
        if setting.name in raw:
            return self._value(hint, raw[setting.name], inner)
        if hint.section and not hint.optional:
            return self.section(hint.base, {}, inner)
        if (default := default_of(setting)) is not MISSING:
            return default
        return self._unfit(inner, hint.words(), "nothing")

    def _value(self, hint: Hint, raw: Any, place: str) -> Any:
        if hint.optional and isinstance(raw, FromEnvironment) and not raw:
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
        except _Fault as fault:
            self._fault(place, str(fault))
            return _UNREADABLE
        except (ValueError, OverflowError):
            return self._unfit(place, _expected(hint, raw), _came(raw, hint.secret))

    def _list(self, hint: Hint, raw: Any, place: str) -> Any:
        raw = split(raw)
        if not isinstance(raw, list):
            what = f"tables headed [[{place}]]" if hint.entry else hint.words()
            return self._unfit(place, what, _instead(raw, hint))
        inner = hint.inner
        values = tuple(self._value(inner, each, joined(place, i)) for i, each in enumerate(raw))
        return _UNREADABLE if _UNREADABLE in values else values

    def _dict(self, hint: Hint, raw: Any, place: str) -> Any:
        inner, places = hint.inner, None
        if isinstance(raw, FromEnvironment):
            pairs = [each.partition("=") for each in split(raw)]
            if not all(mark for _, mark, _ in pairs):
                return self._unfit(place, "name=value, name=value …", _came(raw, secret=True))
            raw = {key.strip(): FromEnvironment(value.strip()) for key, _, value in pairs}
            if hint.secret:  # what stands before a "=" may be the end of a secret with a comma
                places = range(len(raw))
        if not isinstance(raw, dict):
            return self._unfit(place, hint.words(), _instead(raw, hint))
        values = {
            key: self._value(inner, each, joined(place, at))
            for (key, each), at in zip(raw.items(), places or raw, strict=True)
        }
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


def _stand_in(setting: Field[Any], hint: Hint, raw: dict[str, Any]) -> Any:
    """What a section is built with for a setting that cannot be read, if there is such a thing."""
    if (default := default_of(setting)) is not MISSING:
        return default
    if hint.base is str:
        return str(raw.get(setting.name, ""))
    return _EMPTY.get(get_origin(hint.base) or hint.base, _UNREADABLE)


_EMPTY: dict[Any, Any] = {tuple: (), Secret: Secret("")}


# Single values


class _Unfit(ValueError):
    """Not what the setting expects; `Hint.words` has the text for it."""


class _Fault(ValueError):
    """Not what the setting expects, and this is the text for it."""


def _leaf(hint: Hint, raw: Any) -> Any:
    if get_origin(hint.base) is Literal:
        return _choice(get_args(hint.base), raw)
    value: Any = _size(raw) if SIZE in hint.marks else _LEAVES[hint.base](raw)
    tested = value.reveal() if isinstance(value, Secret) else value
    if not all(m.accepts(tested) for m in hint.marks if isinstance(m, Between | Form)):
        raise _Unfit
    for mark in hint.marks:
        if isinstance(mark, Form) and (text := mark.fault(tested)) is not None:
            raise _Fault(text)
    return value


def _choice(choices: tuple[Any, ...], raw: Any) -> Any:
    for choice in choices:
        if raw == (str(choice) if isinstance(raw, FromEnvironment) else choice):
            return choice
    raise _Unfit


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise _Unfit
    return str(raw)


def _integer(raw: Any) -> int:
    if isinstance(raw, FromEnvironment) and re.fullmatch(r"[+-]?[0-9]+", raw):
        return int(raw)
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise _Unfit
    return raw


def _number(raw: Any) -> float:
    if not isinstance(raw, int | float | FromEnvironment) or isinstance(raw, bool):
        raise _Unfit
    value = float(raw)
    if not math.isfinite(value):
        raise _Unfit
    return value


def _boolean(raw: Any) -> bool:
    if isinstance(raw, FromEnvironment) and raw in ("true", "false"):
        return raw == "true"
    if not isinstance(raw, bool):
        raise _Unfit
    return raw


def _size(raw: Any) -> int:
    return size(raw) if isinstance(raw, str) else _integer(raw)


_LEAVES: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _boolean,
    timedelta: lambda raw: duration(_text(raw)),
    Secret: lambda raw: Secret(_text(raw)),
}


_DURATIONS = ("10s", "1h30m", "1m", "1s", "100ms")


def _expected(hint: Hint, raw: Any) -> str:
    """What is expected; beside the bounds of a duration one that could be written, if what came is
    none at all."""
    words = hint.words()
    if hint.base is not timedelta or " such as " in words:
        return words
    try:
        duration(_text(raw))
    except ValueError:
        marks = [mark for mark in hint.marks if isinstance(mark, Between)]
        fitting = (d for d in _DURATIONS if all(mark.accepts(duration(d)) for mark in marks))
        return f'{words}, such as "{next(fitting, _DURATIONS[0])}"'
    return words


def _instead(raw: object, hint: Hint) -> str:
    """What was found instead of a table or a list: of a text perhaps the secret that belongs in."""
    return _came(raw, hint.secret and isinstance(raw, str))


def _came(raw: object, secret: bool = False) -> str:
    """What was found, for people. Of a secret only its kind."""
    if isinstance(raw, str):
        length = f"a text of {len(raw)} character{'' if len(raw) == 1 else 's'}"
        return length if secret else quoted(without_credentials(raw))
    for kind, noun in ((list, "a list"), (dict, "a table"), (date | time, "a date or time")):
        if isinstance(raw, kind):
            return noun
    return "a value of another kind" if secret else written(raw, ())

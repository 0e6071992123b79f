"""Settings written again: as the table they came from, or for people without secrets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

from receiver.faults import joined
from receiver.settings.configuration import Secret, default_of, hints_of, written
from receiver.settings.durations import duration_text


def as_table(settings: Any) -> dict[str, Any]:
    """What `read_table` makes the same settings of, secrets included. Defaults are left out."""
    return {
        each.name: plain(value)
        for each in fields(settings)
        if (value := getattr(settings, each.name)) != default_of(each)
    }


def plain(value: Any) -> Any:
    """A value as TOML has it, secrets included."""
    if is_dataclass(value):
        return as_table(value)
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value


def effective(settings: Any, *, only_changed: bool = False) -> list[tuple[str, str]]:
    """Dotted name and printable value of every setting, or of those that are not the default.
    Secrets are `set` or `not set`; URLs come without user, password and query.
    """
    return list(_printed(settings, (), "", only_changed))


def _printed(
    value: Any, marks: tuple[Any, ...], place: str, only_changed: bool
) -> Iterator[tuple[str, str]]:
    if is_dataclass(value):
        kind: Any = type(value)
        hints = hints_of(kind)
        shown = value.shown() if hasattr(value, "shown") else hints
        default = {each.name: default_of(each) for each in fields(kind)}
        for name, hint in ((each, hints[each]) for each in shown):
            inner = getattr(value, name)
            if not only_changed or inner != default[name]:
                yield from _printed(inner, hint.marks, joined(place, name), only_changed)
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        for index, entry in enumerate(value):
            own = getattr(entry, "name", None)
            yield from _printed(entry, (), joined(place, own or index), only_changed)
    elif isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _printed(inner, marks, joined(place, key), only_changed)
    else:
        yield place, written(value, marks)

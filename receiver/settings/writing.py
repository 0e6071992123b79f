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
        each.name: _plain(value)
        for each in fields(settings)
        if (value := getattr(settings, each.name)) != default_of(each)
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


def _printed(value: Any, marks: tuple[Any, ...], place: str) -> Iterator[tuple[str, str]]:
    if is_dataclass(value):
        kind: Any = type(value)
        hints = hints_of(kind)
        shown = value.shown() if hasattr(value, "shown") else hints
        for name, hint in ((each, hints[each]) for each in shown):
            yield from _printed(getattr(value, name), hint.marks, joined(place, name))
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        for index, entry in enumerate(value):
            own = getattr(entry, "name", None)
            yield from _printed(entry, (), joined(place, own or index))
    elif isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _printed(inner, marks, joined(place, key))
    else:
        yield place, written(value, marks)

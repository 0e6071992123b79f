"""A scenario with one of its settings changed: by a key and a value, both as somebody types them.

A key is written as faults name it, `endpoint.bucket_size` or `phase[1].per_second`; where only one
place has it, its own name is enough: `bucket_size`. `outage` is how long the endpoint is down for
the first time.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from dispatcher.settings.settings import DispatchSettings
from dispatcher.simulation.scenario import Phase, Scenario
from receiver.settings.configuration import ConfigurationError
from receiver.settings.durations import duration, duration_text
from receiver.settings.reader import read_table
from receiver.settings.writing import as_table

OUTAGE = "outage"
LONGEST = timedelta(days=366)

_SECTIONS = ("arrivals", "mix", "endpoint", "schedule")
_NOT_BY_NAME = frozenset({"story", "phase", *_SECTIONS})


def with_setting(scenario: Scenario, key: str, text: str) -> Scenario:
    """The scenario with `key` as `text` says. Raises ConfigurationError."""
    if key == OUTAGE:
        return with_outage(scenario, _duration(key, text))
    table = as_table(scenario)
    *way, name = _place(scenario, table, key)
    node: Any = table
    for step in way:
        node = node[step] if isinstance(step, int) else node.setdefault(step, {})
    node[name] = _value(text)
    try:
        return read_table(Scenario, table)
    except ConfigurationError as error:
        raise ConfigurationError(f"{key}={text}: {fault}" for fault in error.faults) from None


def with_schedule(scenario: Scenario, preset: str) -> Scenario:
    """The scenario under a preset, which takes the place of its own schedule."""
    endpoint = replace(scenario.endpoint, schedule="default")
    return replace(scenario, endpoint=endpoint, schedule=DispatchSettings(preset=preset))


def with_outage(scenario: Scenario, lasts: timedelta) -> Scenario:
    """The scenario whose first outage lasts so long. What begins after it is put off or brought
    forward with its end. Raises ConfigurationError when it has none.

    `until` is taken out: it would cut off what a longer outage costs.
    """
    number, outage = first_outage(scenario)
    if not timedelta(0) < lasts <= LONGEST:
        got, most = duration_text(lasts), duration_text(LONGEST)
        raise ConfigurationError(
            [f"{OUTAGE}: expected a duration above 0s and up to {most}, such as 1h30m, got {got}"]
        )
    moved = replace(outage, lasts=lasts)
    phases = [
        moved if index == number else _moved(phase, outage, lasts)
        for index, phase in enumerate(scenario.phase)
    ]
    return replace(scenario, phase=tuple(phases), until=None)


def first_outage(scenario: Scenario) -> tuple[int, Phase]:
    """The phase in which the endpoint is down first, and its number."""
    down = [(n, phase) for n, phase in enumerate(scenario.phase) if is_down(phase)]
    if not down:
        raise ConfigurationError(
            [f"{OUTAGE}: the scenario has no phase in which every request fails, so it has none"]
        )
    return min(down, key=lambda each: each[1].at)


def is_down(phase: Phase) -> bool:
    """Whether every request that meets it fails."""
    if phase.share < 1 or phase.every is not None or phase.behaves in ("up", "limits", "slows"):
        return False
    return phase.status is None or not 200 <= phase.status < 300


def _moved(phase: Phase, outage: Phase, lasts: timedelta) -> Phase:
    end = outage.ends_at
    if end is None or phase.at < end:
        return phase
    return replace(phase, at=phase.at - end + outage.at + lasts)


def _duration(key: str, text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise ConfigurationError([f"{key}={text}: {error}"]) from None


def _value(text: str) -> Any:
    """As TOML has it: 100, 0.5, true; what is none of these is a text, such as 10m."""
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except tomllib.TOMLDecodeError:
        return text


def _place(scenario: Scenario, table: dict[str, Any], key: str) -> list[str | int]:
    """The way to a key. Raises ConfigurationError when there is none, or more than one."""
    places = list(_places(scenario, table))
    written = {_written(place): place for place in places}
    if key in written:
        return written[key]
    named = [place for place in places if place[-1] == key]
    if len(named) == 1:
        return named[0]
    if named:
        which = " or ".join(_written(place) for place in named)
        raise ConfigurationError([f"{key}: which one? {which}"])
    names = [*written, *(str(place[-1]) for place in places), OUTAGE]
    close = get_close_matches(key, names, 1)
    guess = f"; did you mean {close[0]}?" if close else f", such as endpoint.window or {OUTAGE}"
    raise ConfigurationError([f"{key}: expected a key of the scenario{guess}"])


def _places(scenario: Scenario, table: dict[str, Any]) -> Iterator[list[str | int]]:
    """All settings; of a phase those that it has been given, for each behaviour has its own."""
    for each in fields(scenario):
        if each.name not in _NOT_BY_NAME:
            yield [each.name]
    for section in _SECTIONS:
        for each in fields(getattr(scenario, section)):
            yield [section, each.name]
    for number, given in enumerate(table.get("phase", ())):
        for name in given:
            yield ["phase", number, name]


def _written(place: list[str | int]) -> str:
    return re.sub(r"\.(\[)", r"\1", ".".join(f"[{p}]" if isinstance(p, int) else p for p in place))

"""What the child process does for the page "Simulate": a scenario's text in, its answer out."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from dispatcher.simulation import comparison
from dispatcher.simulation.answer import answer, rows
from dispatcher.simulation.engines import simulate_with
from dispatcher.simulation.scenario import Scenario
from dispatcher.simulation.timeline import to_dict
from receiver.settings.configuration import ConfigurationError
from receiver.settings.reader import read_table


class Wanted(Struct, frozen=True):
    """A scenario as TOML, and the schedules to play it under beside its own."""

    scenario: str
    schedules: Sequence[str] = ()


class Simulated(Struct, frozen=True):
    """What is shown. `faults`: the scenario cannot be used. The first of `timelines` is that of the
    scenario itself, as `dlr simulate --json` has it."""

    story: str = ""
    faults: Sequence[str] = ()
    sentences: Sequence[str] = ()
    rows: Sequence[tuple[str, str]] = ()
    names: Sequence[str] = ()
    timelines: Sequence[Mapping[str, Any]] = ()
    compared: Sequence[Sequence[str]] = ()


def simulated(request: bytes) -> Iterator[Simulated]:
    wanted = msgspec.json.decode(request, type=Wanted)
    try:
        yield _played(_read(wanted.scenario), wanted.schedules)
    except ConfigurationError as error:
        yield Simulated(faults=error.faults)


def _read(text: str) -> Scenario:
    """The scenario. From a page it may name no file: it would be one of this machine."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"the scenario is not TOML: {error}"]) from error
    scenario = read_table(Scenario, table)
    if scenario.arrivals.kind == "replayed":
        fault = (
            'arrivals.kind: expected "constant", "daily" or "bursts", got "replayed", which names a'
            " file: run this scenario with `dlr simulate` on the command line"
        )
        raise ConfigurationError([fault])
    return scenario


def _played(scenario: Scenario, schedules: Sequence[str]) -> Simulated:
    own = scenario.retry_schedule.name
    others = [name for name in dict.fromkeys(schedules) if name != own]
    played = (
        comparison.variants(scenario, ",".join([own, *others]))
        if others
        else [comparison.Variant(own, scenario)]
    )
    runs = [comparison.Run(each.name, simulate_with(each.scenario, "auto")) for each in played]
    timeline = runs[0].timeline
    return Simulated(
        scenario.story,
        sentences=answer(timeline),
        rows=list(rows(timeline)),
        names=[run.name for run in runs],
        timelines=[to_dict(run.timeline) for run in runs],
        compared=list(comparison.rows(runs)) if others else [],
    )

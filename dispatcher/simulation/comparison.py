"""The same arrivals and the same endpoint under several schedules or settings, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from msgspec import Struct, json

from dispatcher.retrying.presets import PRESETS
from dispatcher.simulation.answer import span_text
from dispatcher.simulation.keys import with_schedule, with_setting
from dispatcher.simulation.scenario import Scenario
from dispatcher.simulation.timeline import PERCENTS, Timeline, to_dict
from receiver.settings.configuration import ConfigurationError

OWN = "custom"
"""The schedule that the scenario describes itself, among presets."""

MOST = 8
"""More are not read side by side, and have no line of their own in a plot."""


class Variant(Struct, frozen=True):
    """A scenario, and what it is called among the others."""

    name: str
    scenario: Scenario


class Run(Struct, frozen=True):
    """A variant, and what came of it."""

    name: str
    timeline: Timeline


def variants(scenario: Scenario, asked: str) -> list[Variant]:
    """Those of `infobip,svix` or `bucket_size=1,100`. Raises ConfigurationError."""
    key, equals, values = asked.partition("=")
    names = [name.strip() for name in (values if equals else key).split(",") if name.strip()]
    if not 2 <= len(set(names)) == len(names) <= MOST:
        raise ConfigurationError(
            [
                f"--compare: expected 2 to {MOST} different presets, or values of one key such as"
                f' bucket_size=1,100, got "{asked}"'
            ]
        )
    if equals:
        return [Variant(f"{key}={name}", with_setting(scenario, key, name)) for name in names]
    return [Variant(name, _under(scenario, name)) for name in names]


def _under(scenario: Scenario, name: str) -> Scenario:
    if name == OWN and scenario.schedule.preset == OWN:
        return scenario
    if name in PRESETS:
        return with_schedule(scenario, name)
    close = get_close_matches(name, PRESETS, 1)
    guess = f"; did you mean {close[0]}?" if close else ""
    raise ConfigurationError(
        [f'--compare: expected presets of `dlr schedule --list` or KEY=A,B, got "{name}"{guess}']
    )


def figures(timeline: Timeline) -> dict[str, Any]:
    """What a comparison compares. Times are seconds; None where there is nothing to tell."""
    whole = to_dict(timeline)
    recovered_at, drained_at = timeline.recovered_at, timeline.drained_at
    backlog = None if recovered_at is None or drained_at is None else drained_at - recovered_at
    return {
        "reports": timeline.totals.reports,
        "lost": timeline.totals.exhausted,
        "waiting": timeline.totals.waiting,
        "late": timeline.lateness.late,
        **{f"latenessP{percent}": whole["lateness"][f"p{percent}"] for percent in PERCENTS},
        "latenessMax": whole["lateness"]["max"],
        "attemptsPerReport": whole["totals"]["attemptsPerReport"],
        "wasted": timeline.totals.wasted,
        "peakPerSecondAfterRecovery": whole["peakPerSecondAfterRecovery"],
        "backlogGoneAfter": None if backlog is None else round(backlog, 6),
        "partial": timeline.partial,
        "estimated": timeline.estimated,
        "exactness": timeline.exactness.words,
    }


_SHOWN: Sequence[tuple[str, str, Callable[[Any], str]]] = (
    ("reports", "reports", "{:,}".format),
    ("lost", "lost", "{:,}".format),
    ("waiting", "still waiting", "{:,}".format),
    ("late", "late", "{:,}".format),
    *((f"latenessP{percent}", f"lateness p{percent}", span_text) for percent in PERCENTS),
    ("latenessMax", "lateness max", span_text),
    ("attemptsPerReport", "requests a report", "{:.2f}".format),
    ("wasted", "wasted requests", "{:,}".format),
    ("peakPerSecondAfterRecovery", "peak a second after recovery", "{:,}".format),
    ("backlogGoneAfter", "backlog gone after recovery", span_text),
)


def rows(runs: Sequence[Run]) -> Iterator[list[str]]:
    """A line for each figure: its name, then what each run has. The first line has the names."""
    yield ["", *(f"{run.name}{' (partial)' * run.timeline.partial}" for run in runs)]
    found = [figures(run.timeline) for run in runs]
    for key, what, written in _SHOWN:
        cells = [each[key] for each in found]
        yield [what, *("–" if cell is None else written(cell) for cell in cells)]


def csv_rows(key: str, runs: Iterable[Run]) -> Iterator[list[object]]:
    """A heading, then a row for each run. `key` says what the runs differ in."""
    for number, run in enumerate(runs):
        found = figures(run.timeline)
        if number == 0:
            yield [key, *found]
        yield [run.name, *found.values()]


def to_json(runs: Iterable[Run]) -> bytes:
    """All that a single simulation tells, for each run, with its name and figures."""
    told = [
        {"name": run.name, "figures": figures(run.timeline), **to_dict(run.timeline)}
        for run in runs
    ]
    return json.encode({"compared": told}) + b"\n"

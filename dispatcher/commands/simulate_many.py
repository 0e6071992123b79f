"""`dlr simulate --compare`, `--sweep` and `--find`: many simulations for one answer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from dispatcher.commands.console import told
from dispatcher.commands.saying import say
from dispatcher.commands.simulation_output import SimulationOutput, write_csv
from dispatcher.commands.simulation_progress import BROKEN_OFF, part, watching
from dispatcher.simulation import comparison, finding, sweep
from dispatcher.simulation.answer import LEFT_OUT, without_bounds
from dispatcher.simulation.comparison import Run, Variant
from dispatcher.simulation.engines import EngineChoice, simulate_with
from dispatcher.simulation.finding import Found, Question
from dispatcher.simulation.plots import terminal
from dispatcher.simulation.plots.file import Told
from dispatcher.simulation.scenario import Scenario
from dispatcher.simulation.sweep import Sweep
from dispatcher.simulation.timeline import Exactness, Timeline, Watch, least_exact

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRIES = 12
"""About so many simulations are made to find a number."""


def compare(scenario: Scenario, asked: str, engine: EngineChoice, output: SimulationOutput) -> None:
    """The scenario under several schedules or settings, side by side."""
    variants = comparison.variants(scenario, asked)
    with watching() as watch:
        runs = list(_runs(variants, engine, watch))
    rows = list(comparison.rows(runs))
    if output.csv:
        write_csv(output.csv, comparison.csv_rows("name", runs))
    title = scenario.story or asked
    output.plotted(lambda: _drawn_comparison(title, runs), Told(title, _notes(runs), rows))
    if output.as_json:
        output.json(comparison.to_json(runs))
    else:
        console = Console()
        _print_table(console, scenario, rows, _notes(runs))
        console.print(terminal.backlogs_plot(runs, console.width))
    _end(runs, variants, "variants")


def swept(scenario: Scenario, asked: str, engine: EngineChoice, output: SimulationOutput) -> None:
    """One setting of the scenario over a range of values."""
    over = sweep.read_sweep(asked)
    variants = over.variants(scenario)
    with watching() as watch:
        runs = list(_whole(_runs(variants, engine, watch)))
    rows = list(sweep.rows(over.key, runs))
    past = sweep.outlasts(variants[: len(runs)])
    notes = [*_notes(runs), *([sweep.past_arrivals(past)] if past else [])]
    if output.csv:
        write_csv(output.csv, comparison.csv_rows(over.key, runs))
    title = scenario.story or asked
    if runs:
        output.plotted(lambda: _drawn_sweep(title, over, runs), Told(title, notes, rows))
    if output.as_json:
        output.json(sweep.to_json(over.key, runs, past, partial=len(runs) < len(variants)))
    else:
        console = Console()
        _print_table(console, scenario, rows, notes)
        console.print(terminal.sweep_plot(over.key, runs, console.width))
    _end(runs, variants, "values")


def find(
    scenario: Scenario,
    question: Question,
    drain: timedelta | None,
    engine: EngineChoice,
    output: SimulationOutput,
) -> None:
    """The answer to a question, as a sentence and a number."""
    with watching() as watch:
        tries = iter(range(1_000))
        seen: list[Exactness] = []

        def tried(each: Scenario) -> Timeline:
            found = simulate_with(each, engine, part(watch, min(next(tries), TRIES - 1), TRIES))
            seen.append(found.exactness)
            return found

        if question == "min-capacity":
            assert drain is not None
            found = finding.min_capacity(scenario, drain, tried)
        else:
            found = finding.max_outage_without_loss(scenario, tried)
    known = least_exact(seen)
    found = replace(found, estimated=known.level == "estimated", exactness=known.words)
    if output.as_json:
        output.json(finding.to_json(found))
    else:
        _print_found(Console(), scenario, found, known)
    if found.partial:
        sys.exit(BROKEN_OFF)


def _runs(variants: Sequence[Variant], engine: EngineChoice, watch: Watch) -> Iterator[Run]:
    """Until one is broken off, which is the last."""
    for number, variant in enumerate(variants):
        timeline = simulate_with(variant.scenario, engine, part(watch, number, len(variants)))
        yield Run(variant.name, timeline)
        if timeline.partial:
            return


def _whole(runs: Iterable[Run]) -> Iterator[Run]:
    return (run for run in runs if not run.timeline.partial)


def _end(runs: Sequence[Run], variants: Sequence[Variant], what: str) -> None:
    whole = len(list(_whole(runs)))
    if whole < len(variants):
        text = f"PARTIAL: broken off after {whole} of {len(variants)} {what}"
        say(text, err=True)
        sys.exit(BROKEN_OFF)


def _notes(runs: Iterable[Run]) -> list[str]:
    """What makes estimates of some of them, each said once, and what percentiles leave out."""
    runs = list(runs)
    doubtful = (run.timeline.exactness for run in runs if run.timeline.estimated)
    left_out = any(run.timeline.left_out for run in runs)
    return [*dict.fromkeys(map(without_bounds, doubtful)), *([LEFT_OUT] if left_out else [])]


def _print_table(
    console: Console, scenario: Scenario, rows: Sequence[Sequence[str]], notes: Sequence[str]
) -> None:
    if scenario.story:
        console.print(told(scenario.story, style="bold"), soft_wrap=True)
    if not rows:
        return
    first, *others = rows[0]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(told(first))
    for name in others:
        table.add_column(told(name), justify="right", overflow="fold")
    for what, *cells in rows[1:]:
        table.add_row(told(what, style="dim"), *map(told, cells))
    if not console.is_terminal:
        console.width = 200  # lines in a file or a pipe are not folded at 80
    console.print(table)
    for note in notes:
        console.print(told(note), soft_wrap=True)


def _print_found(console: Console, scenario: Scenario, found: Found, exactness: Exactness) -> None:
    if scenario.story:
        console.print(told(scenario.story, style="bold"), soft_wrap=True)
    console.print(told(found.sentence), soft_wrap=True)
    if found.estimated:
        console.print(told(without_bounds(exactness)), soft_wrap=True)
    if found.value is not None:
        text = f"{found.value:.12g} {found.unit}, exact to {found.exact:.12g}"
        text += f"; {found.tries} simulations, figures {found.exactness}"
        console.print(told(text), soft_wrap=True)


def _drawn_comparison(title: str, runs: Sequence[Run]) -> Figure:
    from dispatcher.simulation.plots.of_comparison import draw

    return draw(title, runs)


def _drawn_sweep(title: str, over: Sweep, runs: Sequence[Run]) -> Figure:
    from dispatcher.simulation.plots.of_sweep import draw

    return draw(title, over, runs)

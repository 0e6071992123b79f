"""`dlr simulate`: what an outage would cost."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from rich.console import Console
from rich.table import Table

from dispatcher.commands import simulate_many
from dispatcher.commands.console import told
from dispatcher.commands.options import FILE, Duration, fail
from dispatcher.commands.saying import say_left_out
from dispatcher.commands.simulation_output import SimulationOutput, write_csv
from dispatcher.commands.simulation_progress import BROKEN_OFF, watching
from dispatcher.simulation.answer import answer, rows
from dispatcher.simulation.engines import EngineChoice, simulate_with
from dispatcher.simulation.finding import Question
from dispatcher.simulation.plots.file import Told
from dispatcher.simulation.plots.terminal import timeline_plot
from dispatcher.simulation.recalled import read_either
from dispatcher.simulation.scenario import Scenario
from dispatcher.simulation.timeline import Timeline, csv_rows, to_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@click.command()
@click.argument("scenario", type=FILE)
@click.option(
    "--compare",
    metavar="WHAT",
    help="Compare presets (infobip,svix) or values (KEY=A,B) side by side.",
)
@click.option(
    "--sweep", metavar="KEY=A..B", help="Plot a curve over values: outage=10m..48h, or KEY=A,B,C."
)
@click.option("--find", type=click.Choice(list(get_args(Question))), help="Find one number.")
@click.option(
    "--drain", type=Duration(), help="With min-capacity: how soon the backlog must be gone."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead of tables.")
@click.option(
    "--csv",
    type=FILE,
    help="Also write the timeline to this file, a row for each bin. With --compare or --sweep,"
    " write their table.",
)
@click.option(
    "--plot", type=FILE, help="Also draw it to this file, which ends with .svg, .png or .html."
)
@click.option("--open", "opened", is_flag=True, help="Show the plot, in a browser without --plot.")
@click.option(
    "--seed", type=int, help="The seed of all random choices, instead of that of the scenario."
)
@click.option(
    "--engine",
    type=click.Choice(list(get_args(EngineChoice))),
    default="auto",
    show_default=True,
    help="exact: play every attempt. cohort: count, for many reports. auto: exact for up to 10 s.",
)
def simulate(
    scenario: Path,
    compare: str | None,
    sweep: str | None,
    find: Question | None,
    drain: timedelta | None,
    seed: int | None,
    engine: EngineChoice,
    **out: Any,
) -> None:
    """Compute what an outage would cost: late and lost reports.

    SCENARIO is a TOML file, or a capsule of `dlr capture`. The schedule, window and rate limits
    work as in `dlr serve`, on a clock that jumps. The same scenario and seed give the same bytes.
    Ctrl-C ends the simulation early and shows the results so far.

    --compare, --sweep and --find change one thing and leave the rest. KEY is a key of the scenario,
    such as endpoint.window, or `outage`, the length of the first outage of the endpoint.

    Example: dlr simulate config/scenarios/three-hour-outage.toml --compare infobip,svix
    """
    if (compare, sweep, find).count(None) < 2:
        fail("expected one of --compare, --sweep and --find")
    if (find == "min-capacity") != (drain is not None):
        fail("--find min-capacity and --drain belong together: --drain 1h")
    output = SimulationOutput(**out)
    output.check()
    if find is not None and (output.csv or output.plot or output.opened):
        fail("--find has one number as its answer: nothing to plot, and no rows for --csv")
    read = read_either(scenario, say_left_out)
    if seed is not None:
        read = replace(read, seed=seed)
    if compare is not None:
        simulate_many.compare(read, compare, engine, output)
    elif sweep is not None:
        simulate_many.swept(read, sweep, engine, output)
    elif find is not None:
        simulate_many.find(read, find, drain, engine, output)
    else:
        _simulate_one(read, engine, output)


def _simulate_one(scenario: Scenario, engine: EngineChoice, output: SimulationOutput) -> None:
    with watching() as watch:
        timeline = simulate_with(scenario, engine, watch)
    if output.csv:
        write_csv(output.csv, csv_rows(timeline))
    title = scenario.story or "A simulation"
    told = Told(title, answer(timeline), list(rows(timeline)))
    output.plotted(lambda: _drawn(title, timeline), told)
    if output.as_json:
        output.json(to_json(timeline))
    else:
        console = Console()
        print_timeline(console, scenario, timeline)
        console.print(timeline_plot(timeline, console.width))
    if timeline.partial:
        sys.exit(BROKEN_OFF)


def _drawn(title: str, timeline: Timeline) -> Figure:
    from dispatcher.simulation.plots.of_timeline import draw

    return draw(title, timeline)


def print_timeline(console: Console, scenario: Scenario, timeline: Timeline) -> None:
    """The answer as sentences, then the figures."""
    if scenario.story:
        console.print(told(scenario.story, style="bold"), soft_wrap=True)
    for sentence in answer(timeline):
        console.print(told(sentence), soft_wrap=True)
    table = Table("", "", box=None, show_header=False, pad_edge=False)
    for what, value in rows(timeline):
        table.add_row(told(what, style="dim"), told(value))
    console.print(table)

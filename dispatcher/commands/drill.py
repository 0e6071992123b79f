"""`dlr rehearse --outage` and `--scenario`: the outage drill."""

from __future__ import annotations

from rich.console import Console

from dispatcher.commands.console import told
from dispatcher.commands.drill_options import DrillOptions
from dispatcher.commands.options import fail
from dispatcher.commands.simulation_progress import watching
from dispatcher.rehearsal.drill.plan import CannotDrill, Drill
from dispatcher.rehearsal.drill.webhook import drill_webhook
from dispatcher.rehearsal.rehearsed import Rehearsed
from dispatcher.rehearsal.reports.text import line
from dispatcher.rehearsal.target import Target


async def drill(options: DrillOptions, target: Target, console: Console) -> Rehearsed:
    """Make the drill, telling how it goes on. Ctrl-C leaves what there is so far."""
    try:
        return await _made(options.drill(target.plan.timeout), target, console)
    except CannotDrill as error:
        fail(str(error))


async def _made(planned: Drill, target: Target, console: Console) -> Rehearsed:
    story = planned.scenario.story or "an outage drill"

    def tell(text: str, style: str = "") -> None:
        console.print(told(text, style), soft_wrap=True)

    tell(f"{story}, {planned.speed:g} times as fast")
    for note in planned.notes:
        tell(f"  {note}", "dim")
    with watching("drilling") as watch:
        run = await drill_webhook(planned, target, watch=watch, tell=tell)
    for result in run.results:
        console.print(line(result), soft_wrap=True)
    return run

"""A drill of one webhook from its opening push to the verdicts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from dispatcher.clocks.clock import wall_time
from dispatcher.rehearsal.check import Evidence
from dispatcher.rehearsal.drill.drilled import LOOKED_AT, drilled, results
from dispatcher.rehearsal.drill.plan import Drill, eased
from dispatcher.rehearsal.drill.reports import truth
from dispatcher.rehearsal.drill.run import DrillResult, DrillRun
from dispatcher.rehearsal.rehearsed import Rehearsed
from dispatcher.rehearsal.run import Rehearsal
from dispatcher.rehearsal.target import Target
from dispatcher.rehearsal.verdict import Result
from dispatcher.rehearsal.verify import CannotVerify
from dispatcher.simulation.engines import simulate_with
from dispatcher.simulation.scenario import Scenario
from dispatcher.simulation.timeline import Timeline, Watch


async def drill_webhook(
    drill: Drill,
    target: Target,
    *,
    watch: Watch = lambda _: True,
    tell: Callable[[str], None] = lambda _: None,
) -> Rehearsed:
    """Raises `CannotDrill`, and as `Rehearsal` does."""
    started, at = time.perf_counter(), wall_time()
    verdicts: tuple[Result, ...] = ()
    shown = None
    async with Rehearsal(target) as rehearsal:
        if rehearsal.fault is None:
            simulated = await asyncio.to_thread(simulated_of, drill.scenario)
            drill = eased(drill, rehearsal.opening.seconds)
            run = DrillRun(drill, rehearsal.way, rehearsal.maker("drill"), tell)
            result = await run.run(watch)
            evidence = await _evidence(rehearsal, result)
            verdicts = results(drill, result, evidence, time.perf_counter() - started)
            shown = drilled(drill, simulated, result)
    return Rehearsed(
        url=rehearsal.way.shown,
        seed=rehearsal.seed,
        started_at=at,
        seconds=time.perf_counter() - started,
        verified=target.verify is not None,
        fault=rehearsal.fault,
        note=rehearsal.note,
        results=verdicts,
        drill=shown,
    )


def simulated_of(scenario: Scenario) -> Timeline:
    """What the simulator says of the same scenario: attempt by attempt where that takes seconds."""
    return simulate_with(scenario, "auto")


async def _evidence(rehearsal: Rehearsal, result: DrillResult) -> Evidence | str:
    """What the app holds, or why that was not seen."""
    if result.timeline.partial:
        return "stopped early: the app was not asked"
    try:
        return await rehearsal.look_at(truth(result.ended, rehearsal.maker("drill")), LOOKED_AT)
    except CannotVerify as error:
        return f"--verify: {error}"

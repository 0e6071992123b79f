"""The options of an outage drill, and what does not go together. Light: no drill is loaded."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from dispatcher.commands.options import fail
from dispatcher.commands.saying import say_left_out

if TYPE_CHECKING:
    from dispatcher.rehearsal.drill.plan import Down, Drill
    from dispatcher.simulation.scenario import Scenario

DOWN = ("refuse", "stall", "reset", "5xx", "slow", "half-open")
"""As in rehearsal/drill/plan.py, which a test compares."""

SPEED = 600.0
RATE = "1/s"


class DrillOptions(Struct, frozen=True):
    """What was asked for. `None` was not."""

    outage: timedelta | None
    scenario: Path | None
    rate: str | None
    speed: float | None
    down: Down | None
    pause_cmd: str | None
    resume_cmd: str | None

    @property
    def wanted(self) -> bool:
        """Whether a drill is wanted. Options that only a drill reads are wrong without."""
        if self.outage is not None or self.scenario is not None:
            return True
        for name in ("rate", "speed", "down", "pause_cmd", "resume_cmd"):
            if getattr(self, name) is not None:
                option = name.replace("_", "-")
                fail(f"--{option} is read with --outage, or with --scenario where it fits")
        return False

    def drill(self, timeout: timedelta) -> Drill:
        """Raises CannotDrill."""
        from dispatcher.rehearsal.drill.plan import drill_of

        if (self.pause_cmd is None) != (self.resume_cmd is None):
            fail("--pause-cmd and --resume-cmd belong together")
        if self.pause_cmd is not None and self.down is not None:
            fail("--down is how our proxy is down: with --pause-cmd your app is")
        speed = SPEED if self.speed is None else self.speed
        return drill_of(
            self._scenario(speed),
            speed,
            timeout,
            pause=self.pause_cmd,
            resume=self.resume_cmd,
        )

    def _scenario(self, speed: float) -> Scenario:
        from dispatcher.rehearsal.drill.plan import outage_scenario
        from dispatcher.simulation.recalled import read_either

        if self.scenario is None:
            assert self.outage is not None
            if not self.outage:
                fail("--outage: expected a positive duration, got 0s")
            return outage_scenario(self.outage, self._per_second(), self.down or "refuse", speed)
        for name in ("outage", "rate", "down", "pause_cmd"):
            if getattr(self, name) is not None:
                fail(f"--{name.replace('_', '-')}: the scenario says it already: keep one of both")
        return read_either(self.scenario, say_left_out)

    def _per_second(self) -> float:
        from dispatcher.replay.pace import rate as rate_of

        try:
            rate = rate_of(self.rate or RATE)
        except ValueError as error:
            fail(f"--rate: {error}")
        seconds = {"s": 1, "m": 60, "h": 3600}[rate.unit]
        return rate.count / seconds

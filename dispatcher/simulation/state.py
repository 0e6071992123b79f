"""What the ways of going through a stretch have in common (cohort.py says which there are)."""

from __future__ import annotations

from dispatcher.simulation.arrivals import MICROSECOND
from dispatcher.simulation.calendar import Calendar
from dispatcher.simulation.cohort_tally import CohortTally
from dispatcher.simulation.cohorts import Cohort
from dispatcher.simulation.doubts import Doubts, chance_decides
from dispatcher.simulation.fate import Fates, Lot
from dispatcher.simulation.phases import next_change, steady
from dispatcher.simulation.places import Places
from dispatcher.simulation.scenario import Scenario, ends_at_latest
from dispatcher.simulation.stream import Counted, stream_of
from dispatcher.simulation.timeline import Exactness

CELLS = 1_000
"""At least so many stretches are there from the first arrival to the last retry, or as many as
seconds. What is due in one of them lies together until its turn comes."""

NEARLY = 0.5
"""Where chance has that much of a say, pushes are followed rather than counted."""


class RunState:
    """Of one run. Instants are microseconds since the start."""

    def __init__(self, scenario: Scenario) -> None:
        self.stream = stream_of(scenario)
        duration = self.stream.end * MICROSECOND
        whole = (duration + scenario.retry_schedule.span) // MICROSECOND
        if scenario.until is not None:
            whole = min(whole, scenario.until // MICROSECOND)
        self.cell = max(1, whole // CELLS // 1_000_000) * 1_000_000
        self.expected_end = max(1, whole)
        self.end = ends_at_latest(scenario, duration) // MICROSECOND + 1
        self.phases = steady(scenario.phase, self.cell * MICROSECOND)
        self.customer = scenario.customer
        self.fates = Fates(scenario, self.phases)
        self.places = Places(self.customer)
        self.calendar = Calendar(self.stream, self.cell)
        self.tally = CohortTally(scenario, self.stream)
        self.whole_callbacks = scenario.arrivals.per_callback <= (
            self.customer.window * self.customer.bucket_size
        )
        """Whether the worker reads a callback in one look. Else, where not all reports are for the
        endpoint, its buckets are not full."""
        self.read_to = 0
        """Reports with smaller numbers are in dispatches."""
        self.tails: list[Lot] = []
        """What began flowing, is counted, and may be under way still."""
        self.left: list[Cohort] = []
        """What was under way at the very end."""
        self.doubts = Doubts(scenario)

    def unread(self, at: int) -> int:
        """How many reports have arrived before `at` and are in no dispatch."""
        return self.stream.before(at) - self.read_to

    def changes_at(self, at: int) -> bool:
        """Whether the endpoint behaves otherwise from then on, or may."""
        return next_change(self.phases, at - 1) == at

    def doubtful(self, at: int, busy: float) -> bool:
        """Whether chance, or what one push does to the next, decides how long pushes that are held
        up then wait. There is so much to do, in parts of what the window can."""
        if self.doubts.touchy or self.fates.remembers(at):
            return True
        return self.fates.varies(at) and chance_decides(busy, *self._each(at), part=NEARLY)

    def counts(self, at: int, busy: float) -> None:
        """From then on such pushes are counted, not followed."""
        self.doubts.counted = True
        if self.fates.varies(at):
            self.doubts.by_chance(busy, *self._each(at))

    def _each(self, at: int) -> tuple[float, float]:
        """Each how many seconds a full window is done with a push, and how that scatters."""
        endpoint, now = self.fates.endpoint, at * MICROSECOND
        return endpoint.takes(now).total_seconds() / self.customer.window, endpoint.scatter(now)

    def exactness(self) -> Exactness:
        """How exact what has been counted is."""
        by_chance = self.fates.crowds or isinstance(self.stream, Counted)
        return self.doubts.exactness(by_chance=by_chance)

    def in_time(self, lot: Lot) -> bool:
        """Whether it ends before the scenario does. What does not is not counted."""
        return lot.cohort.due_last(self.stream) + lot.takes < self.end

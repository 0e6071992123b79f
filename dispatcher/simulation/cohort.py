"""The cohort engine: reports that arrived one after another and share their fate are counts.

The time of a scenario is cut into stretches in which the endpoint does not change. Each is gone
through in one of three ways:

- *flowing* (flowing.py): the window cannot be full, so each push begins when it is due, and what
  becomes of a cohort of any size is worked out at once;
- *one by one* (contended.py): where pushes may get into each other's way, or chance has a say, and
  there are few;
- *in steps* (contended.py): the same where there are many.

What an answer means, and when the next attempt is due, is asked of production's code (fate.py).
"""

from __future__ import annotations

import math

from msgspec import structs

from dispatcher.simulation.cohorts import Cohort, together
from dispatcher.simulation.contended import Contended
from dispatcher.simulation.flowing import Flow
from dispatcher.simulation.phases import next_change
from dispatcher.simulation.scenario import Scenario
from dispatcher.simulation.state import RunState
from dispatcher.simulation.timeline import Timeline, Watch

ONE_BY_ONE = 300
"""Up to so many dispatches of a stretch are taken one by one."""

SMALL = 2_000
"""So are all of a scenario that has no more reports."""

FOLLOWED = 40_000
"""So many more of the whole scenario are taken one by one where chance, or what one push does to
the next, decides how long the others wait: some seconds."""

CROWDED = 64
"""If more cohorts than these are due in a stretch, neighbours are taken together: ALIKE are left
for each number of attempts made."""

ALIKE = 3


def simulate_cohort(
    scenario: Scenario,
    watch: Watch = lambda _: True,
    one_by_one: int = ONE_BY_ONE,
    followed: int = FOLLOWED,
) -> Timeline:
    """The timeline of a scenario. With `one_by_one` and `followed` 0 nothing is followed by itself.

    Raises ConfigurationError when the file of replayed reports cannot be read.
    """
    return CohortRun(scenario, one_by_one, followed).run(watch)


class CohortRun:
    """One run of a scenario. Instants are microseconds since the start."""

    def __init__(
        self, scenario: Scenario, one_by_one: int = ONE_BY_ONE, followed: int = FOLLOWED
    ) -> None:
        self._state = RunState(scenario)
        small = one_by_one and self._state.stream.count <= SMALL
        self._contended = Contended(self._state, math.inf if small else one_by_one, followed)

    def run(self, watch: Watch = lambda _: True) -> Timeline:
        """Until nothing waits any more, or the watch breaks it off."""
        state, at, partial = self._state, 0, False
        while (busy_at := self._busy_at(at)) is not None and busy_at < state.end:
            if partial := not watch(min(1.0, busy_at / state.expected_end)):
                break
            at = min(self._ends_at(busy_at), state.end)
            self._stretch(busy_at, at)
            state.tally.peaks(busy_at, at)
        if not partial:
            self._contended.free(state.end - 1)
            state.tally.peaks(at, state.end)
        return self._timeline(at, partial=partial)

    def _stretch(self, start: int, end: int) -> None:
        state, contended = self._state, self._contended
        contended.begin(start)
        due = state.calendar.take(end)
        if len(due) > CROWDED and not contended.follows(start, end, due):
            due = list(together(due, state.stream, ALIKE))
            state.doubts.counted = True
        if self._may_flow(start, end, due):
            flow = Flow(state, start, end, due, contended.begun())
            if flow.holds():
                contended.counted()
                flow.commit()
                return
        contended.go(start, end, due)

    def _may_flow(self, start: int, end: int, due: list[Cohort]) -> bool:
        """Whether it is worth trying."""
        state, contended = self._state, self._contended
        if not state.whole_callbacks and contended.few(start, end, due):
            return False
        if contended.overdue or state.unread(start) > 0 or state.places.limited:
            return False
        if state.fates.remembers(start) or (state.places.breaks and state.places.failing):
            return False
        if not contended.few(start, end, due):
            return True
        untroubled = all(lot.outcome.acknowledges for lot in contended.begun())
        return untroubled and not state.places.failing and state.fates.surely_acknowledges(start)

    def _busy_at(self, at: int) -> int | None:
        """When there is something to do next; None when all is over."""
        state = self._state
        instants = [state.calendar.next_at(), self._contended.next_at(at)]
        if state.read_to < state.stream.count and state.unread(at + 1) <= 0:
            instants.append(state.stream.at(state.read_to))
        known = [each for each in instants if each is not None]
        return max(at, min(known)) if known else None

    def _ends_at(self, start: int) -> int:
        """When the stretch that begins then is over."""
        cell = (start // self._state.cell + 1) * self._state.cell
        change = next_change(self._state.phases, start)
        return cell if change is None else min(cell, change)

    def _timeline(self, at: int, *, partial: bool) -> Timeline:
        state, stream = self._state, self._state.stream
        waiting = [*state.left, *state.calendar.rest(), *self._contended.rest()]
        left = min((cohort.first for cohort in waiting), default=None)
        if left is None and state.read_to < stream.count:
            left = state.read_to
        if partial or left is not None:
            ended_at = max(state.tally.last_at, at) if partial else state.end - 1
        else:
            ended_at = max(state.tally.last_at, stream.at(stream.count - 1) if stream.count else 0)
        timeline = state.tally.timeline(left, ended_at=ended_at, partial=partial)
        return structs.replace(timeline, exactness=state.exactness())

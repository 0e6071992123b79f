"""A stretch in which pushes get into each other's way: one by one, or many in steps.

One by one it does what worker.py does: first what ends, then retries as far as they have room, then
buckets of all that waits unread; and then again, as long as that begins anything. In steps the same
is done for all that falls into a step, at once: the places of the window that a push takes are held
for whole steps, and for as much less of a place as the push is shorter than these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from msgspec import Struct

from dispatcher.simulation.arrivals import MICROSECOND
from dispatcher.simulation.cohorts import Cohort, apart, cut, starting, taken, waiting
from dispatcher.simulation.fate import Lot
from dispatcher.simulation.forming import formed, in_step
from dispatcher.simulation.state import RunState

STEPS = 16
"""Into so many steps a stretch is cut."""

_SHORTER = 64
"""So much shorter is the first step after a change; each one is then twice as long as the last."""

_MANY = 1 << 60
_TAILS = 64
"""Of what flowed, so many are followed one by one to their end; more are taken together."""


class UnderWay(Struct, frozen=True):
    """What takes places of the window. `lot` None: it is counted already."""

    places: float
    retry: bool
    lot: Lot | None


class Contended:
    """What is due and could not begin, and what is under way. Instants are microseconds."""

    def __init__(self, state: RunState, one_by_one: float, followed: float) -> None:
        """Up to `one_by_one` dispatches of a stretch are followed each; and where chance decides
        which of them are in the others' way also more, as long as these are at most `followed` in
        the whole run."""
        self._state = state
        self._one_by_one = one_by_one
        self._followed = followed  # so many more
        self._bucket = state.customer.bucket_size
        self._numbers = count()
        self._due: list[tuple[int, int, int, Cohort]] = []
        self._under_way: list[tuple[int, int, UnderWay]] = []
        self._until = 0
        self._saved = 0.0  # microseconds of a place that were left though more was to do; below 0:
        # so many more than there are were taken, by pushes that took longer than others

    @property
    def overdue(self) -> bool:
        return bool(self._due)

    def begun(self) -> list[Lot]:
        """What is under way and not counted yet."""
        return [each.lot for _, _, each in sorted(self._under_way, key=_order) if each.lot]

    def counted(self) -> None:
        """Somebody else has counted these, and sees to what follows."""
        self._under_way = [
            (at, number, UnderWay(each.places, each.retry, None))
            for at, number, each in self._under_way
        ]

    def next_at(self, at: int) -> int | None:
        """When it can go on: at once, or when something ends or opens. None if nothing waits."""
        instants = [self._under_way[0][0]] if self._under_way else []
        opens_at = self._state.places.opens_at(at)
        if opens_at is not None:
            instants.append(opens_at)
        if self._due or self._state.unread(at + 1) > 0:
            free = self._state.places.free(at, 0)
            if min(free.all, free.pushes) >= 1:
                instants.append(at)
        return min(instants, default=None)

    def few(self, start: int, end: int, due: Iterable[Cohort]) -> bool:
        """Whether there is so little to do that it is done one by one."""
        return self._volume(start, end, due) <= self._one_by_one

    def follows(self, start: int, end: int, due: Sequence[Cohort]) -> bool:
        """Whether what does not flow is done one by one."""
        volume = self._volume(start, end, due)
        if volume <= self._one_by_one:
            return True
        if volume > self._followed:
            return False
        return self._state.doubtful(start, self._busy(start, end, due))

    def begin(self, start: int) -> None:
        """A stretch begins, of whichever kind."""
        self._until = start
        self.free(start)

    def go(self, start: int, end: int, due: Iterable[Cohort]) -> None:
        """Through the whole stretch, with all that falls due in it."""
        self._until = end
        self._follow_tails(start)
        due = list(due)
        volume = self._volume(start, end, due)
        step = 0 if self.follows(start, end, due) else self._step(end - start)
        if step:
            self._state.counts(start, self._busy(start, end, due))
        else:
            self._followed -= volume if volume > self._one_by_one else 0
            due = [
                each
                for cohort in (*due, *self._overdue())
                for each in apart(cohort, self._state.stream)
            ]
        for cohort in due:
            self._wait(cohort)
        now, longest = start, step
        if self._state.changes_at(start):  # whether it is up again is seen with the first pushes
            step //= _SHORTER
        while now < end:
            self.free(now)
            # A probe is alone.
            this = 0 if self._state.places.breaker_open else min(max(step, 1), end - now)
            this = this if longest else 0
            while self._look(now, this) and not this:
                self.free(now)
            now = now + this if this else self._next(now)
            step = min(2 * step, longest)

    def _overdue(self) -> list[Cohort]:
        """What could not begin before; it no longer waits."""
        overdue = [cohort for *_, cohort in sorted(self._due, key=_order)]
        self._due = []
        return overdue

    def _step(self, length: int) -> int:
        """Of a stretch of that length: short ones are cut into fewer steps."""
        return max(1, length // STEPS, min(length, self._state.cell // (2 * STEPS)))

    def free(self, now: int) -> None:
        """Whatever is over by now gives back its places."""
        while self._under_way and self._under_way[0][0] <= now:
            at, _, each = heappop(self._under_way)
            self._state.places.take(-each.places, each.retry)
            if each.lot is not None:
                self._over(each.lot, at)

    def rest(self) -> Iterator[Cohort]:
        """All that is neither acknowledged nor exhausted."""
        yield from self._waiting()
        yield from (lot.cohort for lot in self.begun())

    def _over(self, lot: Lot, at: int) -> None:
        state = self._state
        if not state.in_time(lot):
            state.left.append(lot.cohort)
            return
        state.tally.attempted(lot.cohort, lot.takes, lot.outcome)
        state.places.judge(lot.outcome.acknowledges, lot.cohort.dispatches, at)
        following = state.fates.follow(lot)
        for cohort, wait in following:
            now, later = cut(waiting(cohort, wait), state.stream, self._until)
            if now is not None:
                self._wait(now)
            if later is not None:
                state.calendar.add(later)
        if not following:
            state.tally.ended(lot.cohort, lot.takes, acknowledged=lot.outcome.acknowledges)

    def _wait(self, cohort: Cohort) -> None:
        due = cohort.due_first(self._state.stream)
        heappush(self._due, (due, cohort.first, next(self._numbers), cohort))

    def _look(self, now: int, step: int) -> bool:
        """Begin what there is room for. False if there is no need to look again at this instant."""
        state, read_to = self._state, self._state.read_to
        free = state.places.free(now, step, self._fresh(now, step))
        part, saved = self._part_of_a_place(now, step)
        most_retries = _at_most(_pushes(free.retries, part) + saved, free.retry_pushes)
        chosen = list(self._retries(now, step, most_retries))
        retries = sum(cohort.dispatches for cohort in chosen)
        most = _at_most(_pushes(free.all - retries * part, part) + saved, free.pushes - retries)
        if most > 0:
            chosen += in_step(state, now, step, most) if step else formed(state, now, most)
        begun = sum(cohort.dispatches for cohort in chosen)
        paid = max(0, begun - max(0, saved)) / begun if begun else 0.0
        for cohort in chosen:
            lots = list(state.fates.meet(cohort, now, step))
            for lot in lots:
                self._begin(lot, now, step, paid)
            in_time = [lot.cohort for lot in lots if state.in_time(lot)]
            for each in [cohort] if len(in_time) == len(lots) else in_time:
                state.tally.begun(each)
        if begun:
            state.places.begin(begun, retries, step)
        if step:
            self._settle(step, full=begun - retries >= most or retries >= most_retries)
        return bool(chosen) or state.read_to > read_to

    def _fresh(self, now: int, step: int) -> float:
        """How many first attempts wait, or come in the step; at an instant, whether any do."""
        state, alone = self._state, self._state.stream.alone
        if not step:
            return math.inf if state.unread(now + 1) > 0 else 0
        return max(0, alone(state.stream.before(now + step)) - alone(state.read_to))

    def _settle(self, step: int, *, full: bool) -> None:
        """A step is over: what was left of the places, or was taken too many, is for the next."""
        self._saved += self._state.places.left * step
        if not full:  # what nobody wanted is not kept
            self._saved = min(0.0, self._saved)

    def _retries(self, now: int, step: int, most: int) -> Iterator[Cohort]:
        """What is due, in its order. In a step each begins when it is due, but no faster than so
        that there is room for `most` in it: what is due at one instant does not begin at once."""
        stream, horizon = self._state.stream, now + max(step, 1)
        every, free_at = step / max(most, 1), float(now)
        while most > 0 and self._due and self._due[0][0] < horizon:
            cohort, later = cut(heappop(self._due)[3], stream, horizon)
            if later is not None:
                self._wait(later)
            if cohort is None:
                continue
            begins, rest = taken(cohort, most if step else 1, self._bucket)
            if rest is not None:
                self._wait(rest)
            most -= begins.dispatches
            at = max(int(free_at), begins.due_first(stream))
            free_at = at + begins.dispatches * every
            yield starting(begins, stream, at, min(round(free_at), horizon) - at)

    def _begin(self, lot: Lot, now: int, step: int, paid: float) -> None:
        steps = -(-lot.takes // step) if step else 1
        part = lot.holds / (step * steps) if step and steps else 1.0
        places = lot.cohort.dispatches * (part * paid if lot.takes or not step else 0.0)
        ends_at = now + steps * step if step else now + lot.takes
        self._take(ends_at, UnderWay(places, lot.cohort.made > 0, lot))

    def _take(self, until: int, each: UnderWay) -> None:
        self._state.places.take(each.places, each.retry)
        heappush(self._under_way, (until, next(self._numbers), each))

    def _part_of_a_place(self, now: int, step: int) -> tuple[float, int]:
        """That a push takes on the average, for as many steps as it lasts; and how many more may
        begin for what was left of places that were wanted, or how many less for what is owed."""
        if not step:
            return 1.0, 0
        takes = self._state.fates.endpoint.takes(now * MICROSECOND) / MICROSECOND
        if not takes:
            return 0.0, 0
        # Less than a push is carried over. More was left only because answers came at once.
        self._saved = min(self._saved, takes)
        more = math.floor(self._saved / takes)
        self._saved -= max(0, more) * takes  # what is owed is paid by places that stay empty
        return takes / step / math.ceil(takes / step), more

    def _volume(self, start: int, end: int, due: Iterable[Cohort]) -> float:
        state, stream = self._state, self._state.stream
        waiting_first = -(-max(0, state.unread(start)) // self._bucket)
        arriving_first = stream.alone(stream.before(end)) - stream.alone(stream.before(start))
        retries = sum(c.dispatches for c in due) + sum(c.dispatches for c in self._waiting())
        takes = state.fates.endpoint.takes(start * MICROSECOND) / MICROSECOND
        rounds = 1 + (end - start) / takes if takes else math.inf
        most = state.places.most_within(end - start)
        demand = waiting_first + arriving_first + retries
        return min(demand, most, state.customer.window * rounds)

    def _busy(self, start: int, end: int, due: Iterable[Cohort]) -> float:
        """How much of what the window can do in that stretch, as long as something arrives, there
        is to do in full buckets."""
        state, stream = self._state, self._state.stream
        arriving = stream.wanted(stream.before(end)) - stream.wanted(state.read_to)
        pushes = arriving / self._bucket + sum(c.dispatches for c in (*due, *self._waiting()))
        takes = state.fates.endpoint.takes(start * MICROSECOND) / MICROSECOND
        length = min(end, stream.end) - start
        return pushes * takes / (state.customer.window * (length if length > 0 else end - start))

    def _waiting(self) -> Iterator[Cohort]:
        yield from (cohort for *_, cohort in self._due)

    def _next(self, now: int) -> int:
        """When something happens after now, or the end of the stretch."""
        state = self._state
        free = state.places.free(now, 0, self._fresh(now, 0))
        instants = [self._until, state.places.opens_at(now)]
        if self._under_way:
            instants.append(self._under_way[0][0])
        arrived = state.stream.before(now + 1)
        if min(free.all, free.pushes) >= 1 and arrived < state.stream.count:
            instants.append(state.stream.at(arrived))
        if min(free.retries, free.retry_pushes) >= 1 and self._due:
            instants.append(self._due[0][0])
        return min(at for at in instants if at is not None and at > now)

    def _follow_tails(self, start: int) -> None:
        """What flowed into this stretch takes places until it ends."""
        for lot in self._state.tails:
            _, rest = cut(lot.cohort, self._state.stream, start - lot.takes + 1)
            parts = 0 if rest is None else rest.dispatches
            while rest is not None:
                first, last = (each(self._state.stream) for each in (rest.due_first, rest.due_last))
                upto = first + 1 if parts <= _TAILS else first + 1 + (last - first) // _TAILS
                head, rest = cut(rest, self._state.stream, upto)
                if head is not None:
                    each = UnderWay(head.dispatches, head.made > 0, None)
                    self._take(head.due_last(self._state.stream) + lot.takes, each)
        self._state.tails = []


def _order(entry: tuple[Any, ...]) -> tuple[int, ...]:
    """Without what is not to be compared."""
    order: tuple[int, ...] = entry[:-1]
    return order


def _pushes(places: float, part: float) -> int:
    """How many may begin when each takes such a part of a place. What takes no time needs a place
    all the same, and a small rest of one is none."""
    if part:
        return max(0, int(places / part + 1e-9))
    return _MANY if places >= 0.5 else 0


def _at_most(pushes: int, limit: float) -> int:
    return pushes if limit >= pushes else int(limit)

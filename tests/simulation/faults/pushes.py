"""Invariants of pushes, looked at when each begins, and what became of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatcher.clocks.common_time import TOLD_TO
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.flow.members import SURE
from dispatcher.queue.base import Leased
from dispatcher.retrying.outcome import Answer
from receiver.store.instants import micros
from tests.simulation.faults.claims import SLEW
from tests.simulation.faults.customers import FAILED, Met
from tests.simulation.faults.ledger import OPEN, Lent, Sent, message_of

if TYPE_CHECKING:
    from tests.simulation.faults.process import Process
    from tests.simulation.faults.world import World

MARK = re.compile(rb"#(\d+)#")
"""Each report of a seed has a number of its own in callbackData, to be found in JSON and XML."""

UNTOLD = TOLD_TO.total_seconds() + 0.1
"""How far apart the clocks of processes may be that agree on a time, in seconds."""

LATE = 0.5
"""Seconds: the shortest sleep of the runner here, and the steps of a claim."""


class Pushes:
    """Looks at each push."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ledger = world.ledger
        self._holds = world.holds
        self._bytes: dict[str, tuple[bytes, str, int]] = {}
        self._ids: dict[str, int] = {}  # the dispatch that each webhook-id was used for
        self.count = 0

    def begin(self, process: Process, dispatch: Leased, endpoint: Endpoint) -> Sent:
        self.count += 1
        self._world.claims.happens()
        number, now = dispatch.attempts_made + 1, process.clock.now()
        world, token = self._world, dispatch.lease.token
        what = f"push of dispatch {dispatch.id} to {dispatch.endpoint}, attempt {number}"
        world.trace.add(process.name, f"  > {what} under {token}")
        lent = self._ledger.lent.get((dispatch.id, token))
        sent = Sent(
            process, dispatch.id, dispatch.name, endpoint.name, number, token, world.passed, now
        )
        if lent is None:
            self._holds(False, f"{what}: it was never leased under {token}")
            return sent
        row = self._ledger.rows[dispatch.id]
        self._holds(lent.process is process, f"{what}: the lease is of {lent.process.name}")
        self._holds(micros(now) < lent.until, f"{what}: the lease ran out before")
        self._holds(dispatch.due_at <= now, f"{what}: due at {dispatch.due_at}, and it is {now}")
        self._holds(micros(dispatch.due_at) == lent.due_at, f"{what}: due at another instant")
        most = world.plan.schedule.attempts
        self._holds(number <= most, f"{what}: the schedule has {most}")
        self._in_time(what, sent, dispatch, endpoint)
        if dispatch.encoded:
            self._same_bytes(what, dispatch)
        self._repeats(what, sent, lent)
        self._waited(what, sent)
        if row.lease != token:
            self._holds(world.explained(lent), f"{what}: the lease is over ({row.state})")
        self._ledger.sent.setdefault(dispatch.id, []).append(sent)
        return sent

    def not_encoded(self, process: Process, dispatch: Leased, endpoint: Endpoint) -> None:
        """An attempt at which the bytes could not be made: nothing is pushed, and it has failed."""
        sent = self.begin(process, dispatch, endpoint)
        self.heard(sent, FAILED)

    def met(self, sent: Sent, met: Met) -> None:
        """It has come to the customer, or to nobody."""
        sent.met = met
        heard = met.answer.status or met.answer.error
        taken = " and taken" if met.taken else ""
        self._world.trace.add(sent.process.name, f"  < dispatch {sent.dispatch}: {heard}{taken}")

    def heard(self, sent: Sent, answer: Answer) -> None:
        """The worker hears of it."""
        self._world.claims.happens()
        sent.answer, sent.ended = answer, self._world.passed
        sent.ended_at = sent.process.clock.now()
        self._world.claims.heard(sent.process, sent.endpoint, answer.status == 200)

    def _in_time(self, what: str, sent: Sent, dispatch: Leased, endpoint: Endpoint) -> None:
        """Where nothing befalls and there is room, a retry goes when it is due."""
        waiting = [row for row in self._ledger.rows.values() if row.state in OPEN]
        free = not endpoint.rate_limit and not endpoint.breaker_failures
        free &= self._world.plan.look_every < SURE.total_seconds()  # nobody has room in between
        if self._world.plan.calm and free and len(waiting) < endpoint.window // 2:
            before = self._ledger.recorded_send(sent.dispatch, sent.number - 1)
            # A wait that counts from the start may be over before the attempt has ended.
            since = sent.at if before is None else before.ended
            due = (sent.started_at - dispatch.due_at).total_seconds()
            late = min(due, sent.at - since)
            self._holds(late < LATE, f"{what}: {late:.3f} s too late")

    def _same_bytes(self, what: str, dispatch: Leased) -> None:
        """The same at each attempt; and at the first, all reports of the dispatch, in order."""
        these = (dispatch.body, dispatch.content_type, dispatch.reports)
        of = self._ids.setdefault(dispatch.webhook_id, dispatch.id)
        self._holds(of == dispatch.id, f"{what}: {dispatch.webhook_id} is that of dispatch {of}")
        first = self._bytes.setdefault(dispatch.webhook_id, these)
        self._holds(first == these, f"{what}: other bytes than before, {these} and not {first}")
        if first is these:
            marked = {self._world.mark_of(each): each for each in self._ledger.members[dispatch.id]}
            marks = [int(mark) for mark in MARK.findall(dispatch.body)]
            self._holds(sorted(marks) == sorted(marked), f"{what}: carries {marks}, not {marked}")
            self._in_order(what, [marked[mark] for mark in marks if mark in marked])

    def _in_order(self, what: str, reports: Sequence[int]) -> None:
        """In one body the reports of a message follow each other as they came."""
        last: dict[tuple[str, int], int] = {}
        for report in reports:
            message = message_of(self._ledger.reports[report - 1])
            before = last.get(message, 0)
            self._holds(before < report, f"{what}: report {before} is in front of {report}")
            last[message] = report

    def _repeats(self, what: str, sent: Sent, lent: Lent) -> None:
        """The same attempt again only if the one before could not be recorded, for a reason."""
        for other in self._ledger.sent.get(sent.dispatch, []):
            self._holds(other.token != sent.token, f"{what}: twice under one lease")
            if other.number == sent.number:
                before = self._ledger.lent[other.dispatch, other.token]
                self._holds(
                    self._world.explained(before) or self._world.explained(lent),
                    f"{what}: repeated, and nothing befell {before.process.name} meanwhile",
                )

    def _waited(self, what: str, sent: Sent) -> None:
        """In the world's time, too, the wait was as long as the clocks' rules allow."""
        schedule = self._world.plan.schedule
        recorded = [a.number for a in self._ledger.attempts.get(sent.dispatch, [])]
        self._holds(
            recorded[-1:] == ([sent.number - 1] if sent.number > 1 else [])
            or sent.number in recorded,
            f"{what}: recorded so far: {recorded}",
        )
        before = self._ledger.recorded_send(sent.dispatch, sent.number - 1)
        if before is None or self._world.jumps_since(before.at) or sent.number > schedule.attempts:
            return
        begun = before.at if schedule.counted_from == "start" else before.ended
        wait = schedule.waits[sent.number - 2].total_seconds()
        skews = self._world.plan.skews
        apart = max(skews) - min(skews) + UNTOLD
        least = wait / SLEW - apart
        waited = sent.at - begun
        self._holds(waited >= least, f"{what}: after {waited:.3f} s, expected {wait:.3f} s")

"""Has several dispatchers on one database keep to the limits of an endpoint together.

What is decided stands in flow/members.py, flow/share.py and flow/gate.py. Here the notices are read
and written: each look of the runner brings those of the others along, and while there are others
this one's is renewed every second, or at once when its shares or its breakers have changed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from msgspec.structs import replace

from dispatcher.clocks.clock import Clock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.flow.gate import Heard
from dispatcher.flow.members import RENEW_EVERY, Members, Notice, encoded
from dispatcher.flow.share import Limits
from dispatcher.queue.base import DispatchQueue
from dispatcher.worker import Worker
from receiver.store.base import StoreUnavailable

log = logging.getLogger("dlr.dispatcher")


def limits_of(endpoint: Endpoint) -> Limits:
    return Limits(endpoint.window, endpoint.rate_limit, endpoint.breaker_failures > 0)


class Sharing:
    """This dispatcher among those on its database. `join`, then `look` again and again, then
    `leave`. All of them raise StoreUnavailable."""

    def __init__(self, queue: DispatchQueue, worker: Worker, clock: Clock) -> None:
        self._queue = queue
        self._worker = worker
        self._clock = clock
        self._members = Members(clock.speed)
        self._told = Notice(0)
        self._told_at: datetime | None = None
        self._troubled: frozenset[str] = frozenset()  # endpoints, by what the others say
        self._leaves = False

    @property
    def count(self) -> int:
        """How many dispatchers there are, as far as this one knows."""
        return 1 + len(self._members.others)

    async def join(self) -> None:
        """Before anything is claimed; nothing is until then."""
        self.serve()
        at = self._worker.shares_hold_until = self._clock.now()
        notice = Notice(1, serves=self._serves())
        self._members.joined(await self._queue.put_up(encoded(notice)), at)
        self._told, self._told_at = notice, None
        at = self._clock.now()
        await self.look((await self._queue.news(at)).notices, at)

    def serve(self) -> None:
        """The worker works for other endpoints now."""
        self._members.serve(self._serves())

    def retire(self) -> None:
        """It takes on nothing more, and the next look gives its shares to the others."""
        self._leaves = True
        self.serve()

    async def leave(self) -> None:
        """Nothing is under way any more."""
        with suppress(StoreUnavailable):  # then the others notice that it is silent
            await self._queue.take_down(self._members.me)

    def clock_stepped(self, by: timedelta) -> None:
        """The clock has gone so far in one step."""
        self._members.clock_stepped(by)
        self._told_at = self._told_at and self._told_at + by

    async def look(self, notices: Mapping[str, bytes], asked_at: datetime) -> bool:
        """These notices were up when they were asked for at `asked_at`. Returns whether there may
        be more room than before."""
        members, now = self._members, self._clock.now()
        if not members.see(notices, asked_at, now):
            if members.me:
                log.warning("this dispatcher was taken for dead by another one, and begins anew")
            await self.join()
            return True
        for name, notice in members.silent(now):
            log.warning("dispatcher %s is silent: the others take its share of the limits", name)
            await self._queue.take_down(name, notice)
        changed, members.changed = members.changed, False
        if changed:
            shares = {name: members.share(name) for name in self._worker.endpoints}
            await self._worker.use_shares(None if members.alone else shares)
        self._worker.shares_hold_until = members.sure_until
        if changed or members.others:
            self._hear(now)
        if members.others or not members.is_sure(now):
            await self._tell(now)
        return changed

    def _serves(self) -> Mapping[str, Limits]:
        if self._leaves:
            return {}
        return {name: limits_of(each) for name, each in self._worker.endpoints.items()}

    # --- what is heard -------------------------------------------------------------------------

    def _hear(self, now: datetime) -> None:
        gates = self._worker.gates
        others = [other.notice for other in self._members.others.values()]
        troubled = frozenset(
            name for notice in others for name in (*notice.opened, *notice.failing)
        )
        for name in gates.keys() & (troubled - self._troubled):
            gates[name].acknowledged = False  # that was before
        self._troubled = troubled
        told = {name for notice in others for name in notice.acknowledged}
        for name, gate in gates.items():
            if gate.breaker_is_open or name in troubled or name in told:
                gate.hear(self._heard(name), now)

    def _heard(self, name: str) -> Heard:
        members = self._members
        decides = members.decides(name)
        others = {each: other.notice for each, other in members.others.items()}
        opened = [each for each, notice in others.items() if name in notice.opened]
        return Heard(
            decides=None if decides == members.me else decides,
            opened=bool(opened) if decides == members.me else decides in opened,
            failures=sum(notice.failing.get(name, 0) for notice in others.values()),
            acknowledged=any(name in others[each].acknowledged for each in members.news),
        )

    # --- what is told --------------------------------------------------------------------------

    async def _tell(self, now: datetime) -> None:
        notice = self._notice()
        waits = replace(self._told, number=0, failing={}, acknowledged=())
        if (
            self._told_at is not None
            and now < self._told_at + RENEW_EVERY * self._clock.speed
            and replace(notice, failing={}, acknowledged=()) == waits
        ):
            return
        number = self._told.number + 1
        at, notice = self._clock.now(), replace(notice, number=number)
        if not await self._queue.renew(self._members.me, encoded(notice)):
            return  # the next look sees it
        self._told, self._told_at = notice, at
        self._members.renewed(at)
        self._worker.shares_hold_until = self._members.sure_until
        for name in notice.acknowledged:
            self._worker.gates[name].acknowledged = False

    def _notice(self) -> Notice:
        gates = self._worker.gates
        return Notice(
            0,
            view=self._members.view,
            serves=self._serves(),
            over=self._worker.over,
            opened=[name for name, gate in gates.items() if gate.has_opened],
            failing={name: gate.failing for name, gate in gates.items() if gate.failing},
            acknowledged=[
                name for name in self._troubled if name in gates and gates[name].acknowledged
            ],
        )

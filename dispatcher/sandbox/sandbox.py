"""The sandbox itself: takes messages, and has happen to them what is due.

`accept` is what the routes call; `start` and `stop` frame a loop that sleeps until the next step of
any message is due. There is no job and no timer for a single message.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

from dispatcher.clocks.repeating import Repeating
from dispatcher.endpoints.endpoint import EndpointsInForce
from dispatcher.sandbox.clicks import Clicks
from dispatcher.sandbox.clock import MovableClock
from dispatcher.sandbox.faults import Faults
from dispatcher.sandbox.inbox import Inbox
from dispatcher.sandbox.messages.acceptance import Arrival, accepted_of, admitted
from dispatcher.sandbox.messages.ending import ended
from dispatcher.sandbox.messages.message import Message, in_milliseconds
from dispatcher.sandbox.messages.outcomes import Fate, fate_of
from dispatcher.sandbox.messages.reports import Account, StepTaken, take_step
from dispatcher.sandbox.messages.send import Accepted, Send, Sms
from dispatcher.sandbox.seen import Newest, SeenPush, SeenRequest
from dispatcher.sandbox.store.base import SandboxStore, StepCounts
from dispatcher.settings.sandbox import Ending, OutcomeRule, SandboxSettings
from receiver.dlr.instants import utc_microseconds
from receiver.settings.configuration import ConfigurationError
from receiver.settings.reader import read_table
from receiver.settings.writing import as_table
from receiver.store.writer import GroupCommit

log = logging.getLogger("dlr.sandbox")

LONGEST_SLEEP = 10.0
"""Seconds. A clock that follows the wall clock may go a tenth faster than was thought."""

AFTER_STORE_FAILURE = 1.0

PURGE_EVERY = timedelta(minutes=10)
PURGED_AT_ONCE = 500

STEPS_AT_ONCE = 500
"""Steps in one transaction: 20 ms or so, in which callbacks wait."""


class Sandbox:
    """`on_stored` is called when reports are stored."""

    def __init__(
        self,
        store: SandboxStore,
        settings: SandboxSettings,
        clock: MovableClock,
        endpoints: EndpointsInForce,
        on_stored: Callable[[], None],
        kept: timedelta = timedelta(0),
        *,
        pushes: Newest[SeenPush],
    ) -> None:
        """Messages are kept for as long as `kept`; zero is for ever."""
        self.store = store
        self.clock = clock
        self.taken: Counter[str] = Counter()  # messages, by the generation of the route
        self.told = 0  # reports
        self.faults = Faults(settings.fault, settings.seed)
        self.requests: Newest[SeenRequest] = Newest()
        self.pushes = pushes
        self._settings = settings
        self._endpoints = endpoints
        self._on_stored = on_stored
        self._kept = kept
        self._purge_at = clock.now()
        self.account = Account(Decimal(str(settings.price)), settings.currency, settings.mcc_mnc)
        self.clicks = Clicks(store, now=clock.now, on_stored=on_stored)
        self._sends = GroupCommit(self._accept_all)
        self._ids = Ids(clock.now)
        self.inbox = Inbox(
            store,
            settings.inbound,
            settings.currency,
            now=clock.now,
            new_id=self._ids.new,
            on_stored=on_stored,
        )
        self._rules: Sequence[OutcomeRule] = settings.outcome
        self._stepping = asyncio.Lock()
        self._loop = Repeating(
            self._look,
            log=log,
            waits="the sandbox waits until the database can be used",
            fails="the sandbox's loop failed and is started again",
            again_after=AFTER_STORE_FAILURE,
        )

    async def accept(self, send: Send) -> Accepted:
        """Take a request; when this returns it is on disk. Raises StoreUnavailable."""
        accepted = await self._sends.submit(send)
        self.taken[send.api] += len(accepted.messages)
        self._loop.wake()
        return accepted

    def wake(self) -> None:
        """Something may be due earlier than was thought."""
        self._loop.wake()

    async def read_rules(self) -> None:
        """Go by the rules that came at run time too. Raises StoreUnavailable.

        One that an older version took and this one does not is left out until a reset.
        """
        said = [_rule(table) for table in await self.store.rules()]
        self._rules = [*(rule for rule in said if rule is not None), *self._settings.outcome]

    async def add_rule(self, rule: OutcomeRule) -> None:
        """Go by this rule first. It is kept, until it is taken back or a reset."""
        await self.store.add_rule(as_table(rule))
        await self.read_rules()

    async def forget_rules(self) -> None:
        """Take back the rules that came at run time; those of the settings stay."""
        await self.store.forget_rules()
        await self.read_rules()

    @property
    def rules(self) -> Sequence[OutcomeRule]:
        """The rules in force, in the order in which they are asked; those of the settings last."""
        return self._rules

    async def end(self, message_id: str, ending: Ending) -> Message | None:
        """End a message now, in this way; when this returns its report is stored. `None`: there is
        no such message, or it was refused. Raises HasEnded, NotFinal, StoreUnavailable."""
        now = in_milliseconds(self.clock.now())

        def change(message: Message) -> Message:
            return ended(message, ending, now)

        if await self.store.change_message(message_id, now, change) is None:
            return None
        await self.step_all()
        return await self.store.sent(message_id)

    async def reset(self) -> None:
        """Forget all messages and bulks, the reports that wait to be pulled, the rules that came at
        run time, trouble on order, what was asked and pushed, and what waits to be pushed of it.
        The clock stays, and so do the reports."""
        async with self._stepping:
            await self.store.reset()
        self.faults.forget()
        self.requests.forget()
        self.pushes.forget()
        await self.read_rules()

    async def step_all(self) -> StepCounts:
        """Take all steps that are due at this instant. Raises StoreUnavailable."""
        steps = reports = 0
        async with self._stepping:
            while taken := await self._step():
                steps += taken.steps
                reports += taken.reports
        return StepCounts(steps, reports)

    async def next_at(self) -> datetime | None:
        """When the next step is due."""
        return await self.store.next_due()

    def start(self) -> None:
        self._loop.start()

    async def stop(self) -> None:
        """The steps that are being taken are finished."""
        await self._loop.stop()

    def trouble(self) -> str | None:
        """Why nobody should rely on it; `None` when all is well."""
        return "the sandbox's loop has ended" if self._loop.died else None

    async def _look(self) -> float:
        """Do what is due. Returns how long to sleep, in the world's seconds."""
        await self.step_all()
        await self._purge()
        due_at = await self.next_at()
        if due_at is None:
            return LONGEST_SLEEP
        seconds = (due_at - self.clock.now()).total_seconds() / self.clock.speed
        return min(max(seconds, 0.0), LONGEST_SLEEP)

    async def _purge(self) -> None:
        now = self.clock.now()
        if not self._kept or now < self._purge_at:
            return
        while await self.store.purge(now - self._kept, PURGED_AT_ONCE):
            pass  # others write in between
        self._purge_at = now + PURGE_EVERY

    async def _step(self) -> StepCounts | None:
        if (due_at := await self.next_at()) is None or due_at > self.clock.now():
            return None
        endpoints = await self._endpoints.endpoints()
        now = self.clock.now()

        def take(message: Message) -> StepTaken:
            return take_step(message, now, self.account, endpoints)

        taken = await self.store.take_due(now, STEPS_AT_ONCE, take)
        if taken.reports:
            self.told += taken.reports
            self._on_stored()
        return taken

    async def _accept_all(self, sends: Sequence[Send]) -> Sequence[Accepted]:
        now, new_id = self.clock.now(), self._ids.new
        arrivals = [Arrival(send, send.bulk_id or new_id()) for send in sends]
        admit = partial(admitted, at=in_milliseconds(now), fate_of=self._fate_of, new_id=new_id)
        stored = await self.store.accept(arrivals, now, admit)
        return [
            accepted_of(arrival.bulk_id, messages)
            for arrival, messages in zip(arrivals, stored, strict=True)
        ]

    def _fate_of(self, sms: Sms, number: int) -> Fate:
        """By the seed and the message's number: the same messages have the same outcomes, even if
        the process was restarted between two of them."""
        return fate_of(sms, self._rules, Random(f"{self._settings.seed}:{number}"))


class Ids:
    """Ids as the provider makes them: 19 digits. They ascend, which keeps their index small."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._last = 0

    def new(self) -> str:
        self._last = max(self._last + 1, utc_microseconds(self._now()) * 1000)
        return str(self._last)


def _rule(table: Mapping[str, Any]) -> OutcomeRule | None:
    """A stored rule; `None` when it cannot be read."""
    try:
        return read_table(OutcomeRule, table)
    except ConfigurationError as error:
        log.error(
            "an outcome rule is ignored, because it cannot be used: %s", "; ".join(error.faults)
        )
        return None

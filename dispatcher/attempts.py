"""Makes one attempt of a dispatch, and records what came of it.

From top to bottom: `make` pushes and judges, `record` has the attempt stored and tells the
listeners. Whatever is raised on the way, foreseen or not, is the attempt's failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Protocol

from msgspec import Struct, structs

from dispatcher.clocks.clock import Clock
from dispatcher.endpoints.endpoint import Endpoint, Target
from dispatcher.forming.bucket import encode, shape_of
from dispatcher.observe.events import AttemptMade, Listener
from dispatcher.observe.unforeseen import tell_unforeseen, unforeseen
from dispatcher.queue.base import Bucket, DispatchQueue, Leased, Outbox, Record
from dispatcher.queue.records import Records
from dispatcher.retrying.dispatch import after_attempt
from dispatcher.retrying.outcome import Answer, Outcome, judge
from dispatcher.retrying.schedule import RetrySchedule
from receiver.store.base import StoreUnavailable


class Sender(Protocol):
    """Makes one HTTP try."""

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:
        """Push the dispatch's body and tell what came back.

        Never raises for what the endpoint or the network does: that is an answer too. If it raises
        all the same, the attempt has failed.
        """


class Made(Struct, frozen=True):
    """An attempt that was made, and is not recorded yet. `dispatch` is as it was pushed."""

    dispatch: Leased
    record: Record
    ended_at: datetime


class Attempts:
    """Makes and records the attempts of one worker."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        queue: DispatchQueue,
        sender: Sender,
        clock: Clock,
        schedule: RetrySchedule,
        rng: Random,
        records: Records,
        listeners: Sequence[Listener] = (),
    ) -> None:
        """`schedule` is for endpoints without one of their own."""
        self._outbox = outbox
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._schedule = schedule
        self._rng = rng
        self._listeners = listeners
        self._records = records

    @property
    def stepped(self) -> timedelta:
        """All steps of the clock together. By one, attempts under way began so much later, and
        their leases last so much longer."""
        return self._records.stepped

    async def make(self, dispatch: Leased, endpoint: Endpoint) -> Made | None:
        """Push, and judge what came back; None if the lease has run out, and nothing is pushed."""
        answer = None
        if not dispatch.encoded:
            dispatch, answer = await self._encoded_late(dispatch, endpoint)
        started_at, stepped = self._clock.now(), self.stepped
        lease = dispatch.lease
        if started_at >= lease.until + (stepped - lease.stepped):
            return None  # the process stood still: it is another's by now, or will be
        if endpoint.holds_secrets and not endpoint.own_urls:
            # Another process may have moved it: secrets go to the URL that came with them.
            dispatch = structs.replace(dispatch, url=endpoint.url)
        if answer is None:
            answer = await self._answer(dispatch, endpoint, started_at)
        ended_at = self._clock.now()
        started_at += self.stepped - stepped
        record = self._judged(dispatch, endpoint, answer, started_at, ended_at)
        return Made(dispatch, record, ended_at)

    async def record(self, made: Made) -> None:
        """Have it stored, and tell the listeners unless another process has the dispatch by now.
        Raises StoreUnavailable."""
        if await self._recorded(made.record):
            event = _event(made.dispatch, made.record)
            for listener in self._listeners:
                listener(event)

    # --- push -------------------------------------------------------------------------------------

    async def _encoded_late(
        self, dispatch: Leased, endpoint: Endpoint
    ) -> tuple[Leased, Answer | None]:
        """The dispatch with its bytes made anew: the process that had made them died, or something
        was in the way, which may be over by now. Otherwise that is the answer, and nothing is
        pushed."""
        found = await self._queue.dispatch(dispatch.name)
        reports = await self._outbox.reports_by_id(found[0].report_ids if found else ())
        to = Target(dispatch.url, dispatch.content_type, dispatch.authorization)
        try:
            generation = dispatch.generation or shape_of(reports[0], endpoint)[0]
            body = encode(Bucket(reports, generation, to))
        except Exception as error:  # noqa: BLE001 - told, and recorded as a failed attempt
            tell_unforeseen(f"reports for {endpoint.name} cannot be encoded", error)
            return dispatch, _failed(error)
        await self._queue.keep_body(dispatch, body)
        return structs.replace(dispatch, body=body, encoded=True), None

    async def _answer(self, dispatch: Leased, endpoint: Endpoint, started_at: datetime) -> Answer:
        """What comes of a push. What nobody has foreseen is its failure, and no one else's."""
        try:
            return await self._sender.send(dispatch, endpoint)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            failed: BaseException = error  # nobody has cancelled us: it came out of a library
        except Exception as error:  # noqa: BLE001 - told, and recorded as a failed attempt
            failed = error
        passed = (self._clock.now() - started_at) / self._clock.speed
        tell_unforeseen(f"a push to {endpoint.name} failed", failed)
        return _failed(failed, passed / timedelta(milliseconds=1))

    # --- judge ------------------------------------------------------------------------------------

    def _judged(
        self,
        dispatch: Leased,
        endpoint: Endpoint,
        answer: Answer,
        started_at: datetime,
        ended_at: datetime,
    ) -> Record:
        """As `_judge`. An answer that cannot be judged is a failure."""
        try:
            return self._judge(dispatch, endpoint, answer, started_at, ended_at)
        except Exception as error:  # noqa: BLE001 - told, and recorded as a failed attempt
            tell_unforeseen(f"an answer of {endpoint.name} cannot be evaluated", error)
            plain = structs.replace(
                answer, failure=Outcome.FAILED, error=unforeseen(error), retry_after=None
            )
            return self._judge(dispatch, endpoint, plain, started_at, ended_at)

    def _judge(
        self,
        dispatch: Leased,
        endpoint: Endpoint,
        answer: Answer,
        started_at: datetime,
        ended_at: datetime,
    ) -> Record:
        """What the answer means, and what becomes of the dispatch."""
        schedule = self._schedule if endpoint.schedule is None else endpoint.schedule
        rules = schedule.rules if endpoint.outcome is None else endpoint.outcome
        outcome = judge(answer, rules)
        number = dispatch.attempts_made + 1
        following = after_attempt(
            outcome,
            attempts_made=number,
            started_at=started_at,
            schedule=schedule,
            ended_at=ended_at,
            answer=answer,
            rules=rules,
            rng=self._rng,
        )
        return Record(
            dispatch=dispatch.id,
            token=dispatch.lease.token,
            number=number,
            started_at=started_at,
            answer=answer,
            outcome=outcome,
            state=following.state,
            due_at=following.due_at,
            body=_to_keep(dispatch) if following.state == "waiting" else None,
        )

    # --- record -----------------------------------------------------------------------------------

    async def _recorded(self, record: Record) -> bool:
        """Whether it was recorded. What an answer says may be what no database takes; what it means
        is recorded all the same."""
        try:
            return await self._records.submit(record)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - told, and recorded without the answer
            tell_unforeseen("the answer of an endpoint cannot be recorded", error)
            told = record.answer
            plain = Answer(told.duration_ms, told.status, told.failure, unforeseen(error))
            return await self._records.submit(structs.replace(record, answer=plain))


def _failed(error: BaseException, duration_ms: float = 0.0) -> Answer:
    return Answer(duration_ms, failure=Outcome.FAILED, error=unforeseen(error))


def _to_keep(dispatch: Leased) -> bytes | None:
    """The bytes that are not stored yet: those of a first attempt."""
    return dispatch.body if dispatch.encoded and not dispatch.attempts_made else None


def _event(dispatch: Leased, record: Record) -> AttemptMade:
    return AttemptMade(
        dispatch=dispatch.name,
        endpoint=dispatch.endpoint,
        url=dispatch.url,
        reports=dispatch.reports,
        number=record.number,
        started_at=record.started_at,
        answer=record.answer,
        outcome=record.outcome,
        state=record.state,
        due_at=record.due_at,
    )

"""Defects planted in production code, each to be caught by the invariant that is there for it.

Those of FOUND were no inventions: they were there until a seed showed them. They tell their story
and are planted again, so that the seeds of today would show them again.
"""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from msgspec import structs

from dispatcher import attempts
from dispatcher.attempts import Attempts
from dispatcher.clocks.clock import SystemClock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.flow import gate
from dispatcher.flow.gate import Gate
from dispatcher.flow.rate_limit import SharedRateLimit
from dispatcher.flow.window import Room
from dispatcher.forming import bucket, former
from dispatcher.queue.base import Forming, Lease, Leased
from dispatcher.queue.sqlite import ordering, replays
from dispatcher.queue.sqlite import queue as queue
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.retrying.dispatch import Next, after_attempt
from dispatcher.retrying.outcome import Answer
from dispatcher.retrying.schedule import RetrySchedule
from dispatcher.runner import Runner
from dispatcher.worker import Worker
from receiver.store.base import ReportItem
from receiver.store.callback import Callback
from receiver.store.sqlite import adding
from receiver.store.writer import GroupCommit
from tests.simulation.faults.plan import Act

Patch = AbstractContextManager[Any]


@dataclass(frozen=True, slots=True)
class Defect:
    """How to plant it, and what the violation says of it (a regular expression). `acts` are what it
    takes, for what hides in narrow gaps."""

    plant: Callable[[], Patch]
    caught_by: str
    acts: tuple[Act, ...] = ()


def _without(module: Any, name: str, condition: str, instead: str) -> Patch:
    """An SQL statement with another condition."""
    statement = getattr(module, name)
    assert condition in statement
    return patch.object(module, name, statement.replace(condition, instead))


async def _does_nothing(*_: Any, **__: Any) -> None: ...


def _rewritten(module: Any, name: str, text: str, instead: str) -> Patch:
    """A function in which one piece of text stands for another."""
    source = inspect.getsource(getattr(module, name))
    assert text in source
    known = dict(vars(module))
    exec(source.replace(text, instead), known)
    return patch.object(module, name, known[name])


def _sends_before_due() -> Patch:
    claim_due = SqliteQueue.claim_due

    async def early(self: SqliteQueue, now: datetime, *rest: Any) -> list[Leased]:
        return await claim_due(self, now + timedelta(seconds=1), *rest)

    return patch.object(SqliteQueue, "claim_due", early)


def _attempt_with(change: Callable[[Leased], Leased]) -> Patch:
    attempt = Worker.attempt

    async def changed(self: Worker, dispatch: Leased) -> None:
        await attempt(self, change(dispatch))

    return patch.object(Worker, "attempt", changed)


def _encoded_anew(dispatch: Leased) -> Leased:
    body = dispatch.body + b" " if dispatch.attempts_made else dispatch.body
    return structs.replace(dispatch, body=body)


def _reads_and_forms_apart() -> Patch:
    """Two transactions instead of one."""
    form = SqliteQueue.form

    async def apart(
        self: SqliteQueue,
        now: datetime,
        leases: Mapping[str, Lease],
        formings: Sequence[Forming],
    ) -> list[Leased]:
        read = [structs.replace(each, buckets=(), bodies=()) for each in formings]
        await form(self, now, leases, read)
        formed = [structs.replace(each, read_from=each.read_to) for each in formings]
        return await form(self, now, leases, formed)

    return patch.object(SqliteQueue, "form", apart)


def _reads_on(condition: str) -> Patch:
    """The endpoint's place is moved under this condition alone."""

    def read_on(connection: sqlite3.Connection, forming: Forming) -> bool:
        moved = connection.execute(
            f"UPDATE endpoint SET read_to = ? WHERE name = ? AND {condition}",
            (forming.read_to, forming.endpoint.name, forming.read_from),
        )
        return moved.rowcount == 1

    return patch.object(queue, "_read_on", read_on)


def _rescues(of: Callable[[datetime], datetime]) -> Patch:
    release_expired = SqliteQueue.release_expired

    async def rescue(self: SqliteQueue, now: datetime) -> int:
        return await release_expired(self, of(now))

    return patch.object(SqliteQueue, "release_expired", rescue)


def _wait_of(retry: Callable[[int], int]) -> Patch:
    def wait_after(self: RetrySchedule, attempts_made: int, _: Any = None) -> timedelta | None:
        number = retry(attempts_made)
        return self.waits[number] if number < len(self.waits) else None

    return patch.object(RetrySchedule, "wait_after", wait_after)


def _counts_from_the_end() -> Patch:
    def late(*outcome: Any, **given: Any) -> Next:
        return after_attempt(*outcome, **{**given, "started_at": given["ended_at"]})

    return patch.object(attempts, "after_attempt", late)


def _room_of_a_paused_one() -> Patch:
    room = Gate.room

    def unpaused(self: Gate, now: datetime) -> Room:
        told, self.endpoint = self.endpoint, structs.replace(self.endpoint, paused=False)
        try:
            return room(self, now)
        finally:
            self.endpoint = told

    return patch.object(Gate, "room", unpaused)


def _tells_of_all() -> Patch:
    submit = GroupCommit.submit

    async def always(self: GroupCommit[Any, Any], item: Any) -> Any:
        return await submit(self, item) or True

    return patch.object(GroupCommit, "submit", always)


def _answers_before_the_commit() -> Patch:
    submit = GroupCommit.submit

    async def at_once(self: GroupCommit[Any, Any], item: Any) -> Any:
        if not isinstance(item, Callback):
            return await submit(self, item)
        self.add(item, lambda _: None)
        return None

    return patch.object(GroupCommit, "submit", at_once)


def _goes_by_the_wall_clock() -> Patch:
    def reading(self: SystemClock) -> tuple[timedelta, datetime]:
        return self._elapsed(), self.wall()

    return patch.object(SystemClock, "reading", reading)


def _opens_now() -> Patch:
    """As soon as it may probe, an open breaker opens at each instant at which it is asked."""
    opens_at = Gate.opens_at

    def opens_now(self: Gate, now: datetime) -> datetime | None:
        return now if self._breaker.may_probe(now) else opens_at(self, now)

    return patch.object(Gate, "opens_at", opens_now)


def _sends_unguarded() -> Patch:
    """What a sender raises is nobody's attempt."""

    async def unguarded(
        self: Attempts, dispatch: Leased, endpoint: Endpoint, _: datetime
    ) -> Answer:
        return await self._sender.send(dispatch, endpoint)

    return patch.object(Attempts, "_answer", unguarded)


def _encodes_unguarded() -> Patch:
    """What cannot be encoded ends the look for all endpoints."""

    async def unguarded(forming: Forming) -> Forming:
        return structs.replace(forming, bodies=[bucket.encode(each) for each in forming.buckets])

    return patch.object(former, "encoded", unguarded)


def _sends_no_bytes() -> Patch:
    """A dispatch whose bytes could not be made is pushed without them."""

    async def empty(_: Attempts, dispatch: Leased, __: Endpoint) -> tuple[Leased, Answer | None]:
        return structs.replace(dispatch, encoded=True), None

    return patch.object(Attempts, "_encoded_late", empty)


@contextmanager
def _reads_for_the_removed() -> Iterator[None]:
    pending = _without(queue, "_PENDING", " AND NOT removed", "")
    with pending, _reads_on("read_to = ?"):
        yield


def _later(dispatch: Leased) -> Leased:
    until = dispatch.lease.until + timedelta(days=1)
    return structs.replace(dispatch, lease=Lease(dispatch.lease.token, until))


PLANTED = {
    "the record forgets the fencing token": Defect(
        lambda: _without(
            queue, "_RECORD", "dispatch.lease = recorded.token", "recorded.token <> ''"
        ),
        "is recorded under",
    ),
    "a claim takes what is due in a second": Defect(_sends_before_due, "before it is due"),
    "a retry is encoded anew": Defect(lambda: _attempt_with(_encoded_anew), "other bytes"),
    "reading and forming are two transactions": Defect(_reads_and_forms_apart, "is lost"),
    "two dispatchers form the same": Defect(
        lambda: _reads_on("? IS NOT NULL AND NOT removed"), "another dispatch already|goes back"
    ),
    "all leases are rescued": Defect(
        lambda: _rescues(lambda now: now + timedelta(days=1)), "its lease has not run out"
    ),
    "nobody wakes for what is due": Defect(
        lambda: patch.object(Runner, "_alarm", _does_nothing), "too late"
    ),
    "leases are not given back": Defect(
        lambda: patch.object(Worker, "give_back", _does_nothing), "has stopped and keeps"
    ),
    "no lease is rescued": Defect(
        lambda: _rescues(lambda now: now - timedelta(days=1)), "does not come to rest"
    ),
    "an attempt too many": Defect(
        lambda: _wait_of(lambda made: max(0, made - 2)), "the schedule has|last attempt, and"
    ),
    "each wait is the next one's": Defect(lambda: _wait_of(lambda made: made), "due at"),
    "waits count from the end": Defect(_counts_from_the_end, "due at"),
    "the window is forgotten": Defect(
        lambda: patch.object(gate, "room", lambda window, _: Room(window * 2, window * 2)),
        ", window ",
    ),
    "a place in the window never comes free": Defect(
        lambda: patch.object(Gate, "end", lambda *_: None), "does not come to rest|never come free"
    ),
    "a pause is not noticed": Defect(_room_of_a_paused_one, "which is paused"),
    "the breaker never opens": Defect(
        lambda: patch.object(Gate, "judge", lambda *_: None), "its breaker"
    ),
    "the rate limit is forgotten": Defect(
        lambda: patch.object(SharedRateLimit, "within", lambda _, places: places), "allowed"
    ),
    "no message is under way": Defect(
        lambda: patch.object(ordering, "set_under_way", lambda *_: None), "goes before"
    ),
    "a report is known without its source": Defect(
        lambda: _rewritten(adding, "_earlier", "{(source, key, told)", "{('', key, told)"),
        "answered 200, and not stored",
    ),
    "a message is known without its source": Defect(
        lambda: patch.object(
            ReportItem, "message", property(lambda report: ("", report.message_key))
        ),
        "is held, and nothing of its message",
    ),
    "two feeders feed the same": Defect(
        lambda: _without(replays, "_FEED", "AND fed = ?", "AND ? IS NOT NULL"), "in dispatches|fed"
    ),
    "what is not recorded is told": Defect(_tells_of_all, "told of and not recorded"),
    "a callback is answered before it is stored": Defect(
        _answers_before_the_commit, "answered 200, and not stored"
    ),
    "waits go by a wall clock that is set": Defect(_goes_by_the_wall_clock, "expected"),
    "an open breaker spins": Defect(_opens_now, "looks . times within"),
    "the history is silent about repeats": Defect(
        lambda: _without(queue, "_UNRECORDED", "state = 'leased'", "state = ''"),
        "the history tells",
    ),
    "an error that no list names is not recorded": Defect(_sends_unguarded, r"Unforeseen\('send"),
    "what cannot be encoded stops the others": Defect(_encodes_unguarded, r"Unforeseen\('enc"),
    "what could not be encoded is pushed empty": Defect(_sends_no_bytes, "carries"),
}

FOUND = {
    # Two ticks of one worker at once each asked how much room there was before the other had taken
    # any. The runner makes one claim after the other; whoever else calls `tick` does not.
    "two claims at once take the room twice": Defect(
        lambda: patch.object(Worker, "claim", Worker._claim), "window|allowed|its breaker"
    ),
    # A worker that has not yet noticed that an endpoint is removed went on reading for it. What it
    # held for the order's sake was sent when the endpoint came back, though it was not for it. And
    # what it had formed was cancelled by a trigger that freed nothing: so all later reports of
    # that message were held for ever.
    "a removed endpoint is read for": Defect(
        _reads_for_the_removed,
        "does not go there|does not come to rest|goes before",
        acts=("remove",),
    ),
    # The feeder looked which endpoints there are, one was removed, and it made dispatches for it.
    # Nobody ever sent them, and the replay ran for ever.
    "a replay is fed to a removed endpoint": Defect(
        lambda: _rewritten(replays, "_feed", "endpoint WHERE removed", "endpoint WHERE 0"),
        "does not come to rest: open dispatches",
        acts=("replay", "remove", "remove"),
    ),
    # A process that stood still between claim and push sent under a lease that had run out: a push
    # that another had made meanwhile, and at an endpoint that keeps the order perhaps an old report
    # after a new one.
    "a push goes out though its lease has run out": Defect(
        lambda: _attempt_with(_later), "the lease ran out before"
    ),
}

SHOWN_BY = {
    "the record forgets the fencing token": 625,
    "a claim takes what is due in a second": 12,
    "a retry is encoded anew": 8,
    "two dispatchers form the same": 76,
    "all leases are rescued": 1,
    "nobody wakes for what is due": 768,
    "leases are not given back": 106,
    "no lease is rescued": 7,
    "an attempt too many": 21,
    "each wait is the next one's": 5,
    "waits count from the end": 8,
    "the window is forgotten": 1,
    "a pause is not noticed": 42,
    "the breaker never opens": 8,
    "the rate limit is forgotten": 1,
    "no message is under way": 4,
    "a message is known without its source": 7,
    "two feeders feed the same": 141,
    "what is not recorded is told": 36,
    "waits go by a wall clock that is set": 111,
    "an open breaker spins": 21,
    "the history is silent about repeats": 8,
    "an error that no list names is not recorded": 11,
    "what cannot be encoded stops the others": 11,
    "what could not be encoded is pushed empty": 11,
    "two claims at once take the room twice": 256,
    "a removed endpoint is read for": 4,
    "a replay is fed to a removed endpoint": 606,
    "a push goes out though its lease has run out": 239,
}
"""A seed that shows it; those that are not here are shown by the first. When the seeds tell other
stories one day, others will: then look for one again, it is only here to be quick."""

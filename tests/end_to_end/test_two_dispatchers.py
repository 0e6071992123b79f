"""Two dispatchers on one database, one of them killed or stopped at any moment.

`dlr receive` takes reports under load, and two `dlr dispatch` push them. Each time a seed chooses
the one that is killed (SIGKILL) and the moment. Afterwards everything is counted: what was answered
200 was pushed, nobody pushed what another held, and the histories have no gap. One that is stopped
(SIGSTOP) for longer than its lease and wakes up finds that what it did is not recorded any more.

A failure prints its seed; DLR_CRASH_SEED=… chooses the same load and the same moments again.
"""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dispatcher.worker import LEASE_MARGIN
from tests.end_to_end.processes import (
    Customer,
    Push,
    Running,
    an_endpoint,
    configure,
    customer,
    eventually,
    running,
)
from tests.end_to_end.test_crashes import (
    Run,
    a_run,
    check_file,
    check_histories,
    check_pushes,
    check_store,
    heal,
    seed,
)
from tests.receiver.payloads import a_json_body, an_item

ATTEMPT = timedelta(milliseconds=800)  # connect and read timeout of the endpoints
LEASE = (ATTEMPT + LEASE_MARGIN).total_seconds()

SLACK = 1.0
"""Seconds between a lease's begin and the arrival of its push, on a machine that others use."""

SOON = 5.0
"""Seconds in which a lease that ran out is noticed (one) and its dispatch pushed."""

PATIENCE = LEASE + 30.0


class Pair:
    """Two dispatchers, of which one may be replaced by a new one."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._processes: list[tuple[AsyncExitStack, Running]] = []

    async def fill_up(self) -> None:
        while len(self._processes) < 2:
            stack = AsyncExitStack()
            process = await stack.enter_async_context(self._run.process("dispatch"))
            self._processes.append((stack, process))

    async def kill_one(self) -> None:
        stack, process = self._processes.pop(self._run.rng.randrange(2))
        await process.kill()
        await stack.aclose()

    async def end(self) -> None:
        for stack, process in self._processes:
            await process.stop()
            await stack.aclose()
        self._processes.clear()


@asynccontextmanager
async def a_pair(run: Run) -> AsyncIterator[Pair]:
    pair = Pair(run)
    try:
        await pair.fill_up()
        yield pair
    finally:
        await pair.end()


async def kill_either(run: Run, kills: int) -> None:
    """One of two dispatchers is killed, again and again."""
    async with run.process("receive") as receiver, a_pair(run) as pair:
        run.platform.calls(receiver)
        for _ in range(kills):
            await run.moment()
            await pair.kill_one()
            await pair.fill_up()
        await run.platform.end()
        assert run.platform.unanswered == 0


def check_leases(acme: Customer) -> int:
    """A push was made again under its number only after the lease of the one before had run out,
    and then soon. Returns how many were."""
    by_attempt = defaultdict(list)
    for push in acme.pushes:
        if not push.is_again:
            by_attempt[push.dispatch, push.attempt].append(push.at)
    again = [pair for times in by_attempt.values() for pair in pairwise(sorted(times))]
    assert [(a, b) for a, b in again if b - a < LEASE - SLACK] == [], "two held one dispatch"
    assert [(a, b) for a, b in again if b - a > LEASE + SOON] == [], "nobody took it over"
    return len(again)


def check_order(acme: Customer, dispatches: list[dict[str, Any]]) -> None:
    """The attempts of a dispatch came one after another, none before the one ahead of it. One that
    did not come was not answered either: on a slow machine the time to connect runs out."""
    by_dispatch = defaultdict(list)
    for push in acme.pushes:
        by_dispatch[push.dispatch].append(push.attempt)
    for view in dispatches:
        attempts = by_dispatch[view["webhookId"]]
        unanswered = {each["number"] for each in view["history"] if each["status"] is None}
        for before, after in pairwise(attempts):
            assert before <= after, attempts
            assert unanswered.issuperset(range(before + 1, after)), attempts


@pytest.mark.parametrize("kills", [8, pytest.param(150, marks=pytest.mark.long)])
async def test_two_dispatchers_never_hold_the_same(tmp_path: Path, kills: int) -> None:
    """Whichever is killed, and whenever: all is pushed, in order, and by one at a time."""
    async with a_run(tmp_path, seed()) as run:
        await kill_either(run, kills)
        reports, dispatches = await heal(run)

    assert run.errors == []
    assert run.platform.refused == []
    check_store(run, reports)
    check_pushes(run, reports, dispatches)
    check_histories(run, dispatches)
    check_order(run.acme, dispatches)
    again = check_leases(run.acme)
    check_file(tmp_path / "dlr.db")
    print(
        f"{kills} kills, {len(reports)} reports, {len(dispatches)} dispatches,"
        f" {len(run.acme.pushes)} pushes, {again} again after a lease had run out"
    )


# --- one that sleeps ---------------------------------------------------------------------------


async def test_one_that_slept_too_long_records_nothing(tmp_path: Path) -> None:
    """Stopped for longer than its lease while its push was under way, a dispatcher wakes up and
    gets the answer; but the other has made the attempt meanwhile, and its history stands."""
    async with AsyncExitStack() as stack:
        acme = await stack.enter_async_context(customer())
        settings = {"connect_timeout": "300ms", "read_timeout": "500ms"}
        configure(tmp_path, an_endpoint(acme.url, **settings))
        receiver = await stack.enter_async_context(running(tmp_path, "receive"))
        sleeper = await stack.enter_async_context(running(tmp_path, "dispatch"))
        acme.may_answer.clear()
        acme.answer = lambda _: 503 if len(acme.pushes) == 1 else 200
        await receiver.post(a_json_body(an_item(messageId="m-1")))
        await acme.came.reach(1)
        sleeper.signal(signal.SIGSTOP)
        acme.may_answer.set()  # its answer waits in the socket until it wakes up

        other = await stack.enter_async_context(running(tmp_path, "dispatch"))
        await acme.came.reach(2, PATIENCE)
        before = await eventually(lambda: acknowledged(receiver), "the other has recorded")
        sleeper.signal(signal.SIGCONT)
        # It has dealt with what it held when it has pushed something new; so the other is stopped.
        other.signal(signal.SIGSTOP)
        await receiver.post(a_json_body(an_item(messageId="m-2")))
        await acme.came.reach(3)
        await eventually(lambda: acknowledged(receiver, 2), "the sleeper works again")
        other.signal(signal.SIGCONT)
        after = await receiver.history(before["id"])
        await sleeper.stop()

    assert after == before
    assert [each["status"] for each in after["history"]] == [200]
    first, second = acme.pushes[:2]
    assert replace(second, at=first.at) == first, "the same bytes under the same id and number"
    assert second.at - first.at > LEASE - SLACK
    assert not re_recorded(acme.pushes[2:], first)


def re_recorded(pushes: list[Push], first: Push) -> bool:
    return any(push.dispatch == first.dispatch for push in pushes)


async def acknowledged(receiver: Running, number: int = 1) -> dict[str, Any] | None:
    """The oldest dispatch, when so many are acknowledged."""
    views = await receiver.all("dispatches")
    if [view["state"] for view in views] != ["acknowledged"] * number:
        return None
    return await receiver.history(views[-1]["id"])

"""Processes are killed in the middle of load, again and again; afterwards everything is counted.

First faults, and nothing wrong may happen: callbacks come from several senders at once, the
customer fails, stalls and cuts connections, and the process is killed at moments that a seed
chooses. Then healing, and everything must finish. What was answered 200 is there, once; what is
there was pushed; and the histories agree with the schedule and with what the customer saw.

A failure prints its seed; DLR_CRASH_SEED=… chooses the same load and the same moments again.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Literal

import aiohttp
import pytest

from receiver.dlr import json_format, xml_format
from receiver.dlr.item import read_item
from tests.end_to_end.processes import (
    CUT,
    Customer,
    Push,
    Running,
    Tally,
    an_endpoint,
    configure,
    customer,
    eventually,
    running,
)
from tests.receiver.payloads import a_json_body, a_v3_item, an_item

SPEED = 600
"""A minute of the schedule is a tenth of a second. A lease that a kill leaves behind lasts as long
as an attempt can, and worker.LEASE_MARGIN: 11 s."""

SENDERS = 6

CALLBACKS_A_KILL = 40
"""How many callbacks there are for each kill, so that a receiver that is not killed itself takes no
more than one that is. With small buckets they are far more pushes than a moment waits for."""

SETTLE = 90.0
"""Seconds in which everything must finish after the last kill: a lease, and the retries of what has
failed often."""


def seed() -> int:
    chosen = int(os.environ.get("DLR_CRASH_SEED") or random.randrange(2**32))
    print(f"DLR_CRASH_SEED={chosen}")
    return chosen


# --- the platform ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """A callback of the platform: the same bytes however often it is posted."""

    form: str
    body: bytes
    message_ids: tuple[str, ...]


class Platform:
    """Posts callbacks from several senders, and again until they are answered 200, as the real one
    does; some it repeats although they were."""

    def __init__(self, rng: Random) -> None:
        self.answered = Tally()
        self.sent: list[Sent] = []  # answered 200
        self.answers: Counter[str] = Counter()  # the counts of all answers, added up
        self.refused: list[str] = []  # answers that should not have been
        self.unanswered = 0
        self._rng = rng
        self._made = 0
        self._server: Running | None = None
        self._up = asyncio.Event()
        self._ending = False
        self._allowed = asyncio.Semaphore(0)
        self._senders = [asyncio.create_task(self._send()) for _ in range(SENDERS)]

    def calls(self, server: Running | None) -> None:
        """Whom to call from now on; None while there is nobody."""
        self._server = server
        if server is None:
            self._up.clear()
        else:
            self._up.set()

    def go_on(self) -> None:
        """There are callbacks for one more kill."""
        for _ in range(CALLBACKS_A_KILL):
            self._allowed.release()

    async def end(self) -> None:
        """Make nothing new, and have everything answered."""
        self._ending = True
        for _ in range(SENDERS):
            self._allowed.release()
        async with asyncio.timeout(30):
            await asyncio.gather(*self._senders)

    async def cancel(self) -> None:
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)

    async def _send(self) -> None:
        while await self._allowed.acquire() and not self._ending:
            again = self.sent and self._rng.random() < 0.15
            callback = self._rng.choice(self.sent) if again else self._new()
            while not await self._post(callback):
                self.unanswered += 1

    async def _post(self, callback: Sent) -> bool:
        await self._up.wait()
        server = self._server
        assert server is not None
        try:
            status, answer = await server.post(callback.body, callback.form)
        except (aiohttp.ClientError, OSError):
            if self._server is server:  # gone, and a new one is not there yet
                self.calls(None)
            return False
        if status != 200:
            self.refused.append(f"{status} {answer}")
            return True
        self.answers.update(answer)
        self.sent.append(callback)
        self.answered.add()
        return True

    def _new(self) -> Sent:
        size = self._rng.choice((1, 1, 1, 1, 2, 2, 5, 20))
        ids = tuple(f"m-{self._made + number}" for number in range(size))
        self._made += size
        generation = self._rng.choice(("v2", "v3"))
        item = an_item if generation == "v2" else a_v3_item
        items = [item(messageId=message_id) for message_id in ids]
        if self._rng.random() < 0.5:
            return Sent("json", a_json_body(*items), ids)
        reports = [read_item(each, "item") for each in items]
        body = xml_format.encode_body(reports, "v2" if generation == "v2" else "v3")
        return Sent("xml", body, ids)


# --- the run -----------------------------------------------------------------------------------


@dataclass
class Run:
    """What a run is made of, and what it leaves to be counted."""

    folder: Path
    rng: Random
    platform: Platform
    acme: Customer
    healthy: bool = False
    errors: list[str] = field(default_factory=list)  # what the processes should not have written

    def answer(self, _: Push) -> int | Literal["cut"]:
        """The customer's: a third of the pushes fails in one way or another until it is healed."""
        chance = 1.0 if self.healthy else self.rng.random()
        return 503 if chance < 0.2 else CUT if chance < 0.3 else 200

    @asynccontextmanager
    async def process(self, command: str) -> AsyncIterator[Running]:
        async with running(self.folder, command, "--speed", str(SPEED)) as server:
            yield server
            await server.kill()
        wrong = re.compile(r"Traceback|Error|^\S+ (error|critical) ")
        self.errors += [line for line in server.err.lines if wrong.search(line)]

    async def moment(self) -> None:
        """Until one of the moments at which a process may die: after so many more answers to the
        platform, or pushes to the customer. What runs at that moment is cut in two."""
        counted = self.rng.choice((self.platform.answered, self.acme.came))
        self.platform.go_on()
        await counted.reach(counted.count + self.rng.randrange(1, 30))


@asynccontextmanager
async def a_run(folder: Path, number: int) -> AsyncIterator[Run]:
    rng = Random(number)
    async with customer() as acme:
        each = 'connect_timeout = "300ms"\nread_timeout = "500ms"\nbucket_size = 5\n'
        as_xml = an_endpoint(
            f"{acme.url}/xml", "xml", content_type="application/xml", generation="v3"
        )
        configure(folder, an_endpoint(f"{acme.url}/json", "json") + each + as_xml + each)
        platform = Platform(rng)
        run = Run(folder, rng, platform, acme)
        acme.answer = run.answer
        try:
            yield run
        finally:
            await platform.cancel()


async def kill_serve(run: Run, kills: int) -> None:
    """One process that does everything is killed again and again."""
    for _ in range(kills):
        async with run.process("serve") as server:
            run.platform.calls(server)
            await run.moment()
            await server.kill()
            run.platform.calls(None)


async def kill_dispatch(run: Run, kills: int) -> None:
    """The dispatcher is killed again and again, while the receiver goes on and answers all."""
    async with run.process("receive") as receiver:
        run.platform.calls(receiver)
        for _ in range(kills):
            async with run.process("dispatch") as dispatcher:
                await run.moment()
                await dispatcher.kill()
        await run.platform.end()
        assert run.platform.unanswered == 0


async def heal(run: Run) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Let everything finish; then all reports, and all dispatches with their histories."""
    run.healthy = True
    async with run.process("serve") as server:
        run.platform.calls(server)
        await run.platform.end()

        async def finished() -> bool:
            _, endpoints = await server.get("/api/endpoints")
            counts = [each["dispatches"] for each in endpoints["endpoints"]]
            if any(count["waiting"] or count["leased"] for count in counts):
                return False
            reports = len(await server.all("reports"))
            acknowledged: Counter[str] = Counter()
            for view in await server.all("dispatches"):
                if view["state"] != "acknowledged":
                    return False
                acknowledged[view["endpoint"]] += view["reports"]
            return acknowledged == {"json": reports, "xml": reports}

        try:
            await eventually(finished, "every dispatch is acknowledged", SETTLE)
        except AssertionError as stuck:
            for path in ("/readyz", "/api/endpoints"):
                stuck.add_note(f"{path}: {await server.get(path)}")
            stuck.add_note("the last lines of its log:\n" + "\n".join(server.err.lines[-20:]))
            raise
        dispatches = [await server.history(each["id"]) for each in await server.all("dispatches")]
        return await server.all("reports"), dispatches


# --- the count ---------------------------------------------------------------------------------


def check_store(run: Run, reports: list[dict[str, Any]]) -> None:
    """Everything that was answered 200 is there, nothing else, and nothing twice."""
    promised = {message_id for sent in run.platform.sent for message_id in sent.message_ids}
    stored = Counter(report["report"]["messageId"] for report in reports)
    assert promised - set(stored) == set(), "answered 200 and lost"
    assert set(stored) - promised == set(), "stored and never answered: all were posted again"
    assert {each: count for each, count in stored.items() if count > 1} == {}, "stored twice"
    # An answer that was on its way when the process died is not counted here, but in the store.
    posted = sum(len(sent.message_ids) for sent in run.platform.sent)
    assert run.platform.answers["stored"] + run.platform.answers["duplicates"] == posted
    assert run.platform.answers["stored"] <= len(stored)
    assert run.platform.answers["quarantined"] == 0
    assert sum(report["duplicates"] for report in reports) >= posted - len(stored)


def check_pushes(run: Run, reports: list[dict[str, Any]], dispatches: list[dict[str, Any]]) -> None:
    """Each report has reached each endpoint, in one dispatch, that is always the same bytes."""
    stored = {report["report"]["messageId"] for report in reports}
    for endpoint, decode in (("json", json_format.decode_body), ("xml", xml_format.decode_body)):
        in_dispatches = Counter(
            message_id
            for view in dispatches
            if view["endpoint"] == endpoint
            for message_id in view["messageIds"]
        )
        assert in_dispatches == dict.fromkeys(stored, 1)
        taken = [push for push in run.acme.acknowledged if push.path == f"/{endpoint}"]
        assert {message_id for push in taken for message_id in push.message_ids} == stored
        assert all(len(decode(push.body)) == len(push.message_ids) for push in taken)
    bodies = defaultdict(set)
    for push in run.acme.pushes:
        bodies[push.dispatch].add((push.path, push.content_type, push.body))
    assert [each for each, seen in bodies.items() if len(seen) > 1] == []
    assert set(bodies) == {view["webhookId"] for view in dispatches}


def check_histories(run: Run, dispatches: list[dict[str, Any]]) -> None:
    """Attempts are numbered without gaps, none was before its time, and the customer saw them. Of
    an attempt that was repeated because its process died before the record, the history tells."""
    pushed = defaultdict(set)
    times = Counter((each.dispatch, each.attempt) for each in run.acme.pushes if not each.is_again)
    for push in run.acme.pushes:
        pushed[push.dispatch].add(push.attempt)
    for view in dispatches:
        history = view["history"]
        assert [each["number"] for each in history] == list(range(1, view["attempts"] + 1))
        outcomes = [each["outcome"] == "acknowledged" for each in history]
        assert outcomes == [False] * (len(history) - 1) + [True]
        for before, after in pairwise(history):
            wait = timedelta(minutes=1 + (before["number"] - 1) ** 2)
            assert instant(after["startedAt"]) >= instant(before["startedAt"]) + wait
        # A broken lease repeats an attempt under its number; no number is ever left out or ahead.
        assert pushed[view["webhookId"]] <= set(range(1, view["attempts"] + 1))
        answered = {each["number"] for each in history if each["status"] is not None}
        assert answered <= pushed[view["webhookId"]]
        for each in history:
            assert times[view["webhookId"], each["number"]] <= 1 + each["unrecorded"]


def check_file(path: Path) -> None:
    """The file is whole."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        connection.close()


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


Killing = Callable[[Run, int], Any]


@pytest.mark.parametrize("kills", [12, pytest.param(300, marks=pytest.mark.long)])
@pytest.mark.parametrize("killing", [kill_serve, kill_dispatch])
async def test_kills_lose_nothing_and_double_nothing(
    tmp_path: Path, killing: Killing, kills: int
) -> None:
    """However often it is killed: what was answered 200 is stored once, and pushed on schedule."""
    async with a_run(tmp_path, seed()) as run:
        await killing(run, kills)
        reports, dispatches = await heal(run)

    assert run.errors == []
    assert run.platform.refused == []
    check_store(run, reports)
    check_pushes(run, reports, dispatches)
    check_histories(run, dispatches)
    check_file(tmp_path / "dlr.db")
    repeated = len(run.acme.pushes) - sum(view["attempts"] for view in dispatches)
    unheard = len(reports) - run.platform.answers["stored"]
    print(
        f"{kills} kills, {len(reports)} reports, {run.platform.unanswered} posts unanswered"
        f" ({unheard} reports of them stored all the same),"
        f" {len(dispatches)} dispatches, {len(run.acme.pushes)} pushes, {repeated} repeated"
    )

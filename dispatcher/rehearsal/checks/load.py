"""Load: many pushes, and what they do to the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dispatcher.rehearsal import rules
from dispatcher.rehearsal.bodies import body
from dispatcher.rehearsal.check import Check, Evidence, Stage
from dispatcher.rehearsal.exchange import Exchange
from dispatcher.rehearsal.judges import under_load
from dispatcher.rehearsal.truth import Expected

WINDOW = 20
"""Pushes in flight during a burst: windowSize of the provider's sample profile."""


async def _burst(stage: Stage) -> Evidence:
    room = asyncio.Semaphore(WINDOW)

    async def run() -> tuple[Expected, Exchange]:
        async with room:
            return await _one(stage)

    return _evidence(await asyncio.gather(*(run() for _ in range(stage.plan.burst))))


async def _at_once(stage: Stage) -> Evidence:
    return _evidence(await asyncio.gather(*(_one(stage) for _ in range(stage.plan.at_once))))


async def _sustained(stage: Stage) -> Evidence:
    """Evenly, whatever the answers do: a slow webhook must not slow its own test down."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    running = []
    for number in range(int(stage.plan.rate * stage.plan.sustained.total_seconds())):
        await asyncio.sleep(start + number / stage.plan.rate - loop.time())
        running.append(asyncio.create_task(_one(stage)))
    return _evidence(await asyncio.gather(*running))


async def _one(stage: Stage) -> tuple[Expected, Exchange]:
    report = stage.make.report()
    return Expected(report.message_id or ""), await stage.client.push(body([report]))


def _evidence(done: Sequence[tuple[Expected, Exchange]]) -> Evidence:
    return Evidence(
        exchanges=tuple(exchange for _, exchange in done),
        expected=tuple(expected for expected, _ in done),
    )


CHECKS = (
    Check(
        name="burst",
        group="load",
        asks="200 pushes as fast as they are answered, 20 in flight",
        perform=_burst,
        judge=under_load,
        why="A campaign's reports come within seconds of each other.",
        rule=rules.WINDOW,
        mend="Do less per push; give the worker pool and the database's pool the same size.",
    ),
    Check(
        name="fifty-at-once",
        group="load",
        asks="50 pushes at the same time",
        perform=_at_once,
        judge=under_load,
        why="Each of them holds a connection; those that queue too long time out and come again.",
        rule=rules.WINDOW,
        mend="Raise the number of workers and the listen backlog, or lower windowSize.",
    ),
    Check(
        name="sustained",
        group="load",
        asks="50 pushes a second for 10 s",
        perform=_sustained,
        judge=under_load,
        why="What is slower than it is fed gets slower with each second, until all time out.",
        rule=rules.TIMEOUTS,
        mend="Look where the time goes at p99: locks, pools, a commit per report; set rateLimit.",
        quick=False,
    ),
)

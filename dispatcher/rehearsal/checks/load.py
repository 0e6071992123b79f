"""Load: many pushes, and what they do to the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from msgspec.structs import replace

from dispatcher.rehearsal import rules
from dispatcher.rehearsal.bodies import body
from dispatcher.rehearsal.check import Check, Evidence, Stage
from dispatcher.rehearsal.exchange import Exchange, seconds_of
from dispatcher.rehearsal.growth import SAMPLE, Memory, Start, footing, judged, memory_of
from dispatcher.rehearsal.judges import NOTE, taken, under_load
from dispatcher.rehearsal.truth import Expected
from dispatcher.rehearsal.verdict import Judgement

WINDOW = 20
"""Pushes in flight during a burst: windowSize of the provider's sample profile."""


LONGEST = 6.0
"""Seconds for which a check of load goes on. A slow webhook gets fewer pushes."""


async def _burst(stage: Stage) -> Evidence:
    """`plan.burst` pushes, or as many as the webhook takes in the time there is. The first that is
    left without an answer ends it."""
    end = time.monotonic() + LONGEST
    done: list[tuple[Expected, Exchange]] = []

    async def pushing() -> None:
        while len(done) + WINDOW <= stage.plan.burst and time.monotonic() < end:
            done.append(await _one(stage))
            if done[-1][1].timed_out:
                return

    await asyncio.gather(*(pushing() for _ in range(WINDOW)))
    return _evidence(done)


async def _at_once(stage: Stage) -> Evidence:
    """All at the same time. When some are too slow, as many as the platform's smallest window has:
    more is the choice of whoever sets that window."""
    evidence = await _together(stage, stage.plan.at_once)
    if all(each.answered for each in evidence.exchanges) and not _late(evidence.exchanges, stage):
        return evidence
    return replace(evidence, facts={"window": await _together(stage, WINDOW)})


async def _together(stage: Stage, number: int) -> Evidence:
    evidence = _evidence(await asyncio.gather(*(_one(stage) for _ in range(number))))
    return replace(evidence, together=True)


def _late(exchanges: Sequence[Exchange], stage: Stage) -> bool:
    return seconds_of(exchanges, 0.99) > stage.plan.timeout.total_seconds() / 2


def _judge_at_once(evidence: Evidence) -> Judgement:
    judgement = under_load(evidence)
    window: Evidence | None = evidence.facts.get("window")
    refused = [each for each in evidence.exchanges if each.answered and not each.ok]
    if window is None or refused:
        return judgement
    smaller = under_load(replace(window, plan=evidence.plan, pace=evidence.pace))
    if smaller.verdict != "passed":
        return judgement
    text = f"{judgement.text}. With {WINDOW} at once, the smallest possible window, {smaller.text}"
    return Judgement("passed", f"{NOTE}{text}: keep windowSize at {WINDOW}", judgement.measures)


async def _sustained(stage: Stage) -> Evidence:
    """Evenly, whatever the answers do: a slow webhook must not slow its own test down. It is given
    four fifths of what it takes when a window is in flight."""
    await _started(stage)
    loop = asyncio.get_running_loop()
    start = loop.time()
    window = await _together(stage, WINDOW)
    rate = min(stage.plan.rate, 0.8 * WINDOW / (loop.time() - start))
    start = loop.time()
    running: list[asyncio.Task[tuple[Expected, Exchange]]] = []
    for number in range(int(rate * stage.plan.sustained.total_seconds())):
        await asyncio.sleep(start + number / rate - loop.time())
        if any(each.done() and each.result()[1].timed_out for each in running):
            break
        running.append(asyncio.create_task(_one(stage)))
    evidence = _evidence(await asyncio.gather(*running))
    return replace(
        evidence,
        exchanges=window.exchanges + evidence.exchanges,
        together=False,
        expected=window.expected + evidence.expected,
        facts={"rate": rate},
    )


def _judge_sustained(evidence: Evidence) -> Judgement:
    judgement = under_load(evidence)
    rate: float = evidence.facts["rate"]
    measures = {**judgement.measures, "ratePerSecond": round(rate, 1)}
    text = f"{rate:.3g} pushes a second: {judgement.text}"
    return Judgement(judgement.verdict, text, measures)


async def _one(stage: Stage) -> tuple[Expected, Exchange]:
    report = stage.make.report()
    return Expected(report.message_id or ""), await stage.client.push(body([report]))


async def _grown(stage: Stage) -> Evidence:
    """As many pushes as are missing, and half of the number at least since the webhook was warm, or
    what a slow one takes in LONGEST; then some one after the other. The report that began them
    comes once more at the end."""
    start = await _started(stage)
    early = stage.growing.early
    if early is None:
        first = [exchange for _, exchange in [await _one(stage) for _ in range(SAMPLE)]]
        early = footing(stage.client.pushes, first)
    end = time.monotonic() + LONGEST
    at_its_pace = int(WINDOW * LONGEST / max(stage.opening.seconds, 0.001))
    most = start.pushes + min(stage.plan.growth // 2, at_its_pace)
    if at_its_pace > stage.plan.growth:
        most = max(most, stage.plan.growth)
    done: list[tuple[Expected, Exchange]] = []

    async def pushing() -> None:
        while stage.client.pushes < most and time.monotonic() < end:
            done.append(await _one(stage))
            if not done[-1][1].ok:
                return

    await asyncio.gather(*(pushing() for _ in range(WINDOW)))
    last = [await _one(stage) for _ in range(SAMPLE if stage.opening.seconds < 0.5 else 2)]
    late = footing(stage.client.pushes, [exchange for _, exchange in last])
    since = stage.client.pushes - start.pushes
    memory = Memory(start.memory, memory_of(stage.way.url), since)
    between = f"pushed again after {since:,} others"
    again = await stage.client.push(body([start.report], what=between))
    old = Expected(start.report.message_id or "", once=True, what=between)
    evidence = _evidence([*done, *last])
    return replace(
        evidence,
        exchanges=(start.taken, again, *evidence.exchanges),
        expected=(old, *evidence.expected),
        facts={"early": early, "late": late, "memory": memory},
    )


async def _started(stage: Stage) -> Start:
    """The webhook as it is when the first check asks that it is compared with."""
    if stage.growing.start is None:
        report = stage.make.report()
        taken = await stage.client.push(body([report]))
        memory = memory_of(stage.way.url)
        stage.growing.start = Start(report, taken, stage.client.pushes, memory)
    return stage.growing.start


def _judge_grown(evidence: Evidence) -> Judgement:
    judgement = taken(evidence)
    if judgement.verdict == "failed":
        return judgement
    facts = evidence.facts
    return judged(facts["early"], facts["late"], facts["memory"])


def _evidence(done: Sequence[tuple[Expected, Exchange]]) -> Evidence:
    return Evidence(
        exchanges=tuple(exchange for _, exchange in done),
        expected=tuple(expected for expected, _ in done),
    )


CHECKS = (
    Check(
        name="burst",
        group="load",
        alone=True,
        asks="200 pushes as fast as they are answered, 20 in flight",
        perform=_burst,
        judge=under_load,
        why="The reports of a campaign arrive within seconds of each other.",
        rule=rules.WINDOW,
        mend="Do less work per push, give the worker pool and the database pool the same size,"
        " and exempt this path from rate limits.",
    ),
    Check(
        name="fifty-at-once",
        group="load",
        alone=True,
        asks="50 pushes at the same time",
        perform=_at_once,
        judge=_judge_at_once,
        why=(
            "Each of them holds a connection. Those that wait too long time out and are repeated."
        ),
        rule=rules.WINDOW,
        mend="Raise the number of workers and the listen backlog, do not hold a lock while you"
        " wait, or lower windowSize.",
    ),
    Check(
        name="sustained",
        group="load",
        alone=True,
        asks="50 pushes a second for 6 s, or as many as the webhook can take",
        perform=_sustained,
        judge=_judge_sustained,
        why=(
            "A webhook that is slower than its input gets slower every second, until all"
            " pushes time out."
        ),
        rule=rules.TIMEOUTS,
        mend=(
            "Find out where the time goes at p99 (locks, pools, one commit per report), or"
            " set rateLimit."
        ),
    ),
    Check(
        name="growth",
        group="load",
        asks="the thousandth push takes as long as the first ones and no more memory, and"
        " earlier reports are still known",
        perform=_grown,
        judge=_judge_grown,
        alone=True,
        why=(
            "Anything that grows with every report ends in a timeout or out of memory on a"
            " busy day."
        ),
        rule=rules.TIMEOUTS,
        mend="Give the table an index on the message id, and free everything after each"
        " request. Keep the keys of reports in the table instead of the last ones in"
        " memory.",
    ),
)

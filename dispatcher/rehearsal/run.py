"""A run: the opening push, the app's words, then check by check; each becomes a result.

Whatever the webhook does, a check ends with a result. If the network fails in the middle of a
check, that failure is the result.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from dispatcher.pushing.oauth import NoToken
from dispatcher.rehearsal import sameness
from dispatcher.rehearsal.bodies import Maker, body
from dispatcher.rehearsal.check import NEEDS, Check, Evidence, Need, Stage
from dispatcher.rehearsal.checks import CHECKS
from dispatcher.rehearsal.client import Client
from dispatcher.rehearsal.exchange import Exchange, failure_of, readable
from dispatcher.rehearsal.growth import SAMPLE, Growing, footing
from dispatcher.rehearsal.judges import told
from dispatcher.rehearsal.narrowing import NOTHING_HELPS, Variant, narrowed
from dispatcher.rehearsal.proving import Prover
from dispatcher.rehearsal.target import Target, Way, a_seed, way_to
from dispatcher.rehearsal.truth import (
    DELIVERED,
    PENDING,
    UNDELIVERABLE,
    WITH_OPERATOR,
    Expected,
    Held,
    Words,
)
from dispatcher.rehearsal.verdict import Judgement, Result
from dispatcher.rehearsal.verify import CannotVerify, Verifier
from dispatcher.rehearsal.wire import Wires

SHOWN_EXCHANGES = 6
"""How many exchanges of a check a result shows. The others are only counted."""

LOOKED_AT = 100
LOOKED_AT_SLOW = 40
"""For how many messages of a check the app is asked for their state, evenly spread. Fewer are asked
for if the webhook is slow."""

NOT_FOR_VALUES = frozenset({301, 302, 303, 307, 308, 401, 405, 407})
"""Statuses that are not caused by the values of a report."""

FEW = 3
MANY = 16
WIDE = 20
"""How many checks run side by side: for a quick webhook, for a slow one, and for a slow one that
takes so many pushes at once. WIDE is the platform's smallest window."""

SLOW = 0.25
"""A webhook is slow if an answer takes this many seconds: a run then mostly waits."""

ROUNDS = 100
"""How many runs with the same seed get different ids."""

STORES_NOTHING = "it stores nothing, or only reports of messages that it sent itself"
NO_VERIFY = "without --verify, it cannot be seen what the app did with the reports"
NO_WORDS = "the app shows no state (see the check `processed`)"


class _Performed(Struct, frozen=True):
    """A check that was made. `evidence` is what it was judged by."""

    check: Check
    evidence: Evidence
    result: Result


class Rehearsal:
    """Rehearses one webhook. Use it as an asynchronous context manager: entering it makes the
    opening push and, with `verify`, learns the app's words. Raises `CannotVerify` when the app's
    state cannot be had at all, `NoToken` when OAuth gives none, and `OSError` for files of TLS that
    are no good.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.way: Way = way_to(target)
        self.seed = a_seed() if target.seed is None else target.seed
        self.plan = target.plan
        self._client = Client(self.way, self.plan.timeout)
        self._wires = Wires(self.way, self.plan.timeout)
        self._verifier: Verifier | None = None
        if target.verify is not None:
            self._verifier = Verifier(target.verify, self.plan, self.way.sockets)
        self._words: Words | None = None
        self._lost_at: str | None = None
        self._lost_fence: str | None = None
        self._width = 1
        self._growing = Growing()
        self._round = 1
        self._fences = self.maker("fence")
        self._cause: str | None = None
        self._narrowed = ""
        self._asking = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._client)
            stack.push_async_callback(self.way.prover.close)
            await self.way.prover.renew(self._client.fetch)
            if self._verifier is not None:
                await stack.enter_async_context(self._verifier)
            self.opening = await self._open()
            if self._verifier is not None and self.opening.ok:
                self._words = await self._learn(self._verifier)
            if self._needs_narrowing():
                self._narrowed = await narrowed(self._take, self.maker("narrowing"))
                if self.opening.ok and self._narrowed == NOTHING_HELPS:
                    self._narrowed = f"{NOTHING_HELPS}: {STORES_NOTHING}"
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def fault(self) -> str | None:
        """Why the opening push was not accepted; None if it was."""
        if self.opening.ok:
            return None
        return "; ".join(filter(None, (told(self.opening), self._narrowed)))

    async def run(self, checks: Sequence[Check] = CHECKS) -> AsyncIterator[Result]:
        """The results of these checks, in their order. Checks that do not disturb one another run
        first and side by side, as many as the webhook's pace allows. The others then run alone."""
        if len(checks) > 1 and self.opening.ok:
            self._width = await self._measure()
        order = [check.name for check in checks][::-1]
        made: dict[str, Result] = {}
        async for result in self._made(checks):
            made[result.check] = result
            while order and order[-1] in made:
                yield made[order.pop()]

    async def _made(self, checks: Sequence[Check]) -> AsyncIterator[Result]:
        """The results, as they come."""
        beside = [check for check in checks if not check.alone and self._width > 1]
        async for result in self._side_by_side(beside):
            yield result
        for check in checks:
            if check not in beside:
                yield await self.perform(check)

    async def _side_by_side(self, checks: Sequence[Check]) -> AsyncIterator[Result]:
        room = asyncio.Semaphore(self._width)
        ended: list[_Performed] = []

        async def one(check: Check) -> _Performed:
            async with room:
                performed = await self._performed(check)
            ended.append(performed)
            return performed

        tasks = [asyncio.create_task(one(check)) for check in checks]
        try:
            for number, task in enumerate(tasks):
                if self._suspicious(await task):
                    await asyncio.gather(*tasks)
                    for each in tasks[number:]:
                        yield await self._believed(each.result(), ended)
                    return
                yield await self._told(task.result())
        finally:
            for task in tasks:
                task.cancel()

    def _suspicious(self, performed: _Performed) -> bool:
        """Whether checks beside it may have caused the result: silence, errors, slow answers."""
        judgement = performed.result.verdict
        most = self.plan.timeout.total_seconds() / 2
        return judgement in ("failed", "weak") and (
            performed.evidence.deaf
            or any(
                not each.answered
                or (each.status or 0) >= 500
                or each.limited
                or each.seconds > most
                for each in performed.evidence.exchanges
            )
        )

    async def _believed(self, performed: _Performed, ended: Sequence[_Performed]) -> Result:
        """The result of a check that ran beside others. A suspicious one is made again alone. If
        the webhook no longer answers, the first check without an answer is named as the cause."""
        if not self._suspicious(performed):
            return await self._told(performed)
        if self._lost_at is None and not await self._alive():
            first = next(each for each in ended if self._suspicious(each))
            self._lost_at = first.check.name
        if self._lost_at == performed.check.name:
            return replace(performed.result, text=_since_then(performed))
        return await self.perform(performed.check)

    async def perform(self, check: Check) -> Result:
        """Make one check. Errors of the webhook become its result."""
        return await self._told(await self._performed(check))

    async def _told(self, performed: _Performed) -> Result:
        """The result. A failure also says what could be found out about its cause."""
        if performed.result.verdict != "failed":
            return performed.result
        text = await self._text_after(performed)
        if performed.check.sameness and (found := await self._sameness(performed.evidence)):
            text = f"{text}; {found}"
        if performed.check.plain and self._narrowed:
            text = f"{text}; {self._narrowed}"
        return replace(performed.result, text=readable(text, 1000))

    async def _performed(self, check: Check) -> _Performed:
        started = time.perf_counter()
        obstacle = await self._obstacle(check)
        if obstacle is not None:
            evidence, judgement = Evidence(exchanges=()), Judgement("not judged", obstacle)
        else:
            evidence, judgement = await self._judged(check)
        result = _result(check, evidence, judgement, time.perf_counter() - started)
        return _Performed(check, evidence, result)

    async def _obstacle(self, check: Check) -> str | None:
        """Why the check cannot be made; None if it can."""
        if check.needs == "https":
            return NEEDS["https"] if self.way.tls is None else None
        if check.needs is not None and not _has(check.needs, self.way.prover):
            return NEEDS[check.needs]
        if check.gated and self.fault is not None:
            return f"the webhook does not accept even a plain report: {self.fault}"
        if self._lost_at is None:
            return None
        if await self._back():
            self._lost_at = None
            return None
        does = "takes" if self._lost_fence is None else "stores"
        return f"the webhook {does} no plain report any more, since the check {self._lost_at}"

    async def _back(self) -> bool:
        """Whether a webhook that was lost is there again. One that stores nothing is not waited for
        once more: when it gets to work again, it gets to what it did not store."""
        if self._lost_fence is None or self._verifier is None or self._words is None:
            return await self._alive()
        with suppress(CannotVerify):
            return self._words.known(await self._verifier.ask(self._lost_fence))
        return False

    async def _alive(self) -> bool:
        """Whether a plain report is accepted and, if that can be seen, stored."""
        if self._verifier is None or self._words is None or self._words.faults():
            return (await self._plain_push(self._fences)).ok
        with suppress(CannotVerify):
            return await self._behind_a_fence(self._verifier, self._words)
        return False

    async def _text_after(self, performed: _Performed) -> str:
        """The text of the result. A check without an answer may have stopped the webhook."""
        text = performed.result.text
        silent = performed.evidence.deaf or any(
            not each.answered or each.limited for each in performed.evidence.exchanges
        )
        if not silent or not self.opening.ok or await self._alive():
            return text
        self._lost_at = performed.check.name
        return _since_then(performed)

    async def _judged(self, check: Check) -> tuple[Evidence, Judgement]:
        try:
            await self.way.prover.renew(self._client.fetch)
            evidence = await check.perform(self._stage(check))
        except NoToken as error:
            return Evidence(exchanges=()), Judgement("not judged", str(error))
        except (OSError, TimeoutError) as error:
            failure = failure_of(error, self.plan.timeout.total_seconds())
            evidence = Evidence(exchanges=(Exchange(sent="", seconds=0, failure=failure),))
            return evidence, Judgement("failed", f"the connection failed: {failure}")
        try:
            evidence = await self._seen(evidence)
        except CannotVerify as error:
            return evidence, Judgement("not judged", f"--verify: {error}")
        whole = replace(evidence, plan=self.plan, pace=self.opening.seconds)
        return evidence, check.judge(whole)

    def maker(self, check: str) -> Maker:
        """Makes the reports of this check, with the run's ids and values."""
        run = str(self.seed) if self._round == 1 else f"{self.seed}.{self._round}"
        return Maker(run, check, self.target.values)

    async def _open(self) -> Exchange:
        """The plain push that begins the run. If the app has seen the seed already, the ids of
        another round are used: otherwise the app would answer with what an earlier run left."""
        if self.target.seed is None:
            return await self._plain_push(self.maker("opening"))
        while self._verifier is not None and await self._seen_before(self._verifier):
            self._round += 1
            if self._round == ROUNDS:
                break  # it tells something else of each message, whatever it has seen
        opening = await self._plain_push(self.maker("opening"))
        if opening.ok or not opening.answered or self._verifier is not None:
            return opening
        self._round += 1
        again = await self._plain_push(self.maker("opening"))
        if not again.ok:
            self._round = 1
        self._fences = self.maker("fence")
        return again if again.ok else opening

    async def _seen_before(self, verifier: Verifier) -> bool:
        """Whether the app knows the opening push of this round already."""
        self._fences = self.maker("fence")
        nobody, opening = self._fences.message_id(), self.maker("opening").message_id()
        held = await verifier.ask(opening)
        return held.state is not None and held.state != (await verifier.ask(nobody)).state

    @property
    def note(self) -> str | None:
        """What the reader should know of the whole run."""
        if self._round == 1:
            return None
        run = f"rehearsal-{self.seed}.{self._round}-…"
        return f"the app has seen seed {self.seed} before, so this run uses ids made of {run}"

    def _stage(self, check: Check) -> Stage:
        maker = self.maker(check.name)
        return Stage(
            maker, self._client, self._wires, self.way, self.plan, self.opening, self._growing
        )

    async def _plain_push(self, maker: Maker) -> Exchange:
        return await self._client.push(body([maker.report()]))

    # --- the app's own state -------------------------------------------------------------------

    async def _learn(self, verifier: Verifier) -> Words:
        """What the app says about a message after one report of each status, and without any."""
        maker = self.maker("words")
        nobody = maker.message_id()

        async def told(name: str) -> tuple[str, Held]:
            report = maker.report(name)
            await self._client.push(body([report]))
            return name, await verifier.known(report.message_id or "", await unknown)

        unknown = asyncio.create_task(verifier.ask(nobody))
        names = (PENDING, WITH_OPERATOR, UNDELIVERABLE, DELIVERED)
        try:
            learned = await asyncio.gather(*map(told, names))
        finally:
            unknown.cancel()
        return Words(dict(learned), unknown.result())

    async def _stand(self, maker: Maker) -> bool:
        """See what the webhook is before much has been pushed. A slow one has shown its pace.
        False when it takes no more plain pushes."""
        pushed = [self.opening]
        while self.opening.seconds < SLOW and len(pushed) <= SAMPLE:
            pushed.append(await self._plain_push(maker))
            if not pushed[-1].ok:
                return False
        self._growing.early = footing(self._client.pushes, pushed[1:] or pushed)
        return True

    def _needs_narrowing(self) -> bool:
        """Whether a plain report may have been refused, or may be missing in the app, because of
        its values, and not because of credentials or the method."""
        if not self.opening.answered or (self.opening.status or 0) in NOT_FOR_VALUES:
            return False
        return not self.opening.ok or (self._words is not None and bool(self._words.faults()))

    async def _take(self, variants: Sequence[Variant]) -> list[bool]:
        answers = [await self._client.push(each.body) for each in variants]
        if not self.opening.ok or self._verifier is None or self._words is None:
            return [each.ok for each in answers]
        unknown = self._words.unknown
        ids = [each.message_id for each in variants]
        held = await self._verifier.any_known(ids, unknown)
        return [held[each].state not in (None, unknown.state) for each in ids]

    async def _measure(self) -> int:
        """How many checks may run side by side: many when an answer takes long and several come
        in the time of one; few when the webhook is quick, because it may have one thread."""
        maker = self.maker("pace")
        if not await self._stand(maker):
            return 1
        if self.opening.seconds < SLOW:
            return FEW if await self._together(maker, 4) < SLOW else 1
        wide = await self._together(maker, WIDE) < 1.5 * self.opening.seconds
        if not wide and await self._together(maker, 4) > 2.5 * self.opening.seconds:
            return 1
        if self._verifier is not None:
            self._verifier.many(wide=wide)
        return WIDE if wide else MANY

    async def _together(self, maker: Maker, number: int) -> float:
        """How many seconds this many concurrent pushes take."""
        started = time.perf_counter()
        await asyncio.gather(*(self._plain_push(maker) for _ in range(number)))
        return time.perf_counter() - started

    async def look_at(self, expected: Sequence[Expected], most: int) -> Evidence:
        """What the app holds of these messages, or of `most` of them, evenly spread. Raises
        `CannotVerify`."""
        evidence = Evidence(exchanges=(self.opening,), expected=tuple(expected), plan=self.plan)
        return await self._seen(evidence, most)

    async def _seen(self, evidence: Evidence, most: int | None = None) -> Evidence:
        """The evidence with what the app holds, where that can be asked and makes a difference.
        `most` None: as many messages as the webhook's pace allows."""
        if most is None:
            most = LOOKED_AT if self.opening.seconds < SLOW else LOOKED_AT_SLOW
        if self._verifier is None:
            return replace(evidence, blind=NO_VERIFY)
        if self._words is None or self._words.faults():
            return replace(evidence, blind=NO_WORDS, words=self._words)
        if not evidence.expected or not all(each.ok for each in evidence.exchanges):
            return replace(evidence, words=self._words)
        expected = evidence.expected[:: -(-len(evidence.expected) // most)]
        fence = await self._fence()
        if fence is None:
            stored, held = False, await self._verifier.settled(expected, self._words)
        else:
            stored, held = await self._verifier.behind(fence, expected, self._words)
            self._lost_fence = None if stored else fence
        return replace(evidence, expected=expected, held=held, words=self._words, deaf=not stored)

    async def _sameness(self, evidence: Evidence) -> str:
        """Which fields make the app take two reports for the same, asked once in a run. Empty if it
        does so rightly, or if it cannot be told."""
        if self._verifier is None or evidence.held is None or self._words is None:
            return ""
        async with self._asking:
            if self._cause is None:
                self._cause = await self._probe(self._verifier, self._words)
        return self._cause

    async def _probe(self, verifier: Verifier, words: Words) -> str:
        asked = sameness.probes(self.maker("sameness"))
        for sent in (half for probe in asked for half in (probe.first, probe.second)):
            await self._client.push(sent.body)
        await self._behind_a_fence(verifier, words)
        held = await verifier.all([probe.message_id for probe in asked])
        found = [(each, sameness.counted(each, held[each.message_id], words)) for each in asked]
        return sameness.cause(found)

    async def _behind_a_fence(self, verifier: Verifier, words: Words) -> bool:
        """Whether the app has processed everything that was pushed so far. It may have a queue, so
        one more message is pushed: when the app knows that one, it knows all before it."""
        fence = await self._fence()
        if fence is None:
            return False
        stored = words.known(await verifier.known(fence, words.unknown))
        self._lost_fence = None if stored else fence
        return stored

    async def _fence(self) -> str | None:
        """The id of a message that is pushed now; None if the push was not accepted."""
        report = self._fences.report(bulk_id=self._fences.message_id())
        self._lost_fence = None
        return report.message_id if (await self._client.push(body([report]))).ok else None


def _since_then(performed: _Performed) -> str:
    does = "stores" if performed.evidence.deaf else "takes"
    return f"{performed.result.text}; since then it {does} no plain report"


def _has(need: Need, prover: Prover) -> bool:
    match need:
        case "signature":
            return prover.signs
        case "timestamp":
            return prover.dates
        case _:
            return prover.proves


def _result(check: Check, evidence: Evidence, judgement: Judgement, seconds: float) -> Result:
    return Result(
        check=check.name,
        group=check.group,
        asks=check.asks,
        verdict=judgement.verdict,
        text=readable(judgement.text, 1000),
        sent=_some([each.request for each in evidence.exchanges if each.sent]),
        came=_some([str(each) for each in evidence.exchanges]),
        why=check.why,
        rule=check.rule.text,
        document=check.rule.document,
        mend=check.mend,
        seconds=round(seconds, 3),
        measures=judgement.measures,
        demand=check.demand,
    )


def _some(lines: Sequence[str]) -> tuple[str, ...]:
    if len(lines) <= SHOWN_EXCHANGES + 1:
        return tuple(lines)
    return (*lines[:SHOWN_EXCHANGES], f"… and {len(lines) - SHOWN_EXCHANGES} more")


async def rehearse(target: Target, checks: Sequence[Check] = CHECKS) -> list[Result]:
    """All results. Raises as `Rehearsal` does."""
    async with Rehearsal(target) as rehearsal:
        return [result async for result in rehearsal.run(checks)]


def rehearse_one(check: Check, target: Target) -> Result:
    """The result of one check, for tests that are not coroutines."""

    async def one() -> Result:
        async with Rehearsal(target) as rehearsal:
            return await rehearsal.perform(check)

    return asyncio.run(one())

"""A check: what it sends, how what came is judged, and why it matters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from dispatcher.rehearsal.bodies import Body, Maker
from dispatcher.rehearsal.client import Client
from dispatcher.rehearsal.exchange import Exchange
from dispatcher.rehearsal.growth import Growing
from dispatcher.rehearsal.plan import Plan
from dispatcher.rehearsal.rules import Rule
from dispatcher.rehearsal.target import Way
from dispatcher.rehearsal.truth import Expected, Held, Words
from dispatcher.rehearsal.verdict import Judgement
from dispatcher.rehearsal.wire import Wires

Group = Literal["formats", "semantics", "answers", "security", "load", "retries"]
Need = Literal["https", "credentials", "signature", "timestamp"]
Demand = Literal["provider", "attacker", "style"]
"""Who sends what a check sends. `provider`: the platform does, or may by its documents; what is not
taken right is lost. `attacker`: anybody may, and what counts is the harm. `style`: no document
speaks of it; a polite refusal passes, with a note.
"""

NEEDS: Mapping[Need, str] = {
    "https": "the URL is not https",
    "credentials": "the run has no credentials: use --header 'Name: value', or user:password@"
    " in the URL",
    "signature": "the pushes are not signed: use --endpoint with a security of type hmac or"
    " standard-webhooks",
    "timestamp": "no time is signed: use --endpoint with standard-webhooks, or with hmac and a"
    " timestamp_header",
}


class Evidence(Struct, frozen=True, kw_only=True):
    """What a check is judged by. `held` None: the app's own state was not seen, and `blind` says
    why. `parts`: what each part of the first body that was not taken is, and what came of it.
    `pace` is how many seconds a plain push takes. `facts` are a check's own, known to its judge
    alone. `plan` has the limits. `together`: the pushes were sent in the same moment. `deaf`: the
    app did not store a plain report that was pushed behind them either."""

    exchanges: tuple[Exchange, ...]
    expected: tuple[Expected, ...] = ()
    held: Mapping[str, Held] | None = None
    words: Words | None = None
    blind: str = ""
    pace: float = 0
    parts: tuple[tuple[str, Exchange], ...] = ()
    facts: Mapping[str, Any] = {}
    plan: Plan = Plan()
    together: bool = False
    deaf: bool = False


class Stage(Struct, frozen=True):
    """What a check works with. `opening` is the plain push that began the run, and `growing` what
    the webhook is compared with at the end, for whichever check looks at it."""

    make: Maker
    client: Client
    wires: Wires
    way: Way
    plan: Plan
    opening: Exchange
    growing: Growing

    async def push(self, *bodies: Body, expected: tuple[Expected, ...] = ()) -> Evidence:
        """These bodies one after the other, up to the first that is left without an answer: a
        webhook that hangs at one would cost the timeout at each."""
        exchanges: list[Exchange] = []
        parts: list[tuple[str, Exchange]] = []
        for each in bodies:
            exchanges.append(await self.client.push(each))
            if exchanges[-1].timed_out:
                break
            if exchanges[-1].refused and not parts:
                parts = [(part.what, await self.client.push(part)) for part in each.parts]
        return Evidence(exchanges=tuple(exchanges), expected=expected, parts=tuple(parts))


Perform = Callable[[Stage], Awaitable[Evidence]]
Judge = Callable[[Evidence], Judgement]


class Check(Struct, frozen=True, kw_only=True):
    """One question to a webhook. `judge` is pure.

    `needs`: what the run must have. `gated` False: it is made even when the webhook takes not even
    a plain report. `quick`: one of the fifteen that find most, which `--quick` makes. `alone`: it
    disturbs others or is disturbed by them, so that nothing runs beside it. `sameness`: when the
    app holds something else, it is asked by what it takes two reports for the same (sameness.py).
    `plain`: it pushes a plain report; when that is not taken, it is told which values are.
    """

    name: str
    group: Group
    asks: str
    perform: Perform
    judge: Judge
    why: str
    rule: Rule
    mend: str
    needs: Need | None = None
    demand: Demand = "provider"
    sameness: bool = False
    plain: bool = False
    gated: bool = True
    quick: bool = False
    alone: bool = False

    def __str__(self) -> str:
        return self.name


Bodies = tuple[Sequence[Body], Sequence[Expected]]
"""What is pushed, and what the app should hold afterwards."""

Make = Callable[[Maker], Bodies]


def performed(
    group: Group, name: str, asks: str, perform: Perform, judge: Judge, **texts: Any
) -> Check:
    """A check. `texts` are those of Check."""
    return Check(name=name, group=group, asks=asks, perform=perform, judge=judge, **texts)


def pushed(group: Group, name: str, asks: str, make: Make, judge: Judge, **texts: Any) -> Check:
    """A check that pushes the bodies of `make`, one after the other. `texts` are those of Check."""

    async def perform(stage: Stage) -> Evidence:
        bodies, expected = make(stage.make)
        return await stage.push(*bodies, expected=tuple(expected))

    return performed(group, name, asks, perform, judge, **texts)

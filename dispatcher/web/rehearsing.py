"""What the child process does for the page "Rehearse": a webhook in, a line for each check out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from dispatcher.clocks.clock import wall_time
from dispatcher.pushing.oauth import NoToken
from dispatcher.rehearsal.bodies import Ids, Values
from dispatcher.rehearsal.checks import select
from dispatcher.rehearsal.rehearsed import Rehearsed
from dispatcher.rehearsal.reports import html
from dispatcher.rehearsal.run import Rehearsal
from dispatcher.rehearsal.target import Target
from dispatcher.rehearsal.verdict import Result
from dispatcher.rehearsal.verify import CannotVerify, verify_of
from dispatcher.settings.sandbox import SandboxSettings
from dispatcher.settings.security import OutgoingSettings, policy_of


class Wanted(Struct, frozen=True):
    """A webhook, and how it is to be rehearsed. `allowed_hosts` is there in a sandbox: it calls
    nothing but this machine and these."""

    url: str
    quick: bool
    headers: Mapping[str, str]
    verify: str | None
    ids: Ids
    outgoing: OutgoingSettings
    allowed_hosts: tuple[str, ...] | None


class Ended(Struct, frozen=True):
    """How it ended: with a verdict and the whole report as a page, or with what was wrong."""

    verdict: str | None = None
    summary: str = ""
    fault: str | None = None
    note: str | None = None
    report: str = ""


class Line(Struct, frozen=True, omit_defaults=True):
    """One line of the child's: how many checks there are, the result of one, or the end."""

    checks: int | None = None
    result: Result | None = None
    ended: Ended | None = None


async def rehearsed(request: bytes) -> AsyncIterator[Line]:
    """The lines, each as soon as there is something to tell."""
    wanted = msgspec.json.decode(request, type=Wanted)
    checks = select(quick=wanted.quick)
    yield Line(checks=len(checks))
    started, at = time.perf_counter(), wall_time()
    results: list[Result] = []
    try:
        async with Rehearsal(_target(wanted)) as rehearsal:
            async for result in rehearsal.run(checks):
                results.append(result)
                yield Line(result=result)
    except (CannotVerify, NoToken, OSError) as error:
        yield Line(ended=Ended(fault=str(error)))
        return
    run = Rehearsed(
        url=rehearsal.way.shown,
        seed=rehearsal.seed,
        started_at=at,
        seconds=time.perf_counter() - started,
        verified=wanted.verify is not None,
        fault=rehearsal.fault,
        note=rehearsal.note,
        results=tuple(results),
    )
    yield Line(ended=Ended(run.verdict, run.summary, run.fault, run.note, html.render(run)))


def _target(wanted: Wanted) -> Target:
    more: dict[str, Any] = {}
    sandbox = (
        None
        if wanted.allowed_hosts is None
        else SandboxSettings(allowed_hosts=wanted.allowed_hosts)
    )
    if wanted.verify is not None:
        more["verify"] = verify_of(wanted.verify)
    return Target(
        url=wanted.url,
        headers=wanted.headers,
        values=Values(ids=wanted.ids),
        policy=policy_of(wanted.outgoing, sandbox),
        **more,
    )

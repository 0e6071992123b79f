"""A webhook of tests/data/webhooks on a real socket, and a rehearsal of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from dispatcher.rehearsal import (
    CHECKS,
    Check,
    Plan,
    Rehearsal,
    Result,
    Target,
    Verdict,
    Verify,
    select,
    verify_of,
)
from tests.data.webhooks.right_aiohttp import Webhook

PATHS = ("count=reports", "callbackData=callbackData")

NOT_HERE: Mapping[str, Verdict] = {each.name: "not judged" for each in CHECKS if each.needs}
"""What is told of the checks that need https, credentials or signatures, without these."""

SMALL = Plan(
    timeout=timedelta(seconds=5),
    patience=timedelta(seconds=0.15),
    poll=timedelta(milliseconds=2),
    stall=timedelta(seconds=0.2),
    burst=60,
    rate=50,
    sustained=timedelta(seconds=1),
    flood=16 * 1024 * 1024,
    growth=250,
)
"""A run that asks the same in less time."""


@asynccontextmanager
async def listening(webhook: Webhook, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The base URL of a webhook that listens."""
    runner = web.AppRunner(webhook.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    scheme = "http" if tls is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def verify_at(base: str) -> Verify:
    return verify_of(base + "/messages/{messageId}", PATHS)


def a_target(base: str, *, verified: bool = True, **settings: Any) -> Target:
    verify = verify_at(base) if verified else None
    return replace(Target(url=base + "/dlr", verify=verify, plan=SMALL), **settings)


async def results(target: Target, checks: Sequence[Check] = CHECKS) -> list[Result]:
    async with Rehearsal(target) as rehearsal:
        return [result async for result in rehearsal.run(checks)]


async def result(target: Target, name: str) -> Result:
    """Of one check."""
    (found,) = await results(target, select([name]))
    return found


def verdicts(found: Sequence[Result], *ignored: Verdict) -> Mapping[str, Verdict]:
    """Check to verdict, without those that passed and those `ignored`."""
    return {r.check: r.verdict for r in found if r.verdict not in ("passed", *ignored)}

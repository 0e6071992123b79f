"""What `dlr endpoints test` does and prints."""

from __future__ import annotations

import sys

from dispatcher.api.example_pushes import CannotBeTried, TestPushed, endpoint_to_try
from dispatcher.clocks.clock import SystemClock
from dispatcher.commands.audit import changing
from dispatcher.commands.endpoints_output import asked
from dispatcher.commands.saying import say
from dispatcher.endpoints.from_settings import schedule_of
from dispatcher.endpoints.registry import Registry
from dispatcher.pushing.example import ExamplePushes
from dispatcher.pushing.http_sender import HttpSender
from dispatcher.settings.security import policy_of
from dispatcher.settings.settings import Settings
from dispatcher.storage import Storage
from receiver.answers import BadQuery

NO = 1


async def test(opened: Storage, registry: Registry, settings: Settings, name: str) -> None:
    """Push one example report, and end with exit code 1 if it was not acknowledged."""
    now = SystemClock().now
    async with changing(opened, "testEndpoint", name) as told:
        try:
            endpoint = await asked(registry, endpoint_to_try(registry, name))
        except CannotBeTried as error:
            raise BadQuery(str(error)) from error
        async with HttpSender(now, policy_of(settings.outgoing)) as sender:
            pushes = ExamplePushes(sender, schedule_of(settings.schedule), now)
            pushed = await pushes.push(endpoint)
        told.details["result"] = pushed.outcome.value
    _print(name, TestPushed.of(pushed))
    if not pushed.outcome.acknowledges:
        sys.exit(NO)


def _print(name: str, shown: TestPushed) -> None:
    answered = f"{shown.status}" if shown.status is not None else shown.error or "no answer"
    say(f"{name}: {shown.outcome}, {answered}, {shown.duration_ms:.1f} ms")
    say(f"POST {shown.url}")
    for header, value in shown.headers.items():
        say(f"{header}: {value}")
    for line in ("", *shown.body.splitlines()):
        say(line)
    if shown.answer:
        say("")
        say(f"answer: {shown.answer}")
    if shown.note:
        say(f"note: {shown.note}")

"""A test push: one example report to an endpoint, as a push of it would be, and what comes back.

It is no dispatch: nothing is stored, it is tried once, and it waits for no window, no breaker and
no pause.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.observe.unforeseen import tell_unforeseen, unforeseen
from dispatcher.pushing.shown_headers import without_secrets
from dispatcher.queue.base import Lease, Leased
from dispatcher.retrying.outcome import Answer, Outcome, judge
from dispatcher.retrying.schedule import RetrySchedule
from receiver.dlr import json_format, xml_format
from receiver.dlr.model import Error, Price, Report, Status

MARK: Final = "test push by dlr"
"""What the report has as callbackData."""

AT_ONCE: Final = 4
"""Test pushes that are under way at a time; the next one waits. Each holds a connection."""

Sending = Callable[[Leased, Endpoint, Mapping[str, str]], None]


class TellingSender(Protocol):
    """What makes the try; in service HttpSender."""

    async def send_telling(
        self, dispatch: Leased, endpoint: Endpoint, sending: Sending | None
    ) -> Answer:
        """Push, and tell `sending` of each request with its headers before it is made."""


class ExamplePush(Struct, frozen=True):
    """What was sent, as it may be shown, and what came back. `headers` are empty if nothing was
    sent."""

    url: str
    started_at: datetime
    headers: Mapping[str, str]
    body: bytes
    answer: Answer
    outcome: Outcome


class ExamplePushes:
    """Makes them. `schedule` has the rules of endpoints without rules of their own."""

    def __init__(
        self, sender: TellingSender, schedule: RetrySchedule, now: Callable[[], datetime]
    ) -> None:
        self._sender = sender
        self._schedule = schedule
        self._now = now
        self._places = asyncio.Semaphore(AT_ONCE)

    async def push(self, endpoint: Endpoint) -> ExamplePush:
        """Push once. Never raises for what the endpoint or the network does."""
        async with self._places:
            return await self._push(endpoint)

    async def _push(self, endpoint: Endpoint) -> ExamplePush:
        now = self._now()
        dispatch = example_dispatch(endpoint, f"test-push-{secrets.token_hex(8)}", now)
        sent: dict[str, str] = {}

        def sending(_: Leased, __: Endpoint, headers: Mapping[str, str]) -> None:
            sent.update(without_secrets(headers, endpoint))

        try:
            answer = await self._sender.send_telling(dispatch, endpoint, sending)
        except Exception as error:  # noqa: BLE001 - told, and the push has failed
            tell_unforeseen(f"a test push to {endpoint.name} failed", error)
            answer = Answer(0.0, failure=Outcome.FAILED, error=unforeseen(error))
        schedule = self._schedule if endpoint.schedule is None else endpoint.schedule
        rules = schedule.rules if endpoint.outcome is None else endpoint.outcome
        return ExamplePush(
            url=dispatch.url,
            started_at=now,
            headers=sent,
            body=dispatch.body,
            answer=answer,
            outcome=judge(answer, rules),
        )


def example_dispatch(endpoint: Endpoint, name: str, now: datetime) -> Leased:
    """One example report, as a dispatch of this endpoint would be. It was never in a queue."""
    return Leased(
        id=0,
        name=name,
        webhook_id=name,
        endpoint=endpoint.name,
        url=endpoint.url,
        content_type=endpoint.content_type,
        body=_body(example_report(name, now), endpoint),
        reports=1,
        attempts_made=0,
        due_at=now,
        lease=Lease(name, now),
    )


def example_report(message_id: str, now: datetime) -> Report:
    """A delivered SMS with the documented fields (reference, part 1), marked as a test push. Its
    instants are in milliseconds, as the platform's are."""
    at = now.replace(microsecond=now.microsecond // 1_000 * 1_000)
    return Report(
        bulk_id=message_id,
        message_id=message_id,
        to="41793026727",
        sender="InfoSMS",
        sent_at=at,
        done_at=at,
        message_count=1,
        mcc_mnc="22801",
        callback_data=MARK,
        price=Price(per_message=Decimal("0.01"), currency="EUR"),
        status=Status(
            group_id=3,
            group_name="DELIVERED",
            id=5,
            name="DELIVERED_TO_HANDSET",
            description="Message delivered to handset",
        ),
        error=Error(
            group_id=0,
            group_name="OK",
            id=0,
            name="NO_ERROR",
            description="No Error",
            permanent=False,
        ),
    )


def _body(report: Report, endpoint: Endpoint) -> bytes:
    """In the format of the endpoint; where that is as received, as v2."""
    generation = endpoint.generation or "v2"
    if endpoint.content_type == "application/xml":
        return xml_format.encode_body([report], generation)
    return json_format.encode_body([json_format.encode_item(report, generation)])

"""/sandbox/…: for test suites. What was sent, how it is to fare, and "now make it tomorrow".

It is ours and not the provider's: JSON and errors are those of /api, and so are the credentials.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec
from aiohttp import web

from dispatcher.sandbox.advance import Advance
from dispatcher.sandbox.message import Message
from dispatcher.sandbox.model import Binary
from dispatcher.sandbox.sandbox import Sandbox
from dispatcher.sandbox.statuses import status_of
from dispatcher.sandbox.store.base import MessageQuery
from dispatcher.settings.sandbox import OutcomeRule
from receiver.answers import BadQuery, answer, fault, timestamp
from receiver.api.parameters import cursor, limit, only
from receiver.dlr.sms_errors import errors
from receiver.settings.configuration import ConfigurationError, read_table, without_credentials
from receiver.settings.durations import duration

FARTHEST: Final = timedelta(days=366)
"""The longest that the clock is moved at once: a schedule is over by then."""

_FILTERS: Final = ("messageId", "bulkId", "to")

_SNAKE: Final = {"callbackData": "callback_data"}


class AdminApi:
    """The routes under /sandbox."""

    def __init__(self, sandbox: Sandbox, advance: Advance) -> None:
        self._sandbox = sandbox
        self._advance = advance

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/sandbox/messages", self.messages)
        app.router.add_post("/sandbox/outcomes", self.add_outcome)
        app.router.add_post("/sandbox/advance", self.advance)
        app.router.add_post("/sandbox/reset", self.reset)

    async def messages(self, request: web.Request) -> web.Response:
        """What was sent, in the order in which it came."""
        query = request.query
        only(query, "limit", "cursor", *_FILTERS)
        size = limit(query)
        wanted = MessageQuery(
            after=cursor(query) or 0,
            limit=size + 1,
            message_id=query.get("messageId"),
            bulk_id=query.get("bulkId"),
            to=query.get("to"),
        )
        found = await self._sandbox.store.messages(wanted)
        following = str(found[size - 1].id) if len(found) > size else None
        return answer({"messages": [view(each) for each in found[:size]], "next": following})

    async def add_outcome(self, request: web.Request) -> web.Response:
        """A rule that goes before all others, until a reset."""
        try:
            rule = read_table(OutcomeRule, await _table(request))
        except ConfigurationError as error:
            faults = [each.replace("callback_data", "callbackData") for each in error.faults]
            return fault(400, "invalid_settings", "; ".join(faults), faults=faults)
        await self._sandbox.add_rule(rule)
        return answer({"added": True}, status=201)

    async def advance(self, request: web.Request) -> web.Response:
        """Move the clock. Answered when all that is due on the way has happened."""
        only(request.query, "by")
        done = await self._advance.by(_time(request.query.get("by")))
        return answer(
            {
                "now": timestamp(done.now),
                "steps": done.steps,
                "reports": done.reports,
                "attempts": done.attempts,
            }
        )

    async def reset(self, request: web.Request) -> web.Response:
        """Forget what was sent. What was under way comes to its end before."""
        only(request.query)
        await self._sandbox.reset()
        await self._advance.settled()
        await self._sandbox.reset()  # attempts that failed meanwhile would be made again
        return answer({"now": timestamp(self._sandbox.clock.now())})


def _time(text: str | None) -> timedelta:
    try:
        time = duration(text or "")
    except ValueError as error:
        raise BadQuery(f"by: expected a duration such as 1h, got {(text or '')[:40]!r}") from error
    if time > FARTHEST:
        raise BadQuery(f"by: expected at most {FARTHEST.days}d, got {text}")
    return time


async def _table(request: web.Request) -> dict[str, Any]:
    """The body with the keys of [[sandbox.outcome]]. Raises ConfigurationError."""
    try:
        body = msgspec.json.decode(await request.read(), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        text = 'expected a JSON object such as {"to":"4179*","status":"EXPIRED_EXPIRED"}'
        raise ConfigurationError([f"{text}: {error}"]) from error
    return {_SNAKE.get(name, name): value for name, value in body.items() if value is not None}


def view(message: Message) -> dict[str, Any]:
    """A message as /sandbox/messages shows it: what was asked for, and how far it has come."""
    sms, delivery = message.sms, message.sms.delivery
    return {
        "messageId": message.message_id,
        "bulkId": message.bulk_id,
        "api": message.api,
        "to": sms.to,
        "from": sms.sender,
        **_content(message),
        "parts": sms.parts,
        "flash": sms.flash,
        "state": message.state,
        "status": status_of(*message.status),
        "error": errors()[message.error],
        "acceptedAt": timestamp(message.accepted_at),
        "leavesAt": None if message.state == "refused" else timestamp(message.leaves_at),
        "doneAt": timestamp(message.done_at),
        "dueAt": timestamp(message.due_at),
        "intermediateReport": delivery.intermediate,
        "notifyUrl": None if delivery.url is None else without_credentials(delivery.url),
        "notifyContentType": f"application/{delivery.format}",
        "callbackData": delivery.callback_data,
        "entityId": sms.entity_id,
        "applicationId": sms.application_id,
        "campaignReferenceId": sms.campaign_reference_id,
    }


def _content(message: Message) -> dict[str, Any]:
    """`sent` is the text that goes over the air, after transliteration."""
    content = message.sms.content
    if isinstance(content, Binary):
        coding = {"dataCoding": content.data_coding, "esmClass": content.esm_class}
        return {"hex": content.data.hex(" "), **coding}
    return {"text": content.text, "sent": content.sent}

"""Received SMS: one comes in by POST /sandbox/inbox, and is pulled from /sms/1/inbox/reports or
/sms/3/inbox/reports, unless it is pushed. /sms/1/inbox/logs has all of the last 48 hours.

Documented: what is handed out, each once; the filters, the limits, the 48 hours (OAS, S4; the logs
and their filters: the provider's documents of 2015). Ours: what is pushed is not handed out; both
routes that hand out give the same; the logs have the newest first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from dispatcher.sandbox.api.negotiation import wanted_by
from dispatcher.sandbox.api.openapi import parameters_of, provider_route
from dispatcher.sandbox.api.pull import KEPT, LIMIT, parameters
from dispatcher.sandbox.errors import BODY, Refused
from dispatcher.sandbox.inbox import Inbox
from dispatcher.sandbox.messages.inbound import Inbound, Incoming
from dispatcher.sandbox.store.base import InboxLogQuery, InboxQuery
from dispatcher.sandbox.wire import rules
from dispatcher.sandbox.wire.body import checked
from dispatcher.sandbox.wire.common import CALLBACK_DATA, CONTENT_TYPE
from dispatcher.sandbox.wire.content import BYTES_MOST
from dispatcher.sandbox.wire.inbox import (
    InboundLogs,
    InboundMessages,
    encoded,
    logs_of,
    messages_of,
)
from dispatcher.sandbox.wire.rules import HttpUrl, Inspection, Text
from dispatcher.sandbox.wire.tables import Field, Table, Values
from receiver.answers import Count, Instant, answer, fault, timestamp
from receiver.api.parameters import only
from receiver.faults import Misfit, without_credentials
from receiver.routes import Reply, RequestBody, Route

_TEXT = Text()
_PLACE = Text(64, least=1)
_INSTANT = rules.Instant(ahead=timedelta(days=365 * 100))

REPORTS: Final = Table(
    LIMIT,
    Field("applicationId", _TEXT, "OAS"),
    Field("entityId", _TEXT, "OAS"),
    Field("campaignReferenceId", _TEXT, "OAS"),
)

LOGS: Final = Table(
    LIMIT,
    Field("to", _TEXT, "WL15"),
    Field("keyword", _TEXT, "WL15"),
    Field("receivedSince", _INSTANT, "WL15"),
    Field("receivedUntil", _INSTANT, "WL15"),
)

INCOMING: Final = Table(
    Field("from", _PLACE, "ours", required=True),
    Field("to", _PLACE, "ours", required=True),
    Field("text", Text(BYTES_MOST), "ours", required=True),
    Field("keyword", Text(BYTES_MOST), "ours"),
    Field("url", HttpUrl(), "ours"),
    Field("contentType", CONTENT_TYPE, "ours"),
    Field("callbackData", CALLBACK_DATA, "ours"),
    Field("applicationId", Text(255), "ours"),
    Field("entityId", Text(255), "ours"),
    Field("campaignReferenceId", Text(255), "ours"),
)


class SandboxReceived(Struct, frozen=True, kw_only=True, rename="camel"):
    """what has come in; url is where it is pushed to, without user, password and query"""

    message_id: str
    keyword: str | None
    clean_text: str
    sms_count: Count
    received_at: Instant
    url: str | None


def _query_of(values: Values, inspection: Inspection) -> InboxQuery:
    return InboxQuery(
        received_after=inspection.now - KEPT,
        limit=values["limit"],
        application_id=values["applicationId"],
        entity_id=values["entityId"],
        campaign_reference_id=values["campaignReferenceId"],
    )


def _log_query_of(values: Values, inspection: Inspection) -> InboxLogQuery:
    return InboxLogQuery(
        received_after=inspection.now - KEPT,
        limit=values["limit"],
        to=values["to"],
        keyword=values["keyword"],
        since=values["receivedSince"],
        until=values["receivedUntil"],
    )


def _incoming_of(values: Values, _: Inspection) -> Incoming:
    return Incoming(
        sender=values["from"],
        to=values["to"],
        text=values["text"],
        keyword=values["keyword"],
        url=values["url"],
        format=values["contentType"],
        callback_data=values["callbackData"],
        application_id=values["applicationId"],
        entity_id=values["entityId"],
        campaign_reference_id=values["campaignReferenceId"],
    )


def _reports_route(version: int) -> Route:
    return provider_route(
        "GET",
        f"/sms/{version}/inbox/reports",
        f"getSmsV{version}InboxReports",
        "Received SMS that are not pushed. Each is returned once",
        InboundMessages,
        parameters=parameters_of(REPORTS),
        head=False,  # a client that asks with it would lose them
    )


class InboxApi:
    """The routes."""

    def __init__(self, inbox: Inbox, now: Callable[[], datetime]) -> None:
        self._inbox = inbox
        self._now = now

    @Route(
        "POST",
        "/sandbox/inbox",
        "postSandboxInbox",
        (
            "Simulates an incoming SMS. It is pushed to the URL that its number forwards to, or"
            " waits to be pulled"
        ),
        {
            201: Reply("The SMS came in", SandboxReceived),
            400: "The request is invalid; all faults are listed",
        },
        body=RequestBody(
            INCOMING.schema(),
            examples={"an answer": {"from": "41793026727", "to": "447860019999", "text": "STOP"}},
        ),
        caller="tester",
    )
    async def receive(self, request: web.Request) -> web.Response:
        """Have an SMS come in. `keyword`, `url`, `contentType` and `callbackData` go before what
        the rules of [[sandbox.inbound]] say."""
        only(request.query)
        try:
            incoming = incoming_of(_document(await request.read()), self._now())
        except Refused as refused:
            faults = [str(misfit) for misfit in refused.misfits]
            return fault(400, "bad_request", "; ".join(faults), faults=faults)
        return answer(_answer_of(await self._inbox.receive(incoming)), status=201)

    @_reports_route(1)
    async def reports_v1(self, request: web.Request) -> web.Response:
        return await self._reports(request)

    @_reports_route(3)
    async def reports_v3(self, request: web.Request) -> web.Response:
        return await self._reports(request)

    async def _reports(self, request: web.Request) -> web.Response:
        query = checked(REPORTS, parameters(request.query), _query_of, self._now(), str)
        found, pending = await self._inbox.store.pull_inbox(query)
        return _told(request, messages_of(found, pending, self._inbox.currency))

    @provider_route(
        "GET",
        "/sms/1/inbox/logs",
        "getSmsV1InboxLogs",
        "All SMS that were received in the last 48 hours, newest first",
        InboundLogs,
        parameters=parameters_of(LOGS),
    )
    async def logs(self, request: web.Request) -> web.Response:
        query = checked(LOGS, parameters(request.query), _log_query_of, self._now(), str)
        return _told(request, logs_of(await self._inbox.store.inbox(query)))


def incoming_of(document: Any, now: datetime) -> Incoming:
    """The SMS of what /sandbox/inbox is posted. Raises Refused."""
    return checked(INCOMING, document, _incoming_of, now, str)


def _document(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(400, misfits=[Misfit(BODY, f"is not JSON: {error}")]) from error


def _answer_of(inbound: Inbound) -> SandboxReceived:
    forward = inbound.forward
    return SandboxReceived(
        message_id=inbound.message_id,
        keyword=inbound.keyword,
        clean_text=inbound.clean_text,
        sms_count=inbound.parts,
        received_at=timestamp(inbound.received_at),
        url=None if forward is None else without_credentials(forward.url),
    )


def _told(request: web.Request, told: InboundMessages | InboundLogs) -> web.Response:
    form = wanted_by(request)
    return web.Response(
        body=encoded(told, form),
        content_type=f"application/{form}",
        charset="utf-8" if form == "xml" else None,
    )

"""GET /sms/1/logs and /sms/3/logs: the messages of the last 48 hours, as often as anybody asks.

Documented: the filters, the limits, 120 requests a minute, the cursor of v3 (reference, part 6.6).
Ours: newest first; messages that still wait and those that were refused are in it; the time of
`sentSince`, `sentUntil` and the 48 hours is `sentAt`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from dispatcher.sandbox.api.negotiation import respond, wanted_by
from dispatcher.sandbox.api.openapi import parameters_of, provider_route
from dispatcher.sandbox.api.pull import KEPT, LIMIT, parameters
from dispatcher.sandbox.errors import Refused
from dispatcher.sandbox.messages.lifecycle import Step
from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.messages.reports import Account, report_of, written_as
from dispatcher.sandbox.messages.send import BinaryContent, TextContent
from dispatcher.sandbox.store.base import LogQuery, LogStore
from dispatcher.sandbox.wire import rules
from dispatcher.sandbox.wire.body import checked
from dispatcher.sandbox.wire.common import BULK_ID, MESSAGE_ID
from dispatcher.sandbox.wire.rules import Boolean, Choice, Inspection, Integer
from dispatcher.sandbox.wire.tables import Field, ListOf, Table, Values
from receiver.answers import Count
from receiver.dlr.item import write_item
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.routes import Route

REQUESTS_A_MINUTE: Final = 120

_MINUTE = timedelta(minutes=1)
_TEXT = rules.Text()
_INSTANT = rules.Instant(ahead=timedelta(days=365 * 100))
_SEVERAL = ListOf(rules.Text(2048), (), one=True)

_COMMON: Final = (
    Field("bulkId", _SEVERAL, "OAS"),
    Field("messageId", _SEVERAL, "OAS"),
    Field("generalStatus", Choice(GROUP_NUMBERS), "OAS"),
    Field("sentSince", _INSTANT, "OAS"),
    Field("sentUntil", _INSTANT, "OAS"),
    LIMIT,
    Field("mcc", _TEXT, "OAS"),
    Field("mnc", _TEXT, "OAS"),
    Field("entityId", _TEXT, "OAS"),
    Field("applicationId", _TEXT, "OAS"),
    Field("campaignReferenceId", _SEVERAL, "OAS"),
)


def _mnc_needs_mcc(values: Values, _: dict[str, Any]) -> Sequence[tuple[str, str]]:
    if values["mnc"] is not None and values["mcc"] is None:
        return [("mnc", "must come with mcc")]
    return []


LOGS_V1: Final = Table(
    Field("from", _TEXT, "OAS"), Field("to", _TEXT, "OAS"), *_COMMON, check=_mnc_needs_mcc
)
LOGS_V3: Final = Table(
    Field("sender", _TEXT, "OAS"),
    Field("destination", _TEXT, "OAS"),
    *_COMMON,
    Field("useCursor", Boolean(), "OAS", default=False),
    Field("cursor", Integer(0, 2**63 - 1), "OAS; that it is a number: ours"),
    check=_mnc_needs_mcc,
)


LogV1 = Annotated[
    dict[str, Any],
    Meta(description="a report of v2, with the text and without callbackData"),
]
LogV3 = Annotated[
    dict[str, Any],
    Meta(
        description="a report of v3 with the content and without callbackData; the recipient is"
        " `destination`"
    ),
]


class SmsLogsResponse(Struct, frozen=True):
    results: list[LogV1]


class LogCursor(Struct, frozen=True, rename="camel"):
    """with useCursor; without nextCursor it was the last page"""

    limit: Count
    next_cursor: str | UnsetType = UNSET


class LogResponse(Struct, frozen=True):
    results: list[LogV3]
    cursor: LogCursor | UnsetType = UNSET


def _route(version: int, answered: type, table: Table) -> Route:
    return provider_route(
        "GET",
        f"/sms/{version}/logs",
        f"getSmsV{version}Logs",
        "The messages of the last 48 hours, newest first. At most 120 requests a minute",
        answered,
        parameters=parameters_of(table),
        refusals={429: "More than 120 requests in a minute"},
    )


class AskedLogs(Struct, frozen=True):
    """What is asked of the store; whether a cursor is wanted; the network that is asked for."""

    query: LogQuery
    use_cursor: bool
    mcc: str | None
    mnc: str | None


def asked_of(values: Values, inspection: Inspection) -> AskedLogs:
    query = LogQuery(
        left_after=inspection.now - KEPT,
        limit=values["limit"],
        before=values.get("cursor"),
        sender=values.get("from", values.get("sender")),
        to=values.get("to", values.get("destination")),
        bulk_ids=_words(values["bulkId"], BULK_ID),
        message_ids=_words(values["messageId"], MESSAGE_ID),
        status_group=values["generalStatus"],
        since=values["sentSince"],
        until=values["sentUntil"],
        entity_id=values["entityId"],
        application_id=values["applicationId"],
        campaign_reference_ids=_words(values["campaignReferenceId"]),
    )
    return AskedLogs(query, values.get("useCursor", False), values["mcc"], values["mnc"])


def _words(given: Sequence[str] | None, rule: rules.Text = _TEXT) -> list[str] | None:
    """What may be repeated, have commas, or both; each clipped as the rule clips it."""
    if given is None:
        return None
    return [word.strip()[: rule.clip] for each in given for word in each.split(",")]


class RequestLimit:
    """So many requests in any minute of the sandbox's clock."""

    def __init__(self, most: int, now: Callable[[], datetime]) -> None:
        self._most = most
        self._now = now
        self._made: deque[datetime] = deque()

    def take(self) -> None:
        """Raises Refused with 429."""
        now = self._now()
        while self._made and self._made[0] <= now - _MINUTE:
            self._made.popleft()
        if len(self._made) >= self._most:
            raise Refused(429)
        self._made.append(now)


class LogsApi:
    """The two routes. They share one allowance."""

    def __init__(self, store: LogStore, account: Account, now: Callable[[], datetime]) -> None:
        self._store = store
        self._account = account
        self._now = now
        self._limit = RequestLimit(REQUESTS_A_MINUTE, now)

    @_route(1, SmsLogsResponse, LOGS_V1)
    async def _v1(self, request: web.Request) -> web.Response:
        _, found = await self._found(request, LOGS_V1)
        logs = [log_v1(each, self._account) for each in found]
        return respond(wanted_by(request), "smsLogsResponse", SmsLogsResponse(logs))

    @_route(3, LogResponse, LOGS_V3)
    async def _v3(self, request: web.Request) -> web.Response:
        asked, found = await self._found(request, LOGS_V3)
        logs = [log_v3(each, self._account) for each in found]
        cursor = _cursor(asked, found) if asked.use_cursor else UNSET
        return respond(wanted_by(request), "LogResponse", LogResponse(logs, cursor))

    async def _found(
        self, request: web.Request, table: Table
    ) -> tuple[AskedLogs, Sequence[Message]]:
        self._limit.take()
        came = parameters(request.query, "bulkId", "messageId", "campaignReferenceId")
        asked = checked(table, came, asked_of, self._now(), str)
        if not _is_in(asked, self._account.mcc_mnc):
            return asked, []
        return asked, await self._store.logs(asked.query)


def _cursor(asked: AskedLogs, found: Sequence[Message]) -> LogCursor:
    limit = asked.query.limit
    return LogCursor(limit, str(found[-1].id) if len(found) == limit else UNSET)


def _is_in(asked: AskedLogs, network: str) -> bool:
    """Whether the network of all messages is the one that is asked for."""
    return asked.mcc in (None, network[:3]) and asked.mnc in (None, network[3:])


def log_v1(message: Message, account: Account) -> dict[str, Any]:
    """As a report of v2, with the text."""
    fields = _as_report(message, account, "v2")
    if isinstance(message.sms.content, TextContent):
        fields["text"] = message.sms.content.text
    return fields


def log_v3(message: Message, account: Account) -> dict[str, Any]:
    """As a report of v3, but the recipient is `destination`, and with the content."""
    fields = _as_report(message, account, "v3")
    fields["destination"] = fields.pop("to")
    fields["content"] = _content(message.sms.content)
    return fields


def _as_report(message: Message, account: Account, generation: Any) -> dict[str, Any]:
    at = message.done_at or message.accepted_at
    stands = Step(at, message.state, message.status, message.error)
    report = written_as(report_of(message, stands, account), generation)
    # A log has no callbackData (OAS): an app that looks for it there must not find it here.
    return write_item(structs.replace(report, callback_data=None), generation)


def _content(content: TextContent | BinaryContent) -> dict[str, Any]:
    if isinstance(content, TextContent):
        return {"text": content.text}
    return {
        "hex": content.data.hex(" "),
        "dataCoding": content.data_coding,
        "esmClass": content.esm_class,
    }

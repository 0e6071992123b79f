"""/sandbox/…: for test suites. What was sent, what is to become of it, and
"now make it tomorrow".

It is ours and not the provider's: JSON and errors are those of /api, and so are the credentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType, field, structs

from dispatcher.api.settings_types import SettingsTypes
from dispatcher.sandbox.advance import Advance
from dispatcher.sandbox.messages.asked import (
    language_shown,
    speed_shown,
    validity_shown,
    window_shown,
)
from dispatcher.sandbox.messages.ending import HasEnded, NotFinal
from dispatcher.sandbox.messages.lifecycle import MessageState
from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.messages.send import Api, Asked, BinaryContent, ShortLinks, TextContent
from dispatcher.sandbox.messages.statuses import status_of
from dispatcher.sandbox.sandbox import Sandbox
from dispatcher.sandbox.store.base import AcceptedQuery
from dispatcher.sandbox.wire.answers import ReportStatus
from dispatcher.sandbox.wire.common import BULK_ID, MESSAGE_ID
from dispatcher.settings.sandbox import Ending, OutcomeRule
from receiver.answers import BadQuery, Count, Instant, Next, answer, fault, timestamp
from receiver.api.audit import tell
from receiver.api.parameters import (
    CURSOR,
    EXACT,
    LIMIT,
    NUMBER,
    Filter,
    in_path,
    in_query,
    next_cursor,
    only,
    page_of,
    read_query,
)
from receiver.dlr.sms_errors import errors
from receiver.faults import without_credentials
from receiver.routes import Parameter, Reply, RequestBody, Route, ref
from receiver.settings.configuration import ConfigurationError
from receiver.settings.durations import duration, duration_text
from receiver.settings.reader import read_table

FARTHEST: Final = timedelta(days=366)
"""The longest that the clock is moved at once: a schedule is over by then."""

_FILTERS: Final = (
    LIMIT,
    structs.replace(CURSOR, field="after"),
    Filter("messageId", EXACT, "Only the message with this id."),
    Filter("bulkId", EXACT, "Only messages of this bulk."),
    Filter("to", NUMBER, "Only messages to this number."),
)

_CAMEL: Final = {"callback_data": "callbackData"}
_SNAKE: Final = {camel: snake for snake, camel in _CAMEL.items()}


Options = Annotated[
    dict[str, Any] | None, Meta(description=("By the provider's names, as they were given"))
]


class SandboxLink(Struct, frozen=True, rename="camel"):
    """a link of the text, and the one that stands there instead"""

    url: str
    short_url: str


class SandboxMessage(Struct, frozen=True, kw_only=True, rename="camel"):
    """with text and sent, or with hex, dataCoding and esmClass"""

    message_id: str
    bulk_id: str
    api: Api
    to: str
    sender: str | None = field(name="from")
    text: str | UnsetType = UNSET
    sent: Annotated[str | UnsetType, Meta(description="The text that goes over the air")] = UNSET
    hex: str | UnsetType = UNSET
    data_coding: Count | UnsetType = UNSET
    esm_class: Count | UnsetType = UNSET
    parts: Count
    flash: bool
    state: MessageState
    status: ReportStatus
    error: Annotated[Any, Meta(extra_json_schema=ref("ReportError"))]
    accepted_at: Instant
    leaves_at: Instant | None
    done_at: Instant | None
    due_at: Instant | None
    intermediate_report: bool
    notify_url: Annotated[str | None, Meta(description="Without user name, password and query")]
    notify_content_type: str
    callback_data: str | None
    entity_id: str | None
    application_id: str | None
    campaign_reference_id: str | None
    route: Annotated[str | None, Meta(description="The path of the request")]
    client: Annotated[str | None, Meta(description="The `User-Agent` of the request")]
    process_key: str | None
    validity_period: Annotated[
        int | dict[str, Any],
        Meta(
            description=("In minutes; in v3 an object with `amount` and `timeUnit`. At most 48 h")
        ),
    ]
    send_at: Instant | None
    delivery_time_window: Options
    sending_speed_limit: Options
    regional: Options
    network_id: int | None
    transliteration: str | None
    language: Options
    tracking: Options
    url_options: Annotated[Options, Meta(description="`options.tracking` in v3")]
    conversion_tracking: Options
    links: Annotated[list[SandboxLink], Meta(description="The links that were shortened")]
    clicks: Count
    converted_at: Annotated[
        Instant | None,
        Meta(description="When its conversion was confirmed or one of its links was clicked"),
    ]

    @classmethod
    def of(cls, message: Message) -> SandboxMessage:
        """What was asked for, and how far it has come."""
        sms, delivery = message.sms, message.sms.delivery
        return cls(
            message_id=message.message_id,
            bulk_id=message.bulk_id,
            api=message.api,
            to=sms.to,
            sender=sms.sender,
            **_content(sms.content),
            parts=sms.parts,
            flash=sms.flash,
            state=message.state,
            status=status_of(*message.status),
            error=errors()[message.error],
            accepted_at=timestamp(message.accepted_at),
            leaves_at=None if message.state == "refused" else timestamp(message.leaves_at),
            done_at=timestamp(message.done_at),
            due_at=timestamp(message.due_at),
            intermediate_report=delivery.intermediate,
            notify_url=None if delivery.url is None else without_credentials(delivery.url),
            notify_content_type=f"application/{delivery.format}",
            callback_data=delivery.callback_data,
            entity_id=sms.entity_id,
            application_id=sms.application_id,
            campaign_reference_id=sms.campaign_reference_id,
            links=_links(sms.links),
            clicks=message.clicks,
            converted_at=timestamp(message.converted_at),
            **_asked(message),
        )


def _asked(message: Message) -> dict[str, Any]:
    """What was asked for, as it was understood, in the provider's names."""
    sms, asked = message.sms, message.asked or Asked(route="")
    text = sms.content if isinstance(sms.content, TextContent) else None
    return {
        "route": asked.route or None,
        "client": asked.client,
        "process_key": message.process_key,
        "validity_period": validity_shown(sms.validity, message.api),
        "send_at": timestamp(sms.send_at),
        "delivery_time_window": window_shown(sms.window),
        "sending_speed_limit": speed_shown(asked.speed),
        "regional": sms.regional,
        "network_id": sms.network_id,
        "transliteration": text and text.transliteration,
        "language": text and language_shown(text),
        "tracking": asked.tracking,
        "url_options": asked.url_options,
        "conversion_tracking": asked.conversion,
    }


def _content(content: TextContent | BinaryContent) -> dict[str, Any]:
    """`sent` is the text that goes over the air, after transliteration."""
    if isinstance(content, TextContent):
        return {"text": content.text, "sent": content.sent}
    return {
        "hex": content.data.hex(" "),
        "data_coding": content.data_coding,
        "esm_class": content.esm_class,
    }


def _links(links: ShortLinks | None) -> list[SandboxLink]:
    return [] if links is None else [SandboxLink(each.url, each.short) for each in links.links]


class SandboxMessagePage(Struct, frozen=True):
    messages: list[SandboxMessage]
    next: Next


class SandboxAdvanced(Struct, frozen=True):
    """the instant, and what has happened on the way"""

    now: Instant
    steps: Count
    reports: Count
    attempts: Count


class SandboxNow(Struct, frozen=True):
    now: Instant


class SandboxOutcomeAdded(Struct, frozen=True):
    added: Annotated[bool, Meta(extra_json_schema={"const": True})] = True


class SandboxOutcome(Struct, frozen=True, kw_only=True, rename="camel"):
    """a rule in force"""

    to: str
    sender: str
    text: str
    callback_data: str
    share: float
    status: str
    error: str | None
    after: str
    distribution: str
    told: str
    price: float | None
    answered: str | None

    @classmethod
    def of(cls, rule: OutcomeRule) -> SandboxOutcome:
        values = {each.name: getattr(rule, each.name) for each in fields(rule)}
        return cls(**{**values, "after": duration_text(rule.after)})


class SandboxOutcomes(Struct, frozen=True):
    """in the order in which they are asked; after them come the magic recipients"""

    outcomes: list[SandboxOutcome]

    @classmethod
    def of(cls, rules: Sequence[OutcomeRule]) -> SandboxOutcomes:
        return cls([SandboxOutcome.of(each) for each in rules])


class AdminApi:
    """The routes under /sandbox."""

    def __init__(self, sandbox: Sandbox, advance: Advance) -> None:
        self._sandbox = sandbox
        self._advance = advance

    @Route(
        "GET",
        "/sandbox/messages",
        "getSandboxMessages",
        "The messages that were sent to the sandbox, oldest first",
        {200: Reply("A page", SandboxMessagePage)},
        parameters=in_query(_FILTERS),
        caller="tester",
    )
    async def messages(self, request: web.Request) -> web.Response:
        """What was sent, in the order in which it came."""
        query = _clipped(AcceptedQuery(**read_query(request.query, _FILTERS)))
        found = await self._sandbox.store.messages(structs.replace(query, limit=query.limit + 1))
        shown, last = page_of(found, query.limit)
        messages = [SandboxMessage.of(each) for each in shown]
        return answer(SandboxMessagePage(messages, next_cursor(last)))

    @Route(
        "POST",
        "/sandbox/outcomes",
        "postSandboxOutcomes",
        (
            "Adds an outcome rule that takes precedence over all others, until it is removed or"
            " the sandbox is reset"
        ),
        {
            201: Reply("The rule applies from now on", SandboxOutcomeAdded),
            400: "The rule is invalid; all faults are listed",
        },
        body=RequestBody(
            SettingsTypes(_CAMEL).said("SandboxRule", OutcomeRule),
            examples={"expired": {"to": "4179*", "status": "EXPIRED_EXPIRED"}},
        ),
        caller="tester",
    )
    async def add_outcome(self, request: web.Request) -> web.Response:
        """A rule that goes before all others, until a reset."""
        try:
            example = '{"to":"4179*","status":"EXPIRED_EXPIRED"}'
            rule = read_table(OutcomeRule, await _table(request, example))
        except ConfigurationError as error:
            faults = [each.replace("callback_data", "callbackData") for each in error.faults]
            return fault(400, "invalid_settings", "; ".join(faults), faults=faults)
        await self._sandbox.add_rule(rule)
        return answer(SandboxOutcomeAdded(), status=201)

    @Route(
        "GET",
        "/sandbox/outcomes",
        "getSandboxOutcomes",
        "The outcome rules in force, in order of precedence; those of the settings come last",
        {200: Reply("the rules", SandboxOutcomes)},
        caller="tester",
    )
    async def outcomes(self, request: web.Request) -> web.Response:
        """The rules in force."""
        only(request.query)
        return answer(SandboxOutcomes.of(self._sandbox.rules))

    @Route(
        "DELETE",
        "/sandbox/outcomes",
        "deleteSandboxOutcomes",
        "Removes the rules that POST has added; the rules of the settings stay",
        {200: Reply("The remaining rules", SandboxOutcomes)},
        caller="tester",
    )
    async def take_back_outcomes(self, request: web.Request) -> web.Response:
        """Forget what POST has added. What was sent keeps its outcome."""
        only(request.query)
        await self._sandbox.forget_rules()
        return answer(SandboxOutcomes.of(self._sandbox.rules))

    @Route(
        "POST",
        "/sandbox/messages/{messageId}/outcome",
        "postSandboxMessageOutcome",
        "Ends a message now, with the status that you choose",
        {
            200: Reply("The message. Its report is stored and will be pushed", SandboxMessage),
            400: "The status or the error is unknown, or the status is not final",
            404: "There is no such message",
            409: "It has already ended",
        },
        parameters=[in_path("messageId", str, "The id of the message")],
        body=RequestBody(
            SettingsTypes({}).said("SandboxEnding", Ending),
            examples={
                "delivered": {"status": "DELIVERED_TO_HANDSET"},
                "absent": {"status": "UNDELIVERABLE_NOT_DELIVERED", "error": "EC_CALL_BARRED"},
            },
        ),
        caller="tester",
    )
    async def end(self, request: web.Request) -> web.Response:
        """End a message that has no final status yet."""
        only(request.query)
        try:
            ending = read_table(Ending, await _table(request, '{"status":"EXPIRED_EXPIRED"}'))
            message = await self._sandbox.end(request.match_info["messageId"], ending)
        except ConfigurationError as error:
            text = "; ".join(error.faults)
            return fault(400, "invalid_settings", text, faults=list(error.faults))
        except NotFinal as error:
            return fault(400, "bad_request", str(error))
        except HasEnded as error:
            return fault(409, "has_ended", str(error))
        if message is None:
            raise web.HTTPNotFound
        return answer(SandboxMessage.of(message))

    @Route(
        "POST",
        "/sandbox/advance",
        "postSandboxAdvance",
        (
            "Moves the clock forward. Everything that becomes due on the way happens in order and"
            " at its time"
        ),
        {
            200: Reply("Everything that became due has happened", SandboxAdvanced),
            400: "Not a duration, or longer than a year",
        },
        parameters=[
            Parameter("by", {"type": "string", "examples": ["1h"]}, "how far", required=True)
        ],
        caller="tester",
    )
    async def advance(self, request: web.Request) -> web.Response:
        """Move the clock. Answered when all that is due on the way has happened."""
        only(request.query, "by")
        done = await self._advance.by(_time(request.query.get("by")))
        now = timestamp(done.now)
        tell(request, by=request.query["by"])
        return answer(SandboxAdvanced(now, done.steps, done.reports, done.attempts))

    @Route(
        "POST",
        "/sandbox/reset",
        "postSandboxReset",
        "Removes all messages and cancels waiting pushes. Reports and the clock stay",
        {200: Reply("done", SandboxNow)},
        caller="tester",
    )
    async def reset(self, request: web.Request) -> web.Response:
        """Forget what was sent. What was under way comes to its end before."""
        only(request.query)
        await self._sandbox.reset()
        await self._advance.settled()
        await self._sandbox.reset()  # attempts that failed meanwhile would be made again
        return answer(SandboxNow(timestamp(self._sandbox.clock.now())))


def _clipped(query: AcceptedQuery) -> AcceptedQuery:
    """Ids that are too long mean what was made of them when they were sent."""
    bulk_id, message_id = query.bulk_id, query.message_id
    return structs.replace(
        query,
        bulk_id=bulk_id and bulk_id[: BULK_ID.clip],
        message_id=message_id and message_id[: MESSAGE_ID.clip],
    )


def _time(text: str | None) -> timedelta:
    try:
        time = duration(text or "")
    except ValueError as error:
        raise BadQuery(f"by: expected a duration such as 1h, got {(text or '')[:40]!r}") from error
    if time > FARTHEST:
        raise BadQuery(f"by: expected at most {FARTHEST.days}d, got {text}")
    return time


async def _table(request: web.Request, example: str) -> dict[str, Any]:
    """The body with the keys of the settings. Raises ConfigurationError."""
    try:
        body = msgspec.json.decode(await request.read(), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        text = f"expected a JSON object such as {example}: {error}"
        raise ConfigurationError([text]) from error
    return {_SNAKE.get(name, name): value for name, value in body.items() if value is not None}

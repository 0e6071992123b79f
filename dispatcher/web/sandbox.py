"""The sandbox: what an app has sent and what becomes of it, trouble, received SMS, the clock.

The paths under /sandbox/ are JSON for test suites; what is posted from here goes to /sandbox/page/.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, get_args

import msgspec
from aiohttp import web
from msgspec import UNSET

from dispatcher.api.dispatches import DispatchWithHistory
from dispatcher.sandbox.advance import Advance, Advanced
from dispatcher.sandbox.api.admin import FARTHEST, SandboxMessage, SandboxOutcome
from dispatcher.sandbox.api.faults import SandboxFault
from dispatcher.sandbox.api.inbox import incoming_of
from dispatcher.sandbox.api.pushes import SandboxPush, pushes_told
from dispatcher.sandbox.api.requests import seen_requests
from dispatcher.sandbox.api.send import origin_of, send_document
from dispatcher.sandbox.characters.alphabet import OCTETS, UCS2, alphabet_words
from dispatcher.sandbox.characters.text import Language, convert
from dispatcher.sandbox.characters.transliteration import Transliteration
from dispatcher.sandbox.clicks import NoLink
from dispatcher.sandbox.errors import Refused, document
from dispatcher.sandbox.messages.ending import HasEnded, NotFinal, may_end
from dispatcher.sandbox.messages.inbound import Inbound
from dispatcher.sandbox.messages.message import Message, steps_ahead
from dispatcher.sandbox.messages.outcomes import MAGIC
from dispatcher.sandbox.messages.send import BinaryContent
from dispatcher.sandbox.messages.statuses import status_of
from dispatcher.sandbox.sandbox import Sandbox
from dispatcher.sandbox.seen import SeenPush
from dispatcher.sandbox.store.base import AcceptedQuery, InboxLogQuery, LogQuery
from dispatcher.sandbox.wire.content import BYTES_MOST
from dispatcher.settings.sandbox import Ending, FaultRule, OutcomeRule, Told
from dispatcher.settings.settings import SANDBOX
from dispatcher.web.sandbox_forms import (
    Typed,
    fault_table,
    faults_by_field,
    incoming_document,
    rule_table,
    sms_document,
)
from dispatcher.web.shown import count
from dispatcher.web.site import BadForm, Site, form, local_path, page
from receiver.api.audit import tell
from receiver.api.filters import report_query
from receiver.dlr.sms_errors import errors
from receiver.dlr.statuses import SMS_STATUSES, is_final
from receiver.faults import without_credentials
from receiver.settings.configuration import ConfigurationError
from receiver.settings.durations import duration as read_duration
from receiver.settings.reader import read_table
from receiver.store.base import StoredReport

SHOWN: Final = 50
"""Rows of a list: what is older is a page further, or in the API."""

View = Literal["messages", "requests", "inbox", "pushes", "outcomes", "faults"]

VIEWS: Final[dict[View, str]] = {
    "messages": "Messages",
    "requests": "Requests",
    "inbox": "Received SMS",
    "pushes": "Pushes",
    "outcomes": "Outcomes",
    "faults": "Trouble",
}

STEPS: Final = {"1m": "+1 min", "1h": "+1 h", "1d": "+1 day"}
"""How far the buttons move the clock."""

FINAL: Final = tuple(name for key, name in SMS_STATUSES.items() if is_final(status_of(*key)))

_NO_SANDBOX = "This process is not a sandbox. Start one with: dlr sandbox"

_GONE = "There is no such message. It may have been removed by a reset."

_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ahead:
    """Something that happens to a message by itself. `told`: by a report."""

    at: datetime
    name: str | None
    told: bool


def ahead_of(message: Message) -> list[Ahead]:
    return [Ahead(s.at, status_of(*s.status).name, s.told) for s in steps_ahead(message)]


@dataclass(frozen=True, slots=True)
class Row:
    """A message as the list has it. `ahead` is what happens to it next."""

    number: int
    message: SandboxMessage
    alphabet: str
    ahead: Ahead | None
    may_end: bool

    @classmethod
    def of(cls, message: Message) -> Row:
        ahead = next(iter(ahead_of(message)), None)
        shown = SandboxMessage.of(message)
        return cls(message.id, shown, alphabet_of(message), ahead, may_end(message))


@dataclass(frozen=True, slots=True)
class ReportLine:
    """A report of a message, in short."""

    id: int
    received_at: datetime
    status: str | None
    group: str | None

    @classmethod
    def of(cls, stored: StoredReport) -> ReportLine:
        status = stored.read().status
        name, group = (None, None) if status is None else (status.name, status.group_name)
        return cls(stored.id, stored.received_at, name, group)


@dataclass(frozen=True, slots=True)
class Opened:
    """A message with all that came of it: reports, dispatches, and the attempts that are still
    remembered, in words."""

    row: Row
    fields: Sequence[tuple[str, str]]
    ahead: Sequence[Ahead]
    reports: Sequence[ReportLine]
    dispatches: Sequence[DispatchWithHistory]
    pushes: Sequence[SandboxPush]


def alphabet_of(message: Message) -> str:
    """The alphabet in which a message goes over the air, in words."""
    content = message.sms.content
    if isinstance(content, BinaryContent):
        return alphabet_words(UCS2 if content.data_coding == 8 else OCTETS)
    if not message.sms.parts:
        return "too long to count"
    converted = convert(
        content.sent,
        language_code=content.language_code,  # type: ignore[arg-type]  # checked when it came
        single_shift=content.single_shift,
        locking_shift=content.locking_shift,
    )
    return alphabet_words(converted.alphabet)


_FIELDS: Final = {
    "message_id": "Message id",
    "bulk_id": "Bulk id",
    "route": "Route",
    "client": "Client",
    "notify_url": "notifyUrl",
    "notify_content_type": "notifyContentType",
    "callback_data": "callbackData",
    "intermediate_report": "Intermediate reports",
    "flash": "Flash",
    "validity_period": "Validity",
    "send_at": "sendAt",
    "delivery_time_window": "Delivery window",
    "sending_speed_limit": "Speed",
    "regional": "Regional",
    "network_id": "Network id",
    "transliteration": "Transliteration",
    "language": "Language",
    "hex": "Octets",
    "data_coding": "Data coding",
    "esm_class": "esmClass",
    "tracking": "Tracking",
    "url_options": "URL options",
    "conversion_tracking": "Conversion tracking",
    "process_key": "Process key",
    "converted_at": "Converted",
    "entity_id": "Entity id",
    "application_id": "Application id",
    "campaign_reference_id": "Campaign",
}
"""What of a message is shown when it is open, if it has it."""


def fields_of(message: SandboxMessage) -> list[tuple[str, str]]:
    """What was asked for and understood, with names for people. Objects are JSON in the provider's
    names."""
    values = {name: getattr(message, name) for name in _FIELDS}
    return [
        (_FIELDS[name], _text(name, each))
        for name, each in values.items()
        if each is not None and each is not UNSET and each is not False  # 0 is a value
    ]


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name == "validity_period":
        minutes = {"amount": value, "timeUnit": "MINUTES"}  # as v1 and v2 have it
        said = value if isinstance(value, dict) else minutes
        return f"{count(said['amount'])} {said['timeUnit'].lower()}"
    return "yes" if value is True else json.dumps(value, ensure_ascii=False)


def counted(text: str, language: str | None, transliteration: str | None) -> str:
    """How a text will go over the air, in words."""
    if len(text) > BYTES_MOST:
        return f"{count(len(text))} characters: more than the {count(BYTES_MOST)} that can be sent"
    converted = convert(
        text,
        language_code=language if language in get_args(Language) else None,  # type: ignore[arg-type]
        transliteration=transliteration if transliteration in get_args(Transliteration) else None,  # type: ignore[arg-type]
    )
    left = count(converted.characters_remaining)
    words = alphabet_words(converted.alphabet)
    return f"{parts_words(converted.parts)}, {words}, {left} more fit"


def rounded(ahead: timedelta) -> timedelta:
    """To whole minutes, or seconds where it is less: a clock loses a moment while it is moved."""
    unit = timedelta(minutes=1) if ahead >= timedelta(minutes=1) else timedelta(seconds=1)
    return round(ahead / unit) * unit


def parts_words(parts: int) -> str:
    return "1 part" if parts == 1 else f"{parts} parts"


class SandboxPages:
    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def _sandbox(self) -> Sandbox:
        if self._site.inside.sandbox is None:
            raise web.HTTPNotFound(text=_NO_SANDBOX)
        return self._site.inside.sandbox

    @property
    def _advance(self) -> Advance:
        if self._site.inside.advance is None:
            raise web.HTTPNotFound(text=_NO_SANDBOX)
        return self._site.inside.advance

    # --- looking ---------------------------------------------------------------------------------

    @page("/sandbox", "showSandbox")
    async def sandbox(self, request: web.Request) -> web.Response:
        return await self._show(request)

    @page("/sandbox/page/preview", "previewSandboxText")
    async def preview(self, request: web.Request) -> web.Response:
        """In how many parts a text will go, for the script of the form: one sentence."""
        said = request.query
        words = counted(said.get("text", ""), said.get("language"), said.get("transliteration"))
        return web.Response(text=words)

    async def _show(
        self,
        request: web.Request,
        *,
        view: View | None = None,
        status: int = 200,
        typed: Typed | None = None,
        faults: dict[str, str] | None = None,
        refusal: str | None = None,
        ending: Typed | None = None,
        opened: int | None = None,
    ) -> web.Response:
        """The page. What was typed and cannot be used comes back, with what is wrong."""
        sandbox = self._sandbox
        shown: View = view or _view(request.query.get("view"))
        return self._site.show(
            request,
            f"sandbox_{shown}.html.jinja",
            status=status,
            view=shown,
            views=VIEWS,
            steps=STEPS,
            ahead=rounded(sandbox.clock.ahead),
            next_at=await self._advance.next_at(),
            typed=typed or {},
            faults=faults or {},
            refusal=refusal,
            ending=ending or {},
            back=f"/sandbox?view={shown}" if request.method == "POST" else request.path_qs,
            **await getattr(self, f"_{shown}")(request, opened),
        )

    async def _messages(self, request: web.Request, opened: int | None) -> dict[str, Any]:
        before = _number(request.query.get("before"))
        query = LogQuery(left_after=_EVER, limit=SHOWN + 1, before=before)
        found = await self._sandbox.store.logs(query)
        return {
            "rows": [Row.of(each) for each in found[:SHOWN]],
            "older": found[SHOWN - 1].id if len(found) > SHOWN else None,
            "is_first": before is None,
            "opened": await self._opened(opened or _number(request.query.get("open"))),
            "statuses": FINAL,
            "errors": tuple(errors()),
            "languages": get_args(Language),
            "transliterations": get_args(Transliteration),
            "origin": origin_of(request),
            "has_credentials": bool(self._site.inside.settings.sandbox.credential),
        }

    async def _opened(self, number: int | None) -> Opened | None:
        if number is None:
            return None
        message = await self._by_number(number)
        if message is None:
            raise web.HTTPNotFound(text=_GONE)
        inside = self._site.inside
        query = report_query({"messageId": message.message_id, "source": SANDBOX})
        reports, _ = await inside.reports.find(query)
        reports = () if message.state == "refused" else reports
        dispatches = await inside.dispatches.dispatches_of([each.id for each in reports])
        names = {each.id for each in dispatches}
        seen = [each for each in self._sandbox.pushes.after(0) if each[1].dispatch in names]
        row = Row.of(message)
        return Opened(
            row=row,
            fields=fields_of(row.message),
            ahead=ahead_of(message),
            reports=[ReportLine.of(each) for each in reports],
            dispatches=dispatches,
            pushes=await self._told(seen),
        )

    async def _by_number(self, number: int) -> Message | None:
        query = AcceptedQuery(after=number - 1, limit=1)
        found = next(iter(await self._sandbox.store.messages(query)), None)
        return found if found is not None and found.id == number else None

    async def _told(self, seen: Sequence[tuple[int, SeenPush]]) -> list[SandboxPush]:
        """Newest first."""
        storage = self._site.inside.storage
        return (await pushes_told(seen, storage.queue, storage.store))[::-1]

    async def _requests(self, request: web.Request, _: int | None) -> dict[str, Any]:
        refused = True if request.query.get("refused") == "true" else None
        found = list(seen_requests(self._sandbox.requests, refused))[::-1]
        return {"requests": found[:SHOWN], "only_refused": bool(refused), "found": len(found)}

    async def _inbox(self, _: web.Request, __: int | None) -> dict[str, Any]:
        store = self._sandbox.inbox.store
        found: Sequence[Inbound] = await store.inbox(
            InboxLogQuery(received_after=_EVER, limit=SHOWN)
        )
        urls = {
            each.message_id: without_credentials(each.forward.url)
            for each in found
            if each.forward is not None
        }
        return {"received": found, "urls": urls, "waiting": await store.inbox_waiting(_EVER)}

    async def _pushes(self, _: web.Request, __: int | None) -> dict[str, Any]:
        seen = list(self._sandbox.pushes.after(0))
        return {"pushes": await self._told(seen[-SHOWN:]), "found": len(seen)}

    async def _outcomes(self, _: web.Request, __: int | None) -> dict[str, Any]:
        return {
            "rules": [SandboxOutcome.of(each) for each in self._sandbox.rules],
            "magic": {number: words for number, (_, words) in MAGIC.items()},
            "statuses": tuple(SMS_STATUSES.values()),
            "errors": tuple(errors()),
            "told_ways": get_args(Told),
        }

    async def _faults(self, _: web.Request, __: int | None) -> dict[str, Any]:
        return {"rules": [SandboxFault.of(each) for each in self._sandbox.faults.rules]}

    # --- changing --------------------------------------------------------------------------------

    @form("/sandbox/page/send", "postSmsV3Messages")
    async def send(self, request: web.Request) -> web.Response:
        """Send what was typed, as if it had been posted to /sms/3/messages."""
        typed = await _typed(request)
        try:
            told = await send_document(
                request, self._sandbox.accept, sms_document(typed), self._site.now()
            )
        except Refused as refused:
            _, said = document("v3", "json", refused.status, refused.text, refused.misfits)
            tell(request, outcome="refused")
            return await self._show(
                request,
                view="messages",
                status=400,
                typed=typed,
                faults=faults_by_field(refused.misfits),
                refusal=msgspec.json.encode(said).decode(),
            )
        first = told.messages[0]
        found = await self._sandbox.store.messages(AcceptedQuery(message_id=first.message_id))
        words = f"Sent. The answer was {first.status.name}: {first.status.description}."
        return self._site.back_to(request, f"/sandbox?open={found[-1].id}", words)

    @form("/sandbox/page/end", "postSandboxMessageOutcome")
    async def end(self, request: web.Request) -> web.Response:
        """End a message as it was chosen."""
        typed = await _typed(request)
        message = await self._chosen(typed)
        status, error = typed.get("status", ""), typed.get("error") or None
        tell(request, subject=message.message_id)
        try:
            said = {"status": status, **({} if error is None else {"error": error})}
            await self._sandbox.end(message.message_id, read_table(Ending, said))
        except (ConfigurationError, NotFinal, HasEnded) as cannot:
            tell(request, outcome="refused")
            words = "; ".join(getattr(cannot, "faults", None) or [str(cannot)])
            return await self._show(
                request,
                view="messages",
                status=400,
                ending={**typed, "fault": words},
                opened=message.id,
            )
        return self._site.back_to(request, f"/sandbox?open={message.id}", f"It is {status} now.")

    @form("/sandbox/page/click", "postSandboxClick")
    async def click(self, request: web.Request) -> web.Response:
        """Follow a link of a message, as its recipient would."""
        typed = await _typed(request)
        message = await self._chosen(typed)
        tell(request, subject=message.message_id)
        try:
            clicked = await self._sandbox.clicks.click(message.message_id, typed.get("url"))
        except NoLink as error:
            raise BadForm(str(error)) from error
        if clicked is None:
            raise web.HTTPNotFound(text=_GONE)
        words = (
            "Clicked."
            if clicked.told_to is None
            else ("Clicked. The click is pushed to the trackingUrl.")
        )
        return self._site.back_to(request, f"/sandbox?open={message.id}", words)

    async def _chosen(self, typed: Typed) -> Message:
        """The message that a form names by its number."""
        message = await self._by_number(_number(typed.get("number")) or 0)
        if message is None:
            raise web.HTTPNotFound(text=_GONE)
        return message

    @form("/sandbox/page/receive", "postSandboxInbox")
    async def receive(self, request: web.Request) -> web.Response:
        """Simulate an incoming SMS."""
        typed = await _typed(request)
        try:
            incoming = incoming_of(incoming_document(typed), self._site.now())
        except Refused as refused:
            faults = {misfit.place: misfit.reason for misfit in refused.misfits}
            return await self._refused(request, "inbox", typed, faults)
        inbound = await self._sandbox.inbox.receive(incoming)
        words = "It waits to be pulled." if inbound.forward is None else "It is pushed now."
        return self._site.back_to(request, "/sandbox?view=inbox", f"An SMS came in. {words}")

    @form("/sandbox/page/outcomes", "postSandboxOutcomes")
    async def add_outcome(self, request: web.Request) -> web.Response:
        """Add a rule of outcomes."""
        typed = await _typed(request)
        try:
            rule = read_table(OutcomeRule, rule_table(typed))
        except ConfigurationError as error:
            return await self._refused(request, "outcomes", typed, _by_setting(error))
        await self._sandbox.add_rule(rule)
        words = "The rule applies to messages that are sent from now on."
        return self._site.back_to(request, "/sandbox?view=outcomes", words)

    @form("/sandbox/page/outcomes/remove", "deleteSandboxOutcomes")
    async def take_back_outcomes(self, request: web.Request) -> web.Response:
        await self._sandbox.forget_rules()
        words = "The added rules were removed. The rules of the settings stay."
        return self._site.back_to(request, "/sandbox?view=outcomes", words)

    @form("/sandbox/page/faults", "postSandboxFaults")
    async def add_fault(self, request: web.Request) -> web.Response:
        """Add a fault."""
        typed = await _typed(request)
        try:
            self._sandbox.faults.add(read_table(FaultRule, fault_table(typed)))
        except ConfigurationError as error:
            return await self._refused(request, "faults", typed, _by_setting(error))
        words = "The rule applies to requests from now on."
        return self._site.back_to(request, "/sandbox?view=faults", words)

    @form("/sandbox/page/faults/remove", "deleteSandboxFaults")
    async def take_back_faults(self, request: web.Request) -> web.Response:
        self._sandbox.faults.take_back()
        words = "The added faults were removed. The faults of the settings stay."
        return self._site.back_to(request, "/sandbox?view=faults", words)

    @form("/sandbox/page/advance", "postSandboxAdvance")
    async def advance(self, request: web.Request) -> web.Response:
        """Move the clock: by a time, or to when something is due next."""
        typed = await _typed(request)
        by = typed.get("by", "")
        tell(request, by=by)
        done = await (self._advance.to_next() if by == "next" else self._advance.by(_time(by)))
        return self._site.back_to(request, _back(typed), _happened(done))

    async def _refused(
        self, request: web.Request, view: View, typed: Typed, faults: dict[str, str]
    ) -> web.Response:
        tell(request, outcome="refused")
        return await self._show(request, view=view, status=400, typed=typed, faults=faults)


def _view(text: str | None) -> View:
    """Raises HTTPNotFound."""
    for view in VIEWS:
        if text in (None, view):
            return view
    raise web.HTTPNotFound(text="The sandbox has no such list.")


def _number(text: str | None) -> int | None:
    """A number of a message; `None` for what is none."""
    said = text or ""
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 19 else None


async def _typed(request: web.Request) -> dict[str, str]:
    """What the form holds. Line ends as phones have them; browsers send CR LF."""
    fields = (await request.post()).items()
    return {name: said.replace("\r\n", "\n") for name, said in fields if isinstance(said, str)}


def _by_setting(error: ConfigurationError) -> dict[str, str]:
    """What is wrong, by the field where it stands; under "" what has none."""
    found: dict[str, str] = {}
    for fault in error.faults:
        place, _, reason = fault.partition(": ")
        found.setdefault(place if reason else "", reason or fault)
    return found


def _time(text: str) -> timedelta:
    """Raises BadForm."""
    try:
        time = read_duration(text)
    except ValueError as error:
        raise BadForm(f"by: {error}") from error
    if time > FARTHEST:
        raise BadForm(f"by: expected at most {FARTHEST.days}d")
    return time


def _back(typed: Typed) -> str:
    """Where the clock was moved; never elsewhere than to the sandbox."""
    path = local_path(typed.get("back"))
    return path if path.startswith("/sandbox?") else "/sandbox"


def _happened(done: Advanced) -> str:
    """What has happened while the clock moved."""
    at = done.now.strftime("%Y-%m-%d %H:%M:%S")
    counts = ((done.steps, "step"), (done.reports, "report"), (done.attempts, "push"))
    words = ", ".join(
        f"{count(number)} {name if number == 1 else _PLURALS[name]}" for number, name in counts
    )
    return f"It is {at} UTC now. On the way: {words}."


_PLURALS: Final = {"step": "steps", "report": "reports", "push": "pushes"}

"""Pushes: every dispatch over all endpoints, and one dispatch with its attempts and its request."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, urlencode

from aiohttp import hdrs, web
from msgspec import Struct

from dispatcher.api.again import PushedAgain, told_of_again
from dispatcher.api.dispatch_request import PushRequest, request_of
from dispatcher.api.dispatches import (
    DISPATCH_FILTERS,
    AttemptAnswer,
    DispatchAnswer,
    DispatchWithHistory,
    dispatch_page,
    dispatch_query,
    with_history,
)
from dispatcher.endpoints.from_settings import schedule_of
from dispatcher.queue.base import NotWaiting, StoredDispatch, UnknownDispatch
from dispatcher.replay.again import CannotGoAgain
from dispatcher.retrying.dispatch import InvalidTransition
from dispatcher.settings.settings import OWN_URLS
from dispatcher.web.inbox import curl_of_a_first_report
from dispatcher.web.shown import sentence
from dispatcher.web.site import Site, form, page
from dispatcher.web.timeline import Ahead, ahead
from receiver.answers import BadQuery
from receiver.api.audit import tell
from receiver.api.parameters import INSTANT, Filter, Parameters
from receiver.api.sessions import new_visit
from receiver.store.base import StoredReport

ROWS: Final = 50
"""Dispatches on a page of the list."""

PARTS: Final = 30
"""Reports, and attempts, that a dispatch's page shows; the API has all."""

BODY_SHOWN: Final = 16 * 1024
"""Bytes of a body on the page; the whole is a download."""

TYPED: Final = 4 * 1024
"""Bytes of a body that is typed into a command; a longer one comes from a file."""

# --- what is shown -----------------------------------------------------------------------------


class FilterField(Struct, frozen=True):
    """A filter of the API as a field of the form. `choices` None: any text."""

    name: str
    label: str
    help: str
    value: str
    example: str
    choices: Sequence[str] | None
    fault: str | None


class Row(Struct, frozen=True):
    """A dispatch in the list. `last` None: it was never tried."""

    dispatch: DispatchAnswer
    last: AttemptAnswer | None


def filter_fields(
    said: Parameters, endpoints: Sequence[str], fault: str | None
) -> list[FilterField]:
    """The fields with what was typed, and the fault beside the one that it is about."""
    place, _, reason = (fault or "").partition(": ")
    return [
        _field(each, said, endpoints, reason if each.name == place else None)
        for each in DISPATCH_FILTERS
    ]


def _field(
    each: Filter, said: Parameters, endpoints: Sequence[str], fault: str | None
) -> FilterField:
    shape: Mapping[str, Any] = each.kind.shape if isinstance(each.kind.shape, Mapping) else {}
    choices = endpoints if each.name == "endpoint" else shape.get("enum")
    return FilterField(
        name=each.name,
        label=each.field.replace("_", " ").capitalize().replace("id", "ID"),
        help=each.words,
        value=said.get(each.name, ""),
        example="2026-11-21T10:00:00Z" if each.kind is INSTANT else "",
        choices=choices,
        fault=fault,
    )


def as_curl(request: PushRequest, content: str | None) -> str:
    """The command that makes the request again. `content` None: its body comes from a file."""
    headers = (f"-H {shlex.quote(f'{n}: {v}')}" for n, v in request.headers.items())
    data = "@body" if content is None else content
    parts = ["curl", *headers, f"--data-binary {shlex.quote(data)}", shlex.quote(request.url)]
    return " \\\n  ".join(parts)


def _typed(body: bytes) -> str | None:
    """A body as it can be typed; `None` if it is long, or holds what a terminal would obey, or
    would be taken for the name of a file."""
    text = body.decode("utf-8", "replace")
    may = len(body) <= TYPED and text.isprintable() and not text.startswith("@")
    return text if may else None


class Body(Struct, frozen=True):
    """A body as the page has it."""

    text: str
    size: int
    cut: bool
    made_again: bool


def _shown_body(request: PushRequest) -> Body | None:
    if request.body is None:
        return None
    body = request.body
    text = body[:BODY_SHOWN].decode("utf-8", "replace")
    return Body(text, len(body), len(body) > BODY_SHOWN, request.made_again)


# --- pages -------------------------------------------------------------------------------------


class PushPages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._inside = site.inside
        self._queue = site.inside.storage.queue
        self._store = site.inside.storage.store
        self._schedule = schedule_of(site.inside.settings.schedule)

    @page("/dispatches", "showDispatches")
    async def dispatches(self, request: web.Request) -> web.Response:
        said = {name: text.strip() for name, text in request.query.items() if text.strip()}
        try:
            found = await dispatch_page(
                self._store, self._queue, dispatch_query({"limit": str(ROWS), **said})
            )
        except BadQuery as error:
            return await self._list(request, said, [], fault=str(error))
        return await self._list(request, said, found.dispatches, following=found.next)

    async def _list(
        self,
        request: web.Request,
        said: Parameters,
        found: Sequence[DispatchAnswer],
        *,
        following: str | None = None,
        fault: str | None = None,
    ) -> web.Response:
        last = await self._queue.last_attempts([each.id for each in found])
        endpoints = [*await self._inside.registry.listed()]
        fields = filter_fields(said, endpoints, fault)
        filters = {name: text for name, text in said.items() if name not in ("cursor", "limit")}
        return self._site.show(
            request,
            "dispatches.html.jinja",
            status=200 if fault is None else 400,
            rows=[
                Row(each, AttemptAnswer.of(last[each.id]) if each.id in last else None)
                for each in found
            ],
            fields=fields,
            fault=None if any(each.fault for each in fields) else fault,
            filters=filters,
            more=any(
                each.choices is None and each.name != "messageId" and each.value for each in fields
            ),
            has_endpoints=any(each != OWN_URLS for each in endpoints),
            sends=self._inside.sandbox is not None,
            first=curl_of_a_first_report(f"{request.url.origin()}/notify", self._site.now()),
            asked=urlencode(filters),
            is_first="cursor" not in said,
            following=None if following is None else urlencode({**filters, "cursor": following}),
        )

    @page("/dispatches/{id}", "showDispatch")
    async def dispatch(self, request: web.Request) -> web.Response:
        stored, shown = await self._found(request)
        sent = await self._request_of(stored)
        reports = await self._store.reports_by_id(stored.report_ids[:PARTS])
        return self._site.show(
            request,
            "dispatch.html.jinja",
            dispatch=shown,
            attempts=shown.history[::-1][:PARTS],
            ahead=await self._ahead(shown),
            endpoint=(await self._inside.registry.listed()).get(stored.endpoint),
            reports=[_Carried.of(report) for report in reports],
            event_of=stored.event_of,
            sent=sent,
            body=_shown_body(sent),
            once=new_visit(),
            curl=as_curl(sent, None if sent.body is None else _typed(sent.body)),
        )

    @page("/dispatches/{id}/body", "downloadDispatchBody")
    async def body(self, request: web.Request) -> web.Response:
        if self._inside.settings.web.mask_numbers:
            raise web.HTTPForbidden(text="Numbers are masked here (web.mask_numbers).")
        stored, _ = await self._found(request)
        sent = await self._request_of(stored)
        if sent.body is None:
            raise web.HTTPNotFound(text="What this dispatch pushes is not stored.")
        return web.Response(
            body=sent.body,
            content_type="application/octet-stream",
            headers={hdrs.CONTENT_DISPOSITION: f'attachment; filename="{stored.id}"'},
        )

    async def _found(self, request: web.Request) -> tuple[StoredDispatch, DispatchWithHistory]:
        """Raises HTTPNotFound."""
        found = await self._queue.dispatch(request.match_info["id"])
        if found is None:
            raise _not_there(request.match_info["id"])
        return found[0], await with_history(self._store, *found)

    async def _request_of(self, dispatch: StoredDispatch) -> PushRequest:
        """Raises HTTPNotFound."""
        now, in_force = self._site.now(), self._inside.registry
        try:
            return await request_of(self._store, self._queue, in_force, dispatch, now)
        except UnknownDispatch as error:
            raise _not_there(dispatch.id) from error

    async def _ahead(self, dispatch: DispatchWithHistory) -> Ahead | None:
        endpoints = {each.name: each for each in await self._inside.registry.endpoints()}
        return next(iter(ahead([dispatch], endpoints, self._schedule, self._site.now())), None)

    # --- changes -------------------------------------------------------------------------------

    @form("/dispatches/{id}/retry", "retryDispatch")
    async def retry(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        try:
            await self._queue.retry(name, self._site.now())
        except UnknownDispatch as error:
            raise _not_there(name) from error
        except NotWaiting as error:
            raise web.HTTPConflict(text=sentence(error)) from error
        self._inside.on_due()
        words = (
            "It is due now. It is pushed as soon as the endpoint's window and rate limit allow it."
        )
        return self._site.back_to(request, dispatch_path(name), words)

    @form("/dispatches/{id}/cancel", "cancelDispatch")
    async def cancel(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        try:
            await self._queue.cancel(name)
        except UnknownDispatch as error:
            raise _not_there(name) from error
        except InvalidTransition as error:
            raise web.HTTPConflict(text=sentence(error)) from error
        words = "Cancelled. Its reports stay in the inbox and can be pushed again."
        return self._site.back_to(request, dispatch_path(name), words)

    @form("/dispatches/{id}/again", "pushDispatchAgain")
    async def again(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        try:
            again, told = await self._inside.again.again(name, await _key(request, name))
        except UnknownDispatch as error:
            raise _not_there(name) from error
        except CannotGoAgain as error:
            raise web.HTTPConflict(text=sentence(error)) from error
        tell(request, **told_of_again(again))
        return self._site.back_to(request, _path_of_again(told), _words_of_again(told))


class _Carried(Struct, frozen=True):
    """A report that a dispatch carries."""

    id: int
    message_id: str | None
    source: str
    to: str | None
    group: str | None
    status: str | None

    @classmethod
    def of(cls, stored: StoredReport) -> _Carried:
        report = stored.read()
        status = report.status
        return cls(
            id=stored.id,
            message_id=report.message_id,
            source=stored.source,
            to=report.to,
            group=None if status is None else status.group_name,
            status=None if status is None else status.name,
        )


async def _key(request: web.Request, name: str) -> str | None:
    """The same for a button that is pressed twice on one page."""
    once = (await request.post()).get("once")
    if not isinstance(once, str):
        return None
    return "page-" + sha256(f"{once} {name}".encode()).hexdigest()[:20]


def dispatch_path(name: str) -> str:
    return f"/dispatches/{quote(name, safe='')}"


def _path_of_again(told: PushedAgain) -> str:
    if told.dispatch is not None:
        return dispatch_path(told.dispatch.id)
    return "/dispatches?" + urlencode({"replay": told.replay.id}) if told.replay else "/dispatches"


def _words_of_again(told: PushedAgain) -> str:
    if told.replay is None:
        return "This new dispatch pushes the event again."
    reports = "its report" if told.replay.total == 1 else f"its {told.replay.total} reports"
    return f"Replay {told.replay.id} pushes {reports} again. Its dispatches appear here."


def _not_there(name: str) -> web.HTTPNotFound:
    return web.HTTPNotFound(
        text=(
            f"There is no dispatch {name}. Dispatches that have ended are removed after"
            " retention.attempts."
        )
    )

"""Who changed what: each change over the API is a row and a line in the log, and can be listed.

`Auditor.change` frames a change, over HTTP as on the command line. Its row is committed before the
change begins, and its outcome after it has ended: a change without a row does not happen, and a row
without an outcome says that the process ended in between. `add_to` frames every route that changes
something, so none can be forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from typing import Annotated, Any

from msgspec import Meta, Struct, field, structs

from receiver.answers import (
    BadQuery,
    Handler,
    Id,
    Instant,
    Next,
    answer,
    errors_as_json,
    timestamp,
    web,
)
from receiver.api.parameters import (
    CURSOR,
    EXACT,
    INSTANT,
    LIMIT,
    Filter,
    Parameters,
    in_query,
    next_cursor,
    page_of,
    read_query,
)
from receiver.api.tokens import READING, token_name
from receiver.callbacks.forwarded import HEADER, Proxies
from receiver.routes import Reply, Route, routes_by_handler
from receiver.settings.configuration import ConfigurationError
from receiver.store.audit import AuditLog, AuditQuery, BegunChange, Change, ChangeOutcome
from receiver.store.base import StoreUnavailable

log = logging.getLogger("dlr.audit")

_SUBJECT_MOST = 200  # characters; of a path anybody may write more

# --- making a change ------------------------------------------------------------------------------


class Told:
    """What is said of a change while it is made. `outcome` None: what follows from its end."""

    def __init__(self, subject: str | None) -> None:
        self.subject = subject
        self.outcome: ChangeOutcome | None = None
        self.details: dict[str, Any] = {}


@cache
def _change_key() -> web.RequestKey[Told]:
    return web.RequestKey("change", Told)


def tell(
    request: web.Request,
    *,
    subject: str | None = None,
    outcome: ChangeOutcome | None = None,
    **details: Any,
) -> None:
    """Say more of the change that a request makes. No secrets, and no recipients."""
    told = request.get(_change_key())
    if told is not None:
        told.subject = told.subject if subject is None else subject
        told.outcome = outcome or told.outcome
        told.details |= details


def printable(text: str) -> str:
    """A text in which anything can stand, of a path or an argument, for a log and a database."""
    return text if text.isprintable() else ascii(text)[1:-1]


class Auditor:
    """Has changes noted."""

    def __init__(self, changes: AuditLog, now: Callable[[], datetime]) -> None:
        self._changes = changes
        self._now = now

    @asynccontextmanager
    async def change(
        self, what: str, *, who: str | None, origin: str, subject: str | None = None
    ) -> AsyncIterator[Told]:
        """Frame a change. Raises StoreUnavailable before it has begun if it cannot be noted."""
        subject = None if subject is None else printable(subject)
        begun = BegunChange(at=self._now(), who=who, origin=origin, what=what, subject=subject)
        number = await self._changes.begin(begun)
        told = Told(subject)
        try:
            yield told
        except BaseException as error:
            refused = isinstance(error, BadQuery | ConfigurationError)
            told.outcome = told.outcome or ("refused" if refused else "failed")
            raise
        finally:
            await self._end(number, begun, told)

    async def _end(self, number: int, begun: BegunChange, told: Told) -> None:
        outcome = told.outcome or "done"
        facts = {
            "what": begun.what,
            "subject": told.subject,
            "who": begun.who,
            "from": begun.origin,
            "outcome": outcome,
            **told.details,
        }
        log.info("change", extra={"facts": {k: v for k, v in facts.items() if v is not None}})
        try:
            await self._changes.end(number, outcome, told.subject, told.details)
        except StoreUnavailable as error:  # it has been made: nobody must be told that it was not
            log.error("audit entry %d: its outcome could not be stored: %s", number, error)

    def add_to(self, app: web.Application, proxies: Proxies) -> None:
        """Frame each route for the operator and for test suites that changes something."""
        routes = routes_by_handler(app)

        @web.middleware
        async def audited(request: web.Request, handler: Handler) -> web.StreamResponse:
            route = routes.get(request.match_info.handler)
            if route is None or not is_audited(route) or request.method in READING:
                return await handler(request)
            subject = " ".join(request.match_info.values())[:_SUBJECT_MOST]
            async with self.change(
                route.name,
                who=token_name(request),
                origin=_origin(request, proxies),
                subject=subject or None,
            ) as told:
                request[_change_key()] = told
                response = await errors_as_json(request, handler)
                if response.status >= 400:
                    told.outcome = "refused" if response.status < 500 else "failed"
                return response

        app.middlewares.append(audited)


def is_audited(route: Route) -> bool:
    """Whether a route makes changes that are noted. Callbacks and the messages of an app are not:
    they are what this program is for."""
    return route.method not in READING and route.caller in ("operator", "page", "tester")


def _origin(request: web.Request, proxies: Proxies) -> str:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    address = proxies.client(peer[0] if peer else None, request.headers.getall(HEADER, ()))
    return "unknown" if address is None else str(address)


# --- listing changes ------------------------------------------------------------------------------


class ChangeAnswer(Struct, frozen=True):
    """`who` is the name of an API token or of a user of this machine."""

    id: Id
    at: Instant
    who: Annotated[str | None, Meta(description="null if the API requires no token")]
    origin: Annotated[str, Meta(description="An IP address, or `command line`")] = field(
        name="from"
    )
    what: Annotated[str, Meta(examples=["pauseEndpoint", "erase"])]
    subject: str | None
    outcome: Annotated[
        ChangeOutcome | None,
        Meta(
            description=(
                "null while the change is in progress, or if the process stopped before it ended"
            )
        ),
    ]
    details: dict[str, Any]

    @classmethod
    def of(cls, change: Change) -> ChangeAnswer:
        return cls(
            id=change.id,
            at=timestamp(change.at),
            who=change.who,
            origin=change.origin,
            what=change.what,
            subject=change.subject,
            outcome=change.outcome,
            details=dict(change.details),
        )


class AuditPage(Struct, frozen=True):
    items: Sequence[ChangeAnswer]
    next: Next


AUDIT_FILTERS = (
    Filter("who", EXACT, "Only by this token or user."),
    Filter("what", EXACT, "Only of this kind: pauseEndpoint, erase."),
    Filter("subject", EXACT, "Only of this endpoint, dispatch or replay."),
    Filter("since", INSTANT, "Made at this time or later."),
    Filter("until", INSTANT, "Made before this time."),
)
_PARAMETERS = (LIMIT, CURSOR, *AUDIT_FILTERS)


def audit_query(query: Parameters) -> AuditQuery:
    """The filters of GET /api/audit. Raises BadQuery."""
    return AuditQuery(**read_query(query, _PARAMETERS))


class AuditApi:
    """The route under /api that lists changes."""

    def __init__(self, changes: AuditLog) -> None:
        self._changes = changes

    @Route(
        "GET",
        "/api/audit",
        "listChanges",
        "Changes made over the API and on the command line, newest first",
        {200: Reply("a page", AuditPage)},
        in_query(_PARAMETERS),
    )
    async def changes(self, request: web.Request) -> web.Response:
        query = audit_query(request.query)
        wanted = structs.replace(query, limit=query.limit + 1)
        found, following = page_of(await self._changes.changes(wanted), query.limit)
        shown = [ChangeAnswer.of(each) for each in found]
        return answer(AuditPage(shown, next_cursor(following)))

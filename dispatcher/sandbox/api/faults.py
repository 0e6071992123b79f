"""Trouble on order: the rules under /sandbox/faults, and the middleware that carries them out.

Credentials are judged before, so a request meets trouble only when it would have been let in. What
meets a `status`, `drop` or `reset` is not taken: nothing of it is sent.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from msgspec import Meta, Struct

from dispatcher.api.settings_types import SettingsTypes
from dispatcher.sandbox.api.credentials import is_providers
from dispatcher.sandbox.api.negotiation import respond, wanted_by
from dispatcher.sandbox.api.seen_bodies import WHOLE, SeenBodies
from dispatcher.sandbox.api.send import POSTED
from dispatcher.sandbox.errors import Refused, document, generation
from dispatcher.sandbox.faults import Faults
from dispatcher.sandbox.wire import query
from dispatcher.sandbox.wire.body import read_body
from dispatcher.settings.sandbox import FaultRule
from receiver.answers import SERVER_NAME, Handler, NotTaken, answer, fault
from receiver.api.parameters import only
from receiver.dlr.number import comparable
from receiver.routes import Reply, RequestBody, Route
from receiver.settings.configuration import ConfigurationError
from receiver.settings.durations import duration_text
from receiver.settings.reader import read_table

RETRY_AFTER: Final = "1"
"""Seconds that 429 and 503 ask for. The provider documents none; a test suite should not wait."""

Sleep = Callable[[float], Awaitable[object]]


class SandboxFault(Struct, frozen=True, kw_only=True):
    """a rule in force"""

    status: int | None
    next: Annotated[
        int | None, Meta(description=("How many more requests it applies to; null if to all"))
    ]
    route: str
    to: str
    share: float
    delay: str | None
    drop: bool
    reset: bool
    body: str | None

    @classmethod
    def of(cls, rule: FaultRule) -> SandboxFault:
        values = {each.name: getattr(rule, each.name) for each in fields(rule)}
        delay = None if rule.delay is None else duration_text(rule.delay)
        return cls(**{**values, "delay": delay})


class SandboxFaults(Struct, frozen=True):
    """in the order in which they are asked"""

    faults: list[SandboxFault]


class FaultsApi:
    """The routes under /sandbox/faults."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    @Route(
        "GET",
        "/sandbox/faults",
        "getSandboxFaults",
        "The fault rules in force, in order of precedence; those of the settings come last",
        {200: Reply("the rules", SandboxFaults)},
        caller="tester",
    )
    async def shown(self, request: web.Request) -> web.Response:
        """The rules in force."""
        only(request.query)
        return self._told()

    @Route(
        "POST",
        "/sandbox/faults",
        "postSandboxFaults",
        (
            "Adds a fault rule that takes precedence over all others, until it is removed or the"
            " sandbox is reset"
        ),
        {
            201: Reply("The rule applies from now on", SandboxFaults),
            400: "The rule is invalid; all faults are listed",
        },
        body=RequestBody(
            SettingsTypes({}).said("SandboxFaultRule", FaultRule),
            words="`body` can be any JSON; a string is sent as it is",
            examples={
                "twice": {"status": 503, "next": 2, "route": "/sms/3/messages"},
                "slow": {"delay": "2s", "to": "4179*", "share": 0.1},
                "dropped": {"drop": True, "next": 1},
            },
        ),
        caller="tester",
    )
    async def add(self, request: web.Request) -> web.Response:
        """A rule that goes before all others."""
        only(request.query)
        try:
            self._faults.add(rule_of(await request.read()))
        except ConfigurationError as error:
            text = "; ".join(error.faults)
            return fault(400, "invalid_settings", text, faults=list(error.faults))
        return self._told(201)

    @Route(
        "DELETE",
        "/sandbox/faults",
        "deleteSandboxFaults",
        "Removes the rules that POST has added; the rules of the settings stay",
        {200: Reply("The remaining rules", SandboxFaults)},
        caller="tester",
    )
    async def take_back(self, request: web.Request) -> web.Response:
        """Forget what POST has added."""
        only(request.query)
        self._faults.take_back()
        return self._told()

    def _told(self, status: int = 200) -> web.Response:
        return answer(SandboxFaults([SandboxFault.of(each) for each in self._faults.rules]), status)


def rule_of(body: bytes) -> FaultRule:
    """The rule that is posted. Raises ConfigurationError."""
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        text = 'expected a JSON object such as {"status":503,"next":2}'
        raise ConfigurationError([f"{text}: {error}"]) from error
    given = {name: value for name, value in said.items() if value is not None}
    if not isinstance(given.get("body", ""), str):
        given["body"] = msgspec.json.encode(given["body"]).decode()
    return read_table(FaultRule, given)


# --- what a request meets ------------------------------------------------------------------------


def trouble(faults: Faults, bodies: SeenBodies, limit: int, sleep: Sleep) -> Middleware:
    """Carries the rules out. `limit` is that of a body that is inflated; delays are in the world's
    time, because the timeouts of apps are."""

    @web.middleware
    async def meet(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not faults or not is_providers(request):
            return await handler(request)
        async with bodies.arriving(request) as body:
            recipients = cache(lambda: list(_recipients(request, body, limit)))
            rule = faults.met(request.path, recipients)
            if rule is None or not _ends_it(rule):
                request[WHOLE] = body
                response = await handler(request)
        if rule is None:
            return response
        if rule.delay:
            await sleep(rule.delay.total_seconds())
        return await _instead(request, rule) if _ends_it(rule) else response

    return meet


def _ends_it(rule: FaultRule) -> bool:
    """Whether the request is not taken."""
    return rule.status is not None or rule.drop or rule.reset


async def _instead(request: web.Request, rule: FaultRule) -> web.StreamResponse:
    """The answer of a rule, or as much of it as arrives."""
    whole = None if rule.status is None else _response(request, rule.status, rule.body)
    if whole is not None and not (rule.drop or rule.reset):
        return whole
    arrived = web.StreamResponse() if whole is None else await _half(request, whole)
    _cut(request, reset=rule.reset)
    request[CUT] = True
    return arrived


CUT: Final = web.RequestKey("cut", bool)
"""Whether the connection was ended: what is returned does not arrive."""


def _response(request: web.Request, status: int, body: str | None) -> web.Response:
    """A `body` of the rule goes as the type that the client expects: its reader is to meet it."""
    form = wanted_by(request)
    if body is None:
        root, said = document(generation(request.path), form, status)
        response = respond(form, root, said, status)
    else:
        response = web.Response(text=body, status=status, content_type=f"application/{form}")
    if status in (429, 503):
        response.headers["Retry-After"] = RETRY_AFTER
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="sandbox"'
    return response


async def _half(request: web.Request, whole: web.Response) -> web.StreamResponse:
    """The head of an answer, and half of its body."""
    body = whole.body if isinstance(whole.body, bytes) else b""
    begun = web.StreamResponse(status=whole.status, headers=whole.headers)
    begun.content_length = len(body)
    begun.headers[hdrs.SERVER] = SERVER_NAME
    await begun.prepare(request)
    await begun.write(body[: len(body) // 2])
    return begun


def _cut(request: web.Request, *, reset: bool) -> None:
    """End the connection, in order or with a reset (a socket that lingers for no time)."""
    if (transport := request.transport) is None:
        return
    if not reset:
        transport.close()
        return
    of_system = transport.get_extra_info("socket")
    if of_system is not None:
        of_system.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


_TABLES: Final = {sending.path: sending.table for sending in POSTED}


def _recipients(request: web.Request, body: bytes, limit: int) -> Iterator[str]:
    """Of a body that cannot be read, none."""
    if (table := _TABLES.get(request.path)) is None:
        came: Any = query.parameters(request.query)
    else:
        kind = request.headers.get("Content-Type")
        coding = request.headers.get("Content-Encoding")
        try:
            came = read_body(body, kind, coding, limit, table)
        except (Refused, NotTaken):
            return
    for text in _destinations(came):
        yield comparable(text)


def _destinations(value: Any) -> Iterator[str]:
    """Every text under the name `to`, however deep: all sending routes call it so."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "to":
                yield from (str(each) for each in (inner if isinstance(inner, list) else [inner]))
                yield from _destinations(inner if isinstance(inner, Mapping) else {})
            else:
                yield from _destinations(inner)
    elif isinstance(value, list):
        for each in value:
            yield from _destinations(each)

"""Makes attempts over HTTP, and gives each way in which they end its name."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader
from msgspec import Struct, structs

from dispatcher.clocks.clock import SystemClock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.pushing.exchange import (
    HEADER_MOST,
    HEADERS_MOST,
    Exchange,
    Kept,
    TappedConnector,
)
from dispatcher.pushing.failures import FAILURES, broke_off, failure_of, notes_of, oddity_of
from dispatcher.pushing.oauth import NoToken, TokenRequest, Tokens
from dispatcher.pushing.resolver import Resolver
from dispatcher.queue.base import Leased
from dispatcher.retrying.outcome import Answer, Outcome
from dispatcher.security.addresses import (
    DEFAULT_POLICY,
    AddressCheck,
    AddressPolicy,
    NotAllowed,
    target_fault,
)
from dispatcher.security.signing import OAuth, overruled, proof
from dispatcher.security.tls import Tls, context
from dispatcher.security.urls import as_written

ANSWER_KEPT = 1024
"""Bytes of an answer that are kept with the attempt."""

ANSWER_READ = 64 * 1024
"""Bytes of an answer that are read so that the connection can serve the next push. A longer answer
costs its connection and nothing else."""

WAYS_KEPT = 1024
"""URLs whose `_Way` is remembered."""

BEGINS_KEPT = 16
"""Sets of names of headers whose beginning is remembered for a URL: each endpoint that pushes there
has two or three."""

COPIED_MOST = 16 * 1024
"""Bytes of the longest body that is copied behind its head: one piece is written faster than two.
"""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_SENT_AGAIN = (
    "the endpoint closed the kept-alive connection at that moment; dlr sent the"
    " request again on a new one"
)

# Unpacking is a way to be flooded; packed, an answer could be neither read nor matched.
OF_EVERY_PUSH = {"User-Agent": "dlr", "Accept-Encoding": "identity"}

Sending = Callable[[Leased, Endpoint, Mapping[str, str]], None]

_SYSTEMS_TRUST = Tls()
_system_time = SystemClock().now


class _Reply(Struct, frozen=True):
    """An answer whose status came. `failure`: after it something failed, and `body` is not all that
    would be kept. `notes` say what was odd."""

    status: int
    body: bytes
    retry_after: str | None
    failure: Outcome | None = None
    notes: tuple[str, ...] = ()


class _Request(Struct, frozen=True):
    url: str
    body: bytes
    headers: Mapping[str, str]


class _Way(Struct, frozen=True):
    """How a request gets to a URL: the connector that opens the connection for `to`, which leads to
    `place`, and what is sent before the headers of the request itself. `to` has the URL as aiohttp
    reads it. `begins`: the beginning of a request, by the names of its headers."""

    connector: TappedConnector
    to: aiohttp.ClientRequest
    place: object
    line: str
    headers: Mapping[str, str]
    begins: dict[tuple[str, ...], str]


class HttpSender:
    """Implements Sender (attempts.py) on aiohttp's connections. Use it as an async context manager.

    There are two connectors, so that a connection made without a check of its address never serves
    an endpoint that is checked. `now` is the world's time, which signatures and tokens live by.
    `resolver` None asks the system for addresses (resolver.py). `connections` is how many may be
    open before an idle one is closed to open a new one; None: idle connections are never closed for
    that.
    `sending` is told of each push with the headers that are ours, before it is made.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = _system_time,
        policy: AddressPolicy = DEFAULT_POLICY,
        *,
        resolver: AbstractResolver | None = None,
        connections: int | None = None,
        sending: Sending | None = None,
    ) -> None:
        self._now = now
        self._sending = sending
        self._policy = policy
        self._resolver = resolver
        self._kept = Kept(connections)
        self._connector: TappedConnector | None = None
        self._checked_connector: TappedConnector | None = None
        self._way = lru_cache(WAYS_KEPT)(self._way_to)
        self._tokens = Tokens(now)
        self._contexts: dict[Tls, ssl.SSLContext] = {}

    async def __aenter__(self) -> Self:
        self._resolver = self._resolver or Resolver()
        # Limits are those of each endpoint and of all of them (flow/), not of a host.
        self._connector = TappedConnector(self._kept, limit=0, resolver=self._resolver)
        self._checked_connector = TappedConnector(
            self._kept,
            limit=0,
            resolver=self._resolver,
            socket_factory=AddressCheck(self._policy),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tokens.close()
        self._kept.close()
        for connector in (self._connector, self._checked_connector):
            if connector is not None:
                await connector.close()
        if self._resolver is not None:
            await self._resolver.close()

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:
        return await self.send_telling(dispatch, endpoint, self._sending)

    async def send_telling(
        self, dispatch: Leased, endpoint: Endpoint, sending: Sending | None
    ) -> Answer:
        """As `send`; `sending` is told in place of the sender's own."""
        started = time.perf_counter()
        try:
            reply = await self._push(dispatch, endpoint, sending)
        except FAILURES as error:
            failure, text = failure_of(error)
            return Answer(
                _milliseconds_since(started), failure=failure, error=text, note=notes_of(error)
            )
        return Answer(
            _milliseconds_since(started),
            status=reply.status,
            failure=reply.failure,
            body=reply.body,
            retry_after=reply.retry_after,
            note="; ".join(reply.notes) or None,
        )

    async def _push(self, dispatch: Leased, endpoint: Endpoint, sending: Sending | None) -> _Reply:
        """Push once. With OAuth, a push that is answered 401 is made again with a new token."""
        if not isinstance(endpoint.security, OAuth):
            return await self._post(dispatch, endpoint, sending)
        token = await self._token(endpoint, endpoint.security)
        reply = await self._post(dispatch, endpoint, sending, token)
        if reply.status != 401:
            return reply
        self._tokens.forget(endpoint.name, token)
        token = await self._token(endpoint, endpoint.security)
        return await self._post(dispatch, endpoint, sending, token)

    async def _post(
        self,
        dispatch: Leased,
        endpoint: Endpoint,
        sending: Sending | None,
        token: str | None = None,
    ) -> _Reply:
        headers = _headers(dispatch, endpoint, self._now, token)
        if sending is not None:
            sending(dispatch, endpoint, {**OF_EVERY_PUSH, **headers})
        return await self._reply(endpoint, _Request(dispatch.url, dispatch.body, headers))

    async def _token(self, endpoint: Endpoint, security: OAuth) -> str:
        return await self._tokens.token(
            endpoint.name, security, lambda request: self._ask_for_token(endpoint, request)
        )

    async def _ask_for_token(self, endpoint: Endpoint, request: TokenRequest) -> tuple[int, bytes]:
        """Under the rules of the endpoint's pushes: its timeouts, its trust, its address check."""
        try:
            reply = await self._reply(
                endpoint, _Request(request.url, request.body, request.headers), ANSWER_READ
            )
        except FAILURES as error:
            raise NoToken(f"the token endpoint: {failure_of(error)[1]}") from error
        if reply.failure is not None:
            raise NoToken(f"the token endpoint: {reply.notes[-1]}")
        if len(reply.body) == ANSWER_READ:
            raise NoToken(f"the token endpoint: the answer has more than {ANSWER_READ} bytes")
        return reply.status, reply.body

    # --- one request ------------------------------------------------------------------------------

    async def _reply(
        self, endpoint: Endpoint, request: _Request, kept: int = ANSWER_KEPT
    ) -> _Reply:
        """What comes back, with the first `kept` bytes of its body.

        A request that breaks off on a connection that was used before, without a byte of an answer,
        is made again at once on a new one: the server closed the connection, as it may at any
        time, while the request was on its way. A push that arrives twice by this has one id.
        """
        until = asyncio.get_running_loop().time() + endpoint.exchange_time.total_seconds()
        first = Exchange(until)
        try:
            return await self._exchanged(endpoint, request, first, kept)
        except FAILURES as error:
            if not (first.reused and first.silent and broke_off(error)):
                raise
        again = Exchange(until, needs_new=True)
        try:
            reply = await self._exchanged(endpoint, request, again, kept)
        except FAILURES as error:
            error.add_note(_SENT_AGAIN)
            raise
        return structs.replace(reply, notes=(_SENT_AGAIN, *reply.notes))

    async def _exchanged(
        self, endpoint: Endpoint, request: _Request, exchange: Exchange, kept: int
    ) -> _Reply:
        """One request on one connection. An exception that comes when the status is known is no
        failure of the request."""
        body, whole = bytearray(), True
        head: RawResponseMessage | None = None
        try:
            way = self._way(request.url, endpoint.checked, endpoint.tls)
            found = way.connector.ready(exchange, way.place)
            if found is None:
                async with asyncio.timeout_at(exchange.until):
                    found = await way.connector.tapped(
                        exchange, way.to, _connecting(endpoint.connect_timeout)
                    )
            connection, tap = found
            try:
                patience = endpoint.read_timeout.total_seconds()
                plain = await tap.post(_encoded(way, request), patience, exchange.until)
                if plain is None:
                    async with asyncio.timeout_at(exchange.until):
                        head, content = await _head(connection)
                        exchange.answered = True
                        whole = await _read(content, body, kept)
            except BaseException:
                connection.close()
                raise
            if not tap.rest() or not whole:
                connection.close()
            elif plain is not None:
                self._kept.ready(tap, connection)
            else:
                connection.release()
        except FAILURES as error:
            return _all_the_same(error, exchange, head, bytes(body), kept)
        if plain is not None:
            return _Reply(plain.status, plain.body[:kept], plain.retry_after)
        assert head is not None
        return _Reply(head.code, bytes(body), head.headers.get("Retry-After"))

    def _way_to(self, url: str, checked: bool, tls: Tls) -> _Way:
        """Raises `NotAllowed`, and other errors for a URL that cannot be called.

        The URL is judged again before it is called, because whoever made the endpoint may not have
        looked at it.
        """
        if checked and (fault := target_fault(url)) is not None:
            raise NotAllowed(fault)
        checked = (checked or self._policy.loopback_only) and not self._policy.names(url)
        connector = self._checked_connector if checked else self._connector
        assert connector is not None, "HttpSender is used as a context manager"
        target = as_written(url)
        if target.scheme not in connector.allowed_protocol_schema_set:
            raise aiohttp.NonHttpUrlClientError(target)
        to = aiohttp.ClientRequest(
            "POST",
            target,
            headers=OF_EVERY_PUSH,
            loop=asyncio.get_running_loop(),
            ssl=self._trust(tls),
        )
        line = f"POST {to.url.raw_path_qs} HTTP/1.1"
        return _Way(connector, to, connector.place_of(to), line, dict(to.headers), {})

    def _trust(self, tls: Tls) -> ssl.SSLContext | bool:
        """What `ssl=` takes. A context is made once, at the first push."""
        if tls == _SYSTEMS_TRUST:
            return True
        if tls not in self._contexts:
            try:
                self._contexts[tls] = context(tls)
            except OSError as error:  # good at the start, and gone since
                raise ssl.SSLError(1, "the files in its TLS settings cannot be used") from error
        return self._contexts[tls]


def new_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=OF_EVERY_PUSH,
        auto_decompress=False,
        max_line_size=HEADER_MOST,
        max_field_size=HEADER_MOST,
        max_headers=HEADERS_MOST,
        trust_env=False,  # a proxy from the environment would connect for us, unchecked
    )


@lru_cache
def _connecting(limit: timedelta) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=limit.total_seconds())


def _encoded(way: _Way, request: _Request) -> Sequence[bytes]:
    """The pieces of the whole request. Raises ValueError for a header that would begin another
    line."""
    headers, names = request.headers, tuple(request.headers)
    begin = way.begins.get(names)
    if begin is None:
        if len(way.begins) == BEGINS_KEPT:
            way.begins.clear()
        begin = way.begins[names] = _begin(way, names)
    if _CONTROL.search("".join(headers.values())):
        raise ValueError("a header has a control character")
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"{begin}{lines}Content-Length: {len(request.body)}\r\n\r\n".encode()
    return [head + request.body] if len(request.body) < COPIED_MOST else [head, request.body]


def _begin(way: _Way, names: Sequence[str]) -> str:
    """The lines before the headers of a request with these names, which overrule those of the way.
    Raises ValueError for one that would begin another line."""
    ours = dict.fromkeys(names, "") | {"Content-Length": ""}
    fixed = overruled(way.headers, ours)
    lines = [way.line, *(f"{name}: {fixed[name]}" for name in fixed if name not in ours)]
    if _CONTROL.search("".join([*lines, *names])):
        raise ValueError("a header has a control character")
    return "".join([f"{line}\r\n" for line in lines])


def _headers(
    dispatch: Leased, endpoint: Endpoint, now: Callable[[], datetime], token: str | None
) -> dict[str, str]:
    ours = {
        "Content-Type": dispatch.content_type,
        # The same at each attempt, so that the customer can tell a repeated push from a new one.
        # The name is that of Standard Webhooks.
        "webhook-id": dispatch.webhook_id,
        "dlr-attempt": str(dispatch.attempts_made + 1),
    }
    if dispatch.replay is not None:
        # The reports are those of before; the customer may drop what it has already.
        ours["dlr-replay"] = str(dispatch.replay)
    if dispatch.authorization is not None:  # of a URL that the reports brought
        ours["Authorization"] = dispatch.authorization
    if endpoint.security is None:
        return overruled(endpoint.headers, ours)
    proven = proof(endpoint.security, dispatch.body, dispatch.webhook_id, now(), token)
    return overruled(endpoint.headers, {**ours, **proven})


async def _head(connection: Connection) -> tuple[RawResponseMessage, StreamReader]:
    """The head of the final answer as aiohttp reads it, and its body, which is still to come."""
    assert connection.protocol is not None
    while True:
        head, content = await connection.protocol.read()
        if not 100 <= head.code < 200 or head.code == 101:
            return head, content


async def _read(content: StreamReader, body: bytearray, kept: int) -> bool:
    """Read the first `kept` bytes of the answer into `body`. Returns whether the body was read to
    its end. Raises if it ends early."""
    read = 0
    async for chunk in content.iter_any():
        body += chunk[: kept - len(body)]
        read += len(chunk)
        if read > ANSWER_READ:
            return False
    return True


def _all_the_same(
    error: Exception,
    exchange: Exchange,
    head: RawResponseMessage | None,
    body: bytes,
    kept: int,
) -> _Reply:
    """The reply of an answer whose status came before `error`; raises `error` when none came."""
    failure, note = oddity_of(error)
    if head is not None:
        whole = len(body) == kept
        asked = head.headers.get("Retry-After")
        return _Reply(head.code, body, asked, None if whole else failure, (note,))
    if (heard := exchange.head()) is None:
        raise error
    whole = heard.whole or len(heard.body) >= kept
    body = heard.body[:kept]
    return _Reply(heard.status, body, heard.retry_after, None if whole else failure, (note,))


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000

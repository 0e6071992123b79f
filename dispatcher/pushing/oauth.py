"""Tokens for endpoints that want OAuth2: fetched once, kept for as long as they are good.

RFC 6749: the client credentials grant is part 4.4, the answer 5.1, the error 5.2.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from math import isfinite
from urllib.parse import quote_plus, urlencode

import msgspec
from msgspec import Struct

from dispatcher.security.signing import OAuth, basic

EARLY = timedelta(seconds=60)
"""A token is renewed this long before it ends, or a tenth of its life when that is less: a push
may be under way for a while, and clocks differ."""

LIFE_MOST = timedelta(days=365)


class NoToken(Exception):
    """The token endpoint gave none. The text says why, and holds no secret."""


class TokenRequest(Struct, frozen=True):
    """What is posted to the token endpoint."""

    url: str
    headers: dict[str, str]
    body: bytes


class Token(Struct, frozen=True):
    """`renew_at` None: the answer did not say how long it is good, so until it is refused."""

    text: str
    renew_at: datetime | None

    def __repr__(self) -> str:
        return f"Token(…, renew_at={self.renew_at})"


Fetch = Callable[[TokenRequest], Awaitable[tuple[int, bytes]]]
"""Posts the request; status and body of the answer. Raises `NoToken` when there is no answer."""


class Tokens:
    """The tokens of all endpoints, each by the endpoint's name.

    Pushes that want the same token at once wait for one fetch, and share its failure too; so a
    token endpoint that is down is asked once at a time, however many pushes there are.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._kept: dict[str, tuple[OAuth, Token]] = {}
        self._fetching: dict[tuple[str, OAuth], asyncio.Task[Token]] = {}

    async def token(self, endpoint: str, security: OAuth, fetch: Fetch) -> str:
        """A token that is good. Raises `NoToken`."""
        known, token = self._kept.get(endpoint, (None, None))
        if token is not None and known == security and not self._is_old(token):
            return token.text
        return (await self._shared_fetch(endpoint, security, fetch)).text

    def forget(self, endpoint: str, text: str) -> None:
        """The endpoint has refused this token. One that came since is kept."""
        if endpoint in self._kept and self._kept[endpoint][1].text == text:
            del self._kept[endpoint]

    async def close(self) -> None:
        """Break off what is being fetched."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_old(self, token: Token) -> bool:
        return token.renew_at is not None and self._now() >= token.renew_at

    async def _shared_fetch(self, endpoint: str, security: OAuth, fetch: Fetch) -> Token:
        key = (endpoint, security)
        task = self._fetching.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(endpoint, security, fetch))
            self._fetching[key] = task
            task.add_done_callback(lambda done: self._fetched(key, done))
        # A push that is broken off does not take the token from the others that wait for it.
        return await asyncio.shield(task)

    async def _fetch(self, endpoint: str, security: OAuth, fetch: Fetch) -> Token:
        asked_at = self._now()
        status, body = await fetch(token_request(security))
        token = read_token(status, body, asked_at)
        self._kept[endpoint] = (security, token)
        return token

    def _fetched(self, key: tuple[str, OAuth], task: asyncio.Task[Token]) -> None:
        del self._fetching[key]
        if not task.cancelled():
            task.exception()  # seen, even where nobody waits for it any more


def token_request(security: OAuth) -> TokenRequest:
    """The form that asks for a token."""
    form = {"grant_type": "client_credentials"}
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    if security.scope is not None:
        form["scope"] = security.scope
    if security.resource is not None:
        form["resource"] = security.resource
    if security.client_authentication == "header":
        # Encoded as in a form before it goes into Basic (RFC 6749, 2.3.1).
        headers |= basic(quote_plus(security.client_id), quote_plus(security.client_secret))
    else:
        form |= {"client_id": security.client_id, "client_secret": security.client_secret}
    return TokenRequest(security.token_url, headers, urlencode(form).encode())


class _Answer(Struct):
    access_token: str | None = None
    token_type: str | None = None
    expires_in: float | str | None = None
    error: str | None = None


def read_token(status: int, body: bytes, asked_at: datetime) -> Token:
    """The token in an answer to a request that was made at `asked_at`. Raises `NoToken`."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        answer = None
    if status != 200:
        raise NoToken(f"the token endpoint answered {status}{_code(answer)}")
    if answer is None:
        raise NoToken("the token endpoint's answer is not a JSON object with a token")
    if (answer.token_type or "bearer").lower() != "bearer":
        raise NoToken("the token endpoint returned a token whose type is not Bearer")
    # What may stand in the header: RFC 6750, 2.1, and some more that servers use.
    if not re.fullmatch(r"[\x21-\x7e]{1,16384}", answer.access_token or ""):
        raise NoToken("the token endpoint's answer has no token that is valid in a header")
    return Token(answer.access_token or "", _renew_at(answer.expires_in, asked_at))


def _code(answer: _Answer | None) -> str:
    """The error code of RFC 6749, 5.2; nothing else of the answer is repeated."""
    if answer is None or not re.fullmatch(r"[a-z_]{1,40}", answer.error or ""):
        return ""
    return f" {answer.error}"


def _renew_at(expires_in: float | str | None, asked_at: datetime) -> datetime | None:
    seconds = _seconds(expires_in)
    if seconds is None:
        return None
    life = timedelta(seconds=min(max(seconds, 0.0), LIFE_MOST.total_seconds()))
    return asked_at + life - min(EARLY, life / 10)


def _seconds(expires_in: float | str | None) -> float | None:
    """Some servers send the number as a text."""
    if expires_in is None:
        return None
    try:
        seconds = float(expires_in)
    except ValueError:
        return None
    return seconds if isfinite(seconds) else None

"""Who may use `/api`: a token with a scope, apart from the callbacks' credentials."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from receiver.answers import Handler, fault, web
from receiver.callbacks.auth import after_scheme, as_sent
from receiver.settings.settings import ApiSettings, TokenSettings

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

log = logging.getLogger("dlr.api")

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods for which the scope `read` is enough."""

PROTECTED = ("/api", "/sandbox")
"""What asks for a token, with all below it. The sandbox's own routes read and do as much."""

METRICS = "/metrics"
"""This asks for one too, unless the settings open it."""


@cache
def _name_key() -> web.RequestKey[str]:
    return web.RequestKey("token_name", str)


def token_name(request: web.Request) -> str | None:
    """The name of the token with which a request was let in."""
    return request.get(_name_key())


class ApiTokens:
    """The tokens that are valid. They are compared by their digests, in constant time."""

    def __init__(self, settings: ApiSettings) -> None:
        self.refused: Counter[str] = Counter()  # by the reason: missing, unknown, scope
        self._settings = settings
        self._tokens = [(known, token) for token in settings.token for known in _digests_of(token)]

    def token_of(self, authorization: str | None) -> TokenSettings | None:
        """The token that the header `Authorization: Bearer …` brings; of several with one secret
        the one that may do most. `None`: it is none of ours."""
        given = after_scheme(authorization, "Bearer")
        if given is None:
            return None
        digest = hashlib.sha256(as_sent(given)).digest()
        matches = [token for known, token in self._tokens if hmac.compare_digest(digest, known)]
        return max(matches, key=lambda token: token.scope == "operate", default=None)

    def middleware(self) -> Middleware:
        """Asks for a token wherever the path, or the route that was found for it, is of the API."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not self._asks(request):
                return await handler(request)
            authorization = request.headers.get("Authorization")
            token = self.token_of(authorization)
            if token is None:
                self._refuse(request, "missing" if authorization is None else "unknown")
                response = fault(401, "unauthorized", "expected Authorization: Bearer and a token")
                response.headers["WWW-Authenticate"] = 'Bearer realm="dlr"'
                return response
            if token.scope == "read" and request.method not in READING:
                self._refuse(request, "scope", token=token.name)
                text = "this takes a token with the scope operate, got one with the scope read"
                return fault(403, "forbidden", text)
            request[_name_key()] = token.name
            return await handler(request)

        return guard

    def _asks(self, request: web.Request) -> bool:
        """By the route as well as by the path: what was found decides, however it was written."""
        resource = request.match_info.route.resource
        canonical = "" if resource is None else resource.canonical
        return any(is_protected(path, self._settings) for path in (request.path, canonical))

    def _refuse(self, request: web.Request, reason: str, **token: str) -> None:
        self.refused[reason] += 1
        facts = {
            "reason": reason,
            "method": request.method,
            "path": request.rel_url.raw_path,  # no query, which may hold a secret
            "from": request.remote,
            **token,
        }
        log.warning("API request refused", extra={"facts": facts})


def _digests_of(token: TokenSettings) -> Iterator[bytes]:
    if token.sha256 is not None:
        yield bytes.fromhex(token.sha256)
    if token.secret is not None:
        yield hashlib.sha256(token.secret.reveal().encode()).digest()


def is_protected(path: str, settings: ApiSettings) -> bool:
    """Whether a path asks for a token where there are any."""
    if path == METRICS:
        return settings.metrics == "token"
    return any(path == root or path.startswith(f"{root}/") for root in PROTECTED)
